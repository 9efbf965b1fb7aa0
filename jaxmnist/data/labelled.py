"""Images that people bring, with or without labels: npz, CSV, or a folder of idx files."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from jaxmnist.constants import SIDE
from jaxmnist.data.images import Images, is_one_hot, pad_images, pad_labels
from jaxmnist.data.npz import read_npz
from jaxmnist.data.sources import read_folder
from jaxmnist.errors import UserError
from jaxmnist.files import read_bounded

PIXELS = SIDE * SIDE


@dataclass(frozen=True)
class Labelled:
    """Images in the form that a network reads."""

    images: Images
    labels: Int[np.ndarray, "n max_length"] | None  # None if there were none
    notes: list[str]  # what was taken for what, where it goes without saying no more


def read_labelled(path: Path, max_length: int, *, has_blank: bool = True) -> Labelled:
    """Reads images and labels and pads both on the right to sequences of `max_length`.

    Args:
      path: an npz file; a CSV file of rows of 784 pixels, a label before them; or a folder of idx
        files, whose test digits are taken.
      max_length: how many digits the network reads.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if there is none, or it is damaged, or not of this form.
    """
    notes: list[str] = []
    labels: np.ndarray | None
    if path.is_dir():
        test = read_folder(path, source="dir", verify=False).test
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
    """Reads rows of 784 pixels, or of a label and 784 pixels, under a line of names or none.

    Raises:
      UserError: if it is missing, damaged, or of another form.
    """
    try:
        if not path.is_file():
            path.stat()
            raise UserError(f"{path} is no file: name a CSV file.")
        with path.open("rb") as file:
            content = bytes(read_bounded(file, path))
        first, _, _ = content.partition(b"\n")
        names = first.decode().strip().split(",")
        header = not names[-1].strip().strip('"').isdigit()
        rows = np.loadtxt(
            io.StringIO(content.decode()),
            delimiter=",",
            skiprows=int(header),
            ndmin=2,
            quotechar='"',
        )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name a CSV file.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except (ValueError, Warning) as error:  # not numbers, rows of other lengths, not UTF-8, none
        reason = str(error).partition(";")[0].rstrip(".")
        raise UserError(f"{path} is not a table of numbers ({reason}): correct it.") from None
    if rows.shape[1] not in (PIXELS, PIXELS + 1) or not np.array_equal(rows, rows.round()):
        raise UserError(
            f"{path} has {rows.shape[1]} columns: give rows of 784 whole pixels from 0 to 255, or "
            "of a label and 784 pixels."
        )
    if rows.shape[1] == PIXELS:
        return rows.astype(np.int64), None
    return rows[:, 1:].astype(np.int64), rows[:, 0].astype(np.int64)
