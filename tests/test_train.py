"""Whole runs: interrupted and resumed, repeated, refused, stopped early."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxmnist import training
from jaxmnist.checkpoint import Record, restore_latest
from jaxmnist.config import Config, to_dict
from jaxmnist.data.sources import VARIABLE
from jaxmnist.errors import UserError
from jaxmnist.experiment import prepare
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.lock import locked
from jaxmnist.run.progress import Progress
from jaxmnist.run.summary import Summary
from jaxmnist.state import TrainState
from jaxmnist.training import train
from jaxmnist.weights import weights_sha256
from tests.helpers import SHORT_PUBLISHED, SHORT_SEQUENCES, SMALL, recipe


def small(**changes: Any) -> Config:
    """A recipe of seconds with a plateau, early stopping and a smaller last batch."""
    return recipe("seq:compact-tiny", SHORT_SEQUENCES | changes)


def last_state(workdir: Path, config: Config) -> tuple[TrainState, Record]:
    like = prepare(config).init_state(config.seed)
    saved = restore_latest(workdir / "checkpoints", like, print)
    assert saved
    return saved


def bits(state: TrainState) -> list[bytes]:
    numbers = state._replace(key=jax.random.key_data(state.key))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(numbers)]


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("through") / "run"
    train(small(), workdir)
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
            train(small(), workdir)
    assert len((workdir / "metrics.jsonl").read_text().splitlines()) == when
    train(small(), workdir)

    ours, theirs = last_state(workdir, small())[0], last_state(through, small())[0]
    assert bits(ours) == bits(theirs)
    for file in ("metrics.jsonl", "weights.safetensors", "predictions.safetensors"):
        assert (workdir / file).read_bytes() == (through / file).read_bytes()
    summaries = [json.loads((w / "summary.json").read_text()) for w in (workdir, through)]
    for field in ("suites", "weights_sha256"):
        assert summaries[0][field] == summaries[1][field]
    assert summaries[0]["weights_sha256"] == weights_sha256(theirs.weights)


@pytest.mark.slow
def test_a_resumed_run_with_another_key_is_not_the_same(through: Path) -> None:
    """The negative control: the comparison sees one changed bit."""
    state = last_state(through, small())[0]
    other = state._replace(key=jax.vmap(jax.random.key)(np.array([1])))
    assert bits(state) != bits(other)
    *others, last = jax.tree.leaves(state.weights)
    changed = jax.tree.unflatten(
        jax.tree.structure(state.weights), [*others, np.nextafter(last, np.inf, dtype=last.dtype)]
    )
    assert weights_sha256(state.weights) != weights_sha256(changed)


@pytest.mark.slow
def test_latest_and_best_checkpoints_are_kept(through: Path) -> None:
    history = [json.loads(line) for line in (through / "metrics.jsonl").read_text().splitlines()]
    best = min(history, key=lambda row: row["validation_loss"])["epoch"]
    kept = {int(path.name) for path in (through / "checkpoints").iterdir()}
    assert kept == {best, len(history) - 1, len(history)}
    state, record = last_state(through, small())
    assert record.history == history
    assert int(state.best.epoch[0]) == best
    assert float(state.best.metric[0]) == np.float32(history[best - 1]["validation_loss"])


@pytest.mark.slow
def test_a_finished_run_is_reported_and_not_repeated(
    through: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "prepare", None)  # would fail if it were called
    before = {path: path.stat().st_mtime_ns for path in through.rglob("*") if path.is_file()}
    assert train(small(), through).to_json() == (through / "summary.json").read_text()
    assert "nothing is repeated" in capsys.readouterr().out
    assert before == {
        path: path.stat().st_mtime_ns for path in through.rglob("*") if path.is_file()
    }


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", small()).create()
    with locked(tmp_path / "run"), pytest.raises(UserError, match="in use by process"):
        train(small(), tmp_path / "run")


@pytest.mark.slow
def test_a_folder_of_another_configuration_is_refused_with_the_fields(through: Path) -> None:
    with pytest.raises(UserError, match=r"batch_size \(32 there, 16 here\), seed \(0 .* 1 here\)"):
        train(small(batch_size=16, seed=1), through)


@pytest.mark.slow
def test_a_run_on_the_fallback_does_not_pass_for_mnist(
    through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished on the fallback dataset, then started again where MNIST is at hand."""
    config = small(**{"data.source": "auto"})
    folder = RunFolder(tmp_path / "run", config)
    folder.create()
    summary = json.loads((through / "summary.json").read_text()) | {"config": to_dict(config)}
    folder.write("summary.json", json.dumps(summary))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="MNIST is at hand now: give another workdir"):
        train(config, tmp_path / "run")


@pytest.mark.slow
def test_early_stopping_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {
        "model": SMALL, "epochs": 8, "early_stopping_patience": 1,
        "schedule.name": "constant", "schedule.learning_rate": 1.0,  # bound to get worse
    }  # fmt: skip
    summary = train(recipe("iterations:tiny", changes), tmp_path / "run")
    history = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    reached = [json.loads(line)["validation_accuracy"] for line in history]
    assert summary.epochs == len(reached) < 8
    assert reached[-1] <= max(reached[:-1])
    assert "stopped early" in capsys.readouterr().out


@pytest.mark.slow
def test_a_published_recipe_runs_with_its_fixed_list(tmp_path: Path) -> None:
    summary = train(recipe("seq:generalist", SHORT_PUBLISHED), tmp_path / "run")
    assert summary.params == 9_891_489
    assert summary.published is None  # never beside a fallback dataset


def plain(**changes: Any) -> Config:
    """A classifier's recipe of seconds that keeps the weights of every epoch."""
    short = {
        "model": SMALL, "epochs": 2, "data.train_examples": 96, "validation.examples": 40,
        "eval.examples": 40, "schedule.name": "step", "schedule.step.every": 2,
    }  # fmt: skip
    return recipe("iterations:tiny", short | changes)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Of a run that was as long from the start."""
    return train(plain(epochs=4), tmp_path_factory.mktemp("straight") / "run")


def test_a_finished_run_is_trained_longer(
    straight: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bits of one that was as long from the start, those of every epoch included."""
    first = train(plain(), tmp_path / "run")
    longer = train(plain(epochs=4), tmp_path / "run")
    said = capsys.readouterr().out
    assert "is trained longer: 4 epochs, not 2" in said
    assert "resuming" in said
    assert first.weights_sha256 != longer.weights_sha256 == straight.weights_sha256
    assert longer.protocol == straight.protocol
    assert (first.epochs, longer.epochs) == (2, 4)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config == json.loads(json.dumps(to_dict(plain(epochs=4))))
    # Now it is a run of four epochs, and no shorter one.
    train(plain(epochs=4), tmp_path / "run")
    assert "nothing is repeated" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"epochs \(4 there, 2 here\)"):
        train(plain(), tmp_path / "run")


def test_a_longer_run_that_was_killed_goes_on(
    straight: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the worst moment: config.json has the new epochs already, the checkpoints have not."""
    train(plain(), tmp_path / "run")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "set_up", killed)
        with pytest.raises(KeyboardInterrupt):
            train(plain(epochs=4), tmp_path / "run")
    longer = train(plain(epochs=4), tmp_path / "run")
    assert longer.weights_sha256 == straight.weights_sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule.name": "one_cycle"},  # its rate depends on the number of epochs
        {"seed": 7},
        {"schedule.learning_rate": 0.5},
    ],
)
def test_a_run_with_anything_else_changed_is_not_trained_longer(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    same = {key: value for key, value in changes.items() if key == "schedule.name"}
    folder = RunFolder(tmp_path, plain(epochs=3, **same))
    folder.create()
    with pytest.raises(UserError, match=r"belongs to another configuration.*epochs"):
        RunFolder(tmp_path, plain(epochs=5, **changes))
