"""Digits of a data set as pens draw them at any size, laid out in lines on an empty page."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage

from jaxmnist.data.dataset import Dataset
from jaxmnist.reader.strokes import Box

ENLARGED = 10  # times a digit's own size, where outlines are smooth
SMOOTHING = 5.0  # standard deviation, in pixels of the enlarged digit
FITS = 0.9  # of the page, that writing takes at most
SPACING = 1.7  # heights of a digit, from line to line

Span = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """How writing lies on its page; lengths are shares of a digit's height, if not said else."""

    lines: tuple[int, int] = (1, 1)
    digits: tuple[int, int] = (1, 1)  # in a line
    height: Span = (0.3, 0.6)  # of a digit, as a share of the page's height
    gap: Span = (0.15, 0.45)  # between neighbours
    slope: float = 0.0  # at most, up or down
    in_corner: bool = False
    margin: float | None = None  # around the writing, which then fills the picture
    sizes: tuple[tuple[int, int], ...] = ((640, 480), (800, 600), (480, 640), (1_200, 900))


@dataclass(frozen=True)
class Writing:
    """What is written on a page."""

    ink: Float[np.ndarray, "height width"]  # the share of the paper that it covers
    marks: UInt8[np.ndarray, "height width"]  # number of the digit at each pixel; 0: none
    lines: tuple[str, ...]

    @property
    def label(self) -> str:
        return "/".join(self.lines)

    def boxes(self) -> list[list[Box]]:
        """Returns the box of each digit, line by line."""
        found = iter(ndimage.find_objects(self.marks))
        return [
            [(x.start, y.start, x.stop, y.stop) for _, (y, x) in zip(line, found, strict=False)]
            for line in self.lines
        ]


def outline(digit: UInt8[np.ndarray, "28 28"], thick: float) -> Image.Image:
    """Returns the shape of a digit's strokes, as thick as a share of its height; 255 = ink."""
    size = digit.shape[0] * ENLARGED
    large = Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC)
    field = ndimage.gaussian_filter(np.asarray(large, np.float64), SMOOTHING)
    mask = field > 0.45 * field.max()
    inside = ndimage.distance_transform_edt(np.pad(mask, size // 4))
    outside = ndimage.distance_transform_edt(~np.pad(mask, size // 4))
    pieces = ndimage.label(mask)[1]
    height = np.ptp(np.flatnonzero(mask.any(1))) + 1
    now = 2 * float(np.percentile(inside[inside > 0], 90))
    grow = (thick * height - now) / 2
    # Strokes get thinner only as far as they hang together.
    while grow < 0 and ndimage.label(inside > -grow)[1] != pieces:
        grow /= 1.5
    shape = inside > -grow if grow < 0 else outside <= grow
    image = Image.fromarray(np.where(shape, 255, 0).astype(np.uint8))
    return image.crop(image.getbbox())


def write(random: np.random.Generator, digits: Dataset, layout: Layout, thick: Span) -> Writing:
    """Writes random digits with a pen whose strokes are a share of their height."""
    width, height = layout.sizes[random.integers(len(layout.sizes))]
    count = random.integers(layout.lines[0], layout.lines[1] + 1)
    chosen = [
        random.integers(len(digits), size=random.integers(layout.digits[0], layout.digits[1] + 1))
        for _ in range(count)
    ]
    pen = random.uniform(*thick)
    shapes = [[outline(np.asarray(digits.images[i]), pen) for i in line] for line in chosen]
    scales = [random.uniform(0.9, 1.1, len(line)) for line in chosen]
    gaps = [random.uniform(*layout.gap, len(line)) for line in chosen]
    # Everything in heights of a digit first, to see how large it can be.
    widths = [
        [s * shape.width / shape.height for s, shape in zip(*each, strict=True)]
        for each in zip(scales, shapes, strict=True)
    ]
    longest = max(sum(w) + sum(g[:-1]) for w, g in zip(widths, gaps, strict=True))
    slope = random.uniform(-layout.slope, layout.slope)
    tall = (count - 1) * SPACING + 1.2 + abs(slope) * longest
    unit = min(random.uniform(*layout.height) * height, FITS * width / longest)
    unit = min(unit, FITS * height / tall)
    if layout.margin is not None:
        unit = random.uniform(*layout.height) * height
        width, height = (round((side + 2 * layout.margin) * unit) for side in (longest, tall))
    free = np.array([width - longest * unit, height - tall * unit]) / 2
    place = random.uniform(0.1, 1.9, 2)
    if layout.in_corner:
        place = random.choice([0.1, 1.9], 2)
    left, top = place * free if layout.margin is None else free
    top += max(slope, 0) * longest * unit
    ink, marks = np.zeros((height, width)), np.zeros((height, width), np.uint8)
    number = 0
    for line, (line_shapes, line_scales, line_widths, line_gaps) in enumerate(
        zip(shapes, scales, widths, gaps, strict=True)
    ):
        x = 0.0
        for shape, scale, wide, gap in zip(
            line_shapes, line_scales, line_widths, line_gaps, strict=True
        ):
            y = line * SPACING + 0.6 - scale / 2 - slope * x + random.uniform(-0.04, 0.04)
            number += 1
            _draw(ink, marks, shape, (left + x * unit, top + y * unit), scale * unit, number)
            x += wide + gap
    return Writing(ink, marks, tuple("".join(map(str, digits.labels[line])) for line in chosen))


def _draw(
    ink: np.ndarray,
    marks: np.ndarray,
    shape: Image.Image,
    corner: tuple[float, float],
    height: float,
    number: int,
) -> None:
    """Draws a digit on a page, in place."""
    width = max(round(height * shape.width / shape.height), 1)
    small = np.asarray(shape.resize((width, max(round(height), 1)), Image.Resampling.BOX)) / 255
    x, y = (max(round(each), 0) for each in corner)
    part = (slice(y, y + small.shape[0]), slice(x, x + width))
    small = small[: ink[part].shape[0], : ink[part].shape[1]]
    np.maximum(ink[part], small, out=ink[part])
    marks[part][small > 0.5] = number
