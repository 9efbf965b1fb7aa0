"""Pictures of digits on all kinds of paper, made by code from a seed."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFilter

Digits = UInt8[np.ndarray, "n 28 28"]
Rng = np.random.Generator
LARGEST = 1_000  # pixels of a side


def pictures(digits: Digits, count: int, seed: int = 0) -> Iterator[Image.Image]:
    """Draws pictures in grey, colours, or with transparency."""
    for number in range(count):
        yield _picture(digits, np.random.default_rng([seed, number]))


def _picture(digits: Digits, random: Rng) -> Image.Image:
    ink = _writing(digits, random)
    if random.random() < 0.15:
        return _sheet(ink, random)
    if random.random() < 0.3:
        ink = np.maximum(ink, _ruling(ink.shape, random))
    paper, pen = random.uniform(120, 255, 3), random.uniform(0, 100, 3)
    if random.random() < 0.3:
        paper, pen = pen, paper
    if random.random() < 0.5:  # grey
        paper, pen = paper.mean() + np.zeros(3), pen.mean() + np.zeros(3)
    share = (ink * random.uniform(0.4, 1))[..., None]
    shown = (paper * (1 - share) + pen * share) * _light(ink.shape, random)[..., None]
    shown += random.normal(0, random.choice([0, 0, 2, 6, 15]), shown.shape)
    image = Image.fromarray(np.round(shown.clip(0, 255)).astype(np.uint8))
    blur = float(random.choice([0, 0, 0, 0.6, 1.5]))
    return image.filter(ImageFilter.GaussianBlur(blur)) if blur else image


def _writing(digits: Digits, random: Rng) -> Float[np.ndarray, "height width"]:
    """Returns a page with lines of digits: 0 = paper, 1 = ink."""
    high = int(random.choice([16, 28, 45, 70, 120, 220]))
    lines, length = int(random.integers(0, 4)), int(random.integers(1, 7))
    border = int(high * random.uniform(0, 1.5))
    width = min(2 * border + int(high * 1.1 * length) + 1, LARGEST)
    height = min(2 * border + int(high * 1.5) * max(lines, 1), LARGEST)
    page = Image.new("L", (max(width, 8), max(height, 8)), 0)
    for line in range(lines):
        x, slope = float(border), random.uniform(-0.08, 0.08)
        for _ in range(length):
            alone = Image.fromarray(digits[random.integers(len(digits))])
            size = max(int(high * random.uniform(0.85, 1.1)), 4)
            alone = alone.resize((size, size), Image.Resampling.BICUBIC)
            y = border + line * 1.5 * high + slope * x + random.normal(0, 0.03 * high)
            place = (round(x), round(y))
            page.paste(255, (*place, place[0] + size, place[1] + size), alone)
            x += high * random.uniform(0.6, 1.1)
    return np.asarray(page, np.float64) / 255


def _ruling(shape: tuple[int, ...], random: Rng) -> Float[np.ndarray, "height width"]:
    image = Image.new("L", shape[::-1], 0)
    draw = ImageDraw.Draw(image)
    step, strength = int(random.integers(20, 60)), int(random.integers(60, 200))
    for y in range(step, shape[0], step):
        draw.line((0, y, shape[1], y), strength)
    for x in range(step, shape[1], step) if random.random() < 0.5 else ():
        draw.line((x, 0, x, shape[0]), strength)
    return np.asarray(image, np.float64) / 255


def _light(shape: tuple[int, ...], random: Rng) -> Float[np.ndarray, "height width"]:
    """Returns shares of the light: even, from a side, or with a shadow."""
    y, x = np.mgrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j]
    kind, dark = random.integers(4), random.uniform(0, 0.6)
    if kind == 0:
        return 1 - dark * x
    if kind == 1:
        return 1 - dark * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    if kind == 2:
        return 1 - dark / (1 + np.exp(np.clip((x + 0.3 * y - 0.6) * -40, -500, 500)))
    return np.ones(shape)


def _sheet(ink: Float[np.ndarray, "height width"], random: Rng) -> Image.Image:
    """Returns ink alone, on nothing."""
    pixels = np.zeros((*ink.shape, 4), np.uint8)
    pixels[..., :3] = random.choice([0, 20, 240, 255]) + np.array([0, 10, 0])
    pixels[..., 3] = np.round(ink * random.uniform(100, 255))
    return Image.fromarray(pixels)
