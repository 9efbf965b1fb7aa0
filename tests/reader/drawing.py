"""Digits drawn by code, and pages of them: what is where is known to the pixel."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from jaxmnist.reader.strokes import Box

# Polylines in a box of one unit: each digit hangs together.
SHAPES = {
    0: [(0.5, 0), (0.1, 0.2), (0, 0.5), (0.1, 0.8), (0.5, 1), (0.9, 0.8), (1, 0.5), (0.9, 0.2),
        (0.5, 0)],
    2: [(0, 0.2), (0.4, 0), (0.9, 0.15), (0.9, 0.4), (0, 1), (1, 1)],
    3: [(0, 0.1), (0.5, 0), (0.95, 0.2), (0.4, 0.5), (1, 0.75), (0.5, 1), (0, 0.9)],
    5: [(0.9, 0), (0.1, 0), (0.05, 0.45), (0.7, 0.45), (1, 0.75), (0.6, 1), (0, 0.95)],
    7: [(0, 0), (1, 0), (0.4, 1)],
}  # fmt: skip
PAPER, PEN = 230, 50
ASPECT = 0.6  # of a digit's width to its height


def page(
    size: tuple[int, int],
    digits: Sequence[tuple[int, float, float, float]],
    *,
    thick: float = 0.12,
    paper: int = PAPER,
    pen: int = PEN,
) -> tuple[Image.Image, list[Box]]:
    """Draws digits, each (digit, left, top, height), on even paper of a size (width, height).

    Returns:
      The page in grey, and the box of each digit's ink.
    """
    image = Image.new("L", size, paper)
    boxes = []
    for digit, left, top, height in digits:
        alone = Image.new("L", size, 0)
        pen_width = max(2, round(thick * height))
        points = [(left + x * ASPECT * height, top + y * height) for x, y in SHAPES[digit]]
        draw = ImageDraw.Draw(alone)
        draw.line(points, 255, pen_width, joint="curve")
        for x, y in (points[0], points[-1]):
            r = pen_width / 2
            draw.ellipse((x - r, y - r, x + r, y + r), 255)
        image.paste(pen, mask=alone)
        box = alone.getbbox()
        assert box
        boxes.append(box)
    return image, boxes


def row(
    digits: str, left: float, top: float, height: float, *, step: float = 1.0, rise: float = 0.0
) -> list[tuple[int, float, float, float]]:
    """Places digits in a row: `step` heights apart, each `rise` heights above the one before."""
    return [
        (int(digit), left + i * step * height, top - i * rise * height, height)
        for i, digit in enumerate(digits)
    ]


def lit(image: Image.Image, light: np.ndarray) -> Image.Image:
    """Returns a picture under a light, whose values are shares of it."""
    shown = np.asarray(image, float) * light
    return Image.fromarray(np.round(shown.clip(0, 255)).astype(np.uint8))


def noisy(image: Image.Image, sd: float, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, sd, (image.height, image.width))
    shown = np.asarray(image, float) + noise
    return Image.fromarray(np.round(shown.clip(0, 255)).astype(np.uint8))
