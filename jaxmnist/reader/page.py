"""From a picture to lines of writing."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from jaxmnist.reader.ink import Ink, Page, find_ink, to_page
from jaxmnist.reader.lines import Line, find_lines
from jaxmnist.reader.picture import Picture
from jaxmnist.reader.strokes import Strokes, find_strokes

AFAR = 400  # pixels of the longer side of a page that is looked at from afar
CLEARANCE = 4  # widths of a stroke, that paper is looked at with around it


@dataclass(frozen=True)
class Writing:
    """What is written on a page, and where."""

    ink: Ink
    strokes: Strokes
    lines: tuple[Line, ...]
    ink_is_dark: bool


def find_writing(picture: Picture) -> Writing:
    """Finds the lines of writing in a picture.

    Paper is looked at twice: first from afar, to see how wide the strokes are, and then so closely
    around them that neither shadows nor a vignette look like ink.
    """
    page = to_page(picture)
    far = -(-max(page.light.shape) // AFAR)
    small = Image.fromarray(page.light).reduce(far) if far > 1 else page.light
    thickness = far * find_strokes(find_ink(Page(np.asarray(small), page.ink_is_dark))).thickness
    ink = find_ink(page, CLEARANCE * thickness + 2 if thickness else None)
    strokes = find_strokes(ink)
    return Writing(ink, strokes, tuple(find_lines(strokes)), page.ink_is_dark)
