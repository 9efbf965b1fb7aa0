"""How feature maps lie in memory, and the operations that depend on it.

A model is a list of layers that never says where the batch axis is. It asks a layout:

* `CHWN` (CPU): arrays are (channels, height, width, batch), so that every operation is a long
  contiguous vector loop over the batch; a convolution is a matrix product (cpu_conv.py).
* `NHWC` (GPU, TPU): arrays are (batch, height, width, channels), and a convolution is
  `lax.conv_general_dilated`, for which the accelerators have their own kernels.

Both take the same parameters (kernels are HWIO, dense kernels (in, out) with `in` in PyTorch's
channel-height-width order), so checkpoints do not depend on where they were made.
"""

import abc
from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, UInt32

from jaxmnist.models import cpu_conv


@dataclass(frozen=True)
class Layout(abc.ABC):
    """The operations on feature maps; in either layout height and width are axes 1 and 2."""

    name: ClassVar[str]
    feature_axis: ClassVar[int]  # where the channels, or the features of a dense layer, are
    batch_axis: ClassVar[int]

    axis_name: str | None = None  # of the devices that each hold a shard of the batch, if they do
    batch_norm: str = "global"  # over the whole batch, or a "shard" of it

    def with_axis(self, axis_name: str | None) -> "Layout":
        """Returns the layout of a shard of the batch on every device along `axis_name`."""
        return replace(self, axis_name=axis_name)

    @abc.abstractmethod
    def from_images(self, images: Float[Array, "batch height width"]) -> Array:
        """Turns one-channel images into a feature map."""

    @abc.abstractmethod
    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        """Cross-correlates with stride 1; `padding`: zeros above and below, left and right."""

    def space_to_depth(self, x: Array, block: int) -> Array:
        """Moves blocks of `block` x `block` pixels into the channels (PyTorch's PixelUnshuffle)."""
        features = self.feature_axis % x.ndim
        pixels = [
            x[:, row::block, column::block] for row in range(block) for column in range(block)
        ]
        return lax.collapse(jnp.stack(pixels, axis=features + 1), features, features + 2)

    @abc.abstractmethod
    def windows(self, x: Array, window: int) -> Array:
        """Splits height and width into windows (axes 2 and 4); a remainder is dropped."""

    def max_pool(self, x: Array, window: int) -> Array:
        """Returns the maximum over non-overlapping windows; a remainder is dropped (PyTorch)."""
        # Pair by pair, since the gradient then compares two neighbours. That of one `max` compares
        # each with the result, and where a compiler computes the neighbours again, rounded
        # otherwise, it finds none that is equal: gradients were a third off in a program that XLA
        # had compiled at its lowest levels, and right at others.
        windows = self.windows(x, window)
        columns = reduce(jnp.maximum, [windows[:, :, row] for row in range(window)])
        return reduce(jnp.maximum, [columns[:, :, :, column] for column in range(window)])

    def avg_pool(self, x: Array, window: int | None) -> Array:
        """Returns the mean over non-overlapping windows; None means the whole map."""
        if window is None:
            return x.mean(axis=(1, 2), keepdims=True)
        return self.windows(x, window).mean(axis=(2, 4))

    @abc.abstractmethod
    def flatten(self, x: Array) -> Array:
        """Flattens a map to one feature vector, in channel-height-width order."""

    @abc.abstractmethod
    def dense(self, x: Array, kernel: Float[Array, "fin fout"]) -> Array:
        """Multiplies feature vectors by a matrix."""

    @abc.abstractmethod
    def columns_to_batch(self, x: Array, count: int) -> Array:
        """Cuts the width into `count` cells and puts them, example by example, into the batch."""

    @abc.abstractmethod
    def column_logits(self, x: Array, classes: int) -> Float[Array, "batch columns classes"]:
        """Turns a map of height 1 into logits; one of its columns may hold those of several."""

    @abc.abstractmethod
    def to_logits(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        """Turns final feature vectors (`heads` an example, or one a cell) into logits."""

    @abc.abstractmethod
    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        """Shapes a vector with one value a feature so that it broadcasts over `ndim` axes."""

    def moments(self, x: Array) -> tuple[Float[Array, " features"], Float[Array, " features"], int]:
        """Returns mean and biased variance of every feature, and of how many values they are.

        They are those of the whole batch, also where each device has a shard of it, unless
        `batch_norm` says otherwise.
        """
        features = self.feature_axis % x.ndim
        others = tuple(i for i in range(x.ndim) if i != features)
        mean, var, values = x.mean(others), x.var(others), x.size // x.shape[features]
        if self.axis_name is None or self.batch_norm == "shard":
            return mean, var, values
        means, variances = lax.all_gather(jnp.stack([mean, var]), self.axis_name, axis=1)
        mean = means.mean(0)
        var = (variances + jnp.square(means - mean[None])).mean(0)
        return mean, var, values * len(means)

    def same_on_all(self, moments: Array) -> Array:
        """Returns the mean of what shards found each by itself, which every device can keep."""
        if self.axis_name is None or self.batch_norm == "global":
            return moments
        return lax.pmean(moments, self.axis_name)

    def number(self, x: Array) -> UInt32[Array, "..."]:
        """Numbers all elements of the whole batch, example by example: channel, height, width.

        The numbers are the same in every layout, and on however many devices the batch is.
        """
        batch, features = self.batch_axis % x.ndim, self.feature_axis % x.ndim
        space = (i for i in range(x.ndim) if i not in (batch, features))
        start = lax.axis_index(self.axis_name) if self.axis_name else 0
        number, stride = jnp.full(x.shape, start * x.size, jnp.uint32), 1
        for axis in reversed((batch, features, *space)):
            number += stride * lax.broadcasted_iota(jnp.uint32, x.shape, axis)
            stride *= x.shape[axis]
        return number


@dataclass(frozen=True)
class CHWN(Layout):
    """Layout (channels, height, width, batch), for CPUs."""

    name = "chwn"
    feature_axis = 0
    batch_axis = -1

    def from_images(self, images: Float[Array, "batch height width"]) -> Array:
        return cpu_conv.images_to_chwn(images)

    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        return cpu_conv.conv(x, kernel, padding)

    def windows(self, x: Array, window: int) -> Array:
        channels, height, width, batch = x.shape
        height, width = height // window, width // window
        x = x[:, : height * window, : width * window]
        return x.reshape(channels, height, window, width, window, batch)

    def flatten(self, x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    def dense(self, x: Array, kernel: Float[Array, "fin fout"]) -> Array:
        return kernel.T @ x

    def columns_to_batch(self, x: Array, count: int) -> Array:
        channels, height, width, batch = x.shape
        cells = x.reshape(channels, height, count, width // count, batch)
        return jnp.moveaxis(cells, 2, -1).reshape(channels, height, width // count, batch * count)

    def to_logits(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        return x.T.reshape(-1, heads, classes)

    def column_logits(self, x: Array, classes: int) -> Float[Array, "batch columns classes"]:
        return jnp.moveaxis(x, (-1, 2), (0, 1)).reshape(x.shape[-1], -1, classes)

    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        return vector.reshape(-1, *[1] * (ndim - 1))


@dataclass(frozen=True)
class NHWC(Layout):
    """Layout (batch, height, width, channels), for GPUs and TPUs."""

    name = "nhwc"
    feature_axis = -1
    batch_axis = 0

    def from_images(self, images: Float[Array, "batch height width"]) -> Array:
        return images[..., None]

    def conv(
        self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: tuple[int, int]
    ) -> Array:
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(1, 1),
            padding=[(zeros, zeros) for zeros in padding],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def windows(self, x: Array, window: int) -> Array:
        batch, height, width, channels = x.shape
        height, width = height // window, width // window
        x = x[:, : height * window, : width * window]
        return x.reshape(batch, height, window, width, window, channels)

    def flatten(self, x: Array) -> Array:
        return jnp.moveaxis(x, -1, 1).reshape(x.shape[0], -1)

    def dense(self, x: Array, kernel: Float[Array, "fin fout"]) -> Array:
        return x @ kernel

    def columns_to_batch(self, x: Array, count: int) -> Array:
        batch, height, width, channels = x.shape
        cells = x.reshape(batch, height, count, width // count, channels)
        return jnp.moveaxis(cells, 2, 1).reshape(batch * count, height, width // count, channels)

    def to_logits(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        return x.reshape(-1, heads, classes)

    def column_logits(self, x: Array, classes: int) -> Float[Array, "batch columns classes"]:
        return x.reshape(x.shape[0], -1, classes)

    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        return vector.reshape(*[1] * (ndim - 1), -1)


LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (CHWN(), NHWC())}


def choose_layout(name: str = "auto") -> Layout:
    """Returns the layout called `name`; `auto` takes the one for the platform JAX runs on."""
    if name == "auto":
        name = "chwn" if jax.default_backend() == "cpu" else "nhwc"
    return LAYOUTS[name]
