"""Strokes put together to lines of writing, in the order in which people read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxmnist.reader.strokes import Box, Stroke, Strokes

LARGE = 0.45  # of the typical size: smaller strokes are parts of digits
NEAR = 0.3  # of the typical size: how far a part may lie from the rest of its digit
FLAT = 0.35  # of the typical size: the height of a bar, such as that of a 5
BROKEN_OFF = 0.1  # of the typical size: how far another piece of a digit may lie from its rest
SHORTER = 0.75  # of the height of that rest
TWO_LINES = 1.7  # of the typical size: the least height of digits in two lines
OVERLAP = 0.25  # of the lower one's height, which two neighbours in a line have in common
STEEPEST = 0.35  # slope of a line
NEIGHBOURS = 6  # digits before one that say where the line goes on


@dataclass(frozen=True)
class Line:
    """A line of writing: its strokes from the left to the right."""

    strokes: tuple[Stroke, ...]
    large: tuple[Stroke, ...]  # those that say where the line is

    @cached_property
    def box(self) -> Box:
        boxes = np.array([stroke.box for stroke in self.strokes])
        left, top = boxes[:, :2].min(0)
        right, bottom = boxes[:, 2:].max(0)
        return int(left), int(top), int(right), int(bottom)

    @cached_property
    def height(self) -> float:
        """The height of its digits."""
        heights = sorted(stroke.height for stroke in self.large)
        widest = max(stroke.width for stroke in self.large)
        return max(heights[int(0.8 * (len(heights) - 1) + 0.5)], 0.35 * widest)

    def middle(self, x: float) -> float:
        """Returns how far down the line is at a place along it."""
        slope, start = self._straight
        return start + slope * x

    @cached_property
    def _straight(self) -> tuple[float, float]:
        return _fit(self.large, self.height)


def find_lines(found: Strokes) -> list[Line]:
    """Returns the lines of a page from top to bottom."""
    large = [stroke for stroke in found.strokes if stroke.size >= LARGE * found.size]
    large = [stroke for stroke in large if not _is_part(stroke, large, found.size)]
    lines: list[list[Stroke]] = []
    for stroke in sorted(large, key=lambda stroke: stroke.centre[0]):
        shares = [_in_common(line, stroke) for line in lines]
        best = int(np.argmax(shares)) if shares else -1
        if shares and shares[best] > OVERLAP:
            lines[best].append(stroke)
        else:
            lines.append([stroke])
    numbers = {stroke.number for stroke in large}
    parts: list[list[Stroke]] = [[] for _ in lines]
    for stroke in found.strokes:
        if stroke.number not in numbers and lines:
            distances = [min(_distance(stroke, other) for other in line) for line in lines]
            nearest = int(np.argmin(distances))
            if distances[nearest] < NEAR * found.size:
                parts[nearest].append(stroke)
    together = [
        Line(tuple(sorted([*line, *more], key=lambda stroke: stroke.box[0])), tuple(line))
        for line, more in zip(lines, parts, strict=True)
    ]
    return sorted(together, key=lambda line: np.mean([stroke.centre[1] for stroke in line.large]))


def _is_part(stroke: Stroke, large: list[Stroke], size: float) -> bool:
    """Returns whether a stroke is a bar above or below another, or a piece broken off from it."""
    height = stroke.height
    gap = NEAR if height < FLAT * size else BROKEN_OFF
    for other in large:
        if height >= SHORTER * other.height:
            continue  # so it is with most pairs
        low, high = max(stroke.box[0], other.box[0]), min(stroke.box[2], other.box[2])
        top, bottom = min(stroke.box[1], other.box[1]), max(stroke.box[3], other.box[3])
        if (
            high - low > min(stroke.width, other.width) / 2
            and bottom - top - height - other.height < gap * size
            and bottom - top < TWO_LINES * size
        ):
            return True
    return False


def _in_common(line: list[Stroke], stroke: Stroke) -> float:
    """Returns the share of a stroke's height, or the last one's, that lies in the line."""
    last = line[-1]
    share = _overlap(stroke, last.box[1], last.box[3])
    if len(line) > 2:
        near = line[-NEIGHBOURS:]
        height = float(np.median([other.height for other in near]))
        slope, start = _fit(near, height)
        middle = start + slope * stroke.centre[0]
        share = max(share, _overlap(stroke, middle - height / 2, middle + height / 2))
    return share


def _overlap(stroke: Stroke, top: float, bottom: float) -> float:
    common = min(stroke.box[3], bottom) - max(stroke.box[1], top)
    return common / max(min(stroke.height, bottom - top), 1)


def _distance(one: Stroke, other: Stroke) -> float:
    a, b = one.box, other.box
    return max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3], 0)


def _fit(strokes: Sequence[Stroke], height: float) -> tuple[float, float]:
    """Returns slope and start of the straight line through strokes' centres, level if few."""
    x, y = np.array([stroke.centre for stroke in strokes]).T
    slope = 0.0
    if len(strokes) > 2 and np.ptp(x) > 2 * height:
        away = x - x.mean()
        # Added in an order of our own: that of a product of matrices is each processor's.
        slope = float((away * y).sum() / np.square(away).sum())
        slope = min(max(slope, -STEEPEST), STEEPEST)
    return slope, float(y.mean() - slope * x.mean())
