"""How arrays lie in memory and which form of the convolution runs: decided here, once.

A model is a list of layers that never says where the batch axis is. It asks a backend:

* `BatchMinor` (CPU): arrays are (channels, height, width, batch). A convolution is im2col, the
  concatenation of the shifted slices, and one two-dimensional matrix product. XLA's CPU
  convolution loses its fast path inside `lax.scan`; this form runs there at the speed of the
  matrix product, and every other operation is a long contiguous vector loop over the batch.
  Between wide layers the product is what takes the time, and Winograd's form saves a third of it.
  On large maps it is the copying of slices, of which a third is enough, and on the
  largest it goes half by half, so that the slices stay in a core's cache.
* `ChannelsLast` (GPU, TPU): arrays are (batch, height, width, channels) and a convolution is
  `lax.conv_general_dilated`, for which the accelerators have their own kernels.

Both take the same parameters (kernels are HWIO, dense kernels (in, out) with `in` in PyTorch's
channel-height-width order), so checkpoints do not depend on where they were made.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float, UInt32

WIDE = 32  # channels, in and out, from which Winograd's form was faster on a CPU
TALL = 20  # rows of the result, from which two halves were faster than the whole


class Backend(Protocol):
    """The operations on feature maps; `x` is an array in the backend's own layout.

    Pools are the same in both: height and width are axes 1 and 2 in either layout.
    """

    name: str
    feature_axis: int  # where the channels, or the features of a dense layer, are
    batch_axis: int
    parted_over: str | None  # the axis of devices that each have a part of the batch, if they do

    def enter(self, images: Float[Array, "batch height width"]) -> Array:
        """Turns one-channel images into a feature map."""

    def conv(self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: int) -> Array:
        """Cross-correlates with stride 1 and `padding` zeros on every side."""

    def windows(self, x: Array, window: int) -> Array:
        """Gives every non-overlapping window two axes, 2 and 4; a remainder is dropped."""

    def max_pool(self, x: Array, window: int) -> Array:
        """Takes the maximum over non-overlapping windows; a remainder is dropped, as in PyTorch.

        Pair by pair, since the gradient then compares two neighbours. That of one `max` compares
        each with the result, and where a compiler computes the neighbours again, rounded otherwise,
        it finds none that is equal: gradients were a third off in a program that XLA had compiled
        at its lowest levels, and right at others.
        """
        windows = self.windows(x, window)
        columns = reduce(jnp.maximum, [windows[:, :, row] for row in range(window)])
        return reduce(jnp.maximum, [columns[:, :, :, column] for column in range(window)])

    def avg_pool(self, x: Array, window: int | None) -> Array:
        """Takes the mean over non-overlapping windows; None means the whole map."""
        if window is None:
            return x.mean(axis=(1, 2), keepdims=True)
        return self.windows(x, window).mean(axis=(2, 4))

    def flatten(self, x: Array) -> Array:
        """Makes one feature vector of a map, in channel-height-width order."""

    def dense(self, x: Array, kernel: Float[Array, "fin fout"]) -> Array:
        """Multiplies feature vectors by a matrix."""

    def columns_to_batch(self, x: Array, count: int) -> Array:
        """Cuts the width into `count` cells and puts them, example by example, into the batch."""

    def leave(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        """Turns final feature vectors (`heads` an example, or one a cell) into logits."""

    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        """Shapes a vector with one value a feature so that it broadcasts over `ndim` axes."""

    def moments(self, x: Array) -> tuple[Float[Array, " features"], Float[Array, " features"], int]:
        """Takes mean and biased variance of every feature over the batch, wherever its parts are.

        Returns:
          Both, and of how many values they are.
        """
        features = self.feature_axis % x.ndim
        others = tuple(i for i in range(x.ndim) if i != features)
        mean, var, values = x.mean(others), x.var(others), x.size // x.shape[features]
        if self.parted_over is None:
            return mean, var, values
        means, variances = lax.all_gather(jnp.stack([mean, var]), self.parted_over, axis=1)
        mean = means.mean(0)
        var = (variances + jnp.square(means - mean[None])).mean(0)
        return mean, var, values * len(means)

    def number(self, x: Array) -> UInt32[Array, "..."]:
        """Numbers all elements of a batch, the same way in every layout and wherever its parts are.

        Within an example the order is channel, height, width.
        """
        batch, features = self.batch_axis % x.ndim, self.feature_axis % x.ndim
        space = (i for i in range(x.ndim) if i not in (batch, features))
        start = lax.axis_index(self.parted_over) if self.parted_over else 0
        number, stride = jnp.full(x.shape, start * x.size, jnp.uint32), 1
        for axis in reversed((batch, features, *space)):
            number += stride * lax.broadcasted_iota(jnp.uint32, x.shape, axis)
            stride *= x.shape[axis]
        return number

    def parted(self, axis: str | None) -> Self:
        """Returns the same for batches of which every device along `axis` has a part."""
        return replace(self, parted_over=axis)  # type: ignore[type-var]


@dataclass(frozen=True)
class BatchMinor(Backend):
    """Layout (channels, height, width, batch); im2col and one matrix product."""

    parted_over: str | None = None

    name = "batch_minor"
    feature_axis = 0
    batch_axis = -1

    def enter(self, images: Float[Array, "batch height width"]) -> Array:
        return _apart(_batch_last, images)

    def conv(self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: int) -> Array:
        x = _apart(_padded, x, padding)
        if kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= WIDE:
            return _winograd(x, kernel)
        kh, _, channels, _ = kernel.shape
        rows = x.shape[1] - kh + 1
        if kh == 1 or rows < TALL:
            return _im2col(x, kernel)
        half = _im2col if channels == 1 else _sideways_im2col
        upper = half(x[:, : rows // 2 + kh - 1], kernel)
        return jnp.concatenate([upper, half(x[:, rows // 2 :], kernel)], axis=1)

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

    def leave(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        return x.T.reshape(-1, heads, classes)

    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        return vector.reshape(-1, *[1] * (ndim - 1))


def _apart(function: Callable[..., Array], *arguments: Any) -> Array:
    """Calls one of the two functions below so that its arguments and result are computed once.

    XLA would fuse what makes them (the noise of an image, the mask of a dropout) into every one of
    the shifted slices that are taken of the result, and compute it again for each. On a CPU only a
    call that is not inlined keeps it from that: `lax.optimization_barrier` is gone before it fuses.
    """
    if jax.default_backend() != "cpu":
        return function(*arguments)
    with set_xla_metadata(inlineable="false"):
        return function(*arguments)


@jax.jit  # to be a call in the compiled program
def _batch_last(images: Float[Array, "batch height width"]) -> Array:
    return jnp.moveaxis(images, 0, -1)[None]


@partial(jax.jit, static_argnums=1)  # likewise
def _padded(x: Float[Array, "channels height width batch"], padding: int) -> Array:
    frame = (padding, padding)
    return jnp.pad(x, ((0, 0), frame, frame, (0, 0)))


def _im2col(
    x: Float[Array, "cin height width batch"], kernel: Float[Array, "kh kw cin cout"]
) -> Float[Array, "cout outheight outwidth batch"]:
    """Cross-correlates as one matrix product with all shifted slices of `x`."""
    kh, kw, channels, features = kernel.shape
    _, height, width, batch = x.shape
    height, width = height - kh + 1, width - kw + 1
    shifted = [x[:, i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
    patches = jnp.concatenate(shifted, axis=0).reshape(kh * kw * channels, -1)
    # The reshape to two dimensions matters: the same product as an einsum is 3.7 times slower.
    out = kernel.reshape(kh * kw * channels, features).T @ patches
    return out.reshape(features, height, width, batch)


def _sideways_im2col(
    x: Float[Array, "cin height width batch"], kernel: Float[Array, "kh kw cin cout"]
) -> Float[Array, "cout outheight outwidth batch"]:
    """Cross-correlates as one matrix product with the slices of `x` that are shifted sideways.

    Every row of the kernel gives a result of its own; these are added, each from its own height.
    """
    kh, kw, channels, features = kernel.shape
    _, height, width, batch = x.shape
    rows, width = height - kh + 1, width - kw + 1
    patches = jnp.concatenate([x[:, :, j : j + width] for j in range(kw)], axis=0)
    matrix = kernel.transpose(0, 3, 1, 2).reshape(kh * features, kw * channels)
    out = (matrix @ patches.reshape(kw * channels, -1)).reshape(-1, height, width, batch)
    # Not slices: the gradient of a split is a concatenation, that of slices a slow sum of pads.
    results = enumerate(lax.split(out, (features,) * kh))
    return reduce(jnp.add, [result[:, i : i + rows] for i, result in results])


def _winograd(
    x: Float[Array, "cin height width batch"], kernel: Float[Array, "3 3 cin cout"]
) -> Float[Array, "cout height-2 width-2 batch"]:
    """Cross-correlates with F(2, 3) of Lavin & Gray (2016, arXiv:1509.09308) along the height.

    Two rows of the result come from four products instead of six. Rounding errors are no larger
    than those of `_im2col`. In both directions at once it would be four instead of nine, but the
    sums before and after the products take more time than that saves.
    """
    rows = x.shape[1] - 2
    x = jnp.pad(x, ((0, 0), (0, rows % 2), (0, 0), (0, 0)))
    a, b, c, d = (x[:, i : i + rows : 2] for i in range(4))
    top, middle, bottom = kernel[:, None]
    first, second, third, fourth = (
        _im2col(a - c, top),
        _im2col(b + c, (top + middle + bottom) / 2),
        _im2col(c - b, (top - middle + bottom) / 2),
        _im2col(b - d, bottom),
    )
    pairs = jnp.stack([first + second + third, second - third - fourth], axis=2)
    return pairs.reshape(pairs.shape[0], -1, *pairs.shape[3:])[:, :rows]


@dataclass(frozen=True)
class ChannelsLast(Backend):
    """Layout (batch, height, width, channels); the platform's own convolution."""

    parted_over: str | None = None

    name = "channels_last"
    feature_axis = -1
    batch_axis = 0

    def enter(self, images: Float[Array, "batch height width"]) -> Array:
        return images[..., None]

    def conv(self, x: Array, kernel: Float[Array, "kh kw cin cout"], padding: int) -> Array:
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(1, 1),
            padding=((padding, padding), (padding, padding)),
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

    def leave(self, x: Array, heads: int, classes: int) -> Float[Array, "batch heads classes"]:
        return x.reshape(-1, heads, classes)

    def per_feature(self, vector: Float[Array, " features"], ndim: int) -> Array:
        return vector.reshape(*[1] * (ndim - 1), -1)


BACKENDS: dict[str, Backend] = {b.name: b for b in (BatchMinor(), ChannelsLast())}


def choose_backend(name: str = "auto") -> Backend:
    """Returns the backend called `name`; `auto` takes the one for the platform JAX runs on."""
    if name == "auto":
        name = "batch_minor" if jax.default_backend() == "cpu" else "channels_last"
    return BACKENDS[name]
