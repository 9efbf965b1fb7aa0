"""The layers a model is made of: Flax modules that leave the order of axes to a layout.

Defaults are PyTorch's, because the published systems used PyTorch's: weights *and* biases start
uniform in +-1/sqrt(fan_in), batch normalisation keeps the unbiased variance with weight 0.1.
Every layer is called as `layer(x, layout=..., train=...)`.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxmnist.models.layout import Layout
from jaxmnist.rng import hashed_bits


def uniform_fan_in(fan_in: int) -> Callable[..., Array]:
    """Returns an initialiser: uniform in +-1/sqrt(fan_in) (PyTorch's Conv2d and Linear)."""
    bound = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Layer(nn.Module):
    """What all layers share; the ones below differ in `__call__`."""

    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        raise NotImplementedError


class Conv(Layer):
    """Convolution with stride 1; `padding` counts zeros on every side."""

    features: int
    size: int = 3
    padding: int = 0
    bias: bool = True

    @nn.compact
    def __call__(self, x: Array, *, layout: Layout, train: bool) -> Array:
        channels = x.shape[layout.feature_axis]
        init = uniform_fan_in(channels * self.size**2)
        shape = (self.size, self.size, channels, self.features)
        x = layout.conv(x, self.param("kernel", init, shape), self.padding)
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
                mean.value += self.momentum * (centre - mean.value)
                var.value += self.momentum * (unbiased - var.value)
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
