"""Reads images and labels from tables of numbers: CSV files, with a line of names or without."""

import gzip
import io
import re
import zlib
from pathlib import Path

import numpy as np

from jaxmnist.constants import DIGITS, SIDE
from jaxmnist.data.found import Found
from jaxmnist.errors import UserError
from jaxmnist.files import Readable, read_bounded

PIXELS = SIDE * SIDE
SUFFIXES = (".csv", ".tsv", ".txt")
LABEL_NAMES = ("label", "labels", "y", "class", "digit", "target")
INDEX_NAMES = ("", "unnamed: 0", "index", "id", "imageid")  # of a column that counts the rows
DELIMITERS = ",;\t"
COUNTED = ["782", "783"], ["783", "784"]  # the last names of pixels that are called by numbers


def is_table(path: Path) -> bool:
    """Returns whether a file is called as tables are, gzipped or not."""
    return Path(path.name.lower().removesuffix(".gz")).suffix in SUFFIXES


def read_table(path: Path) -> Found:
    """Reads rows of 784 pixels and perhaps a label, under a line of names or none.

    Under names, the label is the column of that name, a column that counts the rows is left out,
    and `pixel0` to `pixel783` may have any order. Without names a label comes first, or last where
    nothing else is possible.

    Raises:
      UserError: if it is missing, damaged, or of another form.
    """
    try:
        text = _text(path)
        first, _, rest = text.partition("\n")
        delimiter = max(DELIMITERS, key=first.count)
        names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
        header = not _are_numbers(names) or names[-2:] in COUNTED
        lines = rest if header else text
        if not lines.strip():
            raise UserError(f"{path} has no rows: give one for every image.")
        rows = np.loadtxt(
            io.StringIO(lines), np.float32, delimiter=delimiter, ndmin=2, quotechar='"'
        )
    except ValueError as error:  # not numbers, rows of other lengths, or not UTF-8
        reason = str(error).partition("; use")[0].rstrip(".")
        raise UserError(f"{path} is not a table of numbers ({reason}): correct it.") from None
    notes: list[str] = []
    if header:
        pixels, label = _columns(path, names, rows, notes)
    else:
        pixels, label = _unnamed_columns(path, rows, notes)
    images = _whole(rows[:, pixels])
    return Found(images, None if label is None else _whole(rows[:, label]), notes)


def _text(path: Path) -> str:
    """Returns the text of a file, unpacked.

    Raises:
      UserError: if it is no file, or damaged.
      ValueError: if it is not UTF-8.
    """
    try:
        if not path.is_file():
            path.stat()
            raise UserError(f"{path} is no file: name a CSV file.")
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Readable = gzip.GzipFile(fileobj=file) if packed else file
            return bytes(read_bounded(stream, path)).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name a CSV file.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None


def _columns(
    path: Path, names: list[str], rows: np.ndarray, notes: list[str]
) -> tuple[list[int], int | None]:
    """Returns which columns are pixels, in their order, and which is the label, by their names."""
    if len(names) != rows.shape[1]:
        raise UserError(
            f"{path} has {len(names)} names for {rows.shape[1]} columns: give each its own."
        )
    counting = [n for n, name in enumerate(names) if name in INDEX_NAMES and _counts(rows[:, n])]
    labels = [number for number, name in enumerate(names) if name in LABEL_NAMES]
    pixels = [n for n in range(len(names)) if n not in (*counting, *labels)]
    if len(pixels) == PIXELS + 1 and not labels:
        raise UserError(
            f"{path} has {len(names)} columns, and its first line does not say which is the label: "
            "call that one label."
        )
    if len(pixels) != PIXELS or len(labels) > 1:
        raise _wrong_width(path, len(names))
    if counting:
        notes.append(f"{path}: its column {names[counting[0]]!r} counts the rows, and is left out")
    numbers = [re.fullmatch(r"(?:pixel|px|p)?[ _.-]?(\d+)", names[n]) for n in pixels]
    places = [int(number[1]) for number in numbers if number]
    if len(places) == PIXELS and max(places) - min(places) == PIXELS - 1 == len(set(places)) - 1:
        ordered = [pixels[n] for n in np.argsort(places)]
        if ordered != pixels:
            notes.append(f"{path}: its pixels are put in the order of their names")
        pixels = ordered
    return pixels, labels[0] if labels else None


def _unnamed_columns(
    path: Path, rows: np.ndarray, notes: list[str]
) -> tuple[list[int], int | None]:
    """Returns which columns are pixels, and which is the label, by their numbers."""
    width = rows.shape[1]
    if width == PIXELS:
        return list(range(PIXELS)), None
    if width != PIXELS + 1:
        raise _wrong_width(path, width)
    first, last = rows[:, 0], rows[:, -1]
    digits = np.arange(DIGITS)
    # A corner of images is mostly all ground, so labels are in the other column.
    if not first.any() and last.any() and np.isin(last, digits).all():
        notes.append(f"{path}: its last column is taken for the labels, as the first is all 0")
        return list(range(PIXELS)), PIXELS
    return list(range(1, width)), 0


def _wrong_width(path: Path, width: int) -> UserError:
    return UserError(
        f"{path} has {width} columns: give rows of 784 pixels, or of a label and 784 pixels."
    )


def _counts(column: np.ndarray) -> bool:
    """Returns whether a column is 0, 1, 2 and so on, or begins with 1."""
    return bool((column - column[0] == np.arange(len(column))).all() and column[0] in (0, 1))


def _are_numbers(words: list[str]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return True


def _whole(values: np.ndarray) -> np.ndarray:
    """Returns numbers as integers, if they are some that may be pixels or labels."""
    sound = np.isfinite(values).all() and np.abs(values).max() < 2**31
    return values.astype(np.int32) if sound and (values == values.round()).all() else values
