"""Reads labelled images of one's own from an npz file."""

import io
import math
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int, UInt8
from numpy.lib import format as npy

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.errors import UserError
from jaxmnist.files import UNPACKED_LIMIT, read_bounded
from jaxmnist.formats.zip_members import ZIP_ERRORS, open_member

MADE = "a file that numpy.savez(FILE, x=images, y=labels) has written"
LONGEST_HEADER = 1 << 16  # bytes; NumPy itself reads no more than 10,000
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What reading a damaged file raises: a header of npy is parsed as Python, and may be odd enough for
# a warning, which is an error here.
NPZ_ERRORS = (*ZIP_ERRORS, SyntaxError, tokenize.TokenError, TypeError, Warning)


def read_npz(
    path: Path, max_length: int, *, has_blank: bool = True
) -> tuple[UInt8[np.ndarray, "n 28 width"], Int[np.ndarray, "n max_length"]]:
    """Reads `x` and `y` and pads both on the right to sequences of `max_length`.

    Args:
      path: an npz file with `x` uint8 (N, 28, W), 0 = ground and 255 = ink, and `y` integer (N,)
        or (N, K), padded with 10. W may be anything up to 28 * max_length.
      max_length: how many digits the network reads.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if the file is missing, damaged, or not of this form.
    """
    images, labels = _members(path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != SIDE or not images.size:
        raise UserError(
            f"{path}: x is {images.dtype} of shape {images.shape}; "
            "make it uint8 (N, 28, W), 0 = ground, 255 = ink, of at least one image."
        )
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or not labels.size:
        raise UserError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}; "
            "make it integers (N,) or (N, K), padded with 10."
        )
    if len(images) != len(labels):
        raise UserError(
            f"{path}: there are {len(images)} images but {len(labels)} labels: give each its own."
        )
    labels = labels.reshape(len(labels), -1)
    if not (labels.min() >= 0 and labels.max() <= BLANK):
        raise UserError(f"{path}: y must hold digits 0 to 9, or 10 for nothing.")
    if ((labels[:, :-1] == BLANK) & (labels[:, 1:] != BLANK)).any():
        raise UserError(f"{path}: y has 10 (nothing) before a digit: put digits first, then 10.")
    width = SIDE * max_length
    if images.shape[2] > width:
        raise UserError(
            f"{path}: the images are {images.shape[2]} pixels wide, "
            f"but this network reads at most {width}: cut them, or train a longer one."
        )
    if not has_blank and (labels[:, 0] == BLANK).any():
        raise UserError(
            f"{path}: y has an image with nothing on it (10), but this network always reads a "
            "digit: leave such images out."
        )
    if (labels[:, max_length:] != BLANK).any():
        raise UserError(
            f"{path}: y has more digits than the {max_length} this network reads: leave those "
            "images out, or train a longer one."
        )
    if len(images) * SIDE * width > UNPACKED_LIMIT:
        raise UserError(
            f"{path}: {len(images):,} images take over {UNPACKED_LIMIT:,} bytes as this network "
            "reads them: split them into several files."
        )
    labels = labels[:, :max_length]
    images = np.pad(images, ((0, 0), (0, 0), (0, width - images.shape[2])))
    labels = np.pad(labels, ((0, 0), (0, max_length - labels.shape[1])), constant_values=BLANK)
    return images, labels.astype(np.int32)


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
