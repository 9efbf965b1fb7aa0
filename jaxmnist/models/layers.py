"""The layers a model is made of: Flax modules that leave the order of axes to a layout.

Defaults are PyTorch's, because the published systems used PyTorch's: weights *and* biases start
uniform in +-1/sqrt(fan_in), batch normalisation keeps the unbiased variance with weight 0.1.
Every layer is called as `layer(x, layout=..., train=...)`.
"""

from collections.abc import Callable
from functools import partial
from math import prod

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmnist.models.layout import Layout
from jaxmnist.rng import hashed_bits
from jaxmnist.xla import no_inline


def uniform_fan_in(fan_in: int) -> Callable[..., Array]:
    """Returns an initialiser: uniform in +-1/sqrt(fan_in) (PyTorch's Conv2d and Linear)."""
    bound = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Returns what holds for rows and for columns."""
    return value if isinstance(value, tuple) else (value, value)


class Layer(nn.Module):
    """What all layers share; the ones below differ in `__call__`."""

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        raise NotImplementedError


class Conv(Layer):
    """Convolution with stride 1; `padding` counts zeros on every side.

    Size and padding are those of rows and of columns; one number stands for both.
    """

    features: int
    size: int | tuple[int, int] = 3
    padding: int | tuple[int, int] = 0
    bias: bool = True

    @property
    def sizes(self) -> tuple[int, int]:
        """The rows and columns of the kernel."""
        return pair(self.size)

    @property
    def paddings(self) -> tuple[int, int]:
        """The zeros above and below, and those left and right."""
        return pair(self.padding)

    @nn.compact
    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        channels = x.shape[layout.feature_axis]
        init = uniform_fan_in(channels * prod(self.sizes))
        shape = (*self.sizes, channels, self.features)
        x = layout.conv(x, self.param("kernel", init, shape), self.paddings)
        if self.bias:
            x += layout.per_feature(self.param("bias", init, (self.features,)), x.ndim)
        return x


class Dense(Layer):
    """Fully connected layer on feature vectors."""

    features: int

    @nn.compact
    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        inputs = x.shape[layout.feature_axis]
        init = uniform_fan_in(inputs)
        x = layout.dense(x, self.param("kernel", init, (inputs, self.features)))
        return x + layout.per_feature(self.param("bias", init, (self.features,)), x.ndim)


class BatchNorm(Layer):
    """Batch normalisation as PyTorch's BatchNorm2d does it (Ioffe & Szegedy, 2015).

    A batch is normalised with its biased variance, while the running variance takes the unbiased
    one; a new batch enters the running statistics with weight `momentum`. `count` is PyTorch's
    num_batches_tracked, the number of training batches seen; nothing is computed from it.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        features = x.shape[layout.feature_axis]
        mean = self.variable("batch_stats", "mean", jnp.zeros, (features,), x.dtype)
        var = self.variable("batch_stats", "var", jnp.ones, (features,), x.dtype)
        count = self.variable("batch_stats", "count", jnp.zeros, (), jnp.int32)
        scale = self.param("scale", nn.initializers.ones, (features,), x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (features,), x.dtype)

        centre, spread = mean.value, var.value
        if train:
            centre, spread, values = layout.moments(x)
            if not self.is_initializing():
                unbiased = spread * (values / max(values - 1, 1))
                mean.value += self.momentum * (layout.same_on_all(centre) - mean.value)
                var.value += self.momentum * (layout.same_on_all(unbiased) - var.value)
                count.value += 1
        factor = scale * jax.lax.rsqrt(spread + self.epsilon)
        # The mean goes first: x * factor + (bias - mean * factor) loses digits to cancellation.
        x = (x - layout.per_feature(centre, x.ndim)) * layout.per_feature(factor, x.ndim)
        return x + layout.per_feature(bias, x.ndim)


class Relu(Layer):
    """max(x, 0)."""

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        return nn.relu(x)


class Dropout(Layer):
    """Zeroes each element with probability `rate` in training and scales up the rest."""

    rate: float

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        if not train or not self.rate:
            return x
        bits = hashed_bits(self.make_rng("dropout"), layout.number(x))
        kept = bits >= jnp.uint32(self.rate * 2**32)
        return jnp.where(kept, x * (1 / (1 - self.rate)), 0)


class MaxPool(Layer):
    """Maximum over non-overlapping windows."""

    window: int = 2

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        return layout.max_pool(x, self.window)


class AvgPool(Layer):
    """Mean over non-overlapping windows, or over the whole map if no window is given."""

    window: int | None = None

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        return layout.avg_pool(x, self.window)


class Flatten(Layer):
    """Feature map to feature vector, in PyTorch's channel-height-width order."""

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        return layout.flatten(x)


class SplitColumns(Layer):
    """Cuts the map's width into cells that go through the rest of the network as examples."""

    count: int

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        return layout.columns_to_batch(x, self.count)


class SpaceToDepth(Layer):
    """Moves blocks of 2x2 pixels into the channels: half the height and width, nothing lost."""

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        return layout.space_to_depth(x, 2)


class LocalContrast(Layer):
    """Makes an image independent of polarity, brightness and contrast, along any width.

    A one-channel image becomes two channels: the image less the mean of the columns around each
    column, and less the mean of the pixels around each pixel, which takes gradients of the light
    away. Both are divided by the standard deviation in the columns around, and their sign is such
    that strokes, the thin ones, are positive. There is nothing to learn in it.
    """

    columns: int = 64  # around a column: of a digit and its neighbours
    pixels: int = 16  # around a pixel: wider than any stroke
    # The standard deviation is at least this share of the whole image's: dirt on empty paper beside
    # the writing stays dirt.
    least: float = 0.2
    # And at least about two grey levels, in units of MNIST's own deviation: rounding stays unseen.
    least_variance: float = 1e-3

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        x = x - x.mean((1, 2), keepdims=True)
        mean = _mean_around(x.mean(1, keepdims=True), 2, self.columns)
        square = _mean_around(jnp.square(x).mean(1, keepdims=True), 2, self.columns)
        variance = jnp.maximum(square - jnp.square(mean), 0)
        whole = jnp.square(x).mean((1, 2), keepdims=True)
        scale = jax.lax.rsqrt(variance + self.least**2 * whole + self.least_variance)
        plain = (x - mean) * scale
        flat = (x - _mean_around(_mean_around(x, 1, self.pixels), 2, self.pixels)) * scale
        sign = jnp.where((flat**3).mean((1, 2), keepdims=True) < 0, -1.0, 1.0)
        return jnp.concatenate([plain * sign, flat * sign], axis=layout.feature_axis)


def _mean_around(x: Array, axis: int, window: int) -> Array:
    """Returns the mean over `window` neighbours, a power of two, of those that exist."""
    size = x.shape[axis]
    numbers = np if isinstance(size, int) else jnp  # a width that an exported program leaves open
    places = numbers.arange(size)
    count = numbers.minimum(places + window // 2, size) - numbers.maximum(places - window // 2, 0)
    frame = [(0, 0)] * x.ndim
    frame[axis] = (window // 2, window // 2)
    x, width = jnp.pad(x, frame), 1
    while width < window:  # the sum of twice as many is that of two neighbours
        x = no_inline(_with_neighbour, x, axis, width)
        width *= 2
    total = jax.lax.slice_in_dim(x, 0, size, axis=axis)
    return total / count.reshape([size if i == axis else 1 for i in range(x.ndim)])


@partial(jax.jit, static_argnums=(1, 2))
def _with_neighbour(x: Array, axis: int, distance: int) -> Array:
    size = x.shape[axis] - distance
    first = jax.lax.slice_in_dim(x, 0, size, axis=axis)
    return first + jax.lax.slice_in_dim(x, distance, None, axis=axis)
