"""Reads labelled images of one's own from an npz file."""

import io
import math
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int
from numpy.lib import format as npy

from jaxmnist.data.images import Images, pad_images, pad_labels
from jaxmnist.errors import UserError
from jaxmnist.files import read_bounded
from jaxmnist.formats.zip_members import ZIP_ERRORS, open_member

MADE = "a file that numpy.savez(FILE, x=images, y=labels) has written"
LONGEST_HEADER = 1 << 16  # bytes; NumPy itself reads no more than 10,000
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What reading a damaged file raises: a header of npy is parsed as Python, and may be odd enough for
# a warning, which is an error here.
NPZ_ERRORS = (*ZIP_ERRORS, SyntaxError, tokenize.TokenError, TypeError, Warning)


def read_npz(
    path: Path, max_length: int, *, has_blank: bool = True
) -> tuple[Images, Int[np.ndarray, "n max_length"]]:
    """Reads `x` and `y` and pads both on the right to sequences of `max_length`.

    Args:
      path: an npz file with `x` as `pad_images` and `y` as `pad_labels` takes them.
      max_length: how many digits the network reads.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if the file is missing, damaged, or not of this form.
    """
    images, labels = _members(path)
    padded = pad_images(f"{path}:", images, max_length)
    return padded, pad_labels(f"{path}:", labels, len(images), max_length, has_blank=has_blank)


def _members(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the arrays `x` and `y`; no other member is read, and none is extracted."""
    if path.exists() and not path.is_file():  # a pipe may wait for ever, a device never ends
        raise UserError(f"{path} is not a readable npz file (it is no file): name {MADE}.")
    try:
        with (
            path.open("rb") as file,
            zipfile.ZipFile(file) as archive,
            warnings.catch_warnings(action="error"),
        ):
            return _array(path, file, archive, "x"), _array(path, file, archive, "y")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name {MADE}.") from None
    except NPZ_ERRORS as error:
        problem = type(error).__name__
        raise UserError(f"{path} is not a readable npz file ({problem}): name {MADE}.") from None


def _array(path: Path, file: IO[bytes], archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Reads one array; its header has to agree with the bytes that follow it."""
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise UserError(f"{path} needs two arrays, x (images) and y (labels).") from None
    content = read_bounded(open_member(file, archive, member), path)
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
