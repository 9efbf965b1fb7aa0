"""What a network reads, single digits or sequences of them, and how its answers are scored."""

import abc
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from jax import lax
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int

from jaxmnist.config import Config
from jaxmnist.constants import BLANK, PUBLISHED_LENGTH, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.generate.augment import augmentation
from jaxmnist.generate.corruptions import CORRUPTIONS
from jaxmnist.generate.examples import (
    Example,
    ExampleFn,
    ExampleKeys,
    digit_example,
    sequence_example,
    string_example,
    with_end,
)
from jaxmnist.generate.suites import (
    DIGIT_SUITES,
    LENGTH_SUITES,
    NOISE_SUITES,
    STRING_SUITES,
    SUITES,
    Transforms,
)
from jaxmnist.metrics import calibration_error, coverage
from jaxmnist.models.network import Architecture
from jaxmnist.string_config import Strings
from jaxmnist.strings.effects import effects, without_unused

SURE = 0.998  # the accuracy of the answers that `coverage` counts
Scores = dict[str, Any]


class Predictions(NamedTuple):
    """What one network answered on a list of examples."""

    losses: Float[np.ndarray, " n"]  # of each example, summed over heads
    predicted: Int[np.ndarray, "n length"]
    confidences: Float[np.ndarray, " n"]  # the probability of what is predicted
    labels: Int[np.ndarray, "n length"]


class Task(abc.ABC):
    """The difference between reading digits and reading sequences: examples, suites, scores."""

    noun: str  # what its examples are called
    metric: str  # the accuracy that counts
    image_size: tuple[int, int]  # height and width in pixels
    max_length: int  # digits of the longest label in training

    @property
    @abc.abstractmethod
    def suites(self) -> dict[str, Partial]:
        """What makes one example of each suite, as a pytree; `clean` comes first.

        Suites of one function, that differ in its arguments alone, share a compiled program.
        """

    @property
    @abc.abstractmethod
    def clean(self) -> ExampleFn:
        """The function that makes one example to which nothing happens."""

    @abc.abstractmethod
    def train_example_fn(self, config: Config) -> ExampleFn:
        """Returns the function that makes one training example."""

    def effects(self, config: Config) -> dict[str, Partial]:
        """What makes one example of each effect on training examples alone, to be looked at."""
        return {}

    @abc.abstractmethod
    def num_examples(self, wanted: int, digits: int) -> int:
        """Returns the length of a fixed list of at most `wanted` examples over `digits` digits."""

    def answers(self, predictions: Predictions) -> Int[np.ndarray, "n length"]:
        """Returns predicted labels in the form of the labels that people give."""
        return predictions.predicted

    @abc.abstractmethod
    def score(self, predictions: Predictions) -> Scores:
        """Returns `n`, `loss` (mean over examples, summed over heads) and accuracies."""


class ReadDigits(Task):
    """One digit an image; the examples are the digits themselves, so that a list ends with them."""

    noun = "digits"
    metric = "accuracy"
    image_size = (SIDE, SIDE)
    max_length = 1

    @property
    def suites(self) -> dict[str, Partial]:
        return _together({name: _digit_example_fn(suite) for name, suite in DIGIT_SUITES.items()})

    @property
    def clean(self) -> ExampleFn:
        return _digit_example_fn(Transforms())

    def train_example_fn(self, config: Config) -> ExampleFn:
        return _digit_example_fn(Transforms(digit=augmentation(config.augment)))

    def num_examples(self, wanted: int, digits: int) -> int:
        return min(wanted, digits)

    def score(self, predictions: Predictions) -> Scores:
        right = (predictions.predicted == predictions.labels).all(-1)
        return {"n": len(right), "loss": _mean(predictions.losses), self.metric: _mean(right)}


class ReadSequences(Task):
    """Up to `max_length` digits an image; examples are drawn from the digits, as many as wanted."""

    noun = "sequences"
    metric = "exact_sequence_accuracy"

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.image_size = (SIDE, SIDE * max_length)

    @property
    def suites(self) -> dict[str, Partial]:
        return _together(
            {name: _sequence_example_fn(suite, self.max_length) for name, suite in SUITES.items()}
        )

    @property
    def clean(self) -> ExampleFn:
        return _sequence_example_fn(Transforms(), self.max_length)

    def train_example_fn(self, config: Config) -> ExampleFn:
        return _sequence_example_fn(Transforms(digit=augmentation(config.augment)), self.max_length)

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


class ReadStrings(ReadSequences):
    """Any number of digits anywhere on an image of any width.

    Labels have a place more than digits (`generate.examples.with_end`).
    """

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.image_size = (SIDE, SIDE * PUBLISHED_LENGTH)

    @property
    def suites(self) -> dict[str, Partial]:
        """The published suites, in their format; those of strings; single digits of MNIST-C."""
        published = _together(
            {
                name: _with_end(_sequence_example_fn(suite, PUBLISHED_LENGTH))
                for name, suite in (SUITES | NOISE_SUITES).items()
            }
        )
        lengths = {
            name: Partial(_with_end(_sequence_example_fn(Transforms(), length, length)))
            for name, length in LENGTH_SUITES.items()
        }
        own = {
            name: Partial(_string_example_fn(suite.longest), fields=suite.fields)
            for name, suite in STRING_SUITES.items()
        }
        corrupted = {
            f"mnist_c_{name}": Partial(_with_end(_digit_example_fn(Transforms(digit=corruption))))
            for name, corruption in CORRUPTIONS.items()
        }
        return published | lengths | own | corrupted

    @property
    def clean(self) -> ExampleFn:
        return _with_end(_sequence_example_fn(Transforms(), PUBLISHED_LENGTH))

    def answers(self, predictions: Predictions) -> Int[np.ndarray, "n length"]:
        """Returns predicted labels without their end, unless a string is as long as that."""
        predicted = predictions.predicted
        return predicted if (predicted[:, -1] != BLANK).any() else predicted[:, :-1]

    def score(self, predictions: Predictions) -> Scores:
        """Returns the scores of sequences, and of what the confidences are worth.

        `calibration_error` is the expected one, `coverage` the share of the surest answers of which
        99.8 % are right.
        """
        right = (predictions.predicted == predictions.labels).all(-1)
        return super().score(predictions) | {
            "calibration_error": calibration_error(predictions.confidences, right),
            "coverage": coverage(predictions.confidences, right, SURE),
        }

    def train_example_fn(self, config: Config) -> ExampleFn:
        assert config.strings
        return _train_string_example_fn(config.strings, self.max_length)

    def effects(self, config: Config) -> dict[str, Partial]:
        assert config.strings
        example_fn = _string_example_fn(self.max_length)
        return {
            name: Partial(example_fn, fields=without_unused(fields, config.strings))
            for name, fields in effects(config.strings).items()
        }


# Cached: the same function for equal transforms, so that JAX finds what it compiled for it.
@cache
def _digit_example_fn(transforms: Transforms) -> ExampleFn:
    return partial(digit_example, transform=transforms.digit)


@cache
def _sequence_example_fn(transforms: Transforms, max_length: int, min_length: int = 1) -> ExampleFn:
    return partial(
        sequence_example,
        min_length=min_length,
        max_length=max_length,
        digit_transform=transforms.digit,
        canvas_transform=transforms.canvas,
    )


@cache
def _string_example_fn(longest: int) -> Callable[..., Example]:
    return partial(string_example, longest=longest)


@cache
def _train_string_example_fn(fields: Strings, longest: int) -> ExampleFn:
    return partial(string_example, longest=longest, fields=fields)


def _together(example_fns: Mapping[str, ExampleFn]) -> dict[str, Partial]:
    """Returns suites that are one compiled program, by the suite's number."""
    one_of = _one_of(tuple(example_fns.values()))
    return {name: Partial(one_of, number) for number, name in enumerate(example_fns)}


@cache
def _one_of(example_fns: tuple[ExampleFn, ...]) -> Callable[..., Example]:
    def example(number: int | Int[Array, ""], keys: ExampleKeys, dataset: Dataset) -> Example:
        made: Example = lax.switch(number, example_fns, keys, dataset)
        return made

    return example


@cache
def _with_end(example_fn: ExampleFn) -> ExampleFn:
    def example(keys: ExampleKeys, dataset: Dataset) -> Example:
        # A list may be longer than the digits, where it is of single ones.
        image, labels = example_fn(keys._replace(index=keys.index % len(dataset)), dataset)
        return image, with_end(labels)

    return example


def task_of(architecture: Architecture, max_length: int = PUBLISHED_LENGTH) -> Task:
    """Returns the task of a network: one with a class for blanks reads sequences.

    Args:
      architecture: of the network.
      max_length: digits of the longest training example of a network that reads any length.
    """
    if architecture.heads is None:
        return ReadStrings(max_length)
    if architecture.classes > BLANK:
        return ReadSequences(architecture.heads)
    return ReadDigits()


def as_text(labels: Int[np.ndarray, " heads"]) -> str:
    """Returns labels as text: `42`; a blank before a digit is `_`, those after it are left out."""
    return "".join("_" if label == BLANK else str(label) for label in labels).rstrip("_")


def _mean(values: Float[np.ndarray, " n"] | Bool[np.ndarray, " n"]) -> float:
    return float(values.mean(dtype=np.float64))
