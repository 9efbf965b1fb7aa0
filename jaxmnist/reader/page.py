"""From a picture to lines of writing."""

from dataclasses import dataclass

from jaxmnist.reader.ink import Ink, find_ink, to_page
from jaxmnist.reader.lines import Line, find_lines
from jaxmnist.reader.picture import Picture
from jaxmnist.reader.strokes import Strokes, find_strokes


@dataclass(frozen=True)
class Writing:
    """What is written on a page, and where."""

    ink: Ink
    strokes: Strokes
    lines: tuple[Line, ...]
    ink_is_dark: bool


def find_writing(picture: Picture) -> Writing:
    """Finds the lines of writing in a picture."""
    page = to_page(picture)
    ink = find_ink(page)
    strokes = find_strokes(ink)
    return Writing(ink, strokes, tuple(find_lines(strokes)), page.ink_is_dark)
