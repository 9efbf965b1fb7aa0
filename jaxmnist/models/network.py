"""The one Flax module: runs an architecture, which is data, in a layout."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmnist.metrics import cross_entropy
from jaxmnist.models.ctc import ctc_loss, greedy_decode
from jaxmnist.models.layers import Layer
from jaxmnist.models.layout import Layout

Logits = Float[Array, "batch heads classes"]  # or a column of the map in the place of a head


@dataclass(frozen=True)
class Architecture:
    """A model as data: its layers in order, and how its output becomes logits.

    Either it has a fixed number of heads, or (`heads` is None) each column of its last map, of
    height 1, has logits of its own: such a network reads images of any width, by CTC.
    """

    layers: tuple[Layer, ...]
    heads: int | None
    classes: int

    def losses(self, logits: Logits, labels: Int[Array, "batch length"]) -> Float[Array, " batch"]:
        """Returns minus the log likelihood of each label."""
        if self.heads is None:
            return ctc_loss(logits, labels)
        return cross_entropy(logits, labels)

    def predict(self, logits: Logits, length: int) -> Int[Array, "batch length"]:
        """Returns the likeliest label of each example, which is cut after `length` digits."""
        if self.heads is None:
            return greedy_decode(logits, length)
        return logits.argmax(-1)

    def named_layers(self) -> list[tuple[str, Layer]]:
        """Returns the layers with their names: `conv1`, `relu1`, `conv2`, ..."""
        counts: Counter[str] = Counter()
        named = []
        for layer in self.layers:
            kind = type(layer).__name__.lower()
            counts[kind] += 1
            named.append((f"{kind}{counts[kind]}", layer))
        return named


class Weights(NamedTuple):
    """The variables of a network: two of Flax's collections."""

    params: Any
    batch_stats: Any


class Network(nn.Module):
    """Runs an architecture.

    Variables are `params` and, with batch normalisation, `batch_stats`; dropout draws from the
    rng stream `dropout`.
    """

    architecture: Architecture
    layout: Layout
    layer_hook: Callable[[str, Layer, tuple[int, ...]], None] | None = None  # called after a layer

    def with_axis(self, axis_name: str | None) -> "Network":
        """Returns the network for batches of which every device along `axis_name` has a shard."""
        return self.clone(layout=self.layout.with_axis(axis_name))

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "batch height width"] | Float[np.ndarray, "batch height width"],
        *,
        train: bool,
    ) -> Logits:
        x = self.layout.from_images(jnp.asarray(images))
        for name, layer in self.architecture.named_layers():
            x = layer.clone(name=name, parent=self)(x, layout=self.layout, train=train)
            if self.layer_hook:
                self.layer_hook(name, layer, x.shape)
        heads, classes = self.architecture.heads, self.architecture.classes
        if heads is None:
            return self.layout.column_logits(x, classes)
        return self.layout.to_logits(x, heads, classes)
