"""The one Flax module: an architecture, which is data, made runnable on a backend."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
from jaxtyping import Array, Float

from jaxmnist.models.backend import Backend
from jaxmnist.models.layers import Layer


@dataclass(frozen=True)
class Architecture:
    """A model as data: its layers in order, and how its last vector becomes `heads x classes`."""

    layers: tuple[Layer, ...]
    heads: int
    classes: int

    def named_layers(self) -> list[tuple[str, Layer]]:
        """Names layers by kind and count within the kind: `conv1`, `relu1`, `conv2`, ..."""
        counts: Counter[str] = Counter()
        named = []
        for layer in self.layers:
            kind = type(layer).__name__.lower()
            counts[kind] += 1
            named.append((f"{kind}{counts[kind]}", layer))
        return named


class Weights(NamedTuple):
    """What a network computes with: two of Flax's collections."""

    params: Any
    batch_stats: Any


class Network(nn.Module):
    """Runs an architecture.

    Variables are `params` and, with batch normalisation, `batch_stats`; dropout draws from the
    rng stream `dropout`.
    """

    architecture: Architecture
    backend: Backend
    watch: Callable[[str, Layer, tuple[int, ...]], None] | None = None  # told every layer's shape

    def parted(self, axis: str | None) -> "Network":
        """Returns the same network for batches of which every device along `axis` has a part."""
        return self.clone(backend=self.backend.parted(axis))

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width"], *, train: bool
    ) -> Float[Array, "batch heads classes"]:
        x = self.backend.enter(images)
        for name, layer in self.architecture.named_layers():
            x = layer.clone(name=name, parent=self)(x, backend=self.backend, train=train)
            if self.watch:
                self.watch(name, layer, x.shape)
        return self.backend.leave(x, self.architecture.heads, self.architecture.classes)
