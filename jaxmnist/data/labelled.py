"""Images that people bring, with or without labels: npz, CSV, or a folder of idx files."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from jaxmnist.constants import SIDE
from jaxmnist.data.images import Images, is_one_hot, pad_images, pad_labels
from jaxmnist.data.npz import read_npz
from jaxmnist.data.sources import read_test_digits
from jaxmnist.errors import UserError
from jaxmnist.files import read_bounded

PIXELS = SIDE * SIDE
LABEL_NAMES = ("label", "labels", "y", "class", "digit", "target")


@dataclass(frozen=True)
class Labelled:
    """Images in the form that a network reads."""

    images: Images
    labels: Int[np.ndarray, "n max_length"] | None  # None if there were none
    notes: list[str]  # what was taken for what, where that is not plain


def read_labelled(path: Path, max_length: int | None, *, has_blank: bool = True) -> Labelled:
    """Reads images and labels and pads both on the right to sequences of `max_length`.

    Args:
      path: an npz file; a CSV file of rows of 784 pixels and perhaps a label; or a folder of idx
        files, whose test digits are taken.
      max_length: how many digits the network reads; None: any number.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if there is none, or it is damaged, or not of this form.
    """
    notes: list[str] = []
    labels: np.ndarray | None
    if os.path.isdir(path):  # False, too, where a name is too long
        test = read_test_digits(path)
        images, labels = np.asarray(test.images), np.asarray(test.labels)
        notes.append(f"{path}: its {len(labels):,} test digits are taken")
    elif path.suffix.lower() == ".csv":
        images, labels = read_csv(path)
    else:
        images, labels, (x, y) = read_npz(path)
        if (x, y) not in (("x", "y"), ("x", "")):
            notes.append(f"{path}: {x}{f' and {y}' if y else ''} are taken for images and labels")
    padded = pad_images(f"{path}:", images, max_length)
    if images.ndim != 3:
        notes.append(f"{path}: images of shape {images.shape[1:]} are read as rows of 28x28 pixels")
    if labels is None:
        notes.append(f"{path} has no labels: the answers are all there is to say")
        return Labelled(padded, None, notes)
    found = pad_labels(f"{path}:", labels, len(images), max_length, has_blank=has_blank)
    if labels.dtype.kind in "biuf" and is_one_hot(labels, max_length):
        notes.append(f"{path}: labels of shape {labels.shape[1:]} are read as one-hot")
    return Labelled(padded, found, notes)


def read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads rows of 784 pixels and perhaps a label, under a line of names or none.

    Without names a label comes first; else the column of that name is it.

    Raises:
      UserError: if it is missing, damaged, or of another form.
    """
    try:
        if not path.is_file():
            path.stat()
            raise UserError(f"{path} is no file: name a CSV file.")
        with path.open("rb") as file:
            text = bytes(read_bounded(file, path)).decode("utf-8-sig")
        first, _, rest = text.partition("\n")
        delimiter = ";" if first.count(";") > first.count(",") else ","
        names = [name.strip().strip('"').lower() for name in first.split(delimiter)]
        header = not _are_numbers(names) or names[-2:] == [str(PIXELS - 2), str(PIXELS - 1)]
        lines = rest if header else text
        if not lines.strip():
            raise UserError(f"{path} has no rows: give one for every image.")
        rows = np.loadtxt(
            io.StringIO(lines), np.float32, delimiter=delimiter, ndmin=2, quotechar='"'
        )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name a CSV file.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except ValueError as error:  # not numbers, rows of other lengths, or not UTF-8
        reason = str(error).partition("; use")[0].rstrip(".")
        raise UserError(f"{path} is not a table of numbers ({reason}): correct it.") from None
    if rows.shape[1] not in (PIXELS, PIXELS + 1):
        raise UserError(
            f"{path} has {rows.shape[1]} columns: give rows of 784 pixels, or of a label and 784 "
            "pixels."
        )
    if rows.shape[1] == PIXELS:
        return _whole(rows), None
    label = 0
    if header:
        named = [number for number, name in enumerate(names) if name in LABEL_NAMES]
        if len(named) != 1:
            raise UserError(
                f"{path} has 785 columns, and its first line does not say which is the label: call "
                "that one label."
            )
        label = named[0]
    return _whole(np.delete(rows, label, axis=1)), _whole(rows[:, label])


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
