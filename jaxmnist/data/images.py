"""Images and labels that people bring, checked and in the form that a network reads."""

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.errors import UserError
from jaxmnist.files import UNPACKED_LIMIT

Images = UInt8[np.ndarray, "n 28 width"] | Float[np.ndarray, "n 28 width"]  # 255 is ink


def pad_images(where: str, images: np.ndarray, max_length: int) -> Images:
    """Returns images as 0 = ground to 255 = ink, padded with ground on the right.

    Args:
      where: names them in errors.
      images: (N, 28, W) with W up to 28 * max_length: whole numbers from 0 to 255, floats from 0 to
        1, or bools; the largest number is ink.
      max_length: how many digits the network reads.

    Raises:
      UserError: if they are of another form.
    """
    if (
        images.ndim != 3
        or images.shape[1] != SIDE
        or not images.size
        or images.dtype.kind not in "buif"
    ):
        raise UserError(
            f"{where} x is {images.dtype} of shape {images.shape}; "
            "make it uint8 (N, 28, W), 0 = ground, 255 = ink, of at least one image."
        )
    width = SIDE * max_length
    if images.shape[2] > width:
        raise UserError(
            f"{where} the images are {images.shape[2]} pixels wide, "
            f"but this network reads at most {width}: cut them, or train a longer one."
        )
    if len(images) * SIDE * width > UNPACKED_LIMIT:
        raise UserError(
            f"{where} {len(images):,} images take over {UNPACKED_LIMIT:,} bytes as this network "
            "reads them: split them into several files."
        )
    return np.pad(_levels(where, images), ((0, 0), (0, 0), (0, width - images.shape[2])))


def _levels(where: str, images: np.ndarray) -> Images:
    low, high = images.min(), images.max()
    if images.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype.kind == "f" and low >= 0 and high <= 1:  # false for NaN, too
        return images.astype(np.float32) * np.float32(255)
    if images.dtype.kind == "f" or not 0 <= low <= high <= 255:
        raise UserError(
            f"{where} x has values from {low} to {high}: make it whole numbers from 0 = ground to "
            "255 = ink, or floats from 0 to 1."
        )
    if high == 1:
        raise UserError(
            f"{where} x has no value above 1, where 255 is ink: multiply it by 255, or give floats "
            "from 0 to 1."
        )
    return images.astype(np.uint8)


def pad_labels(
    where: str, labels: np.ndarray, images: int, max_length: int, *, has_blank: bool
) -> Int[np.ndarray, "n max_length"]:
    """Returns labels padded with 10 (nothing) on the right.

    Args:
      where: names them in errors.
      labels: integers (N,) or (N, K): digits, then 10.
      images: how many there are.
      max_length: how many digits the network reads.
      has_blank: whether it has a class for nothing.

    Raises:
      UserError: if they are of another form.
    """
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
    if not (labels.min() >= 0 and labels.max() <= BLANK):
        raise UserError(f"{where} y must hold digits 0 to 9, or 10 for nothing.")
    if ((labels[:, :-1] == BLANK) & (labels[:, 1:] != BLANK)).any():
        raise UserError(f"{where} y has 10 (nothing) before a digit: put digits first, then 10.")
    if not has_blank and (labels[:, 0] == BLANK).any():
        raise UserError(
            f"{where} y has an image with nothing on it (10), but this network always reads a "
            "digit: leave such images out."
        )
    if (labels[:, max_length:] != BLANK).any():
        raise UserError(
            f"{where} y has more digits than the {max_length} this network reads: leave those "
            "images out, or train a longer one."
        )
    labels = labels[:, :max_length]
    padding = max_length - labels.shape[1]
    return np.pad(labels, ((0, 0), (0, padding)), constant_values=BLANK).astype(np.int32)
