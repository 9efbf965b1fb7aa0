"""Strokes told from what else is on a page: ruled lines, frames, dirt, the table beside it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from jaxmnist.reader.ink import Ink, ink_level
from jaxmnist.reader.morphology import (
    Grey,
    Mask,
    Runs,
    closed,
    connect,
    dilate,
    erode,
    find_runs,
    opened,
    paint,
)

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside

SURE = 2  # times the level: ink that strokes have somewhere
CLEAR = 5  # and times the noise
WEAKEST = 0.35  # of the ink of typical strokes
SMALLEST = 0.12  # of the size of digits: what is smaller is dirt
THICKEST = 0.2  # of its length, for a stroke that touches an edge
SMALLEST_DIGIT = 6  # pixels: its longer side
MOST = 1_000  # strokes on a page: more are its texture
RULE = 0.5  # of the picture: the shortest ruled line
BROKEN = 0.1  # and of a part of one
SMALLEST_PAGE = 64  # pixels of a picture that may be ruled


@dataclass(frozen=True)
class Stroke:
    """Ink that hangs together."""

    number: int  # in the map of labels
    box: Box

    @property
    def width(self) -> int:
        """From the left to the right, in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        """From the top to the bottom, in pixels."""
        return self.box[3] - self.box[1]

    @property
    def size(self) -> int:
        """The longer side."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box: x and y."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Strokes:
    """What is written, in pieces that hang together."""

    labels: Int[np.ndarray, "height width"]  # number of the stroke at each pixel; 0: none
    strokes: tuple[Stroke, ...]
    size: float  # of a typical digit: its longer side
    level: int  # strength of the ink from which on it counts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Pieces:
    """All ink above a level, in pieces that hang together."""

    runs: Runs
    piece: Int[np.ndarray, " runs"]  # the number of each run's piece, from 0
    boxes: Int[np.ndarray, "pieces 4"]
    amounts: Int[np.ndarray, " pieces"]  # of ink: the sum of its strength
    peaks: Int[np.ndarray, " pieces"]  # its largest strength


def find_strokes(ink: Ink) -> Strokes:
    """Finds the strokes of a page, and leaves out what nobody wrote."""
    strength = ink.strength
    nothing = Strokes(np.zeros(strength.shape, np.int32), (), 0.0, 0)
    level = ink_level(ink.noise, strength)
    notes = []
    if level is not None:
        outside = _outside(strength > level)
        if outside.any():
            strength = np.where(outside, 0, strength).astype(np.uint8)
            level = ink_level(ink.noise, strength)
            notes.append("What comes in from the edge is left out.")
    if level is None:
        return nothing
    mask = strength > level
    ruled = _rules(mask)
    if ruled.any():
        mask &= ~ruled
        notes.append("Ruled lines are taken out.")
    found = _pieces(mask, strength)
    if not len(found.boxes):
        return nothing
    strokes = [Stroke(i + 1, tuple(box)) for i, box in enumerate(found.boxes.tolist())]
    size, peak = _typical(strokes, found, mask.shape)
    strong = found.peaks >= max(SURE * level, WEAKEST * peak, CLEAR * ink.noise)
    kept = tuple(
        stroke
        for stroke, is_strong in zip(strokes, strong, strict=True)
        if is_strong and _is_written(stroke, size, mask.shape)
    )
    if size < SMALLEST_DIGIT or len(kept) > MOST:
        return nothing
    return Strokes(
        labels=_labels(found, mask.shape),
        strokes=kept,
        size=size,
        level=level,
        notes=tuple(notes),
    )


def _pieces(mask: Mask, strength: Grey) -> _Pieces:
    runs = find_runs(mask)
    piece = connect(runs)
    if not len(piece):
        return _Pieces(runs, piece, *(np.zeros(s, int) for s in ((0, 4), 0, 0)))
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
    return _Pieces(
        runs,
        piece,
        np.stack(boxes, axis=1),
        np.add.reduceat(amounts[order], starts),
        np.maximum.reduceat(peaks[order].astype(int), starts),
    )


def _labels(found: _Pieces, shape: tuple[int, ...]) -> Int[np.ndarray, "height width"]:
    labels = np.zeros(shape, np.int32)
    every = np.ones(len(found.piece), bool)
    labels[paint(found.runs, every, shape)] = np.repeat(
        found.piece + 1, found.runs.stop - found.runs.start
    )
    return labels


def _edges(box: Box, shape: tuple[int, ...]) -> int:
    """Returns how many edges of the picture a box touches."""
    left, top, right, bottom = box
    return sum((left <= 0, top <= 0, right >= shape[1], bottom >= shape[0]))


def _outside(mask: Mask) -> Mask:
    """Returns what comes in from the edge and is no stroke: the table, a shadow, a frame.

    If nothing else is there, it is what was written, larger than the picture.
    """
    found = _pieces(mask, mask.view(np.uint8))
    nothing = np.zeros_like(mask)
    outside = []
    for number, (left, top, right, bottom) in enumerate(found.boxes.tolist()):
        edges = _edges((left, top, right, bottom), mask.shape)
        if not edges:
            continue
        if edges > 2:
            outside.append(number)
            continue
        share = max((right - left) / mask.shape[1], (bottom - top) / mask.shape[0])
        own = paint(found.runs, found.piece == number, mask.shape)[top:bottom, left:right]
        thick = round(THICKEST * max(own.shape) + 3) | 1
        framed = np.pad(own, thick // 2)  # a square has to fit in altogether
        if (edges > 1 and share > 0.5) or erode(framed, thick, thick).any():
            outside.append(number)
    if not outside:
        return nothing
    rim = 2 * max(3, max(mask.shape) // 60) + 1  # its edge is blurred
    away = dilate(paint(found.runs, np.isin(found.piece, outside), mask.shape), rim, rim)
    return nothing if (mask & ~away).sum() < 0.02 * mask.sum() else away


def _rules(mask: Mask) -> Mask:
    """Returns ruled and squared lines, but for where a stroke crosses them."""
    if max(mask.shape) < SMALLEST_PAGE:
        return np.zeros_like(mask)
    across = np.ascontiguousarray(mask.T)
    return _level_rules(mask) | _level_rules(across).T


def _level_rules(mask: Mask) -> Mask:
    """Returns lines that run along the rows: thin, long, and on to an edge."""
    width = mask.shape[1]
    thickest = max(2, max(mask.shape) // 130)
    step = max(7, width // 40) | 1
    runs = find_runs(mask)
    lengths = runs.stop - runs.start
    is_long = lengths >= step
    gap = 2 * step + 1
    if lengths[is_long].sum() < RULE * width * step / (step + gap):  # too little for one line
        return np.zeros_like(mask)
    long = paint(runs, is_long, mask.shape)
    thick = opened(mask, thickest + 1 + thickest % 2, 1)
    # Of a line that is a little oblique or dotted there are many runs.
    framed = np.pad(dilate(long & ~thick, 3, 1), ((0, 0), (gap, gap)))
    joined = np.ascontiguousarray(closed(framed, 1, gap)[:, gap:-gap])
    pieces = _pieces(joined, joined.view(np.uint8))
    left, top, right, bottom = pieces.boxes.T
    is_level = bottom - top <= np.maximum(0.12 * (right - left), 3)
    from_edge = np.minimum(left, width - right)
    is_rule = is_level & (right - left >= RULE * width) & (from_edge <= 0.06 * width)
    # Where some are whole, those that a stroke runs along may be broken there.
    is_broken = is_level & (right - left >= BROKEN * width) & (from_edge <= 0.02 * width)
    is_rule |= is_rule.any() & is_broken
    if not is_rule.any():
        return np.zeros_like(mask)
    ruled = paint(pieces.runs, is_rule[pieces.piece], mask.shape) & mask & ~thick
    # Where there is ink both above and below the line, a stroke crosses it.
    rest = np.pad(mask & ~ruled, ((thickest, thickest), (0, 0)))
    reach = dilate(rest, thickest | 1, 1)
    above, below = reach[: -2 * thickest], reach[2 * thickest :]
    return np.asarray(ruled & ~(above & below))


def _typical(strokes: list[Stroke], found: _Pieces, shape: tuple[int, ...]) -> tuple[float, float]:
    """Returns size and strongest ink of a typical digit: the median, weighted by ink.

    What touches an edge does not count, if there is anything of its kind that does not.
    """
    sizes = np.array([stroke.size for stroke in strokes])
    inside = np.array([not _edges(stroke.box, shape) for stroke in strokes])
    inside &= sizes >= 0.2 * sizes[inside].max(initial=0)
    enough = found.amounts[inside].sum() > 0.01 * found.amounts.sum()
    chosen = np.flatnonzero(inside) if enough else np.arange(len(strokes))
    order = chosen[np.argsort(sizes[chosen], kind="stable")]
    sums = found.amounts[order].cumsum()
    half = int(np.searchsorted(sums, sums[-1] / 2))
    return float(sizes[order[half]]), float(np.median(found.peaks[order[half:]]))


def _is_written(stroke: Stroke, size: float, shape: tuple[int, ...]) -> bool:
    """Returns whether a stroke may be a part of a digit, by its size and place."""
    if stroke.size < max(SMALLEST * size, 2):
        return False
    if _edges(stroke.box, shape) and min(stroke.width / 0.1, stroke.height / 0.4) < size:
        return False
    return not (stroke.width > 4 * stroke.height and stroke.width > 1.5 * size)
