"""Results of runs, as far as the audit needs them, read out of summaries of any version."""

from dataclasses import dataclass
from typing import Any

from jaxmnist.typed_json import from_json, renamed


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: an accuracy, or a difference of two."""

    mean: float
    values: list[float]
    sd: float | None = None  # None of a single seed

    def __post_init__(self) -> None:
        """Checks what no type says."""
        figures = [self.mean, *self.values, self.sd or 0.0]
        if not self.values or not all(-1 <= figure <= 1 for figure in figures):
            raise ValueError("not accuracies")
        if self.sd is None and len(self.values) > 1:
            raise ValueError("no standard deviation")


@dataclass(frozen=True)
class Protocol:
    """What a published protocol is measured by, besides the run's own figure."""

    as_published: Spread | None
    last_epoch: Spread | None
    chosen_epoch: Spread | None
    test_selection_bias: Spread | None = renamed("inflation")


NOTHING = Protocol(None, None, None, None)


@dataclass(frozen=True)
class Data:
    """The data set."""

    official: bool  # byte for byte MNIST


@dataclass(frozen=True)
class Result:
    """One run."""

    name: str
    config: dict[str, Any]
    data: Data
    test: Spread
    protocol: Protocol | None = None
    epochs: int | None = None
    file: str = ""  # relative to the folder of results

    @property
    def system(self) -> str | None:
        """The published system that it is a run of."""
        system = self.config.get("system")
        return system if isinstance(system, str) else None


def parse_result(tree: Any, file: str) -> Result:
    """Builds a result from the parsed JSON of a summary.

    Raises:
      ValueError: if it is no summary.
    """
    if not isinstance(tree, dict):
        raise ValueError("not a summary")
    return from_json(Result, tree | {"file": file})
