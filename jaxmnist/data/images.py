"""Images and labels that people bring, checked and in the form that a network reads."""

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.errors import UserError
from jaxmnist.files import UNPACKED_LIMIT

HALF = 127.5  # floats that go beyond it, and not beyond 255, can have no other white
COLUMN = 4  # pixels of a column of a network that reads any width
Images = UInt8[np.ndarray, "n 28 width"] | Float[np.ndarray, "n 28 width"]  # 255 is ink


def pad_images(where: str, images: np.ndarray, max_length: int | None) -> Images:
    """Returns images as 0 = ground to 255 = ink, padded with ground on the right.

    Where a network reads any width, they are padded to whole columns of it, by their last pixels.

    Args:
      where: names them in errors.
      images: (N, 28, W) with W up to 28 * max_length: whole numbers from 0 to 255, floats from 0 to
        1 or to 255, or bools; the largest number is ink. (N, 784), (N, 28, W, 1), (N, 1, 28, W) and
        (28, W) are such images, too, and so is (N, 28, W, 3) if it is grey.
      max_length: how many digits the network reads; None: any number.

    Raises:
      UserError: if they are of another form.
    """
    given, images = images.shape, _three_axes(images)
    if (
        images.ndim != 3
        or images.shape[1] != SIDE
        or not images.size
        or images.dtype.kind not in "buif"
    ):
        raise UserError(
            f"{where} x is {images.dtype} of shape {given}; make it uint8 (N, 28, W), 0 = ground, "
            f"255 = ink, of at least one image{_other_axes(given)}."
        )
    width = images.shape[2] + -images.shape[2] % COLUMN if max_length is None else SIDE * max_length
    if images.shape[2] > width:
        raise UserError(
            f"{where} the images are {images.shape[2]} pixels wide, "
            f"but this network reads at most {width}: cut them, or train a longer one"
            f"{_other_axes(given)}."
        )
    if len(images) * SIDE * width > UNPACKED_LIMIT:
        raise UserError(
            f"{where} {len(images):,} images take over {UNPACKED_LIMIT:,} bytes as this network "
            "reads them: split them into several files."
        )
    padding = ((0, 0), (0, 0), (0, width - images.shape[2]))
    levels = _levels(where, images)
    return np.pad(levels, padding, mode="edge") if max_length is None else np.pad(levels, padding)


def _three_axes(images: np.ndarray) -> np.ndarray:
    """Returns images as (N, 28, W), if their shape can mean nothing else."""
    if images.ndim == 2 and images.shape[1] == SIDE * SIDE:
        return images.reshape(-1, SIDE, SIDE)
    if images.ndim == 2 and images.shape[0] == SIDE:
        return images[None]
    if images.ndim == 4 and images.shape[1] == SIDE and images.shape[3] in (1, 3):
        grey = images[..., 0]
        return grey if (images == grey[..., None]).all() else images
    if images.ndim == 4 and images.shape[1] == 1:
        return images[:, 0]
    return images


def _other_axes(shape: tuple[int, ...]) -> str:
    """Says what other axes may mean."""
    if shape[:2] == (SIDE, SIDE):
        return " (if the last axis counts the images, put it first)"
    if len(shape) == 3 and SIDE in shape[::2]:
        return (
            " (if its axes are in another order, transpose it: rows, then columns; if digits stand "
            "below each other, put them side by side)"
        )
    if len(shape) == 4 and 3 in shape:
        return " (if its axis of 3 are colours, take their mean; if digits, put them side by side)"
    return ""


def _levels(where: str, images: np.ndarray) -> Images:
    low, high = images.min(), images.max()
    if images.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype.kind == "f" and low >= 0 and high <= 1:  # false for NaN, too
        return images.astype(np.float32) * np.float32(255)
    whole = images.dtype.kind != "f" or (images == np.round(images)).all()
    if not whole and low >= 0 and HALF < high <= 255:
        return images.astype(np.float32)
    if not (whole and 0 <= low <= high <= 255):
        changed = " (if a mean was taken away, add it again)" if -100 < low < 0 else ""
        raise UserError(
            f"{where} x has values from {low} to {high}: make it whole numbers from 0 = ground to "
            f"255 = ink, or floats from 0 to 1{changed}."
        )
    if high == 1:
        raise UserError(
            f"{where} x has no value above 1, where 255 is ink: multiply it by 255, or give floats "
            "from 0 to 1."
        )
    return images.astype(np.uint8)


def pad_labels(
    where: str, labels: np.ndarray, images: int, max_length: int | None, *, has_blank: bool
) -> Int[np.ndarray, "n max_length"]:
    """Returns labels padded with 10 (nothing) on the right.

    Args:
      where: names them in errors.
      labels: whole numbers (N,) or (N, K): digits, then 10; or strings of digits; or one-hot,
        (N, 10) or (N, K, 11).
      images: how many there are.
      max_length: how many digits the network reads; None: any number, and labels end with a 10.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if they are of another form.
    """
    labels = _class_numbers(labels, max_length)
    if labels.ndim == 0 and images == 1:
        labels = labels[None]
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or not labels.size:
        raise UserError(
            f"{where} y is {labels.dtype} of shape {labels.shape}; "
            "make it integers (N,) or (N, K), padded with 10."
        )
    if images != len(labels):
        raise UserError(
            f"{where} there are {images} images but {len(labels)} labels: give each its own."
        )
    labels = labels.reshape(len(labels), -1)
    if max_length is None:
        max_length = 1 + labels.shape[1]
    if not (labels.min() >= 0 and labels.max() <= BLANK):
        raise UserError(f"{where} y must hold digits 0 to 9, or 10 for nothing.")
    if ((labels[:, :-1] == BLANK) & (labels[:, 1:] != BLANK)).any():
        raise UserError(f"{where} y has 10 (nothing) before a digit: put digits first, then 10.")
    if not has_blank and (labels[:, 0] == BLANK).any():
        raise UserError(
            f"{where} y has an image with nothing on it (10), but this network always reads a "
            "digit: leave such images out, or write 0 if 10 stands for that."
        )
    if (labels[:, max_length:] != BLANK).any():
        raise UserError(
            f"{where} y has more digits than the {max_length} this network reads: leave those "
            "images out, or train a longer one."
        )
    labels = labels[:, :max_length]
    padding = max_length - labels.shape[1]
    return np.pad(labels, ((0, 0), (0, padding)), constant_values=BLANK).astype(np.int32)


def _class_numbers(labels: np.ndarray, max_length: int | None) -> np.ndarray:
    """Returns labels as whole numbers, if they can mean nothing else."""
    if labels.dtype.kind in "US" and labels.ndim == 1 and labels.size:
        texts = [text.decode("latin-1") if isinstance(text, bytes) else text for text in labels]
        if not all(text.isascii() and text.isdigit() for text in texts):
            return labels
        longest = max(map(len, texts))
        rows = [[*map(int, text), *[BLANK] * (longest - len(text))] for text in texts]
        return np.array(rows, np.int32)
    if labels.dtype.kind == "f" and np.isin(labels, np.arange(BLANK + 1)).all():
        labels = labels.astype(np.int32)
    return labels.argmax(-1) if is_one_hot(labels, max_length) else labels


def is_one_hot(labels: np.ndarray, max_length: int | None) -> bool:
    """Returns whether labels are rows of ten or eleven classes with a single 1 each.

    Rows of as many digits they are not: no network of `max_length` reads them.
    """
    return (
        labels.ndim in (2, 3)
        and labels.shape[-1] in (BLANK, BLANK + 1)
        and (labels.ndim == 3 or (max_length or BLANK) < BLANK)
        and bool(np.isin(labels, (0, 1)).all() and (labels.sum(-1) == 1).all())
    )
