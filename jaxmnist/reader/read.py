"""Reads people's pictures of digits: lines of writing, string by string.

Nothing here needs JAX, so that `jaxmnist read` answers at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from jaxmnist.constants import SIDE
from jaxmnist.reader.canvas import Canvas, to_canvas
from jaxmnist.reader.decode import Digit, decode
from jaxmnist.reader.forward import StringNetwork
from jaxmnist.reader.lines import Line
from jaxmnist.reader.page import Writing, find_writing
from jaxmnist.reader.picture import Picture, from_array, from_image, open_picture
from jaxmnist.reader.strokes import Box

KNOWN = 0.5  # probability from which on a digit is one that the network knows
SURE = 0.9  # confidence under which a person should look
UNKNOWN = "?"
INK = 60  # of 255, from which on a column of a canvas belongs to a digit

AnyPicture = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True)
class DigitReading:
    """A digit, how sure the network is of it, and where it stands in the picture."""

    digit: int
    confidence: float
    box: Box


@dataclass(frozen=True)
class LineReading:
    """A line of writing; digits that the network does not know are `?` in its text."""

    text: str
    confidence: float  # the probability that every digit is right, and none is missing
    box: Box
    digits: tuple[DigitReading, ...]


@dataclass(frozen=True)
class Reading:
    """What a picture says; without digits the text is empty."""

    text: str  # the lines, with `/` between them
    confidence: float  # the probability that all lines are right
    lines: tuple[LineReading, ...]
    notes: tuple[str, ...]  # what was done to the picture, a sentence each


@dataclass(frozen=True)
class Seen:
    """Everything between a picture and its reading, to be explained."""

    picture: Picture
    writing: Writing
    canvases: tuple[Canvas, ...]


def read_pictures(network: StringNetwork, pictures: Iterable[AnyPicture]) -> list[Reading]:
    """Reads pictures: paths, Pillow images or arrays, each (height, width[, channels]).

    Raises:
      UserError: if one cannot be opened.
    """
    return read_seen(network, [look(each) for each in pictures])


def look(picture: AnyPicture) -> Seen:
    """Finds the writing in a picture and draws it on canvases.

    Raises:
      UserError: if it cannot be opened.
    """
    if isinstance(picture, Image.Image):
        opened = from_image(picture.copy())
    elif isinstance(picture, str | Path):
        opened = open_picture(picture)
    else:
        opened = from_array(picture)
    return look_at(opened)


def look_at(picture: Picture) -> Seen:
    """Finds the writing in an opened picture and draws it on canvases."""
    writing = find_writing(picture)
    canvases = [to_canvas(writing.ink, writing.strokes, line) for line in writing.lines]
    return Seen(picture, writing, tuple(canvases))


def read_seen(network: StringNetwork, seen: Sequence[Seen]) -> list[Reading]:
    """Reads the canvases of all pictures, those of a width at once."""
    canvases = [canvas for each in seen for canvas in each.canvases]
    logits = iter(_logits(network, canvases))
    return [_reading(each, [next(logits) for _ in each.canvases]) for each in seen]


def _logits(network: StringNetwork, canvases: list[Canvas]) -> list[np.ndarray]:
    widths = [-(-canvas.pixels.shape[1] // SIDE) * SIDE for canvas in canvases]
    found: list[Any] = [None] * len(canvases)
    for width in sorted(set(widths)):
        chosen = [number for number, each in enumerate(widths) if each == width]
        batch = np.zeros((len(chosen), SIDE, width), np.uint8)
        for row, number in zip(batch, chosen, strict=True):
            row[:, : canvases[number].pixels.shape[1]] = canvases[number].pixels
        for number, logits in zip(chosen, network.logits(batch), strict=True):
            found[number] = logits
    return found


def _reading(seen: Seen, logits: list[np.ndarray]) -> Reading:
    lines = []
    for line, canvas, each in zip(seen.writing.lines, seen.canvases, logits, strict=True):
        digits, confidence = decode(each)
        if digits:
            lines.append(_line_reading(seen, line, canvas, digits, confidence))
    notes = [*seen.picture.notes]
    if lines and not seen.writing.ink_is_dark:
        notes.append("Light ink on a dark ground: inverted.")
    return Reading(
        text="/".join(line.text for line in lines),
        confidence=float(np.prod([line.confidence for line in lines])),
        lines=tuple(lines),
        notes=(*notes, *seen.writing.strokes.notes),
    )


def _line_reading(
    seen: Seen, line: Line, canvas: Canvas, digits: list[Digit], confidence: float
) -> LineReading:
    scale, last = seen.picture.scale, len(canvas.columns) - 1
    # A column of logits is two of the canvas.
    middles = [digit.first + digit.last + 1 for digit in digits]
    cuts = [0, *((a + b) // 2 for a, b in pairwise(middles)), last + 1]
    # Of each number of a stroke, whether it is one of the line; the last stands for all above.
    is_own = np.zeros(max(stroke.number for stroke in line.strokes) + 2, bool)
    is_own[[stroke.number for stroke in line.strokes]] = True
    found = []
    for digit, start, stop in zip(digits, cuts[:-1], cuts[1:], strict=True):
        ink = start + np.flatnonzero(canvas.pixels[:, start:stop].max(0, initial=0) > INK)
        ends = (ink[0], ink[-1]) if ink.size else (min(start, last), min(max(stop - 1, 0), last))
        left, right = (canvas.columns[end] for end in ends)
        box = _ink_box(seen, line, is_own, left, right)
        found.append(DigitReading(digit.digit, digit.confidence, _scaled(box, scale)))
    text = "".join(str(each.digit) if each.confidence >= KNOWN else UNKNOWN for each in found)
    return LineReading(text, confidence, _scaled(line.box, scale), tuple(found))


def _ink_box(
    seen: Seen, line: Line, is_own: Bool[np.ndarray, " numbers"], left: float, right: float
) -> Box:
    """Returns the box of a line's ink between two places."""
    # On a slope a canvas begins and ends beside the box of its line.
    x0 = min(max(int(left), line.box[0]), line.box[2] - 1)
    x1 = max(min(int(np.ceil(right)), line.box[2]), x0 + 1)
    top, bottom = line.box[1], line.box[3]
    labels = seen.writing.strokes.labels[top:bottom, x0:x1]
    rows = np.flatnonzero(is_own.take(labels, mode="clip").any(1))
    if rows.size:
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    return x0, top, x1, bottom


def _scaled(box: Box, scale: int) -> Box:
    left, top, right, bottom = (int(edge) * scale for edge in box)
    return left, top, right, bottom
