"""Reads digits from MATLAB's files (level 5, which `-v6` and `-v7` write): numbers and structs.

https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf says what they look like. Whatever
else a file holds is left out.

Not by `scipy.io.loadmat`: tried with SciPy 1.17, a file of 40 kB with cells in cells ends the whole
process (SIGSEGV), where this project answers damaged files with a sentence.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from jaxmnist.constants import DIGITS, SIDE
from jaxmnist.data.found import Found, Split
from jaxmnist.data.npz import choose
from jaxmnist.errors import UserError
from jaxmnist.files import UNPACKED_LIMIT, read_bounded

HEADER = 128  # bytes
TAG, SMALL = 8, 16  # bytes of a tag; bits of its kind
MATRIX, COMPRESSED = 14, 15
CLASS, STRUCT, NUMBERS = 0xFF, 2, range(6, 16)  # of matrices
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
COMPLEX = 0x800  # a bit
DEEPEST = 4  # structs in structs
MOST = 1_000  # arrays
EMNIST = "dataset"  # the struct in which EMNIST's files hold everything
DAMAGED = (zlib.error, struct.error, ValueError, LookupError)


def read_mat(path: Path, split: Split) -> Found:
    """Reads the arrays that are called as images and labels are.

    Raises:
      UserError: if the file is damaged, or holds none.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(read_bounded(file, path))
        order = "<" if bytes(content[HEADER - 2 : HEADER]) == b"IM" else ">"
        matrices = _matrices(content[HEADER:], order, path)
        found = (named for matrix in matrices for named in _arrays(matrix, order, "", 0))
        arrays = dict(islice(found, MOST))
    except DAMAGED as error:
        problem = type(error).__name__
        raise UserError(f"{path} is a damaged MATLAB file ({problem}): fetch it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    return _found(path, arrays, split)


def _found(path: Path, arrays: dict[str, np.ndarray], split: Split) -> Found:
    part = "test" if split == "any" else split
    if all(f"{part}{digit}" in arrays for digit in range(DIGITS)):  # an array for each digit
        own = [arrays[f"{part}{digit}"] for digit in range(DIGITS)]
        digits = np.repeat(np.arange(DIGITS), [len(each) for each in own])
        note = f"{path}: {part}0 to {part}9 are taken for images, whose names are their labels"
        return Found(np.concatenate(own), digits, [note])
    is_emnist = all(name.startswith(f"{EMNIST}.") for name in arrays) and bool(arrays)
    named = {name.removeprefix(f"{EMNIST}.").replace(".", "_"): a for name, a in arrays.items()}
    if "label" in named:
        named.setdefault("labels", named.pop("label"))
    images, labels, notes = choose(path, named, named.__getitem__, split)
    if labels is not None and labels.ndim == 2 and 1 in labels.shape:
        labels = labels.reshape(-1)
    if images.ndim == 2 and images.shape[0] == SIDE * SIDE != images.shape[1]:
        images = images.T
        notes = [*notes, f"{path}: its columns are read as images"]
    if is_emnist and images.ndim == 2 and images.shape[1] == SIDE * SIDE:
        images = images.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
        notes = [*notes, f"{path}: its images are read column by column, as MATLAB writes them"]
    return Found(images, labels, notes)


def _matrices(content: memoryview, order: str, path: Path) -> Iterator[memoryview]:
    """Yields all variables, unpacked.

    Raises:
      UserError: if there are too many bytes.
    """
    left = UNPACKED_LIMIT
    for kind, element in _elements(content, order):
        if kind == MATRIX:
            yield element
        elif kind == COMPRESSED:
            inflated = zlib.decompressobj().decompress(element, left + 1)
            left -= len(inflated)
            if left < 0:
                raise UserError(
                    f"{path} unpacks to over {UNPACKED_LIMIT:,} bytes: give a smaller file."
                )
            inner = _elements(memoryview(inflated), order)
            yield from (each for its_kind, each in inner if its_kind == MATRIX)


def _arrays(
    matrix: memoryview, order: str, outer: str, depth: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the numbers of a variable; those of a struct are called `outer.inner`."""
    parts = _elements(matrix, order)
    (_, flags), (_, sizes), (_, name) = islice(parts, 3)
    (bits,) = struct.unpack_from(f"{order}I", flags)
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    dotted = outer or bytes(name).decode("latin-1")
    if bits & CLASS in NUMBERS and not bits & COMPLEX:
        ((kind, numbers),) = islice(parts, 1)
        yield dotted, np.frombuffer(numbers, order + TYPES[kind]).reshape(shape, order="F")
    elif bits & CLASS == STRUCT and math.prod(shape) == 1 and depth < DEEPEST:
        (_, length), (_, fields) = islice(parts, 2)
        (size,) = struct.unpack_from(f"{order}i", length)
        if size < 1:
            raise ValueError("names without letters")
        names = [bytes(fields[at : at + size]) for at in range(0, len(fields), size)]
        for field, (kind, inner) in zip(names, parts, strict=False):
            if kind == MATRIX:
                field_name = field.partition(b"\0")[0].decode("latin-1")
                yield from _arrays(inner, order, f"{dotted}.{field_name}", depth + 1)


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yields the kind and the content of what follows each other."""
    place = 0
    while place + TAG <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + TAG
        place = start + size + (0 if kind == COMPRESSED else -size % TAG)
        if kind >> SMALL:  # up to four bytes, which stand where their number would
            kind, size, start, place = kind & 0xFFFF, kind >> SMALL, start - TAG // 2, start
        if start + size > len(content):
            raise ValueError("cut short")
        yield kind, content[start : start + size]
