"""A picture as people have it, brought to numbers: any size, colours, transparency, orientation."""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmnist.constants import PICTURE_FORMATS
from jaxmnist.errors import UserError

LONGEST = 800  # pixels of the longer side that writing is looked for at
MOST_PIXELS = 178_000_000  # of a picture that is opened: Pillow opens no more
MOST_BYTES = 400_000_000  # of memory that its pixels may take
# That a pixel takes while it is brought to eight bits; Pillow has four bytes a pixel for three.
PIXEL_BYTES = {"1": 2, "L": 1, "RGB": 4, "RGBA": 8, "I;16": 11, "I;16B": 11, "I": 14, "F": 14}
ORIENTATION = 0x0112  # the tag of EXIF
FIRST_ALONE = "It has several pages or frames: the first one alone is read."
# By any of these Pillow says that a file is damaged.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True)
class Picture:
    """Pixels from 0 (black) to 255 (white), grey or red, green and blue."""

    pixels: UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "height width 3"]
    scale: int  # pixels of the original that one pixel is wide and high
    notes: tuple[str, ...] = ()


def open_picture(source: str | Path | IO[bytes]) -> Picture:
    """Opens a picture file of any kind that Pillow knows.

    Raises:
      UserError: if it cannot be opened, or is too large.
    """
    name = "the picture"
    if isinstance(source, str | Path):
        name = str(source)
        if os.path.isdir(source):
            raise UserError(f"{name} is a folder: name the pictures in it.")
        if os.path.exists(source) and not os.path.isfile(source):  # a pipe may wait for ever
            raise UserError(f"{name} is no file: give what comes from there to `-`.")
    elif hasattr(source, "name"):
        name = str(source.name)
    with _sentences(name), ExitStack() as files:
        if isinstance(source, str | Path):
            # Pillow 13 maps a file that it opens itself, and turned TIFFs at their wrong size.
            source = files.enter_context(open(source, "rb"))
        Image.preinit()
        opened = files.enter_context(Image.open(source, formats=PICTURE_FORMATS))
        return from_image(opened, name)


def from_image(image: Image.Image, name: str = "the picture") -> Picture:
    """Takes a Pillow image; one that is not loaded yet may be loaded at a smaller size.

    Raises:
      UserError: if it is too large, or its file is damaged.
    """
    _check_size(image.width, image.height, name)
    with _sentences(name):
        # Telephones write MPO: a photograph, and its previews.
        has_more = image.format != "MPO" and getattr(image, "is_animated", False)
        width, part = image.width, _part(max(image.size))
        image.draft(None, (max(width // part, 1), max(image.height // part, 1)))
        scale = round(width / image.width)
        _check_bytes(image, 1, name)  # before the tags of a PNG file are looked at: it is decoded
        is_turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
        if is_turned:
            _check_bytes(image, 2, name)
        factor = -(-max(image.size) // LONGEST)
        plain = _plain(ImageOps.exif_transpose(image) if is_turned else image, factor)
    notes = {
        "It is turned as its orientation tag says.": is_turned,
        FIRST_ALONE: has_more,
    }
    said = tuple(note for note, is_true in notes.items() if is_true)
    return Picture(np.asarray(plain), scale * factor, said)


def _check_size(width: int, height: int, name: str) -> None:
    if not width * height:
        raise UserError(f"{name} has {width} x {height} pixels: give one that has some.")
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{name} has {width} x {height} pixels: make it smaller than "
            f"{MOST_PIXELS // 1_000_000} million."
        )


def _check_bytes(image: Image.Image, copies: int, name: str) -> None:
    """Checks what decoding takes; a JPEG file, which is decoded at a part of its size, takes less.

    Raises:
      UserError: if it is too much.
    """
    most = MOST_BYTES // (PIXEL_BYTES.get(image.mode, 12) * copies)
    if image.width * image.height > most:
        raise UserError(
            f"{name} has {image.width} x {image.height} pixels of mode {image.mode}: make it "
            f"smaller than {most // 1_000_000} million, or save it as JPEG."
        )


def _part(longest: int) -> int:
    """Returns what part of its size a JPEG file is decoded at: faster, and nothing is lost by it.

    It is reduced to `LONGEST` by a whole number afterwards.
    """
    factor = -(-longest // LONGEST)
    parts = (8, 4, 2)
    return next((n for n in parts if factor % n == 0 or longest >= 1.5 * LONGEST * n), 1)


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Says in a sentence what is wrong with a file."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{name} does not exist: check the path.") from None
    except UnidentifiedImageError:
        raise UserError(
            f"{name} is no picture that can be read here: use PNG, JPEG, BMP, GIF, TIFF or WebP."
        ) from None
    except Image.DecompressionBombError:
        raise UserError(
            f"{name} has too many pixels: make it smaller than {MOST_PIXELS // 1_000_000} million."
        ) from None
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise UserError(f"{name} cannot be read as a picture: {reason}.") from None


def from_array(array: np.ndarray) -> Picture:
    """Takes an array (height, width) or (height, width, channels): grey, RGB or RGBA.

    What is white is 1 if no number is larger, else 255, else 65,535 (floats: up to 255).

    Raises:
      UserError: if it is of another form, or not finite.
    """
    kind = type(array).__name__
    try:
        array = np.asarray(array)
    except ValueError:
        raise UserError(
            "a picture is a path, a Pillow image or an array, and this one has rows of different "
            "lengths: fill them up."
        ) from None
    if array.ndim == 0:
        raise UserError(f"a picture is a path, a Pillow image or an array, not of type {kind}.")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (2,), (3,), (4,)) or not array.size:
        raise UserError(
            "a picture is an array (height, width), or (height, width, channels) with 1 to 4 "
            f"channels, and this one is {array.shape}: transpose it, or pass pictures as a list."
        )
    if array.dtype.kind not in "buif":
        raise UserError(f"a picture holds numbers, and this array {array.dtype}.")
    _check_size(array.shape[1], array.shape[0], "the picture")  # before there are several of it
    if array.dtype != np.uint8 or array.max() <= 1:
        values = array.astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0:
            raise UserError("a picture holds numbers from 0 on, and this array others: scale it.")
        top = values.max()
        fulls = {"b": (1,), "f": (1, 255)}.get(array.dtype.kind, (1, 255, 65_535))
        full = next((full for full in fulls if top <= full), None)
        if full is None:
            raise UserError(
                f"a picture holds numbers up to {fulls[-1]:,}, and this array up to {top:g}: "
                "scale it."
            )
        array = np.round(values * (255 / full)).astype(np.uint8)
    return from_image(Image.fromarray(array))


def _plain(image: Image.Image, factor: int) -> Image.Image:
    """Returns a picture in grey (L) or in colours (RGB), eight bits each, reduced by a factor."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float32)
        top = values.max()
        if not (np.isfinite(top) and values.min() >= 0):
            raise ValueError("it holds other numbers than those from 0 on: scale it")
        full = next((full for full in (1, 255, 65_535) if top <= full), top)
        values *= 255 / full
        image = Image.fromarray(np.round(values, out=values).astype(np.uint8))
    elif image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        sheet = image if image.mode == "RGBA" else image.convert("RGBA")
        if factor > 1:  # colours weighed by how much of them is seen
            sheet = sheet.convert("RGBa").reduce(factor).convert("RGBA")
        seen = np.asarray(sheet, np.float64)
        light = (seen[..., :3].mean(2) * seen[..., 3]).sum() / max(seen[..., 3].sum(), 1)
        # What is under it is what its ink stands out from.
        paper = Image.new("RGBA", sheet.size, "white" if light < 128 else "black")
        paper.alpha_composite(sheet)
        return paper.convert("RGB")
    image.load()
    mode = "L" if image.mode in ("1", "L") else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    return image.reduce(factor) if factor > 1 else image
