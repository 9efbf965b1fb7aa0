"""What a network reads, single digits or sequences of them, and how its answers are scored."""

import abc
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.generate.examples import ExampleFn, digit_example, sequence_example
from jaxmnist.generate.suites import DIGIT_SUITES, SUITES, Transforms
from jaxmnist.models.network import Architecture

Scores = dict[str, Any]


class Predictions(NamedTuple):
    """What one network answered on a list of examples."""

    logits: Float[np.ndarray, "n heads classes"]
    losses: Float[np.ndarray, " n"]  # of each example, summed over heads
    labels: Int[np.ndarray, "n heads"]

    @property
    def predicted(self) -> Int[np.ndarray, "n heads"]:
        """The classes with the largest logits."""
        return self.logits.argmax(-1)


class Task(abc.ABC):
    """The difference between reading digits and reading sequences: examples, suites, scores."""

    noun: str  # what its examples are called
    metric: str  # the accuracy that counts
    suites: dict[str, Transforms]
    image_size: tuple[int, int]  # height and width in pixels

    @abc.abstractmethod
    def example_fn(self, transforms: Transforms) -> ExampleFn:
        """Returns the function that makes one example with these transforms."""

    @abc.abstractmethod
    def num_examples(self, wanted: int, digits: int) -> int:
        """Returns the length of a fixed list of at most `wanted` examples over `digits` digits."""

    @abc.abstractmethod
    def score(self, predictions: Predictions) -> Scores:
        """Returns `n`, `loss` (mean over examples, summed over heads) and accuracies."""


class ReadDigits(Task):
    """One digit an image; the examples are the digits themselves, so that a list ends with them."""

    noun = "digits"
    metric = "accuracy"
    suites = DIGIT_SUITES
    image_size = (SIDE, SIDE)

    def example_fn(self, transforms: Transforms) -> ExampleFn:
        return _digit_example_fn(transforms)

    def num_examples(self, wanted: int, digits: int) -> int:
        return min(wanted, digits)

    def score(self, predictions: Predictions) -> Scores:
        right = (predictions.predicted == predictions.labels).all(-1)
        return {"n": len(right), "loss": _mean(predictions.losses), self.metric: _mean(right)}


class ReadSequences(Task):
    """Up to `max_length` digits an image; examples are drawn from the digits, as many as wanted."""

    noun = "sequences"
    metric = "exact_sequence_accuracy"
    suites = SUITES

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.image_size = (SIDE, SIDE * max_length)

    def example_fn(self, transforms: Transforms) -> ExampleFn:
        return _sequence_example_fn(transforms, self.max_length)

    def num_examples(self, wanted: int, digits: int) -> int:
        return wanted

    def score(self, predictions: Predictions) -> Scores:
        """Returns the scores.

        Beside the share of sequences with every head right, blanks included, there are
        `digit_accuracy`, the share of written digits that were read right, and `by_length`, exact
        accuracy for each length that occurs.
        """
        labels = predictions.labels
        right = predictions.predicted == labels
        exact = right.all(-1)
        written = labels != BLANK
        lengths = written.sum(-1)
        return {
            "n": len(labels),
            "loss": _mean(predictions.losses),
            self.metric: _mean(exact),
            "digit_accuracy": _mean(right[written]) if written.any() else None,
            "by_length": {
                str(length): _mean(exact[lengths == length])
                for length in sorted(set(lengths.tolist()))
            },
        }


# Cached: the same function for equal transforms, so that JAX finds what it compiled for it.
@cache
def _digit_example_fn(transforms: Transforms) -> ExampleFn:
    return partial(digit_example, transform=transforms.digit)


@cache
def _sequence_example_fn(transforms: Transforms, max_length: int) -> ExampleFn:
    return partial(
        sequence_example,
        max_length=max_length,
        digit_transform=transforms.digit,
        canvas_transform=transforms.canvas,
    )


def task_of(architecture: Architecture) -> Task:
    """Returns the task of a network: one with a class for blanks reads sequences."""
    if architecture.classes > BLANK:
        return ReadSequences(architecture.heads)
    return ReadDigits()


def as_text(labels: Int[np.ndarray, " heads"]) -> str:
    """Returns labels as text: `42`; a blank before a digit is `_`, those after it are left out."""
    return "".join("_" if label == BLANK else str(label) for label in labels).rstrip("_")


def _mean(values: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"]) -> float:
    return float(values.mean(dtype=np.float64))
