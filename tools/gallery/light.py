"""What light, a table and a camera make of a sheet."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from tools.gallery.papers import Sheet, fibres
from tools.gallery.pens import Colour

Effect = Callable[[Sheet, np.random.Generator], Sheet]


def from_a_side(least: float, angle: float = 0.0) -> Effect:
    """Light that falls off to `least` of itself on one side."""

    def apply(sheet: Sheet, random: np.random.Generator) -> Sheet:
        x, y = _places(sheet)
        share = 0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y)
        return sheet * (1 - (1 - least) * share.clip(0, 1))[..., None]

    return apply


def vignette(least: float) -> Effect:
    """Dark corners, as cheap lenses make them."""

    def apply(sheet: Sheet, random: np.random.Generator) -> Sheet:
        x, y = _places(sheet)
        return sheet * (1 - (1 - least) * (x**2 + y**2) / 2)[..., None]

    return apply


def shadow(
    strength: float, *, soft: float = 0.02, place: float = 0.1, angle: float = 0.5
) -> Effect:
    """The shadow of a hand or a telephone: one side is darker, behind an edge."""

    def apply(sheet: Sheet, random: np.random.Generator) -> Sheet:
        x, y = _places(sheet)
        away = np.cos(angle) * x + np.sin(angle) * y - place
        return sheet * (1 - strength / (1 + np.exp(-(away / soft).clip(-50, 50))))[..., None]

    return apply


def glare(strength: float = 60.0) -> Effect:
    """A lamp that is mirrored near the top right corner."""

    def apply(sheet: Sheet, random: np.random.Generator) -> Sheet:
        x, y = _places(sheet)
        return sheet + strength * np.exp(-((x - 0.6) ** 2 + (y + 0.5) ** 2) * 4)[..., None]

    return apply


def on_a_table(colour: Colour, share: float = 0.1, angle: float = 0.0) -> Effect:
    """The sheet lies on a table that is seen around it, turned by some degrees."""

    def apply(sheet: Sheet, random: np.random.Generator) -> Sheet:
        height, width = sheet.shape[:2]
        rim = round(share * min(height, width))
        size = width + 2 * rim, height + 2 * rim
        place = Image.new("L", size)
        place.paste(255, (rim, rim, rim + width, rim + height))
        image = Image.new("RGB", size)
        image.paste(_image(sheet), (rim, rim))
        turned, where = (
            np.asarray(each.rotate(angle, Image.Resampling.BICUBIC), float)
            for each in (image, place)
        )
        where = where[..., None] / 255
        return fibres(colour, 5.0)(size, random) * (1 - where) + turned * where

    return apply


def blur(radius: float) -> Effect:
    """A lens out of focus."""
    return lambda sheet, random: np.asarray(
        _image(sheet).filter(ImageFilter.GaussianBlur(radius)), float
    )


def noise(sd: float) -> Effect:
    """A sensor in too little light."""
    return lambda sheet, random: sheet + random.normal(0, sd, sheet.shape)


def faded(contrast: float) -> Effect:
    """Less between black and white, around the mean."""
    return lambda sheet, random: sheet.mean() + contrast * (sheet - sheet.mean())


def negative() -> Effect:
    """Black for white."""
    return lambda sheet, random: 255 - sheet


def _places(sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of every pixel, from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : sheet.shape[0] * 1j, -1 : 1 : sheet.shape[1] * 1j]
    return x, y


def _image(sheet: Sheet) -> Image.Image:
    return Image.fromarray(np.round(sheet.clip(0, 255)).astype(np.uint8))
