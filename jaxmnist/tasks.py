"""What a network reads, single digits or sequences of them, and how its answers are counted."""

from functools import partial
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from jaxmnist.alphabet import BLANK, SIDE
from jaxmnist.generate.digit import digit_example
from jaxmnist.generate.example import Generate
from jaxmnist.generate.sequence import sequence_example
from jaxmnist.generate.suites import DIGIT_SUITES, SUITES, Suite
from jaxmnist.models.network import Architecture

Scores = dict[str, Any]
Logits = Float[np.ndarray, "n heads classes"]
Labels = Int[np.ndarray, "n heads"]


class Task(Protocol):
    """What the rest of a run has to know of the task, so that nothing else asks which one it is."""

    noun: str  # examples are called so
    metric: str  # the accuracy that counts
    suites: dict[str, Suite]

    image_size: tuple[int, int]  # height and width in pixels

    def example(self, suite: Suite) -> Generate:
        """Returns the function that makes one example, changed as `suite` says."""

    def list_length(self, wanted: int, digits: int) -> int:
        """Returns the length of a fixed list of at most `wanted` examples over `digits` digits."""

    def score(self, logits: Logits, labels: Labels) -> Scores:
        """Scores one network: `n`, `loss` (mean over examples, summed over heads), accuracies."""


class ReadDigits:
    """One digit an image; the examples are the digits themselves, so that a list ends with them."""

    noun = "digits"
    metric = "accuracy"
    suites = DIGIT_SUITES
    image_size = (SIDE, SIDE)

    def example(self, suite: Suite) -> Generate:
        return partial(digit_example, transform=suite.digit)

    def list_length(self, wanted: int, digits: int) -> int:
        return min(wanted, digits)

    def score(self, logits: Logits, labels: Labels) -> Scores:
        right = (logits.argmax(-1) == labels).all(-1)
        return {"n": len(labels), "loss": mean_loss(logits, labels), self.metric: _share(right)}


class ReadSequences:
    """Up to `max_length` digits an image; examples are drawn from the digits, as many as wanted."""

    noun = "sequences"
    metric = "exact_sequence_accuracy"
    suites = SUITES

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.image_size = (SIDE, SIDE * max_length)

    def example(self, suite: Suite) -> Generate:
        return partial(
            sequence_example,
            max_length=self.max_length,
            digit_transform=suite.digit,
            canvas_transform=suite.canvas,
        )

    def list_length(self, wanted: int, digits: int) -> int:
        return wanted

    def score(self, logits: Logits, labels: Labels) -> Scores:
        """Scores as `Task.score` does.

        Beside the share of sequences with every head right, blanks included, there are
        `digit_accuracy`, the share of written digits that were read right, and `by_length`, exact
        accuracy for each length that occurs.
        """
        right = logits.argmax(-1) == labels
        exact = right.all(-1)
        written = labels != BLANK
        lengths = written.sum(-1)
        return {
            "n": len(labels),
            "loss": mean_loss(logits, labels),
            self.metric: _share(exact),
            "digit_accuracy": _share(right[written]) if written.any() else None,
            "by_length": {
                str(length): _share(exact[lengths == length])
                for length in sorted(set(lengths.tolist()))
            },
        }


def task_of(architecture: Architecture) -> Task:
    """Returns the task of a network: one with a class for blanks reads sequences."""
    if architecture.classes > BLANK:
        return ReadSequences(architecture.heads)
    return ReadDigits()


def mean_loss(logits: Logits, labels: Labels) -> float:
    """Returns the mean over examples of the cross-entropy summed over heads."""
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinite logits make it NaN, and the caller says so
        log_total = np.log(np.exp(wide - top).sum(-1)) + top[..., 0]
    chosen = np.take_along_axis(wide, labels[..., None].astype(np.int64), -1)[..., 0]
    return float((log_total - chosen).sum(-1).mean())


def _share(right: np.ndarray) -> float:
    return float(right.mean())
