"""Reads folders of pictures, whose names are their digits: `3/a.png`, or `test/3/a.png`."""

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from jaxmnist.constants import DIGITS, PICTURE_FORMATS, PICTURE_SUFFIXES, SIDE
from jaxmnist.data.found import Found, Split
from jaxmnist.errors import UserError
from jaxmnist.files import UNPACKED_LIMIT

if TYPE_CHECKING:
    from PIL import Image

TEST = "test", "testing", "testset"
NAMES = {"train": ("train", "training", "trainset", "trainingset"), "test": TEST, "any": TEST}
LARGEST = 1 << 24  # pixels of a picture
DEEP = ("I;16", "I;16B", "I;16L")  # modes of Pillow: grey in 16 bits
PHOTOMETRIC = 262  # the tag of TIFF that says whether 0 is black or white
# What Pillow raises for a damaged picture; a warning is an error here.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Warning)


def find_pictures(folder: Path, split: Split) -> Path | None:
    """Returns the folder in which the pictures of a part lie, None if there are none.

    It is `test` or `training` or the like, and perhaps another of that name in it; or the folder
    itself, if any part will do.
    """
    root = folder
    for _ in range(2):
        inner = [each for each in _folders(root) if each.name.lower() in NAMES[split]]
        root = inner[0] if len(inner) == 1 else root
    if root == folder and split != "any":
        return None
    return root if _classes(root) or _pictures(root) else None


def read_pictures(root: Path, *, square: bool) -> Found:
    """Reads pictures as rows of 28 pixels; folders called 0 to 9 are their labels.

    Without such folders there are no labels, and pictures are in the order of their names. Other
    sizes are scaled to a height of 28, colours become brightness; both are said.

    Args:
      root: what `find_pictures` returns.
      square: whether a picture must be as wide as high: a network of single digits reads them.

    Raises:
      UserError: if a picture is damaged, or cannot be taken.
    """
    classes = _classes(root)
    paths = [path for each in classes for path in _pictures(each)] or _pictures(root)
    if len(paths) * SIDE * SIDE > UNPACKED_LIMIT:
        raise UserError(f"{root} has {len(paths):,} pictures: split them into several folders.")
    notes = [f"{root}: its {len(paths):,} pictures are taken, in the order of their names"]
    if classes:
        notes = [f"{root}: its {len(paths):,} pictures are taken for the digits of their folders"]
        others = [each.name for each in _folders(root) if each not in classes and _pictures(each)]
        if others:
            notes.append(f"{root}: the pictures in {', '.join(others[:4])} are left out")
    changes: dict[str, int] = {}
    images = [_read(path, changes, square=square) for path in paths]
    notes += [f"{root}: {count:,} of them {change}" for change, count in changes.items()]
    width = max(image.shape[1] for image in images)
    stacked = np.stack([np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in images])
    labels = np.array([int(path.parent.name) for path in paths]) if classes else None
    return Found(stacked, labels, notes)


def is_picture(path: Path) -> bool:
    """Returns whether a file is called as pictures are."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def read_picture(path: Path, *, square: bool) -> Found:
    """Reads one picture, which has no label; all else is as for a folder."""
    changes: dict[str, int] = {}
    image = _read(path, changes, square=square)
    return Found(
        image[None], None, [f"{path}: {count} {change}" for change, count in changes.items()]
    )


def _folders(root: Path) -> list[Path]:
    return sorted(each for each in root.iterdir() if each.is_dir() and each.name[:1] not in "._")


def _classes(root: Path) -> list[Path]:
    digits = [str(digit) for digit in range(DIGITS)]
    return [each for each in _folders(root) if each.name in digits and _pictures(each)]


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        each
        for each in folder.iterdir()
        if is_picture(each) and each.name[:1] != "." and each.is_file()
    )


def _read(path: Path, changes: dict[str, int], *, square: bool) -> UInt8[np.ndarray, "28 width"]:
    """Reads one picture; `changes` counts what was done to make it grey, and 28 pixels high."""
    from PIL import Image

    def count(change: str) -> None:
        changes[change] = changes.get(change, 0) + 1

    try:
        with (
            warnings.catch_warnings(action="error"),
            Image.open(path, formats=PICTURE_FORMATS) as picture,
        ):
            width, height = picture.size
            if width * height > LARGEST:
                raise UserError(f"{path} has over {LARGEST:,} pixels: give the digit alone.")
            if getattr(picture, "n_frames", 1) > 1:
                raise UserError(f"{path} has several pages: save the one that is meant alone.")
            # Pillow 11 opens PNG files of 16 bits in 32.
            is_deep = picture.mode in DEEP or (picture.mode, picture.format) == ("I", "PNG")
            if picture.mode.startswith(("I", "F")) and not is_deep:
                raise UserError(f"{path} has pixels of over 16 bits: save it with 8.")
            picture.load()
            if is_deep:
                grey = _of_16_bits(path, picture)
                count("have 16 bits, and are read with 8")
            else:
                grey = picture.convert("L")
            if picture.has_transparency_data and (
                is_deep or picture.convert("RGBA").getchannel("A").getextrema()[0] != 255
            ):
                raise UserError(
                    f"{path} is transparent in places, which may be ground or ink: save it without "
                    "transparency."
                )
            if not is_deep and picture.mode not in ("1", "L", "LA"):
                red, green, blue = picture.convert("RGB").split()
                if red.tobytes() != green.tobytes() or green.tobytes() != blue.tobytes():
                    count("have colours, of which the brightness is read")
    except Image.DecompressionBombError:
        raise UserError(f"{path} has over {LARGEST:,} pixels: give the digit alone.") from None
    except DAMAGED as error:
        reason = type(error).__name__
        raise UserError(f"{path} is not a readable picture ({reason}): remove it.") from None
    if square and width != height:
        raise UserError(
            f"{path} has {width}x{height} pixels, and this network reads single digits: cut out a "
            "square around the digit, or let `jaxmnist read` find it."
        )
    if height != SIDE:
        count(f"have another size than {SIDE} pixels' height, and are scaled to it")
        size = max(1, round(SIDE * width / height)), SIDE
        grey = grey.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(grey)


def _of_16_bits(path: Path, picture: "Image.Image") -> "Image.Image":
    """Returns a grey picture of 16 bits with 8.

    Raises:
      UserError: if it does not say what is white.
    """
    from PIL import Image

    levels = np.asarray(picture)
    if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        raise UserError(f"{path} has 16 bits, and 0 is white in it: save it with 8.")
    if 0 < levels.max() <= 255:
        raise UserError(
            f"{path} has 16 bits and no pixel above 255, which may be white or nearly black: save "
            "it with 8."
        )
    return Image.fromarray(np.round(levels / 257).astype(np.uint8))
