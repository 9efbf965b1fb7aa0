"""Reads images of one's own, and their labels, as NumPy writes them: npz, npy, a folder of npy."""

import io
import math
import os
import tokenize
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from jaxmnist.data.found import PARTS, Found, Split
from jaxmnist.errors import UserError
from jaxmnist.files import read_bounded
from jaxmnist.formats.kinds import kind_of
from jaxmnist.formats.zip_members import ZIP_ERRORS, open_member

MADE = "a file that numpy.savez(FILE, x=images, y=labels) has written"
LONGEST_HEADER = 1 << 16  # bytes; NumPy itself reads no more than 10,000
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What reading a damaged file raises: a header of npy is parsed as Python, and may be odd enough for
# a warning, which is an error here.
NPZ_ERRORS = (*ZIP_ERRORS, SyntaxError, tokenize.TokenError, TypeError, Warning)
# Names of images and labels, without cases and underscores; the first that are there. The names of
# test digits are Keras's in mnist.npz, and those of MNIST-C.
NAMES: dict[Split, tuple[tuple[str, str], ...]] = {
    split: (
        (f"x{split}", f"y{split}"),
        (f"{split}x", f"{split}y"),
        (f"{split}images", f"{split}labels"),
    )
    for split in PARTS
}
NAMES["any"] = (
    ("x", "y"), *NAMES["test"], ("images", "labels"), ("data", "target"), ("data", "labels"),
    ("arr0", "arr1"), *NAMES["train"],
)  # fmt: skip


def read_npz(path: Path, split: Split) -> Found:
    """Reads images and labels; no other member is read, and none is extracted.

    Raises:
      UserError: if the file is missing, damaged, or holds neither.
    """
    if os.path.exists(path) and not path.is_file():  # a pipe may wait for ever, or a device
        raise UserError(f"{path} is not a readable npz file (it is no file): name {MADE}.")
    kind = kind_of(path)
    if kind and not kind.startswith(("an npz file", "a zip archive that")):
        raise UserError(f"{path} is {kind}, and no file of images that is read: name {MADE}.")
    try:
        with (
            path.open("rb") as file,
            zipfile.ZipFile(file) as archive,
            warnings.catch_warnings(action="error"),
        ):

            def read(name: str) -> np.ndarray:
                member = archive.getinfo(f"{name}.npy")
                content = read_bounded(open_member(file, archive, member), path)
                return _parse(path, name, content)

            names = [name.removesuffix(".npy") for name in archive.namelist()]
            return choose(path, names, read, split)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name {MADE}.") from None
    except NPZ_ERRORS as error:
        problem = type(error).__name__
        raise UserError(f"{path} is not a readable npz file ({problem}): name {MADE}.") from None


def read_npy(path: Path) -> Found:
    """Reads images, which have no labels in such a file.

    Raises:
      UserError: if the file is damaged, or holds no numbers.
    """
    return Found(_read_file(path, path.stem), None, [])


def has_npy(folder: Path, split: Split) -> bool:
    """Returns whether files of a folder are called as images and labels of a part may be."""
    names = {_normal(path.stem) for path in folder.glob("*.npy")}
    return any(names >= set(pair) for pair in NAMES[split])


def read_npy_folder(folder: Path, split: Split) -> Found:
    """Reads images and labels from files that are called as the members of an npz file are.

    Raises:
      UserError: if one is damaged.
    """
    names = [path.stem for path in sorted(folder.glob("*.npy"))]
    return choose(folder, names, lambda name: _read_file(folder / f"{name}.npy", name), split)


def choose(
    path: Path, names: Iterable[str], read: Callable[[str], np.ndarray], split: Split
) -> Found:
    """Reads the arrays that are called as images and labels are; others come before training's.

    Args:
      path: names them in notes and errors.
      names: of all arrays.
      read: gives one of them.
      split: which digits, where there are both.

    Raises:
      UserError: if there are none.
    """
    spelt = {_normal(name): name for name in sorted(names)}
    pairs = NAMES[split]
    whole = [pair for pair in pairs if spelt.keys() >= set(pair)]
    alone = [pair for pair in pairs if pair[0] in spelt]
    if not alone:
        end = "" if split == "any" else f"_{split}"
        wanted = f"x{end}, and their labels, y{end}"
        raise UserError(f"{path} needs images, {wanted}: name {MADE}.")
    x, y = [*whole, *alone][0]
    if (x, y) not in whole and (other := [name for _, name in pairs if name in spelt]):
        y = other[0]  # x, labels
    images, labels = read(spelt[x]), read(spelt[y]) if y in spelt else None
    if (spelt[x], spelt.get(y, "y")) == ("x", "y"):
        return Found(images, labels, [])
    taken = f"{spelt[x]} and {spelt[y]} are" if y in spelt else f"{spelt[x]} is"
    return Found(images, labels, [f"{path}: {taken} taken for images and labels"])


def _normal(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _read_file(path: Path, name: str) -> np.ndarray:
    """Reads an npy file."""
    try:
        with path.open("rb") as file, warnings.catch_warnings(action="error"):
            return _parse(path, name, read_bounded(file, path))
    except NPZ_ERRORS as error:
        problem = type(error).__name__
        raise UserError(f"{path} is not a readable npy file ({problem}): name {MADE}.") from None


def _parse(path: Path, name: str, content: bytearray) -> np.ndarray:
    """Returns the array of an npy file; its header has to agree with the bytes that follow it."""
    header = io.BytesIO(content[:LONGEST_HEADER])
    read_header = HEADERS.get(npy.read_magic(header))
    if read_header is None:
        raise ValueError("another version of npy")
    shape, by_columns, dtype = read_header(header)
    if dtype.hasobject:
        raise UserError(
            f"{path}: {name} holds Python objects, which are never loaded: give numbers."
        )
    start = header.tell()
    if math.prod(shape) * dtype.itemsize != len(content) - start:
        raise UserError(f"{path}: the header of {name} does not agree with its size: name {MADE}.")
    array = np.frombuffer(content, dtype, offset=start)
    return array.reshape(shape, order="F" if by_columns else "C")
