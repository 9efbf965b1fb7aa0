"""Neighbourhoods, runs and connected pieces of pictures: whole numbers in, whole numbers out.

Windows are centred, of odd sizes, and end at the edges of the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Runs:
    """The ink of each row in runs of neighbouring pixels, from the top left to the bottom right."""

    row: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " n"]
    stop: Int[np.ndarray, " n"]  # the first pixel behind it
    width: int  # of the picture

    @property
    def first(self) -> Int[np.ndarray, " n"]:
        """The number of each run's first pixel among all of the picture."""
        return self.row * self.width + self.start


def find_runs(mask: Mask) -> Runs:
    """Returns the runs of a mask."""
    height, width = mask.shape
    framed = np.zeros((height, width + 2), np.int8)
    framed[:, 1:-1] = mask
    steps = np.diff(framed, axis=1).reshape(-1)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return Runs(starts // (width + 1), starts % (width + 1), stops % (width + 1), width)


def connect(runs: Runs) -> Int[np.ndarray, " n"]:
    """Returns for each run the number of its piece, from 0; pieces may touch at no corner.

    Pieces are numbered by their first run.
    """
    count = len(runs.row)
    key = runs.width + 2
    begins, ends = runs.row * key + runs.start, runs.row * key + runs.stop
    # Of each run those in the next row that overlap it, or touch it at a corner, lie in a row.
    low = np.searchsorted(ends, begins + key, "left")
    high = np.searchsorted(begins, ends + key, "right")
    each = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(count), each)
    lower = np.arange(len(upper)) - np.repeat(each.cumsum() - each, each) + np.repeat(low, each)
    piece = np.arange(count)
    while True:
        least = np.minimum(piece[upper], piece[lower])
        before = piece.copy()
        np.minimum.at(piece, before[upper], least)
        np.minimum.at(piece, before[lower], least)
        while (piece != piece[piece]).any():
            piece = piece[piece]
        if (piece == before).all():
            return np.unique(piece, return_inverse=True)[1]


def paint(runs: Runs, chosen: Bool[np.ndarray, " n"], shape: tuple[int, ...]) -> Mask:
    """Returns the mask of some runs."""
    lengths = (runs.stop - runs.start)[chosen]
    mask = np.zeros(shape[0] * shape[1], bool)
    starts = np.repeat(runs.first[chosen] - (lengths.cumsum() - lengths), lengths)
    mask[starts + np.arange(len(starts))] = True
    return mask.reshape(shape[0], shape[1])


def percentile(counts: Int[np.ndarray, " levels"], share: float) -> int:
    """Returns the smallest level that a share of all pixels does not exceed."""
    sums = counts.cumsum()
    return int(np.searchsorted(sums, share * sums[-1]))
