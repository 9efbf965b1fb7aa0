"""What a run answered on the clean suite, in a file of its folder, `predictions.safetensors`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxmnist.constants import MEAN, SD
from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.typed_json import from_json

ANSWERS_FILE = "predictions.safetensors"
ROUNDING = 1e-3  # by which a computed probability may exceed 1
PICTURED = 24  # mistakes with their images: the surest ones


@dataclass(frozen=True)
class Named:
    """What the file says beside its arrays."""

    members: tuple[int, ...]
    pictured: int


@dataclass(frozen=True)
class Answers:
    """What every finite seed answered, a member of the population each; 10 where nothing is."""

    labels: UInt8[np.ndarray, "n length"]
    predicted: UInt8[np.ndarray, "members n length"]
    confidences: Float[np.ndarray, "members n"]  # the probability of what is predicted
    mistakes: Int[np.ndarray, " m"]  # examples that `pictured` misread, the surest ones first
    images: UInt8[np.ndarray, "m 28 width"]  # of these; 255 is ink
    members: tuple[int, ...]  # places of these seeds among all, counted from 0
    pictured: int  # the member whose weights the run folder holds


def surest_mistakes(
    predicted: Int[np.ndarray, "n length"],
    labels: Int[np.ndarray, "n length"],
    confidences: Float[np.ndarray, " n"],
) -> Int[np.ndarray, " m"]:
    """Returns the examples that were misread with the greatest confidence, the surest first."""
    wrong = np.flatnonzero((predicted != labels).any(-1))
    order = np.argsort(-confidences[wrong], kind="stable")[:PICTURED]
    return wrong[order].astype(np.int32)


def as_pixels(images: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Returns standardised images as pixels, 0 = ground and 255 = ink."""
    return np.clip(np.round(255 * (images * SD + MEAN)), 0, 255).astype(np.uint8)


def save_answers(path: Path, answers: Answers) -> None:
    """Writes the file atomically.

    Raises:
      OSError: if it cannot be written.
    """
    from safetensors.numpy import save

    arrays = {
        "labels": answers.labels,
        "predicted": answers.predicted,
        "confidences": np.nan_to_num(answers.confidences),  # of logits that overflowed
        "mistakes": answers.mistakes,
        "images": answers.images,
    }
    # One entry, since safetensors writes several in any order.
    entry = json.dumps({"members": answers.members, "pictured": answers.pictured})
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    atomic_write(path, save(contiguous, metadata={"jaxmnist": entry}))


def load_answers(path: Path) -> Answers:
    """Reads the file.

    Raises:
      UserError: if it is missing, damaged, or another one.
    """
    arrays, entries = read_arrays(path)
    try:
        named = from_json(Named, json.loads(entries["jaxmnist"]))
        answers = Answers(**arrays, members=named.members, pictured=named.pictured)
        _check(answers)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UserError(
            f"{path} is damaged, or of another version: remove it, and the run's summary.json, and "
            "rerun to write both again from its last checkpoint."
        ) from None
    return answers


def _check(answers: Answers) -> None:
    members, n, length = len(answers.members), *answers.labels.shape
    kinds = {
        "labels": ("u", (n, length)),
        "predicted": ("u", (members, n, length)),
        "confidences": ("f", (members, n)),
        "mistakes": ("i", (len(answers.mistakes),)),
        "images": ("u", (len(answers.mistakes), *answers.images.shape[1:])),
    }
    for name, (kind, shape) in kinds.items():
        array = getattr(answers, name)
        if array.dtype.kind != kind or array.shape != shape:
            raise ValueError(name)
    places = answers.mistakes
    sound = answers.images.ndim == 3 and answers.images.dtype == np.uint8
    sound &= answers.pictured in answers.members
    sound &= bool(((places >= 0) & (places < n)).all())
    sound &= bool(((answers.confidences >= 0) & (answers.confidences <= 1 + ROUNDING)).all())
    sound &= max(answers.labels.max(initial=0), answers.predicted.max(initial=0)) <= 10
    if not sound or not members or not answers.labels.size or 0 in answers.images.shape[1:]:
        raise ValueError("values")
