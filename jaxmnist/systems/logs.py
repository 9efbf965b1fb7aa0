"""Published logs beside the recipes that may have made them: results/logs/, for the audit.

`python -m tools.published_log` writes these files.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.typed_json import from_json


@dataclass(frozen=True)
class Log:
    """Accuracies in percent, by epoch."""

    train: list[float]
    test: list[float]


@dataclass(frozen=True)
class Trained:
    """Those of a recipe, by epoch and seed, and the root mean square distance of their means."""

    train: list[list[float]]
    test: list[list[float]]
    rms_train: float
    rms_test: float


@dataclass(frozen=True)
class Compared:
    """A system's log and all recipes."""

    system: str
    command: str
    log: Log
    recipes: dict[str, Trained]


def read_logs(folder: Path) -> list[Compared]:
    """Reads the comparisons in the folder `logs` of a folder of results; there may be none.

    Raises:
      UserError: if one cannot be read.
    """
    found = []
    for path in sorted(folder.glob("logs/*.json")):
        try:
            found.append(from_json(Compared, json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, RecursionError):
            raise UserError(f"{path} is no comparison with a log: move it out of there.") from None
    return found


def format_logs(logs: Sequence[Compared]) -> list[str]:
    """Formats the distance of every recipe, and every epoch of the nearest one."""
    lines = []
    for each in logs:
        distance = {name: math.hypot(r.rms_train, r.rms_test) for name, r in each.recipes.items()}
        nearest = min(distance, key=lambda name: distance[name])
        seeds = len(each.recipes[nearest].train[0])
        lines += [
            "", f"## The log of {each.system}", "",
            f"By `{each.command}` ([JSON](results/logs/{each.system}.json)): each recipe with "
            f"{seeds} seeds, and how far the mean of them is from the log, root mean square over "
            "epochs, in percentage points. *Train* is the accuracy while the epoch's steps were "
            "made, *test* that on the 10,000 test digits after it.", "",
            "| recipe | train | test | first epoch: train | test |", "|---|---|---|---|---|",
        ]  # fmt: skip
        lines += [
            f"| {name} | {run.rms_train:.2f} | {run.rms_test:.2f} | {_spread(run.train[0])} | "
            f"{_spread(run.test[0])} |"
            for name, run in each.recipes.items()
        ]
        lines += [
            f"| the log | | | {each.log.train[0]:.2f} | {each.log.test[0]:.2f} |", "",
            f"The nearest by both columns, {nearest}, epoch by epoch (lowest to highest seed):", "",
            "| epoch | log: train | ours | log: test | ours |", "|---|---|---|---|---|",
        ]  # fmt: skip
        run = each.recipes[nearest]
        lines += [
            f"| {epoch} | {train:.2f} | {_spread(ours_train)} | {test:.2f} | {_spread(ours_test)} |"
            for epoch, (train, ours_train, test, ours_test) in enumerate(
                zip(each.log.train, run.train, each.log.test, run.test, strict=True), start=1
            )
        ]
    return lines


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"
