"""Validation chooses, seeds are repetitions, and test figures are only shown."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmnist import job
from jaxmnist.errors import UserError
from jaxmnist.run.folder import RunFolder
from jaxmnist.sweep.points import resolve
from jaxmnist.sweep.results import (
    Comparison,
    Result,
    format_settings,
    results_of,
    settings_of,
    to_csv,
    to_json,
    to_recipe,
    winner_of,
)

LOSS, ACCURACY = Comparison("loss", "min"), Comparison("accuracy", "max")


def results(figures: list[list[float | None]]) -> list[Result]:
    """A row a setting, a column a seed."""
    return [
        Result("001", 0, {"seed": seed, "epochs": setting}, value, 1, value and 0.5)
        for setting, row in enumerate(figures)
        for seed, value in enumerate(row)
    ]


@pytest.mark.parametrize(("comparison", "best"), [(LOSS, (1, 0)), (ACCURACY, (0, 1))])
def test_the_best_setting_is_that_with_the_best_mean(
    comparison: Comparison, best: tuple[int, int]
) -> None:
    found = results([[0.1, 0.9], [0.3, 0.4], [0.0, None]])
    winner = winner_of(found, comparison)
    assert winner
    assert (winner.values["epochs"], winner.values["seed"]) == best
    settings = settings_of(found, comparison)
    assert settings[-1].validation is None  # a seed of it diverged, however good the other was
    assert settings[0].validation == pytest.approx(0.35 if comparison is LOSS else 0.5)
    assert winner_of(results([[None], [None]]), comparison) is None


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_test_figures_choose_nothing(test: list[float]) -> None:
    found = results([[0.4, 0.3], [0.2, 0.3]])
    other = [replace(one, test=figure) for one, figure in zip(found, test, strict=True)]
    winner = winner_of(other, LOSS)
    assert winner
    assert winner.values == {"seed": 0, "epochs": 1}


def test_the_tables_hold_every_point() -> None:
    found = results([[0.4, 0.3], [0.2, None]])
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [row["validation"] for row in rows] == ["0.4", "0.3", "0.2", ""]
    tree = json.loads(to_json(found, LOSS, 4))
    assert tree["winner"]["values"] == {"seed": 1, "epochs": 0}
    assert [one["validation"] for one in tree["results"]] == [0.4, 0.3, 0.2, None]
    assert json.loads(to_json(found, LOSS, 5))["winner"] is None  # not all are there yet
    lines = format_settings(found, LOSS).splitlines()
    assert lines[0].split()[-3:] == ["validation", "loss", "test"]
    assert "0.3500 ± 0.0707" in lines[1]
    assert "diverged" in lines[2]


def test_the_winner_is_a_recipe(tmp_path: Path) -> None:
    point = resolve(
        "seq:tiny", {"epochs": "2"}, {"strings.writing.scale": "(0.5, 2.0)", "seed": "3"}
    )
    file = tmp_path / "winner.py"
    file.write_text(to_recipe(point.config, point.values))
    assert job.resolve(str(file), {}) == point.config
    assert job.resolve(str(file), {"seed": "4"}).seed == 4


SOUND = '{"epoch": 1, "seeds": {"validation_accuracy": [0.5, 0.75]}}'


@pytest.mark.parametrize(
    "content",
    [
        SOUND.replace("0.75", '"a"'), SOUND.replace("0.75", "NaN"), SOUND.replace(", 0.75", ""),
        SOUND.replace("seeds", "seed"), f"[]\n{SOUND}", f'{{"seeds": 3}}\n{SOUND}', "", "{",
    ],
)  # fmt: skip
def test_a_damaged_run_is_said_and_chooses_nothing(content: str, tmp_path: Path) -> None:
    config = resolve("models:tiny", {"num_seeds": "1"}, {}).config
    folder = RunFolder(tmp_path, config)
    figures = SimpleNamespace(values=[0.25, 0.5], metric="accuracy")
    summary: Any = SimpleNamespace(test=figures, suites={"clean": figures})
    points: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1}]
    (tmp_path / "metrics.jsonl").write_text(SOUND)
    assert [one.validation for one in results_of(folder, summary, points)] == [0.5, 0.75]
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match="missing or damaged"):
        results_of(folder, summary, points)
