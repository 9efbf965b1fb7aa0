"""Digits written with a pen: MNIST's shapes at any size, with strokes of any width."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Layer = Float[np.ndarray, "height width"]  # how much of the ground ink covers, from 0 to 1
Digits = Mapping[int, UInt8[np.ndarray, "n 28 28"]]

FINER = 3  # times the size at which a shape is thinned
FAINT = 110  # of 255: what is fainter is no shape
SHARP = 2  # times the size at which a stroke is drawn
# The neighbours of a pixel, clockwise from the one above it.
AROUND = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]


@dataclass(frozen=True)
class Pen:
    """What ink looks like; lengths are shares of a digit's height."""

    colour: Colour = (30, 30, 40)
    width: float | None = None  # of a stroke; None: as it was written
    grain: float = 0.0  # share of the ink that rough paper does not take
    soft: float = 0.0  # how far the rim of a stroke runs out


FEW = 300  # shapes a digit that are chosen from

BALLPOINT = Pen((30, 40, 130), 0.06)
PENCIL = Pen((95, 95, 100), 0.05, grain=0.35)
FELT = Pen((25, 25, 30), 0.12)
MARKER = Pen((20, 20, 20), 0.17)
RED = Pen((190, 40, 45), 0.07)
FOUNTAIN = Pen((25, 30, 70))
WATER = Pen((60, 60, 110), soft=0.03)
CHALK = Pen((225, 230, 225), 0.1, grain=0.3)
HAIR = Pen((40, 40, 40), 0.025)
WHITE = Pen((255, 255, 255), 0.09)
BLACK = Pen((0, 0, 0), 0.09)


def shapes(images: UInt8[np.ndarray, "n 28 28"], labels: Int[np.ndarray, " n"]) -> Digits:
    """Returns shapes of every digit: the half that lies nearest to its mean.

    What even people misread says nothing about how a picture is read.
    """
    found = {}
    for digit in range(10):
        own = images[labels == digit][:FEW]
        away = np.square(own - own.mean(0)).sum((1, 2))
        found[digit] = own[np.argsort(away, kind="stable")[: -(-len(own) // 2)]]
    return found


def write(
    text: str,
    digits: Digits,
    pen: Pen,
    random: np.random.Generator,
    *,
    height: float,
    gap: float = 0.2,
    rise: float = 0.0,
    leading: float = 0.7,
) -> Layer:
    """Writes lines of digits, separated by `/`; no digit looks or stands quite like another.

    Args:
      text: what is written.
      digits: shapes to choose from.
      pen: that writes them.
      random: what the hand does.
      height: of a digit, in pixels.
      gap: between two digits, in heights.
      rise: by how much each digit stands higher than the one before, in heights.
      leading: space between two lines, in heights.
    """
    placed: list[tuple[int, int, Layer]] = []
    for number, line in enumerate(text.split("/")):
        x, y = 0.0, number * (1 + leading) * height
        for digit in line:
            own = height * random.uniform(0.92, 1.08)
            shape = digits[int(digit)][random.integers(len(digits[int(digit)]))]
            layer = _digit(shape, pen, own)
            sway = random.uniform(-0.05, 0.05) * height
            placed.append((round(x), round(y + sway + (height - own) / 2), layer))
            x += layer.shape[1] - 2 * _margin(pen, own) + random.uniform(0.7, 1.3) * gap * height
            y -= rise * height
    left, top = (min(each[axis] for each in placed) for axis in (0, 1))
    right = max(x + layer.shape[1] for x, _, layer in placed)
    bottom = max(y + layer.shape[0] for _, y, layer in placed)
    page = np.zeros((bottom - top, right - left))
    for x, y, layer in placed:
        rows, columns = layer.shape
        target = page[y - top : y - top + rows, x - left : x - left + columns]
        np.maximum(target, layer, out=target)
    if pen.grain:
        grains = np.asarray(random.uniform(0, 1, page.shape))
        page = page * np.where(_blurred(grains, 0.6) > 0.5, 1 - pen.grain, 1.0)
    return page


def _margin(pen: Pen, height: float) -> int:
    """Returns the pixels around a shape that its strokes may cover."""
    return int(np.ceil((0.5 * (pen.width or 0.06) + 3 * pen.soft) * height)) + 2


def _digit(shape: UInt8[np.ndarray, "28 28"], pen: Pen, height: float) -> Layer:
    rows, columns = (np.flatnonzero(shape.max(axis) > 60) for axis in (1, 0))
    tight = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale, margin = height / len(tight), _margin(pen, height)
    width = max(round(tight.shape[1] * scale), 1)
    size = width + 2 * margin, round(height) + 2 * margin
    if pen.width is None:
        framed = np.pad(tight, 2)
        large = Image.fromarray(framed).resize(
            (max(round(framed.shape[1] * scale), 1), max(round(framed.shape[0] * scale), 1)),
            Image.Resampling.BICUBIC,
        )
        sheet = Image.new("L", size)
        sheet.paste(large, ((size[0] - large.width) // 2, (size[1] - large.height) // 2))
        values = np.asarray(sheet, float) / 255
        layer = ((values - 0.4) * scale + 0.5).clip(0, 1)
    else:
        layer = _stroke(_thinned(tight), scale, pen.width * height, margin, size)
    return _blurred(layer, pen.soft * height) if pen.soft else layer


def _stroke(
    path: Bool[np.ndarray, "height width"],
    scale: float,
    width: float,
    margin: int,
    size: tuple[int, int],
) -> Layer:
    """Draws the pixels of a path, and the lines between neighbours, with a round tip."""
    places = np.argwhere(path)
    apart = np.abs(places[:, None] - places[None]).max(2)
    near = apart <= 3  # a path of pixels is a staircase: its mean is not
    smooth = near.astype(float) @ places / near.sum(1, keepdims=True)
    x, y = ((smooth[:, axis] / FINER * scale + margin) * SHARP for axis in (1, 0))
    image = Image.new("L", (size[0] * SHARP, size[1] * SHARP))
    draw = ImageDraw.Draw(image)
    tip = max(width * SHARP, 2.0)
    for one, other in np.argwhere((apart == 1) & np.tri(len(places), k=-1, dtype=bool)):
        draw.line((x[one], y[one], x[other], y[other]), 255, max(round(tip), 1))
    for a, b in zip(x, y, strict=True):
        draw.ellipse((a - tip / 2, b - tip / 2, a + tip / 2, b + tip / 2), 255)
    return np.asarray(image.reduce(SHARP), float) / 255


def _thinned(shape: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height3 width3"]:
    """Returns the path that a pen took: the shape without its rims (Zhang and Suen, 1984)."""
    large = Image.fromarray(np.pad(shape, 1)).resize(
        ((shape.shape[1] + 2) * FINER, (shape.shape[0] + 2) * FINER), Image.Resampling.BICUBIC
    )
    ink = np.asarray(large)[FINER:-FINER, FINER:-FINER] > FAINT
    while True:
        before = ink.sum()
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            framed = np.pad(ink, 1)
            around: Int[np.ndarray, "8 height width"] = np.stack(
                [
                    framed[1 + i : framed.shape[0] - 1 + i, 1 + j : framed.shape[1] - 1 + j]
                    for i, j in AROUND
                ]
            ).astype(int)
            count = around.sum(0)
            steps = ((around == 0) & (np.roll(around, -1, 0) == 1)).sum(0)
            is_rim = (count >= 2) & (count <= 6) & (steps == 1)
            is_rim &= ~around[list(first)].all(0) & ~around[list(second)].all(0)
            ink = ink & ~is_rim
        if ink.sum() == before:
            return np.asarray(ink)


def _blurred(layer: Layer, radius: float) -> Layer:
    image = Image.fromarray(np.round(layer * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), float) / 255
