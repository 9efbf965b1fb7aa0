"""Strokes told from what else is on a page: ruled lines, frames, dirt, the table beside it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

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
LITTLE = 0.005  # of all ink: so much beside what comes in from the edges is dirt
RULE = 0.5  # of the picture: the shortest ruled line
PARTS = 32  # of a page, side by side, in which a rule is level
BROKEN = 0.1  # and of a part of one
FRAME = 0.1  # of a frame's side, that its ink lies within
OBLIQUE = 0.04  # and of the other side
SMALLEST_FRAME = 12  # pixels: its shorter side
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
    if level is None:
        return nothing
    # Lines go first: they join the writing to what is outside.
    found, notes = _without_lines(strength > level, strength)
    outside = _outside(found, strength.shape)
    if outside.any():
        kept = paint(found.runs, np.ones(len(found.piece), bool), strength.shape) & ~outside
        strength = np.where(outside | ((strength > level) & ~kept), 0, strength).astype(np.uint8)
        level = ink_level(ink.noise, strength)
        if level is None:
            return nothing
        found, more = _without_lines(strength > level, strength)
        notes = {**notes, **more, "What comes in from the edge is left out.": None}
    if not len(found.boxes):
        return nothing
    strokes = [Stroke(i + 1, tuple(box)) for i, box in enumerate(found.boxes.tolist())]
    size, peak = _typical(strokes, found, strength.shape)
    strong = found.peaks >= max(SURE * level, WEAKEST * peak, CLEAR * ink.noise)
    kept = tuple(
        stroke
        for stroke, is_strong in zip(strokes, strong, strict=True)
        if is_strong and _is_written(stroke, size, strength.shape)
    )
    if size < SMALLEST_DIGIT or len(kept) > MOST:
        return nothing
    return Strokes(
        labels=_labels(found, strength.shape),
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


def _without_lines(mask: Mask, strength: Grey) -> tuple[_Pieces, dict[str, None]]:
    """Returns the pieces that are neither frames nor ruled lines, and what was left out."""
    found = _pieces(mask, strength)
    notes: dict[str, None] = {}
    frames = _frames(found)
    if frames.any():
        mask = paint(found.runs, ~frames[found.piece], mask.shape)
        notes["The frame is left out."] = None
    ruled = _rules(mask)
    if ruled.any():
        mask = mask & ~ruled
        notes["Ruled lines are taken out."] = None
    return (_pieces(mask, strength) if notes else found), notes


def _frames(found: _Pieces) -> Bool[np.ndarray, " pieces"]:
    """Returns which pieces have ink along their box alone, and its corners or pieces within it."""
    left, top, right, bottom = found.boxes.T
    width, height = right - left, bottom - top
    # Of a frame that is a little oblique, a long side reaches further in.
    rim_x, rim_y = (FRAME * a + OBLIQUE * b for a, b in ((width, height), (height, width)))
    x0, y0, x1, y1 = left + rim_x, top + rim_y, right - rim_x, bottom - rim_y
    runs, piece = found.runs, found.piece
    within = (runs.row >= y0[piece]) & (runs.row < y1[piece])
    within &= (runs.stop > x0[piece]) & (runs.start < x1[piece])
    hollow = np.minimum(width, height) >= SMALLEST_FRAME
    hollow[piece[within]] = False
    sizes = np.maximum(width, height)
    has_corners = np.ones(len(width), bool)
    for is_row in (runs.row < y0[piece], runs.row >= y1[piece]):
        for is_column in (runs.start < x0[piece], runs.stop > x1[piece]):
            has_corner = np.zeros(len(width), bool)
            has_corner[piece[is_row & is_column]] = True
            has_corners &= has_corner
    for each in np.flatnonzero(hollow):
        inside = (left >= left[each]) & (right <= right[each])
        inside &= (top >= top[each]) & (bottom <= bottom[each])
        inside[each] = False
        least = SMALLEST * min(width[each], height[each])
        hollow[each] = has_corners[each] or sizes[inside].max(initial=0) >= least
    return hollow


def _outside(found: _Pieces, shape: tuple[int, int]) -> Mask:
    """Returns what comes in from the edge and is no stroke: the table, a shadow, a frame.

    If nothing else is there, it is what was written, larger than the picture.
    """
    nothing = np.zeros(shape, bool)
    outside = []
    for number, (left, top, right, bottom) in enumerate(found.boxes.tolist()):
        edges = _edges((left, top, right, bottom), shape)
        if not edges:
            continue
        if edges > 2:
            outside.append(number)
            continue
        share = max((right - left) / shape[1], (bottom - top) / shape[0])
        own = paint(found.runs, found.piece == number, shape)[top:bottom, left:right]
        thick = round(THICKEST * max(own.shape) + 3) | 1
        framed = np.pad(own, thick // 2)  # a square has to fit in altogether
        if (edges > 1 and share > 0.5) or erode(framed, thick, thick).any():
            outside.append(number)
    if not outside:
        return nothing
    rim = 2 * max(3, max(shape) // 60) + 1  # its edge is blurred
    away = dilate(paint(found.runs, np.isin(found.piece, outside), shape), rim, rim)
    mask = paint(found.runs, np.ones(len(found.piece), bool), shape)
    return nothing if (mask & ~away).sum() < LITTLE * mask.sum() else away


def _rules(mask: Mask) -> Mask:
    """Returns ruled and squared lines, but for where a stroke crosses them."""
    if max(mask.shape) < SMALLEST_PAGE:
        return np.zeros_like(mask)
    across = np.ascontiguousarray(mask.T)
    return _level_rules(mask) | _level_rules(across).T


def _level_rules(mask: Mask) -> Mask:
    """Returns lines that run along the rows: thin, long, and on to an edge."""
    width = mask.shape[1]
    thickest = max(3, max(mask.shape) // 130)
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
    before, behind = _paper_beside(mask, pieces, is_level & (right - left >= BROKEN * width))
    from_edge = np.minimum(before, behind)
    lengths = right - left
    is_rule = is_level & (lengths >= RULE * (lengths + before + behind))
    is_rule &= from_edge <= 0.06 * width
    # Where some are whole, those that a stroke runs along may be broken there.
    is_broken = is_level & (right - left >= BROKEN * width) & (from_edge <= 0.02 * width)
    is_rule |= is_rule.any() & is_broken
    if not is_rule.any():
        return np.zeros_like(mask)
    ruled = paint(pieces.runs, is_rule[pieces.piece], mask.shape)
    ruled = (ruled | _parallel(mask, _slope(pieces, is_rule), thickest)) & mask & ~thick
    # Where there is ink both above and below the line, a stroke crosses it.
    rest = np.pad(mask & ~ruled, ((thickest, thickest), (0, 0)))
    reach = dilate(rest, thickest | 1, 1)
    above, below = reach[: -2 * thickest], reach[2 * thickest :]
    return np.asarray(ruled & ~(above & below))


def _slope(pieces: _Pieces, is_rule: Bool[np.ndarray, " pieces"]) -> float:
    """Returns by how many rows the longest rule falls in a column."""
    lengths = np.where(is_rule, pieces.boxes[:, 2] - pieces.boxes[:, 0], 0)
    own = np.flatnonzero(pieces.piece == lengths.argmax())
    runs = pieces.runs
    first, last = own[np.argmin(runs.start[own])], own[np.argmax(runs.stop[own])]
    return float(runs.row[last] - runs.row[first]) / float(lengths.max())


def _parallel(mask: Mask, slope: float, thickest: int) -> Mask:
    """Returns the rows that ink runs along, of a page whose rules fall by a slope."""
    height, width = mask.shape
    edges = np.linspace(0, width, PARTS + 1).round().astype(int)
    shifts = [round(slope * (a + b - width) / 2) for a, b in pairwise(edges.tolist())]
    most = max(map(abs, shifts))
    ink = np.zeros(height + 2 * most, int)
    for part, (start, stop) in enumerate(pairwise(edges)):
        first = most - shifts[part]
        ink[first : first + height] += mask[:, start:stop].sum(1)
    level = dilate((ink >= RULE * width)[:, None], 3, 1)
    level &= ~opened(level, thickest + 3 + thickest % 2, 1)
    found = np.zeros_like(mask)
    for part, (start, stop) in enumerate(pairwise(edges)):
        first = most - shifts[part]
        found[:, start:stop] = level[first : first + height]
    return found


def _paper_beside(
    mask: Mask, pieces: _Pieces, chosen: Bool[np.ndarray, " pieces"]
) -> Int[np.ndarray, "2 pieces"]:
    """Returns how many pixels of paper lie between both ends of pieces and the picture's edges.

    What comes in from the edge is no paper: a rule may end there.
    """
    beside = np.full((2, len(chosen)), mask.shape[1])
    runs = pieces.runs
    for each in np.flatnonzero(chosen):
        own = np.flatnonzero(pieces.piece == each)
        first, last = own[np.argmin(runs.start[own])], own[np.argmax(runs.stop[own])]
        beside[0, each] = np.count_nonzero(~mask[runs.row[first], : runs.start[first]])
        beside[1, each] = np.count_nonzero(~mask[runs.row[last], runs.stop[last] :])
    return beside


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
