"""What a sweep has found: a result a point, settings compared by validation, and the tables."""

import csv
import io
import json
import math
import pprint
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from jaxmnist.config import Config, to_dict
from jaxmnist.errors import UserError
from jaxmnist.optim import Mode
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.summary_schema import Summary

SHOWN = 20  # settings of the printed table
WINNER = '''\
"""The best point of a sweep: {point}."""

from jaxmnist.config import from_dict, to_config_dict

CONFIG = {config}


def get_config():
    return to_config_dict(from_dict(CONFIG))
'''


@dataclass(frozen=True)
class Result:
    """What came of one point; all figures are None if it diverged."""

    run: str  # its run folder
    member: int  # of that run, from 0
    values: dict[str, Any]  # of the fields that are swept
    validation: float | None = None  # by which points are compared
    epoch: int | None = None  # of the weights, counted from 1
    test: float | None = None
    suites: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """Points that differ in their seed alone."""

    values: dict[str, Any]
    seeds: int
    validation: float | None  # mean over seeds; None if one of them diverged
    validation_sd: float | None
    test: float | None
    test_sd: float | None


@dataclass(frozen=True)
class Comparison:
    """By what points are compared."""

    validation: str  # the metric, such as `loss`
    mode: Mode  # whether it is better when it is lower or higher

    @classmethod
    def of(cls, config: Config) -> "Comparison":
        """Returns that of a configuration."""
        by_loss = config.validation.metric == "loss"
        return cls(config.validation.metric, "min" if by_loss else "max")

    def cost(self, value: float) -> float:
        """Returns a number that is lower where `value` is better."""
        return value if self.mode == "min" else -value

    def mean(self, values: Sequence[float | None]) -> float:
        """Returns the mean of a setting's seeds, infinitely bad if one diverged."""
        finite = [value for value in values if value is not None]
        if len(finite) < len(values):
            return math.inf if self.mode == "min" else -math.inf
        return float(np.mean(finite))


def results_of(
    folder: RunFolder, summary: Summary | None, points: Sequence[Mapping[str, Any]]
) -> list[Result]:
    """Returns the results of a finished run, a member each.

    Args:
      folder: of the run.
      summary: of the run; None if every member diverged.
      points: the values of each member.

    Raises:
      UserError: if its files are missing or damaged.
    """
    run = folder.path.name
    if summary is None:
        return [Result(run, member, dict(values)) for member, values in enumerate(points)]
    try:
        return _results_of_members(folder, summary, points)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise UserError(
            f"{folder.path} has a metrics.jsonl or summary.json that is missing or damaged: remove "
            "summary.json, and rerun to write both again from the last checkpoint."
        ) from None


def _results_of_members(
    folder: RunFolder, summary: Summary, points: Sequence[Mapping[str, Any]]
) -> list[Result]:
    comparison = Comparison.of(folder.config)
    metric = "loss" if comparison.validation == "loss" else summary.test.metric
    name = f"validation_{metric}"
    lines = (folder.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    curves = [row["seeds"][name] if "seeds" in row else [row[name]] for row in rows]
    finite = [member for member, value in enumerate(curves[-1]) if value is not None]
    if len(curves[-1]) != len(points) or len(finite) != len(summary.test.values):
        raise ValueError("another number of members")
    found = []
    for member, values in enumerate(points):
        if member not in finite:
            found.append(Result(folder.path.name, member, dict(values)))
            continue
        curve = [row[member] for row in curves]
        if not np.isfinite(curve).all():
            raise ValueError("what has not diverged is finite")
        if folder.config.selection == "best":
            epoch = int(np.argmin([comparison.cost(value) for value in curve]))
        else:
            epoch = len(curve) - 1
        place = finite.index(member)
        suites = {suite: figure.values[place] for suite, figure in summary.suites.items()}
        test, run = summary.test.values[place], folder.path.name
        found.append(Result(run, member, dict(values), curve[epoch], epoch + 1, test, suites))
    return found


def settings_of(results: Sequence[Result], comparison: Comparison) -> list[Setting]:
    """Returns the settings, the best one first and those of which a seed diverged last."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        setting = {name: value for name, value in result.values.items() if name != "seed"}
        groups.setdefault(json.dumps(setting), []).append(result)
    found = [_setting(members) for members in groups.values()]
    return sorted(
        found,
        key=lambda one: (
            one.validation is None,
            0.0 if one.validation is None else comparison.cost(one.validation),
        ),
    )


def _setting(members: Sequence[Result]) -> Setting:
    values = {name: value for name, value in members[0].values.items() if name != "seed"}
    figures: list[float | None] = [None] * 4
    validation = [one.validation for one in members if one.validation is not None]
    test = [one.test for one in members if one.test is not None]
    if len(validation) == len(members):
        for place, each in ((0, validation), (2, test)):
            figures[place] = float(np.mean(each))
            figures[place + 1] = float(np.std(each, ddof=1)) if len(each) > 1 else None
    return Setting(values, len(members), *figures)


def winner_of(results: Sequence[Result], comparison: Comparison) -> Result | None:
    """Returns the best seed of the best setting, None if every setting has one that diverged."""
    best = settings_of(results, comparison)[0] if results else None
    if best is None or best.validation is None:
        return None
    members = [one for one in results if {**one.values, **best.values} == one.values]
    return min(members, key=lambda one: comparison.cost(one.validation or 0.0))


# ---- Files and text. ----


def to_json(results: Sequence[Result], comparison: Comparison, points: int) -> str:
    """Returns the content of `results.json`; `points` is how many there are in all."""
    winner = winner_of(results, comparison) if len(results) == points else None
    tree = {
        "points": points,
        "finished": len(results),
        "compared_by": asdict(comparison),
        "winner": winner and asdict(winner),
        "settings": [asdict(setting) for setting in settings_of(results, comparison)],
        "results": [asdict(result) for result in results],
    }
    return json.dumps(tree, indent=2) + "\n"


def to_csv(results: Sequence[Result]) -> str:
    """Returns the content of `results.csv`: a line a point."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    names = list(results[0].values) if results else []
    table.writerow([*names, "validation", "epoch", "test", "run", "member"])
    for one in results:
        figures = (one.validation, one.epoch, one.test)
        table.writerow([*one.values.values(), *figures, one.run, one.member])
    return file.getvalue()


def to_recipe(config: Config, values: Mapping[str, Any]) -> str:
    """Returns a config file of one point."""
    written = pprint.pformat(to_dict(config), sort_dicts=False, width=100)
    return WINNER.format(point=format_values(values).replace('"', "'"), config=written)


def format_values(values: Mapping[str, Any]) -> str:
    """Formats the values of a point or setting."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def format_settings(results: Sequence[Result], comparison: Comparison) -> str:
    """Formats the best settings as a table."""
    settings = settings_of(results, comparison)
    names = list(settings[0].values)
    repeated = max(one.seeds for one in settings) > 1
    head = [*names, *(["seeds"] if repeated else []), f"validation {comparison.validation}", "test"]
    rows = [head]
    percent = comparison.validation != "loss"
    for one in settings[:SHOWN]:
        cells = [str(one.values[name]) for name in names]
        cells += [str(one.seeds)] if repeated else []
        if one.validation is None or one.test is None:
            cells += ["diverged", "-"]
        else:
            cells += [
                _figure(one.validation, one.validation_sd, percent),
                _figure(one.test, one.test_sd, True),
            ]
        rows.append(cells)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    if len(settings) > SHOWN:
        lines.append(f"... and {len(settings) - SHOWN} more")
    return "\n".join(lines)


def _figure(mean: float, sd: float | None, percent: bool) -> str:
    form = ".2%" if percent else ".4f"
    return f"{mean:{form}}" + ("" if sd is None else f" ± {sd:{form}}")
