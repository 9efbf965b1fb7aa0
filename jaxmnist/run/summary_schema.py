"""The figures of a run as `summary.json` holds them, field by field.

Accuracies are fractions.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxmnist.tasks import Scores
from jaxmnist.typed_json import renamed


@dataclass(frozen=True)
class TestResults:
    """What was measured on test digits."""

    __test__ = False  # no class of tests, whatever its name

    seeds: Int[np.ndarray, " seeds"]  # places of those that have not diverged
    suites: Mapping[str, Sequence[Scores]]  # the selected weights of every seed
    best_epoch: Int[np.ndarray, " seeds"]  # by validation, counted from 1
    every_epoch: Float[np.ndarray, "seeds epochs"] | None  # accuracies of every epoch's weights


@dataclass(frozen=True)
class Spread:
    """A figure over seeds."""

    mean: float
    sd: float | None  # of the sample; None of a single value
    values: list[float]


@dataclass(frozen=True)
class TestFigure(Spread):
    """The figure of the clean suite."""

    __test__ = False

    metric: str
    selection: str  # which weights, on which digits


@dataclass(frozen=True)
class SuiteFigure(Spread):
    """The figure of one suite; sequences have two more."""

    digit_accuracy: Spread | None = None
    by_length: dict[str, Spread] | None = None


@dataclass(frozen=True)
class AsPublished(Spread):
    """What the published code would have printed."""

    epoch: str  # last or best
    measured_on: str


@dataclass(frozen=True)
class ChosenEpoch(Spread):
    """The test figure of the epochs chosen in validation."""

    epochs: list[int]


@dataclass(frozen=True)
class Protocol:
    """What the same training is worth by different ways of measuring it."""

    as_published: AsPublished | None  # where the run validated on what the published code did
    last_epoch: Spread
    chosen_epoch: ChosenEpoch | None
    picked_on_test: Spread  # the epoch that looked best on the test digits
    every_epoch: list[list[float]]
    # What picking on the test digits adds to the chosen epoch, or else to the last one.
    test_selection_bias: Spread = renamed("inflation")


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure, beside which a result on MNIST may stand."""

    value: float
    metric: str
    measured_on: str
    quoted: str
    # Results of before version 0.1 may lack what follows.
    examples: int | None = None
    note: str = ""
    suites: dict[str, float] = field(default_factory=dict)
    claim: str = ""  # in percent, as its author wrote it
    claims: dict[str, str] = field(default_factory=dict)  # likewise, by suite


@dataclass(frozen=True)
class DataSummary:
    """Which digits a figure was measured with."""

    source: str
    official: bool
    train_examples: int
    validation_examples: int
    test_examples: int
    # Results of before version 0.1 may lack what follows.
    name: str = ""  # for people
    fingerprint: str = ""


@dataclass(frozen=True)
class Diverged:
    """A seed whose loss or gradients were not finite; it is left out of all figures."""

    seed: int
    epoch: int  # counted from 1, as is the step
    step: int
    learning_rate: float


@dataclass(frozen=True)
class Seconds:
    """What each part of the run took, all sessions together."""

    compile: float
    train: float
    evaluate: float
    total: float


@dataclass(frozen=True)
class Summary:
    """The content of `summary.json`."""

    name: str
    model: str
    params: int
    config: dict[str, Any]
    seed: int
    num_seeds: int
    epochs: int
    data: DataSummary
    test: TestFigure
    suites: dict[str, SuiteFigure]
    published: PublishedFigure | None
    seconds: Seconds
    examples_per_second: float
    device: str
    versions: dict[str, str]
    git_commit: str | None
    # Results of before version 0.1 may lack what follows.
    diverged: list[Diverged] = field(default_factory=list)
    protocol: Protocol | None = None
    weights_sha256: str | None = None  # of all seeds; the same where recipe and machine are
    peak_memory_bytes: int | None = None  # of the last session

    def to_json(self) -> str:
        """Returns the text of `summary.json`."""
        tree = dataclasses.asdict(self)
        for suite in tree["suites"].values():
            for name in ("digit_accuracy", "by_length"):
                if suite[name] is None:
                    del suite[name]
        return json.dumps(tree, indent=2) + "\n"
