"""Strokes told from what else is on a page: dirt, and the table beside it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from jaxmnist.reader.ink import Ink, ink_level
from jaxmnist.reader.morphology import Mask, dilate, erode
from jaxmnist.reader.pieces import Pieces, paint, pixels_of
from jaxmnist.reader.rules import without_lines

Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside

SURE = 2  # times the level: ink that strokes have somewhere
CLEAR = 5  # and times the noise
WEAKEST = 0.35  # of the ink of typical strokes
SMALLEST = 0.12  # of the size of digits: what is smaller is dirt
THICKEST = 0.2  # of its length, for a stroke that touches an edge
SMALLEST_DIGIT = 6  # pixels: its longer side
MOST = 1_000  # strokes on a page: more are its texture
LITTLE = 0.005  # of all ink: so much beside what comes in from the edges is dirt


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


def find_strokes(ink: Ink) -> Strokes:
    """Finds the strokes of a page, and leaves out what nobody wrote."""
    strength = ink.strength
    nothing = Strokes(np.zeros(strength.shape, np.int32), (), 0.0, 0)
    level = ink_level(ink.noise, strength)
    if level is None:
        return nothing
    # Lines go first: they join the writing to what is outside.
    found, notes = without_lines(strength > level, strength)
    outside = _outside(found)
    if outside is not None:
        strength = np.where(outside | ((strength > level) & ~found.mask), 0, strength)
        level = ink_level(ink.noise, strength)
        if level is None:
            return nothing
        found, more = without_lines(strength > level, strength)
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


def _labels(found: Pieces, shape: tuple[int, ...]) -> Int[np.ndarray, "height width"]:
    labels = np.zeros(shape[0] * shape[1], np.int32)
    lengths = found.runs.stop - found.runs.start
    labels[pixels_of(found.runs.first, lengths)] = np.repeat(found.piece + 1, lengths)
    return labels.reshape(shape[0], shape[1])


def _edges(box: Box, shape: tuple[int, ...]) -> int:
    """Returns how many edges of the picture a box touches."""
    left, top, right, bottom = box
    return sum((left <= 0, top <= 0, right >= shape[1], bottom >= shape[0]))


def _outside(found: Pieces) -> Mask | None:
    """Returns what comes in from the edge and is no stroke: the table, a shadow, a frame.

    If nothing else is there, it is what was written, larger than the picture.
    """
    shape = found.mask.shape
    outside = []
    for number, (left, top, right, bottom) in enumerate(found.boxes.tolist()):
        edges = _edges((left, top, right, bottom), shape)
        if not edges:
            continue
        share = max((right - left) / shape[1], (bottom - top) / shape[0])
        if edges > 2 or (edges > 1 and share > 0.5) or _is_thick(found, number):
            outside.append(number)
    if not outside:
        return None
    rim = 2 * max(3, max(shape) // 60) + 1  # its edge is blurred
    away = dilate(paint(found.runs, np.isin(found.piece, outside), shape), rim, rim)
    rest, ink = np.count_nonzero(found.mask & ~away), np.count_nonzero(found.mask)
    return None if rest < LITTLE * ink else away


def _is_thick(found: Pieces, number: int) -> bool:
    """Returns whether a square that is wider than strokes of its size fits into a piece."""
    left, top, right, bottom = found.boxes[number].tolist()
    thick = round(THICKEST * max(right - left, bottom - top) + 3) | 1
    if min(right - left, bottom - top) < thick:
        return False
    own = paint(found.runs, found.piece == number, found.mask.shape)[top:bottom, left:right]
    half = thick // 2  # the square has to fit in altogether
    return bool(erode(own, thick, thick)[half:-half, half:-half].any())


def _typical(strokes: list[Stroke], found: Pieces, shape: tuple[int, ...]) -> tuple[float, float]:
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
