"""What digits are written on: paper, screens and boards."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from tools.gallery.pens import Colour

Sheet = Float[np.ndarray, "height width 3"]  # from 0 (black) to 255 (white)
Paper = Callable[[tuple[int, int], np.random.Generator], Sheet]  # of a size (width, height)

CREAM, GREY, BLUE = (238, 232, 214), (196, 197, 200), (150, 175, 215)


def plain(colour: Colour = (255, 255, 255)) -> Paper:
    """A screen, of one colour to the last pixel."""
    return lambda size, random: np.full((size[1], size[0], 3), colour, float)


def gradient(one: Colour, other: Colour) -> Paper:
    """A screen whose colour changes from the top left to the bottom right."""

    def draw(size: tuple[int, int], random: np.random.Generator) -> Sheet:
        y, x = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
        share = ((x + y) / 2)[..., None]
        return np.array(one) * (1 - share) + np.array(other) * share

    return draw


def fibres(colour: Colour = (236, 235, 231), strength: float = 3.0) -> Paper:
    """Paper as a camera sees it: never even, from pixel to pixel and from place to place."""

    def draw(size: tuple[int, int], random: np.random.Generator) -> Sheet:
        fine = random.normal(0, strength, (size[1], size[0]))
        texture = fine + strength * (waves(size, random, 9) + waves(size, random, 40))
        return np.full((size[1], size[0], 3), colour, float) + texture[..., None]

    return draw


def crumpled(colour: Colour = (230, 228, 222)) -> Paper:
    """Paper that was folded: planes of other light, and their edges."""

    def draw(size: tuple[int, int], random: np.random.Generator) -> Sheet:
        y, x = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
        light = np.zeros(x.shape)
        for _ in range(9):
            angle, place = random.uniform(0, np.pi), random.uniform(-0.2, 0.9)
            away = np.cos(angle) * x + np.sin(angle) * y - place
            light += random.uniform(-9, 9) * np.tanh(away * 40)
        return fibres(colour)(size, random) + light[..., None]

    return draw


def ruled(
    step: float, colour: Colour = BLUE, *, squared: bool = False, thick: int = 2, tilt: float = 0.0
) -> Paper:
    """Paper with lines `step` pixels apart, which fall by `tilt` of their length."""

    def draw(size: tuple[int, int], random: np.random.Generator) -> Sheet:
        width, height = size
        lines = Image.new("L", size)
        pencil = ImageDraw.Draw(lines)
        for y in np.arange(0.4 * step - abs(tilt) * width, height + abs(tilt) * width, step):
            pencil.line((0, y, width, y + tilt * width), 255, thick)
        if squared:
            for x in np.arange(0.4 * step - abs(tilt) * height, width + abs(tilt) * height, step):
                pencil.line((x, 0, x - tilt * height, height), 255, thick)
        share = np.asarray(lines, float)[..., None] / 255
        return fibres()(size, random) * (1 - share) + np.array(colour) * share

    return draw


def framed(paper: Paper, inset: float, thick: int, colour: Colour = (60, 60, 60)) -> Paper:
    """Another paper with a frame around it, `inset` of the shorter side from its edges."""

    def draw(size: tuple[int, int], random: np.random.Generator) -> Sheet:
        sheet = paper(size, random)
        near = round(inset * min(size))
        y, x = np.mgrid[: size[1], : size[0]]
        depth = np.minimum(
            np.minimum(x, size[0] - 1 - x), np.minimum(y, size[1] - 1 - y)
        )  # pixels from the nearest edge
        sheet[(depth >= near) & (depth < near + thick)] = colour
        return sheet

    return draw


def board(colour: Colour = (40, 62, 52)) -> Paper:
    """A blackboard with the traces of what was wiped off."""

    def draw(size: tuple[int, int], random: np.random.Generator) -> Sheet:
        dust = 10 * np.abs(waves(size, random, 25)) + 5 * np.abs(waves(size, random, 4))
        return np.array(colour) + dust[..., None] + random.normal(0, 3, (size[1], size[0], 1))

    return draw


def waves(
    size: tuple[int, int], random: np.random.Generator, length: float
) -> Float[np.ndarray, "height width"]:
    """Returns smooth values around 0, of standard deviation 1, that change over some pixels."""
    coarse = max(round(size[0] / length), 2), max(round(size[1] / length), 2)
    values = Image.fromarray(random.normal(0, 1, coarse[::-1]).astype(np.float32))
    smooth = np.asarray(values.resize(size, Image.Resampling.BICUBIC), float)
    return smooth / max(smooth.std(), 1e-6)
