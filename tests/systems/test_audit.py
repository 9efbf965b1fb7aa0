"""The list of systems, and the audit of what was published, from made-up results."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jaxmnist import cli, config, recipes
from jaxmnist.config import Config
from jaxmnist.errors import UserError
from jaxmnist.systems.audit import audit, read_results
from jaxmnist.systems.logs import format_logs, read_logs
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.systems.results import Spread


def recipe_of(address: str) -> Config:
    return config.from_dict(recipes.load(address).to_dict())


def spread(*values: float, sd: float = 0.0005) -> dict[str, Any]:
    return {"mean": sum(values) / len(values), "sd": sd, "values": list(values)}


def summary(
    name: str, system: str, figure: float, *, held_out: bool = False, sd: float = 0.0005
) -> dict[str, Any]:
    ours = spread(figure - sd, figure, figure + sd, sd=sd)
    return {
        "name": name, "params": 7_762, "config": {"system": system}, "test": ours,
        "data": {"official": True},
        "protocol": {
            "as_published": None if held_out else ours, "last_epoch": ours,
            "chosen_epoch": ours if held_out else None, "picked_on_test": ours,
            "test_selection_bias": spread(0.0007, 0.0009),
        },
    }  # fmt: skip


def write(folder: Path, *summaries: dict[str, Any]) -> Path:
    for number, content in enumerate(summaries):
        (folder / f"{number}.json").write_text(json.dumps(content))
    return folder


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if re.match(rf"\| \d+ \| {name} \|", line))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_system_has_recipes_that_carry_its_name() -> None:
    assert len([system for system in SYSTEMS.values() if system.published]) == 16
    for name, system in SYSTEMS.items():
        for address in (system.config, system.as_run):
            recipe = recipe_of(address)
            assert (recipe.system, recipe.model) == (name, system.model)
        assert recipe_of(system.config).name == name


def test_recipes_as_run_are_measured_where_the_claims_were() -> None:
    for name, system in SYSTEMS.items():
        if name.startswith("seq") or not system.published:
            continue
        recipe = recipe_of(system.as_run)
        on_train = "training" in system.published.measured_on
        assert (recipe.validation.digits == "train") == on_train == recipe.validation.augmented
        assert (recipe.validation.digits == "test") != on_train
        assert recipe.selection == "last"
        assert recipe.data.train_examples == (50_000 if name == "ds_cnn" else 60_000)
        honest = recipe_of(system.config)
        assert honest.validation.digits == "held_out"
        assert honest.data.validation_examples == 5_000
        assert honest.selection == "best"


def test_models_lists_all_systems(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed.keys() == SYSTEMS.keys()
    fields = {"name", "family", "params", "config", "published", "weights"}
    assert all(entry.keys() >= fields for entry in listed.values())
    assert listed["model_3"]["params"] == 7_762
    assert listed["model_3"]["published"].keys() == {"claim", "value", "metric", "measured_on"}
    assert cli.main(["models"]) == 0
    assert "configs/models.py:model_3" in capsys.readouterr().out


def test_the_audit_has_a_row_a_system_and_a_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        tmp_path,
        summary("model_3_as_run", "model_3", 0.9928),
        summary("model_3", "model_3", 0.9940, held_out=True),
        summary("ds_cnn_as_run", "ds_cnn", 0.9956),
    )
    out = tmp_path / "AUDIT.md"
    assert cli.main(["audit", str(tmp_path), "--out", str(out)]) == 0
    text = out.read_text()
    assert len([line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]) == 16
    ours = row(text, "model_3")
    assert ours[2:6] == ["99.46", "MNIST test, last epoch", "99.28 ± 0.05", "3"]
    # Student's 4.303 with two degrees of freedom: 4.303 * 0.05 / sqrt(3) = 0.124.
    assert ours[6] == "99.16 to 99.40"
    assert ours[8:] == ["99.40 ± 0.05 (3)", "+0.08", "not reproduced: ours is 0.18 lower"]
    assert row(text, "ds_cnn")[-1] == "reproduced"
    assert row(text, "v_1")[-1] == "not run yet"
    assert "(results/0.json)" in text
    assert cli.main(["audit", str(tmp_path), "--table"]) == 0
    assert "| model_3 | 7,762 | 99.46 | MNIST test | 99.28 ± 0.05 |" in capsys.readouterr().out


def test_a_claim_outside_the_spread_of_few_seeds_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One more run is expected within 4.303 * 0.0002 * sqrt(1 + 1/3) = 0.0010 of our mean."""
    folder = tmp_path / "a finished run"
    folder.mkdir()
    for ours, sd, expected in [
        (0.9957 - 0.0008, 0.0002, "reproduced"),
        (0.9957 - 0.0012, 0.0002, "reproduced, but outside our seeds' spread"),  # by the digits
        (0.9957 - 0.0015, 0.0002, "not reproduced: ours is 0.15 lower"),
        (0.9957 - 0.0020, 0.0010, "reproduced"),  # by the seeds
    ]:
        content = summary("ds_cnn_as_run", "ds_cnn", ours, sd=sd)
        (folder / "summary.json").write_text(json.dumps(content))
        assert cli.main(["audit", str(tmp_path)]) == 0
        assert row(capsys.readouterr().out, "ds_cnn")[-1] == expected


def test_results_of_older_versions_are_read(tmp_path: Path) -> None:
    content = summary("model_3", "model_3", 0.9940, held_out=True)
    protocol = content["protocol"]
    protocol["inflation"] = protocol.pop("test_selection_bias")
    (old,) = read_results(write(tmp_path, content))
    assert old.protocol
    assert old.protocol.test_selection_bias == Spread(
        (0.0007 + 0.0009) / 2, [0.0007, 0.0009], 0.0005
    )


@pytest.mark.parametrize(
    "change", [{"data": {"official": False}}, {"config": {"system": ""}}, {"name": "mine"}]
)
def test_other_digits_or_an_altered_recipe_are_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    write(tmp_path, summary("model_3_as_run", "model_3", 0.9946) | change)
    assert cli.main(["audit", str(tmp_path)]) == 0
    assert row(capsys.readouterr().out, "model_3")[-1] == "not run yet"


def test_recipes_that_may_have_made_a_figure_stand_beside_it(tmp_path: Path) -> None:
    recipes_of_v_1 = [
        summary("v_1_as_run", "v_1", 0.9928) | {"epochs": 15},
        summary("v_1_10_epochs_as_run", "v_1", 0.9921) | {"epochs": 10},
    ]
    text = audit(read_results(write(tmp_path, *recipes_of_v_1)))
    lines = [line for line in text.splitlines() if line.startswith("| v_1 |")]
    assert [line.split("|")[2:4] for line in lines] == [
        [" v_1_as_run ", " 15 "], [" v_1_10_epochs_as_run ", " 10 "],
    ]  # fmt: skip
    for system in SYSTEMS.values():
        names = {recipes.load(f"{system.family}:{variant}").name for variant in system.others}
        assert names == set(system.others)


def test_claims_are_shown_as_they_were_made(tmp_path: Path) -> None:
    claims = {name: system.published.claim for name, system in SYSTEMS.items() if system.published}
    assert (claims["iteration_1"], claims["v_1"], claims["iteration_6"]) == (
        "82.1",
        "~99.4",
        "99.2",
    )
    assert SYSTEMS["seq-specialist"].published.claims["inverted"] == "~0"
    text = audit(read_results(write(tmp_path, summary("iteration_1_as_run", "iteration_1", 0.97))))
    assert row(text, "iteration_1")[2] == "82.1 (its output: 97.02)"
    assert "97.02 %" in text


def test_a_log_is_compared_epoch_by_epoch(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    near = {"train": [[90.0, 92.0], [95.0, 96.0]], "test": [[97.0, 98.0], [98.0, 99.0]]}
    content = {
        "system": "model_3", "command": "x", "log": {"train": [91.0, 95.5], "test": [97.5, 98.5]},
        "recipes": {
            "far": near | {"rms_train": 2.0, "rms_test": 0.1},
            "near": near | {"rms_train": 0.1, "rms_test": 0.1},
        },
    }  # fmt: skip
    (tmp_path / "logs" / "model_3.json").write_text(json.dumps(content))
    text = "\n".join(format_logs(read_logs(tmp_path)))
    assert "The nearest by both columns, near," in text
    assert "| 2 | 95.50 | 95.00 to 96.00 | 98.50 | 98.00 to 99.00 |" in text
    (tmp_path / "logs" / "model_3.json").write_text("[]")
    with pytest.raises(UserError, match="no comparison with a log"):
        read_logs(tmp_path)
