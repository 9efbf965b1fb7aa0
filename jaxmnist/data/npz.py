"""Reads images of one's own, and their labels, from an npz file."""

import io
import math
import os
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from jaxmnist.errors import UserError
from jaxmnist.files import read_bounded
from jaxmnist.formats.zip_members import ZIP_ERRORS, open_member

MADE = "a file that numpy.savez(FILE, x=images, y=labels) has written"
LONGEST_HEADER = 1 << 16  # bytes; NumPy itself reads no more than 10,000
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What reading a damaged file raises: a header of npy is parsed as Python, and may be odd enough for
# a warning, which is an error here.
NPZ_ERRORS = (*ZIP_ERRORS, SyntaxError, tokenize.TokenError, TypeError, Warning)
# Names of images and labels in files, the first that are there; x_test is Keras's mnist.npz.
NAMES = (
    ("x", "y"), ("x_test", "y_test"), ("test_images", "test_labels"), ("images", "labels"),
    ("data", "target"), ("data", "labels"), ("arr_0", "arr_1"),
)  # fmt: skip


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, str]]:
    """Reads images and labels; no other member is read, and none is extracted.

    Returns:
      Images, labels (None if the file has none), and their names in the file.

    Raises:
      UserError: if the file is missing, damaged, or holds neither.
    """
    if os.path.exists(path) and not path.is_file():  # a pipe may wait for ever, or a device
        raise UserError(f"{path} is not a readable npz file (it is no file): name {MADE}.")
    try:
        with (
            path.open("rb") as file,
            zipfile.ZipFile(file) as archive,
            warnings.catch_warnings(action="error"),
        ):
            members = {name.removesuffix(".npy") for name in archive.namelist()}
            # With different cases, too: scikit-learn's X.
            spelt = {name.lower(): name for name in sorted(members)}
            whole = [pair for pair in NAMES if spelt.keys() >= set(pair)]
            alone = [pair for pair in NAMES if pair[0] in spelt]
            x, y = [*whole, *alone, NAMES[0]][0]
            if (x, y) not in whole and (other := [name for _, name in NAMES if name in spelt]):
                y = other[0]  # x, labels
            if x not in spelt:
                raise UserError(f"{path} needs images, x, and their labels, y: name {MADE}.")
            images = _array(path, file, archive, spelt[x])
            if y not in spelt:
                return images, None, (spelt[x], "")
            return images, _array(path, file, archive, spelt[y]), (spelt[x], spelt[y])
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name {MADE}.") from None
    except NPZ_ERRORS as error:
        problem = type(error).__name__
        raise UserError(f"{path} is not a readable npz file ({problem}): name {MADE}.") from None


def _array(path: Path, file: IO[bytes], archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Reads one array; its header has to agree with the bytes that follow it."""
    member = archive.getinfo(f"{name}.npy")
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
