"""A line of writing brought to the canvas of the networks, the way MNIST was made.

A canvas is 28 pixels high. Digits are 20 of them high and in its middle, bright on black.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxmnist.constants import SIDE
from jaxmnist.reader.ink import Ink
from jaxmnist.reader.lines import Line
from jaxmnist.reader.morphology import Grey, dilate
from jaxmnist.reader.resample import resize_columns, resize_rows
from jaxmnist.reader.strokes import Stroke, Strokes

DIGIT = 20  # pixels of the canvas: the height of a digit
TALLEST = 26  # and of the whole line
SWAY = 0.15  # of a digit's height, by which it may stand above or below the line
MARGIN = 4  # columns without ink at both ends
WIDEST_GAP = 14  # columns between two digits: more say nothing
EMPTY = 38  # of 255: a column that is darker has no ink
BRIGHT = 0.7  # share of the ink's pixels that do not become white


@dataclass(frozen=True)
class Canvas:
    """A line as a network takes it."""

    pixels: UInt8[np.ndarray, "28 width"]  # 0 = ground, 255 = ink
    columns: Float[np.ndarray, " width"]  # where each lies in the picture


def to_canvas(ink: Ink, found: Strokes, line: Line) -> Canvas:
    """Draws a line, without what is around it, level, at the size of MNIST's digits."""
    pieces, left = _levelled(ink.strength, found, line)
    rows = np.flatnonzero(pieces.max(1) > found.level)
    low, high = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, len(pieces))
    scale = max(line.height / DIGIT, (high - low) / TALLEST)
    width = int(np.ceil(pieces.shape[1] / scale)) + 2 * MARGIN
    small = _resampled(pieces, (low + high) / 2 - SIDE / 2 * scale, -MARGIN * scale, scale, width)
    strong = np.sort(small[small > 0.3 * small.max()])
    if strong.size:
        white = int(strong[int(BRIGHT * (strong.size - 1))])
        small = np.minimum((small.astype(np.int32) * 255 + white // 2) // white, 255)
    kept = _without_wide_gaps(small)
    columns = left + (kept + 0.5 - MARGIN) * scale
    return Canvas(small[:, kept].astype(np.uint8), columns)


def _resampled(
    pieces: Grey, top: float, left: float, scale: float, width: int
) -> UInt8[np.ndarray, "28 width"]:
    """Returns pieces with pixels that are `scale` old ones wide, from a corner outside them."""
    # As much ground around as the new pixels reach.
    spare = int(np.ceil(max(scale * SIDE, -left))) + 2
    height, old_width = pieces.shape
    framed = np.zeros((height, old_width + 2 * spare), np.uint8)
    framed[:, spare:-spare] = pieces
    right = min(left + spare + width * scale, old_width + 2 * spare)
    # Rows of ground stay what they are, so they are added when columns are few.
    narrow = np.zeros((height + 2 * spare, width), np.uint8)
    narrow[spare:-spare] = resize_columns(framed, width, left + spare, right)
    bottom = min(top + spare + SIDE * scale, height + 2 * spare)
    return resize_rows(narrow, SIDE, top + spare, bottom)


def _levelled(strength: Grey, found: Strokes, line: Line) -> tuple[Grey, int]:
    """Returns the ink of a line with all digits at the same height, and where its left edge lies.

    A digit keeps a little of what it stands above or below the line.
    """
    soft = max(1, round(line.height / 25))  # pixels around a stroke that belong to it
    left, top, right, bottom = line.box
    middle = line.middle((left + right) / 2)
    shifts = {stroke.number: _shift(line, stroke, middle) for stroke in line.large}
    spare = soft + max(abs(shift) for shift in shifts.values())
    pieces = np.zeros((bottom - top + 2 * spare, right - left + 2 * soft), np.uint8)
    for stroke in line.strokes:
        nearest = min(line.large, key=lambda other: abs(other.centre[0] - stroke.centre[0]))
        x0, y0, x1, y1 = stroke.box
        rows = slice(max(y0 - soft, 0), min(y1 + soft, strength.shape[0]))
        columns = slice(max(x0 - soft, 0), min(x1 + soft, strength.shape[1]))
        labels = found.labels[rows, columns]
        own = dilate(labels == stroke.number, 2 * soft + 1, 2 * soft + 1)
        own &= (labels == 0) | (labels == stroke.number)
        down = rows.start - top + spare - shifts[nearest.number]
        across = columns.start - left + soft
        target = pieces[down : down + own.shape[0], across : across + own.shape[1]]
        np.maximum(target, np.where(own, strength[rows, columns], 0), out=target)
    return pieces, left - soft


def _shift(line: Line, stroke: Stroke, middle: float) -> int:
    """Returns by how many pixels a digit goes up, so that all stand on a level line."""
    x, y = stroke.centre
    most = SWAY * line.height
    sway = min(max(y - line.middle(x), -most), most)
    return round(y - sway - middle)


def _without_wide_gaps(small: Int[np.ndarray, "28 width"]) -> Int[np.ndarray, " kept"]:
    """Returns the columns that remain when gaps are no wider than in training."""
    column = np.arange(small.shape[1])
    last_ink = np.maximum.accumulate(np.where(small.max(0) >= EMPTY, column, -1))
    return np.flatnonzero(column - last_ink <= WIDEST_GAP)
