"""Neighbourhoods of pixels: what is largest, smallest or the mean in a window around each.

Windows are centred, of odd sizes, and end at the edges of the picture.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Grey = UInt8[np.ndarray, "height width"]
Mask = Bool[np.ndarray, "height width"]


def dilate(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Returns the largest value in a window around each pixel."""
    return _over_windows(image, (rows, columns), np.maximum, 0)


def erode(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Returns the smallest value in a window around each pixel."""
    return _over_windows(image, (rows, columns), np.minimum, True if image.dtype == bool else 255)


def opened(mask: Mask, rows: int, columns: int) -> Mask:
    """Returns the pixels that a window full of ink covers."""
    return dilate(erode(mask, rows, columns), rows, columns)


def closed(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Fills what is narrower than a window."""
    return erode(dilate(image, rows, columns), rows, columns)


def _over_windows(
    image: np.ndarray, sizes: tuple[int, int], best: Callable[..., np.ndarray], outside: int
) -> np.ndarray:
    for axis, size in enumerate(sizes):
        if size > 1:
            length = image.shape[axis]
            half = size // 2
            shape = [side + 2 * half * (i == axis) for i, side in enumerate(image.shape)]
            framed = np.full(shape, outside, image.dtype)  # np.pad takes longer
            _part(framed, axis, half, half + length)[...] = image
            image, reach = framed, 1
            while reach < size:  # a window of twice the size is two windows
                step = min(reach, size - reach)
                image = best(_part(image, axis, 0, -step), _part(image, axis, step, None))
                reach += step
            image = _part(image, axis, 0, length)
    return image


def _part(image: np.ndarray, axis: int, start: int, stop: int | None) -> np.ndarray:
    return image[start:stop] if axis == 0 else image[:, start:stop]


def mean_around(image: np.ndarray, size: int) -> Float[np.ndarray, "height width"]:
    """Returns the mean of a window around each pixel, of the pixels that exist."""
    total = image.astype(np.float64)
    for axis in (0, 1):
        length = image.shape[axis]
        places = np.arange(length)
        low = np.maximum(places - size // 2, 0)
        high = np.minimum(places + size // 2 + 1, length)
        sums = np.cumsum(total, axis=axis)
        sums = np.concatenate([np.zeros_like(_part(sums, axis, 0, 1)), sums], axis=axis)
        counts = (high - low).reshape((-1, 1) if axis == 0 else (1, -1))
        total = (np.take(sums, high, axis) - np.take(sums, low, axis)) / counts
    return total


def percentile(counts: Int[np.ndarray, " levels"], share: float) -> int:
    """Returns the smallest level that a share of all pixels does not exceed."""
    sums = counts.cumsum()
    return int(np.searchsorted(sums, share * sums[-1]))
