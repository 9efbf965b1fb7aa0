"""Ink in pieces that hang together, by the runs of neighbouring pixels in its rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from jaxmnist.reader.morphology import Grey, Mask


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
    framed = np.zeros((height, width + 2), bool)
    framed[:, 1:-1] = mask
    # A row begins and ends without ink, so every second change is the start of a run.
    changes = np.flatnonzero(framed[:, 1:] != framed[:, :-1])
    row, place = np.divmod(changes, width + 1)
    return Runs(row[::2], place[::2], place[1::2], width)


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
            is_first = piece == np.arange(count)
            return (is_first.cumsum() - 1)[piece]


def pixels_of(first: Int[np.ndarray, " n"], lengths: Int[np.ndarray, " n"]) -> np.ndarray:
    """Returns the numbers of all pixels of runs, among all of the picture."""
    pixels = np.repeat(first - (lengths.cumsum() - lengths), lengths)
    pixels += np.arange(len(pixels))
    return pixels


def paint(runs: Runs, chosen: Bool[np.ndarray, " n"], shape: tuple[int, ...]) -> Mask:
    """Returns the mask of some runs."""
    mask = np.zeros(shape[0] * shape[1], bool)
    mask[pixels_of(runs.first[chosen], (runs.stop - runs.start)[chosen])] = True
    return mask.reshape(shape[0], shape[1])


@dataclass(frozen=True)
class Pieces:
    """All ink of a mask, in pieces that hang together; they are numbered by their first run."""

    mask: Mask
    runs: Runs
    piece: Int[np.ndarray, " runs"]  # the number of each run's piece, from 0
    boxes: Int[np.ndarray, "pieces 4"]
    amounts: Int[np.ndarray, " pieces"]  # of ink: the sum of its strength
    peaks: Int[np.ndarray, " pieces"]  # its largest strength


def find_pieces(mask: Mask, strength: Grey) -> Pieces:
    """Returns the pieces of a mask; their ink is as strong as `strength` says."""
    runs = find_runs(mask)
    piece = connect(runs)
    if not len(piece):
        return Pieces(mask, runs, piece, *(np.zeros(s, int) for s in ((0, 4), 0, 0)))
    order = np.argsort(piece, kind="stable")
    starts = np.flatnonzero(np.diff(piece[order], prepend=-1))
    boxes = [
        np.minimum.reduceat(runs.start[order], starts),
        np.minimum.reduceat(runs.row[order], starts),
        np.maximum.reduceat(runs.stop[order], starts),
        np.maximum.reduceat(runs.row[order], starts) + 1,
    ]
    flat = strength.reshape(-1)
    ends = np.stack([runs.first, runs.first + runs.stop - runs.start], axis=1).reshape(-1)
    ends = np.minimum(ends, flat.size - 1)  # what follows the last pixel is not looked at
    amounts = np.add.reduceat(flat, ends, dtype=np.int64)[::2]
    peaks = np.maximum.reduceat(flat, ends)[::2]
    return Pieces(
        mask,
        runs,
        piece,
        np.stack(boxes, axis=1),
        np.add.reduceat(amounts[order], starts),
        np.maximum.reduceat(peaks[order].astype(int), starts),
    )
