"""The networks of any length in NumPy: what reads a picture without waiting for JAX to start.

Their layers are those of `jaxmnist.models.zoo.sequence_ctc`, and tests hold them equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, UInt8

from jaxmnist.constants import DIGITS, MEAN, SD
from jaxmnist.errors import UserError

Maps = Float[np.ndarray, "batch height width features"]
Logits = Float[np.ndarray, "batch columns 11"]

COLUMNS, PIXELS = 64, 16  # around a column, and around a pixel: those of `LocalContrast`
LEAST, LEAST_VARIANCE = 0.2, 1e-3
EPSILON = 1e-5  # of batch normalisation
TOGETHER = 16  # canvases that go through the network at once: their maps fit a cache
OTHER = (
    "these are no weights of a network that reads strings of any length: choose those of "
    "`reader` or `seq`."
)


@dataclass(frozen=True)
class Conv:
    """A convolution, and batch normalisation as factor and bias; ReLU follows all but the last."""

    kernel: Float[np.ndarray, "rows columns features out"]
    factor: Float[np.ndarray, " out"]
    bias: Float[np.ndarray, " out"]


@dataclass(frozen=True)
class StringNetwork:
    """A network that has logits for every other column of a canvas."""

    convs: tuple[Conv, ...]

    @property
    def pooled(self) -> int:
        """The number of the convolution that is pooled: the last at half the image's size.

        All of these have the same number of features, and the next has another.
        """
        features = [conv.kernel.shape[-1] for conv in self.convs]
        return next(n for n, size in enumerate(features) if size != features[0]) - 1

    def logits(self, canvases: UInt8[np.ndarray, "batch 28 width"]) -> Logits:
        """Returns the logits of canvases, 0 = ground, 255 = ink; their width is a multiple of 4."""
        parts = [
            self._apply(canvases[start : start + TOGETHER])
            for start in range(0, len(canvases), TOGETHER)
        ]
        return np.concatenate(parts)

    def _apply(self, canvases: UInt8[np.ndarray, "batch 28 width"]) -> Logits:
        images = (canvases.astype(np.float32) / 255 - MEAN) / SD
        x = _space_to_depth(_local_contrast(images[..., None]))
        *hidden, last = self.convs
        pooled = self.pooled
        for number, conv in enumerate(hidden):
            x = _convolve(x, conv.kernel)
            if number == pooled:
                x = _max_pool(x)
            x *= conv.factor
            x += conv.bias
            np.maximum(x, 0, out=x)
        x = _convolve(x, last.kernel) * last.factor + last.bias
        # Two columns of logits for each of the map's.
        return x.reshape(len(x), -1, DIGITS + 1)


def from_arrays(arrays: Mapping[str, np.ndarray]) -> StringNetwork:
    """Takes the weights of a network of any length, by the names that a weights file has.

    Raises:
      UserError: if they are of another network, or not finite.
    """
    count = sum(name.startswith("params.conv") and name.endswith(".kernel") for name in arrays)
    norms = [f"batchnorm{number}" for number in range(1, count)]
    names = [f"batch_stats.{norm}.{part}" for norm in norms for part in ("count", "mean", "var")]
    names += [f"params.{norm}.{part}" for norm in norms for part in ("bias", "scale")]
    names += [f"params.conv{n}.kernel" for n in range(1, count + 1)]
    if sorted(arrays) != sorted([*names, f"params.conv{count}.bias"]):
        raise UserError(OTHER)
    convs = [_conv(arrays, number, is_last=number == count) for number in range(1, count + 1)]
    if not _fit(convs):
        raise UserError(OTHER)
    if not all(np.isfinite(array).all() for conv in convs for array in vars(conv).values()):
        raise UserError("these weights are not finite: train the network again, or use others.")
    return StringNetwork(tuple(convs))


def _conv(arrays: Mapping[str, np.ndarray], number: int, *, is_last: bool) -> Conv:
    kernel = arrays[f"params.conv{number}.kernel"].astype(np.float32)
    if is_last:
        bias = arrays[f"params.conv{number}.bias"]
        return Conv(kernel, np.ones(bias.shape, np.float32), bias.astype(np.float32))
    scale, bias = (arrays[f"params.batchnorm{number}.{part}"] for part in ("scale", "bias"))
    mean, var = (arrays[f"batch_stats.batchnorm{number}.{part}"] for part in ("mean", "var"))
    if not scale.shape == bias.shape == mean.shape == var.shape:
        raise UserError(OTHER)
    if (var < 0).any():
        raise UserError(
            "these weights have negative variances: train the network again, or use others."
        )
    factor = scale / np.sqrt(var.astype(np.float64) + EPSILON)
    return Conv(kernel, factor.astype(np.float32), (bias - mean * factor).astype(np.float32))


def _fit(convs: list[Conv]) -> bool:
    """Returns whether layers follow each other as in a network of any length."""
    shapes = [conv.kernel.shape for conv in convs]
    sizes = [shape[:2] for shape in shapes]
    if (7, 1) not in sizes:
        return False
    squares = sizes.index((7, 1))
    lines = len(sizes) - squares - 2
    features = [8, *(shape[-1] for shape in shapes)]
    return (
        sizes == [(3, 3)] * squares + [(7, 1)] + [(1, 3)] * lines + [(1, 1)]
        and [shape[2:] for shape in shapes] == list(pairwise(features))
        and [conv.bias.shape for conv in convs] == [(size,) for size in features[1:]]
        and len(set(features[1 : squares + 1])) > 1  # which tells where the pool is
        and features[-1] == 2 * (DIGITS + 1)
    )


def _local_contrast(x: Maps) -> Maps:
    """Makes canvases independent of polarity, brightness and contrast: `layers.LocalContrast`."""
    x = x - x.mean((1, 2), keepdims=True)
    mean = _mean_around(x.mean(1, keepdims=True), 2, COLUMNS)
    squares = np.square(x)
    square = _mean_around(squares.mean(1, keepdims=True), 2, COLUMNS)
    variance = np.maximum(square - np.square(mean), 0)
    whole = squares.mean((1, 2), keepdims=True)
    scale = 1 / np.sqrt(variance + LEAST**2 * whole + LEAST_VARIANCE)
    plain = (x - mean) * scale
    flat = (x - _mean_around(_mean_around(x, 1, PIXELS), 2, PIXELS)) * scale
    sign = np.where((flat * flat * flat).mean((1, 2), keepdims=True) < 0, -1, 1)
    return np.concatenate([plain * sign, flat * sign], axis=3).astype(np.float32)


def _mean_around(x: Maps, axis: int, window: int) -> Maps:
    size = x.shape[axis]
    places = np.arange(size)
    low = np.maximum(places - window // 2, 0)
    high = np.minimum(places + window // 2, size)
    sums = np.cumsum(x, axis=axis, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(np.take(sums, [0], axis)), sums], axis=axis)
    counts = (high - low).reshape([size if i == axis else 1 for i in range(x.ndim)])
    return (np.take(sums, high, axis) - np.take(sums, low, axis)) / counts


def _space_to_depth(x: Maps) -> Maps:
    batch, height, width, features = x.shape
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, features)
    return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(batch, height // 2, width // 2, -1)


def _max_pool(x: Maps) -> Maps:
    rows = np.maximum(x[:, ::2], x[:, 1::2])
    return np.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def _convolve(x: Maps, kernel: Float[np.ndarray, "rows columns features out"]) -> Maps:
    """Convolves with stride 1; a kernel of all rows takes the height away, others keep the size."""
    rows, columns, features, out = kernel.shape
    batch, height, width, _ = x.shape
    down, side = 0 if rows == height else rows // 2, columns // 2
    # np.pad and views of windows take longer than the products of a single canvas.
    framed = np.zeros((batch, height + 2 * down, width + 2 * side, features), x.dtype)
    framed[:, down : down + height, side : side + width] = x
    height += 2 * down - rows + 1
    windows = np.empty((batch, height, width, rows, columns * features), x.dtype)
    # The columns of a kernel lie side by side in the map: they are copied at once.
    strides = (*framed.strides[:3], x.itemsize)
    for row in range(rows):
        start = row * framed.strides[1]
        windows[:, :, :, row] = np.ndarray(
            (batch, height, width, columns * features), x.dtype, framed, start, strides
        )
    flat = windows.reshape(-1, rows * columns * features)
    return (flat @ kernel.reshape(-1, out)).reshape(batch, height, width, out)
