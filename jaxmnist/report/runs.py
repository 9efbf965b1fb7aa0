"""Run folders as a report reads them: whole or under way, of this version or an older one."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxmnist.config import flatten
from jaxmnist.errors import UserError
from jaxmnist.old_configs import upgrade
from jaxmnist.run.predictions import ANSWERS_FILE, Answers, load_answers
from jaxmnist.typed_json import from_json

READ_FILES = ("config.json", "metrics.jsonl", "summary.json", ANSWERS_FILE)
Version = tuple[int, ...]  # of the files of a folder: it changes when one of them does


@dataclass(frozen=True)
class Figure:
    """An accuracy over seeds, as a fraction."""

    mean: float
    values: list[float]
    sd: float | None = None


@dataclass(frozen=True)
class Data:
    """Which digits."""

    source: str
    official: bool  # byte for byte MNIST


@dataclass(frozen=True)
class Seconds:
    """What parts of the run took."""

    train: float
    total: float


@dataclass(frozen=True)
class Outcome:
    """What `summary.json` says, as far as a report shows it."""

    params: int
    data: Data
    test: Figure | None  # None of members that diverged
    suites: dict[str, Figure]
    seconds: Seconds


@dataclass(frozen=True)
class Run:
    """One run folder."""

    folder: Path
    fields: dict[str, Any]  # of its configuration, by full name
    history: list[dict[str, Any]]  # the lines of metrics.jsonl
    outcome: Outcome | None  # None while it is under way
    answers: Answers | None  # None, too, of older versions
    part: str = ""  # of a population: which members
    note: str = ""  # on what of it cannot be read


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Returns the run folders among folders and in them, each once.

    Raises:
      UserError: if a path is no folder, or holds no run.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.is_dir():
            why = "is a file" if path.exists() else "does not exist"
            raise UserError(f"{path} {why}: give a run folder, or a folder of run folders.")
        inside = list(_walk(path))
        if not inside:
            raise UserError(f"{path} holds no run: give a run folder, or a folder of run folders.")
        found |= {os.path.realpath(folder): folder for folder in inside}
    return list(found.values())


def _walk(top: Path) -> Iterator[Path]:
    for folder, inside, files in os.walk(top):
        if os.path.isfile(os.path.join(folder, "config.json")) and (
            "metrics.jsonl" in files or "model.txt" in files
        ):
            inside.clear()  # checkpoints are no runs
            yield Path(folder)
        inside.sort()


def version(folder: Path) -> Version:
    """Returns what changes with the files of a run."""
    return tuple(_changed(folder / name) for name in READ_FILES)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def load_run(folder: Path) -> Run:
    """Reads a run folder.

    Raises:
      UserError: if one of its files is damaged, but for its answers.
    """
    config, history, outcome = folder / "config.json", [], None
    lines, summary = folder / "metrics.jsonl", folder / "summary.json"
    try:
        fields = flatten(upgrade(_parse(config)))
        if lines.is_file():
            text = lines.read_text(encoding="utf-8")
            history = [_checked(json.loads(line)) for line in text.splitlines()]
        if summary.is_file():
            outcome = from_json(Outcome, _parse(summary))
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read ({error.strerror}): check it."
        ) from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder} is damaged, or no run ({type(error).__name__}): it is left out."
        ) from None
    run = Run(folder, fields, history, outcome, None)
    if outcome is None or not (folder / ANSWERS_FILE).is_file():
        return run
    try:
        return replace(run, answers=load_answers(folder / ANSWERS_FILE))
    except UserError as error:
        return replace(run, note=str(error))


def _parse(path: Path) -> dict[str, Any]:
    tree = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(tree, dict):
        raise ValueError(path.name)
    return tree


def _checked(row: Any) -> dict[str, Any]:
    """Returns a line of metrics.jsonl: numbers, and under `seeds` a list of them for each name."""
    seeds = row.get("seeds", {}) if isinstance(row, dict) else None
    if not isinstance(seeds, dict) or type(row.get("epoch")) is not int:
        raise ValueError("no line of metrics")
    values = [value for name, value in row.items() if name != "seeds"]
    for each in seeds.values():
        if not isinstance(each, list):
            raise ValueError("no list of seeds")
        values += each
    if not all(value is None or is_number(value) for value in values):
        raise ValueError("no number")
    return dict(row)


def is_number(value: Any) -> bool:
    """Returns whether a value out of JSON is a number that a float can hold."""
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def labels_of(folders: Sequence[Path]) -> list[str]:
    """Returns short names of folders: what differs in their paths."""
    paths = [os.path.abspath(folder) for folder in folders]
    if len(set(paths)) == 1:
        return [os.path.basename(path) for path in paths]
    common = os.path.commonpath(paths)
    return [os.path.relpath(path, common) for path in paths]
