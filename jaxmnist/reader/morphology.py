"""Neighbourhoods of pixels: what is largest, smallest or the mean in a window around each.

Windows are centred, of odd sizes, and end at the edges of the picture.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import DTypeLike
from PIL import Image

Grey = UInt8[np.ndarray, "height width"]
Mask = Bool[np.ndarray, "height width"]

FEW = 1 << 15  # pixels: Pillow takes longer to begin with them than NumPy to count them


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
            length, half = image.shape[axis], size // 2
            framed = _room(image, axis, 2 * half, image.dtype)
            framed[:half] = framed[half + length :] = outside
            framed[half : half + length] = image.T if axis else image
            reach = 1
            while reach < size:  # a window of twice the size is two windows
                step = min(reach, size - reach)
                framed = best(framed[:-step], framed[step:])
                reach += step
            image = framed[:length].T if axis else framed[:length]
    return image


def _room(image: np.ndarray, axis: int, more: int, dtype: DTypeLike) -> np.ndarray:
    """Returns memory for an image with more places along an axis, which becomes the first one."""
    height, width = image.shape
    # Rows stay rows there: transposed is only how they are named.
    return (
        np.empty((height, width + more), dtype).T
        if axis
        else np.empty((height + more, width), dtype)
    )


def mean_around(image: np.ndarray, size: int) -> Float[np.ndarray, "height width"]:
    """Returns the mean of a window around each pixel, of the pixels that exist."""
    total, half = image, size // 2
    for axis in (0, 1):
        length = image.shape[axis]
        # The sum of all before each place: none before the first, all behind the last.
        sums = _room(image, axis, 2 * half + 1, np.float64)
        own = sums[half + 1 : half + 1 + length]
        sums[: half + 1] = 0
        np.add.accumulate(total.T if axis else total, 0, np.float64, own)
        sums[half + 1 + length :] = own[-1]
        total = sums[2 * half + 1 :] - sums[:length]
        total /= _counts(length, half)
        total = total.T if axis else total
    return total


@lru_cache(64)
def _counts(length: int, half: int) -> Float[np.ndarray, "length 1"]:
    """Returns how many places there are within `half` of each."""
    places = np.arange(length)
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, length)
    return (high - low).astype(np.float64)[:, None]


def histogram(grey: Grey) -> Int[np.ndarray, "256"]:
    """Returns how many pixels have each level."""
    if grey.size < FEW:
        return np.bincount(grey.reshape(-1), minlength=256)
    # NumPy would make each pixel 8 bytes first.
    return np.array(Image.fromarray(grey).histogram())


def percentile(counts: Int[np.ndarray, " levels"], share: float) -> int:
    """Returns the smallest level that a share of all pixels does not exceed."""
    sums = counts.cumsum()
    return int(sums.searchsorted(share * sums[-1]))
