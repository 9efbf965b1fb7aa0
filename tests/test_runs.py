"""Whole runs: interrupted and resumed, repeated, refused, stopped early."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from configs import iterations, seq
from jaxmnist import train as train_module
from jaxmnist.data.sources import VARIABLE
from jaxmnist.errors import UserError
from jaxmnist.programs import initial_state
from jaxmnist.recipe import make_recipe
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.lock import locked
from jaxmnist.run.progress import Progress
from jaxmnist.state import TrainState
from jaxmnist.storage.checkpoint import restore_latest
from jaxmnist.storage.weights import fingerprint
from jaxmnist.train import train_and_evaluate


def small(**changes: Any) -> dict[str, Any]:
    """A recipe of seconds with a plateau, early stopping and a smaller last batch."""
    settings = seq.get_config("tiny").to_dict()
    settings["epochs"] = 4
    settings["sequence"]["train_sequences"] = 150
    settings["validation"]["examples"] = settings["eval"]["examples"] = 60
    settings["schedule"]["name"] = "plateau"
    settings["schedule"]["plateau"]["patience"] = 0
    return settings | changes


def last_state(workdir: Path, settings: dict[str, Any]) -> tuple[TrainState, dict[str, Any]]:
    like = initial_state(make_recipe(settings, 0), settings["seed"], settings["num_seeds"])
    saved = restore_latest(workdir / "checkpoints", like, print)
    assert saved
    return saved


def bits(state: TrainState) -> list[bytes]:
    numbers = state._replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(numbers)]


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("through") / "run"
    train_and_evaluate(small(), workdir)
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize("when", [1, 3])
def test_stopped_and_resumed_is_the_same_as_straight_through(
    through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    workdir = tmp_path / "run"
    end_epoch = Progress.end_epoch

    def interrupt(self: Progress, line: str) -> None:
        end_epoch(self, line)
        if self.epoch == when:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "end_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(small(), workdir)
    assert len((workdir / "metrics.jsonl").read_text().splitlines()) == when
    train_and_evaluate(small(), workdir)

    ours, theirs = last_state(workdir, small())[0], last_state(through, small())[0]
    assert bits(ours) == bits(theirs)
    for file in ("metrics.jsonl", "weights.safetensors"):
        assert (workdir / file).read_bytes() == (through / file).read_bytes()
    summaries = [json.loads((w / "summary.json").read_text()) for w in (workdir, through)]
    for field in ("suites", "weights_sha256"):
        assert summaries[0][field] == summaries[1][field]
    assert summaries[0]["weights_sha256"] == fingerprint(theirs.weights)


@pytest.mark.slow
def test_a_resumed_run_with_another_key_is_not_the_same(through: Path) -> None:
    """The negative twin: the comparison sees one changed bit."""
    state = last_state(through, small())[0]
    other = state._replace(key=jax.vmap(jax.random.key)(np.array([1])))
    assert bits(state) != bits(other)
    *others, last = jax.tree.leaves(state.weights)
    changed = jax.tree.unflatten(
        jax.tree.structure(state.weights), [*others, np.nextafter(last, np.inf, dtype=last.dtype)]
    )
    assert fingerprint(state.weights) != fingerprint(changed)


@pytest.mark.slow
def test_latest_and_best_checkpoints_are_kept(through: Path) -> None:
    history = [json.loads(line) for line in (through / "metrics.jsonl").read_text().splitlines()]
    best = min(history, key=lambda row: row["validation_loss"])["epoch"]
    kept = {int(path.name) for path in (through / "checkpoints").iterdir()}
    assert kept == {best, len(history) - 1, len(history)}
    state, record = last_state(through, small())
    assert record["history"] == history
    assert int(state.best.epoch[0]) == best
    assert float(state.best.metric[0]) == np.float32(history[best - 1]["validation_loss"])


@pytest.mark.slow
def test_a_finished_run_is_reported_and_not_repeated(
    through: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "load_digits", None)  # would fail if it were called
    before = {path: path.stat().st_mtime_ns for path in through.rglob("*") if path.is_file()}
    assert train_and_evaluate(small(), through) == through / "summary.json"
    assert "nothing is repeated" in capsys.readouterr().out
    assert before == {
        path: path.stat().st_mtime_ns for path in through.rglob("*") if path.is_file()
    }


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", small()).create()
    with locked(tmp_path / "run"), pytest.raises(UserError, match="in use by process"):
        train_and_evaluate(small(), tmp_path / "run")


@pytest.mark.slow
def test_a_folder_of_another_configuration_is_refused_with_the_fields(through: Path) -> None:
    with pytest.raises(UserError, match=r"batch_size \(32 there, 16 here\), seed \(0 .* 1 here\)"):
        train_and_evaluate(small(batch_size=16, seed=1), through)


def test_a_stand_in_run_does_not_pass_for_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished on the stand-in, then started again where MNIST is at hand."""
    settings = small()
    settings["data"]["source"] = "auto"
    workdir = tmp_path / "run"
    folder = RunFolder(workdir, settings)
    folder.create()
    folder.write("summary.json", json.dumps({"data": {"source": "digits8x8"}}))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="MNIST is at hand now: give another --workdir"):
        train_and_evaluate(settings, workdir)


@pytest.mark.slow
def test_early_stopping_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = iterations.get_config("tiny").to_dict()
    settings |= {"epochs": 8, "early_stopping_patience": 1}
    settings["schedule"] |= {"name": "constant", "learning_rate": 1.0}  # bound to get worse
    train_and_evaluate(settings, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    history = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    reached = [json.loads(line)["validation_accuracy"] for line in history]
    assert summary["epochs"] == len(reached) < 8
    assert reached[-1] <= max(reached[:-1])
    assert "stopped early" in capsys.readouterr().out


@pytest.mark.slow
def test_a_published_recipe_runs_with_its_fixed_list(tmp_path: Path) -> None:
    """Shrunk in size alone."""
    settings = seq.get_config("generalist").to_dict()
    settings |= {"epochs": 1, "batch_size": 8}
    settings["data"]["source"] = "digits8x8"
    settings["sequence"]["train_sequences"] = 16
    settings["validation"]["examples"] = settings["eval"]["examples"] = 8
    train_and_evaluate(settings, tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["params"] == 9_891_489
    assert summary["published"] is None  # never beside a stand-in
