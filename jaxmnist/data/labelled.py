"""Images that people bring, with or without labels, in a file or a folder of any form."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from jaxmnist.data import idx
from jaxmnist.data.found import Found, Split
from jaxmnist.data.images import Images, is_one_hot, pad_images, pad_labels
from jaxmnist.data.mat import read_mat
from jaxmnist.data.npz import has_npy, read_npy, read_npy_folder, read_npz
from jaxmnist.data.pickles import read_digits
from jaxmnist.data.pictures import find_pictures, is_picture, read_picture, read_pictures
from jaxmnist.data.tables import is_table, read_table
from jaxmnist.errors import UserError
from jaxmnist.formats.kinds import IDX_IMAGES, MATLAB, NPY, PICKLE, kind_of

TABLES = ("mnist_{}.csv", "mnist_{}.csv.gz", "{}.csv", "{}.csv.gz")
FORMS = (
    "idx files with MNIST's names, pictures in folders called 0 to 9, mnist_test.csv, or "
    "test_images.npy and test_labels.npy"
)


@dataclass(frozen=True)
class Labelled:
    """Images in the form that a network reads."""

    images: Images
    labels: Int[np.ndarray, "n max_length"] | None  # None if there were none
    notes: list[str]  # what was taken for what, where that is not plain


def read_labelled(path: Path, max_length: int | None, *, has_blank: bool = True) -> Labelled:
    """Reads images and labels and pads both on the right to sequences of `max_length`.

    Args:
      path: an npz or npy file; a table of rows of 784 pixels and perhaps a label; an idx file of
        images; a picture; or a folder of such files, whose test digits are taken.
      max_length: how many digits the network reads; None: any number.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if there is none, or it is damaged, or not of this form.
    """
    images, labels, notes = read_part(path, "any", square=max_length == 1)
    padded = pad_images(f"{path}:", images, max_length)
    notes = notes + [f"{path}: {note}" for note in _image_notes(images)]
    if labels is None:
        notes.append(f"{path} has no labels: the answers are all there is to say")
        return Labelled(padded, None, notes)
    found = pad_labels(f"{path}:", labels, len(padded), max_length, has_blank=has_blank)
    if labels.dtype.kind in "biuf" and is_one_hot(labels, max_length):
        notes.append(f"{path}: labels of shape {labels.shape[1:]} are read as one-hot")
    if labels.dtype.kind in "US":
        notes.append(f"{path}: labels are texts, of which every character is read as a digit")
    return Labelled(padded, found, notes)


def read_part(path: Path, split: Split, *, square: bool) -> Found:
    """Reads images and labels as they lie there; the readers of each form say which they take.

    Args:
      path: as for `read_labelled`.
      split: which digits, where there are both.
      square: whether pictures must be as wide as high.

    Raises:
      UserError: if there are none, or they are damaged.
    """
    if os.path.isdir(path):  # False, too, where a name is too long
        if split == "any" and idx.find_file(path, "t10k-images-idx3-ubyte").is_file():
            test = idx.read_test_part(path)
            note = f"{path}: its {len(test):,} test digits are taken"
            return Found(np.asarray(test.images), np.asarray(test.labels), [note])
        if root := find_pictures(path, split):
            return read_pictures(root, square=square)
        if has_npy(path, split):
            return read_npy_folder(path, split)
        if table := _find_table(path, split):
            images, labels, notes = read_table(table)
            return Found(images, labels, [f"{table} is read", *notes])
        part = "test" if split == "any" else split
        raise UserError(f"{path} has no {part} images: give a folder of {FORMS}; or name a file.")
    if is_table(path):
        return read_table(path)
    if is_picture(path):
        return read_picture(path, square=square)
    kind = kind_of(path)
    if IDX_IMAGES in kind:
        digits, beside = idx.read_images(path)[0], idx.labels_beside(path)
        if beside is None:
            return Found(digits, None, [])
        both = idx.pair(path, "test", digits, idx.read_labels(beside)[0])
        return Found(digits, np.asarray(both.labels), [f"{beside} is taken for the labels"])
    if kind == MATLAB:
        return read_mat(path, split)
    if PICKLE in kind:
        return read_digits(path, split)
    return read_npy(path) if kind == NPY else read_npz(path, split)


def has_part(path: Path, split: Split) -> bool:
    """Returns whether there are digits of a part in another form than idx files."""
    if not os.path.isdir(path):
        kind = kind_of(path)
        return kind == MATLAB or PICKLE in kind or kind.startswith("an npz file")
    return bool(find_pictures(path, split) or has_npy(path, split) or _find_table(path, split))


def _find_table(folder: Path, split: Split) -> Path | None:
    part = "test" if split == "any" else split
    paths = [folder / name.format(part) for name in TABLES]
    return next((path for path in paths if path.is_file()), None)


def _image_notes(images: np.ndarray) -> list[str]:
    """Says what images are taken for, where that is not plain."""
    notes = []
    if images.ndim != 3:
        shape = images.shape[1:] if images.ndim != 2 or len(images) != 28 else images.shape
        notes.append(f"images of shape {shape} are read as rows of 28x28 pixels")
    if images.dtype.kind == "f":
        most = 1 if images.max() <= 1 else 255
        notes.append(f"floats from 0 to {most} are read, {most} as ink")
    if images.dtype.kind == "b":
        notes.append("True is read as ink")
    return notes
