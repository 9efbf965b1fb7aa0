"""Images with their labels, on the host as NumPy arrays or on the device as JAX arrays."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int, UInt8


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Dataset:
    """Digits; a pytree, so that it is an argument of compiled functions."""

    images: UInt8[Array | np.ndarray, "n 28 28"]  # 0 = ground, 255 = ink
    labels: Int[Array | np.ndarray, " n"] | UInt8[np.ndarray, " n"]

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        """Returns the two leaves."""
        return (self.images, self.labels), None

    @classmethod
    def tree_unflatten(cls, _: None, leaves: tuple[Any, Any]) -> "Dataset":
        """Builds the tree of any two leaves: JAX puts tracers, shapes and markers there."""
        dataset = object.__new__(cls)  # without __init__, whose types the tests check
        object.__setattr__(dataset, "images", leaves[0])
        object.__setattr__(dataset, "labels", leaves[1])
        return dataset


@dataclass(frozen=True)
class Splits:
    """A data set in three parts; the validation part is taken from the training part."""

    train: Dataset
    validation: Dataset
    test: Dataset
    source: str  # where it came from: "dir", "tfds" or "digits8x8"
    official: bool  # byte for byte MNIST, so that published figures may stand beside a result

    @property
    def name(self) -> str:
        """Identifies the data set: `mnist`, `own` or `digits8x8`."""
        return dataset_name(self.source, official=self.official)

    @property
    def title(self) -> str:
        """Names the data set for people."""
        return TITLES[self.name]

    def split(self, name: str) -> Dataset:
        """Returns the part called `held_out`, `train` or `test`."""
        return {"held_out": self.validation, "train": self.train, "test": self.test}[name]

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of all images and labels in their parts and order."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(np.ascontiguousarray(part.images))  # no copy where it is already
            digest.update(np.ascontiguousarray(part.labels))
        return digest.hexdigest()


# Identifiers of data sets, as weights files have them, and how people read them.
TITLES = {
    "mnist": "MNIST",
    "own": "digits of your own",
    "digits8x8": "the fallback dataset digits8x8",
}


def dataset_name(source: str, *, official: bool) -> str:
    """Returns the identifier of what a source has given."""
    if official:
        return "mnist"
    return "own" if source == "dir" else "digits8x8"
