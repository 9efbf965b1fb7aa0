"""Reads people's own labelled images from an npz file."""

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxmnist.alphabet import BLANK, SIDE
from jaxmnist.errors import UserError

LIMIT = 1 << 30  # bytes a member may unpack to


def read_npz(
    path: Path, max_length: int, *, has_blank: bool = True
) -> tuple[UInt8[np.ndarray, "n 28 width"], Int[np.ndarray, "n max_length"]]:
    """Reads `x` and `y` and pads both on the right to sequences of `max_length`.

    Args:
      path: an npz file with `x` uint8 (N, 28, W), 0 = ground and 255 = ink, and `y` integer (N,)
        or (N, K), padded with 10. W may be anything up to 28 * max_length.
      max_length: how many digits the network reads.
      has_blank: whether it can also say that there is nothing.

    Raises:
      UserError: if the file is missing, damaged, or not of this form.
    """
    images, labels = _members(path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != SIDE or not images.size:
        raise UserError(
            f"{path}: x is {images.dtype} of shape {images.shape}; "
            "make it uint8 (N, 28, W), 0 = ground, 255 = ink."
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim not in (1, 2):
        raise UserError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}; "
            "make it integers (N,) or (N, K), padded with 10."
        )
    if len(images) != len(labels):
        raise UserError(f"{path}: there are {len(images)} images but {len(labels)} labels.")
    labels = labels.reshape(len(labels), -1)
    if labels.size and not (labels.min() >= 0 and labels.max() <= BLANK):
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
        raise UserError(f"{path}: y has more digits than the {max_length} this network reads.")
    labels = labels[:, :max_length]
    images = np.pad(images, ((0, 0), (0, 0), (0, width - images.shape[2])))
    labels = np.pad(labels, ((0, 0), (0, max_length - labels.shape[1])), constant_values=BLANK)
    return images, labels.astype(np.int32)


def _members(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.file_size > LIMIT:
                    raise UserError(f"{path}: {member.filename} unpacks to over {LIMIT:,} bytes.")
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["x"], arrays["y"]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except KeyError:
        raise UserError(f"{path} needs two arrays, x (images) and y (labels).") from None
    except UserError:
        raise
    except Exception as error:  # zip and npy files can be damaged in very many ways
        raise UserError(f"{path} is not a readable npz file ({type(error).__name__}).") from None
    if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
        raise UserError(f"{path} is not a readable npz file (x or y is no array).")
    return images, labels
