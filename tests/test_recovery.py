"""Runs that were stopped, killed, damaged or diverged: what is left, and how they resume."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import checkpoint, experiment, final_evaluation, training
from jaxmnist.config import Data, config_hash, to_dict
from jaxmnist.data.dataset import Dataset, Splits
from jaxmnist.errors import Interrupted, UserError
from jaxmnist.experiment import CompiledFns, Experiment, prepare
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.progress import Progress
from jaxmnist.run.signals import StopRequest, stop_on_signal
from jaxmnist.run.summary import epoch_row
from jaxmnist.state import TrainState
from jaxmnist.tasks import Predictions, ReadDigits
from jaxmnist.training import train
from jaxmnist.weights import FILE_NAME
from tests.helpers import short_run
from tools.kill_points import results

STEPS = 22  # an epoch of a short run


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("through") / "run"
    train(short_run(), workdir)
    return workdir


def stop_within_an_epoch(patched: pytest.MonkeyPatch, ask: Callable[[], None]) -> None:
    """Has somebody ask in the second epoch, after a few of its steps."""
    show = Progress.show

    def ask_once(self: Progress, done: int, *rates: float) -> None:
        show(self, done, *rates)
        if self.epoch == 1:
            ask()

    patched.setattr(Progress, "show", ask_once)


def stop_while_validating(patched: pytest.MonkeyPatch, ask: Callable[[], None]) -> None:
    """Has somebody ask when all steps of an epoch are made, and it is not yet validated."""
    validate = training.validate

    def ask_first(*arguments: Any) -> Any:
        ask()
        return validate(*arguments)

    patched.setattr(training, "validate", ask_first)


def stop_while_saving(patched: pytest.MonkeyPatch, ask: Callable[[], None]) -> None:
    """Has somebody ask when an epoch is validated, and not yet saved."""

    def ask_last(*arguments: Any) -> Any:
        ask()
        return epoch_row(*arguments)

    patched.setattr(training, "epoch_row", ask_last)


@pytest.mark.parametrize(
    ("when", "number"),
    [
        (stop_within_an_epoch, signal.SIGTERM),
        pytest.param(stop_while_validating, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(stop_while_saving, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_asked_to_stop_goes_on_with_the_same_bits(
    when: Callable[..., None],
    number: int,
    through: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def ask() -> None:
        """Once; a second signal would end the process."""
        if not asked:
            asked.append(True)
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 0.2)  # until the listening thread has seen it

    with monkeypatch.context() as patched:
        when(patched, ask)
        with (
            stop_on_signal() as stopping,
            pytest.raises(Interrupted, match=r"interrupted, and saved after .*") as stop,
        ):
            train(short_run(), tmp_path / "run", stop=stopping)
    assert stop.value.code == 128 + number
    assert not (tmp_path / "run" / "summary.json").exists()
    train(short_run(), tmp_path / "run")
    assert "resuming" in capsys.readouterr().out
    assert results(tmp_path / "run") == results(through)


def test_a_run_goes_on_without_the_weights_that_it_began_with(
    through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Path(shutil.copy(through / FILE_NAME, tmp_path))
    config, stop = short_run(init_from=str(weights)), StopRequest()

    def ask() -> None:
        stop.code = 130

    with monkeypatch.context() as patched:
        stop_while_saving(patched, ask)
        with pytest.raises(Interrupted):
            train(config, tmp_path / "run", stop=stop)
    weights.unlink()
    train(config, tmp_path / "run")
    with pytest.raises(UserError, match="does not exist"):
        train(config, tmp_path / "another")
    assert not (tmp_path / "another").exists()


def replay_the_order(patched: pytest.MonkeyPatch) -> None:
    """The bug: epochs are counted from the resume, so that the first order comes again."""
    train_steps = CompiledFns.train_steps

    def from_zero(
        self: CompiledFns, state: TrainState, first: int, last: int, dataset: Dataset
    ) -> TrainState:
        return train_steps(self, state, first - STEPS, last - STEPS, dataset)

    patched.setattr(CompiledFns, "train_steps", from_zero)


def reset_dropout(patched: pytest.MonkeyPatch) -> None:
    """The bug: dropout's key starts again at its first step."""
    restore = checkpoint.restore_latest

    def from_zero(*arguments: Any) -> Any:
        state, record = restore(*arguments)
        return state._replace(step=state.step - STEPS), record

    patched.setattr(checkpoint, "restore_latest", from_zero)


@pytest.mark.slow
@pytest.mark.parametrize("bug", [replay_the_order, reset_dropout])
def test_a_resume_that_repeats_randomness_is_noticed(
    bug: Callable[[pytest.MonkeyPatch], None],
    through: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative controls: the classic bugs of resuming, put in after the first epoch."""
    stop_after_the_first_epoch(tmp_path / "run", monkeypatch)
    with monkeypatch.context() as patched:
        bug(patched)
        train(short_run(), tmp_path / "run")
    lines = [(w / "metrics.jsonl").read_text().splitlines() for w in (tmp_path / "run", through)]
    assert lines[0][0] == lines[1][0]
    assert lines[0][1] != lines[1][1]
    # Not by the count of steps alone, which a line of metrics holds, too.
    hashes = [results(w)[0]["weights_sha256"] for w in (tmp_path / "run", through)]
    assert hashes[0] != hashes[1]


def stop_after_the_first_epoch(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Progress, line: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "end_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train(short_run(), workdir)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.fixture
def unfinished(through: Path, tmp_path: Path) -> Path:
    """A run whose last epoch is saved and that has not been evaluated."""
    workdir = tmp_path / "run"
    shutil.copytree(through, workdir)
    (workdir / "summary.json").unlink()
    return workdir


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda file: file.write_bytes(b"")])
def test_any_damage_to_the_newest_checkpoint_is_noticed_and_the_one_before_serves(
    damage: Callable[[Path], None], unfinished: Path
) -> None:
    newest = unfinished / "checkpoints" / "3"
    files = sorted(path.relative_to(newest) for path in newest.rglob("*") if path.is_file())
    assert len(files) > 5
    like = prepare(short_run()).init_state(0)
    for file in files:  # every file that there is, one at a time
        log: list[str] = []
        content = (newest / file).read_bytes()
        damage(newest / file)
        saved = checkpoint.restore_latest(unfinished / "checkpoints", like, log.append)
        assert saved
        assert saved[1].step == 2 * STEPS
        assert "3 is damaged" in log[0]
        (unfinished / "checkpoints" / "3.damaged").rename(newest)
        (newest / file).write_bytes(content)
    saved = checkpoint.restore_latest(unfinished / "checkpoints", like, log.append)
    assert saved
    assert saved[1].step == 3 * STEPS


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    unfinished: Path, through: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(unfinished / "checkpoints" / "3" / "record.json")
    (unfinished / "checkpoints" / "4.partial" / "state").mkdir(parents=True)  # a crash left it
    train(short_run(), unfinished)
    said = capsys.readouterr().out
    assert "3 is damaged (record.json has changed): trying the one before it" in said
    assert "after epoch 2" in said
    assert results(unfinished) == results(through)
    assert sorted(p.name for p in (unfinished / "checkpoints").iterdir())[-2:] == ["3", "3.damaged"]


@pytest.mark.slow
def test_a_checkpoint_may_be_damaged_again(unfinished: Path, through: Path) -> None:
    for _ in range(2):
        flip(unfinished / "checkpoints" / "3" / "record.json")
        (unfinished / "summary.json").unlink(missing_ok=True)
        train(short_run(), unfinished)
    assert results(unfinished) == results(through)
    kept = {path.name for path in (unfinished / "checkpoints").iterdir()}
    assert kept >= {"3", "3.damaged", "3.damaged1"}


@pytest.mark.slow
def test_what_belongs_to_another_configuration_is_not_taken(
    unfinished: Path, through: Path, tmp_path: Path
) -> None:
    other = short_run(seed=7)
    (tmp_path / "other").mkdir()
    shutil.copytree(unfinished / "checkpoints", tmp_path / "other" / "checkpoints")
    (tmp_path / "other" / "config.json").write_text(json.dumps(to_dict(other)))
    with pytest.raises(UserError, match=r"checkpoints is of a run with another conf.* remove it"):
        train(other, tmp_path / "other")
    shutil.copy(through / "summary.json", tmp_path / "other")
    with pytest.raises(UserError, match=r"summary.json is of another configuration: remove it"):
        train(other, tmp_path / "other")


def test_a_folder_that_changes_hands_while_digits_are_loaded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = experiment.load_splits

    def load_slowly(data: Data) -> Splits:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.json").write_text(json.dumps(to_dict(short_run(seed=1))))
        return load(data)

    monkeypatch.setattr(experiment, "load_splits", load_slowly)
    with pytest.raises(UserError, match=r"belongs to another configuration.* seed \(1 there, 0"):
        train(short_run(), tmp_path / "run")


def test_a_finished_run_without_its_weights_says_how_to_have_them_again(
    unfinished: Path, through: Path
) -> None:
    shutil.copy(through / "summary.json", unfinished)
    (unfinished / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"without its weights.safetensors: remove summary.json"):
        train(short_run(), unfinished)
    (unfinished / "summary.json").unlink()
    train(short_run(), unfinished)
    assert results(unfinished) == results(through)


@pytest.mark.parametrize("left", [["plots"], ["plots", "config.json.partial"]])
def test_a_folder_of_which_a_kill_left_the_beginning_is_taken(
    left: list[str], tmp_path: Path
) -> None:
    for name in left:
        (tmp_path / name).mkdir() if name == "plots" else (tmp_path / name).write_text("{")
    RunFolder(tmp_path, short_run()).create()
    assert json.loads((tmp_path / "config.json").read_text())["epochs"] == 3
    assert {path.name for path in tmp_path.iterdir()} == {"plots", "config.json"}


@pytest.mark.parametrize(
    "name", ["locked", pytest.param("draw_predictions", marks=pytest.mark.slow)]
)
def test_a_full_disk_is_said_in_a_sentence_wherever_it_is_met(
    name: str, unfinished: Path, through: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    with monkeypatch.context() as patched:
        patched.setattr(final_evaluation if name == "draw_predictions" else training, name, full)
        with pytest.raises(
            UserError, match=r"somewhere cannot .* \(No space left on device\): fix it"
        ):
            train(short_run(), unfinished)
    if name == "draw_predictions":
        train(short_run(), unfinished)
        assert results(unfinished) == results(through)


@pytest.mark.parametrize(
    "stray", [".DS_Store", "state/._manifest.ocdbt", "state/.nfs000000000012", "desktop.ini"]
)
def test_files_that_others_leave_in_a_checkpoint_are_none_of_its_own(
    stray: str, unfinished: Path, through: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in ("2", "3"):
        (unfinished / "checkpoints" / number / stray).write_bytes(b"\0\5\x16\7")
    train(short_run(), unfinished)
    assert "after epoch 3" in capsys.readouterr().out
    assert results(unfinished) == results(through)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_checkpoint_that_cannot_be_read_is_not_called_damaged(
    number: int, unfinished: Path, through: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No older one is taken, whose run would overwrite what is only out of reach."""

    def out_of_reach(file: Path) -> str:
        raise OSError(number, os.strerror(number), str(file))

    before = sorted(unfinished.rglob("*"))
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "_sha256", out_of_reach)
        with pytest.raises(UserError, match=rf"3 cannot be read \({os.strerror(number)}\): make"):
            train(short_run(), unfinished)
    assert sorted(unfinished.rglob("*")) == before
    train(short_run(), unfinished)
    assert results(unfinished) == results(through)


def test_a_whole_checkpoint_of_another_version_is_kept(unfinished: Path) -> None:
    folder = unfinished / "checkpoints" / "3"
    (folder / "state" / "_METADATA").write_text("{}")
    (folder / "checksums.json").write_text(json.dumps(checkpoint._checksums(folder)))
    with pytest.raises(UserError, match=r"3 is whole, but of another version .* \(\w+\): go on"):
        train(short_run(), unfinished)
    assert folder.is_dir()


def test_with_no_checkpoint_that_can_be_read_nothing_starts_over_unasked(unfinished: Path) -> None:
    for path in (unfinished / "checkpoints").iterdir():
        (path / "checksums.json").unlink()
    before = sorted(unfinished.rglob("*"))
    with pytest.raises(UserError, match=r"all checkpoints in .* are damaged: put a copy back"):
        train(short_run(), unfinished)
    assert sorted(unfinished.rglob("*")) == before


def poisoned(seed: int) -> Callable[..., TrainState]:
    """Returns `Experiment.init_state` with a weight of one seed that is infinite."""
    init_state = Experiment.init_state

    def spoil(self: Experiment, first_seed: int) -> TrainState:
        state = init_state(self, first_seed)
        if not isinstance(state.step, jax.Array) or isinstance(state.step, jax.core.Tracer):
            return state  # only its shapes are wanted
        first, *others = jax.tree.leaves(state.params)
        spoilt = first.at[seed].set(jnp.inf)
        params = jax.tree.unflatten(jax.tree.structure(state.params), [spoilt, *others])
        return state._replace(params=params)

    return spoil


def test_divergence_stops_the_run_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Experiment, "init_state", poisoned(0))
    for _ in range(2):  # started again, it says the same
        with pytest.raises(UserError, match=r"seed 3 .* epoch 1, step 1 \(learning rate 0.0\d+\)"):
            train(short_run(seed=3), tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == ""


@pytest.mark.slow
def test_a_population_drops_only_the_seed_that_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # No smaller last batch to compile.
    both = short_run(num_seeds=2, seed=5, batch_size=125, **{"eval.every_epoch": True})
    train(both, tmp_path / "whole")
    monkeypatch.setattr(Experiment, "init_state", poisoned(0))
    train(both, tmp_path / "spoilt")
    assert "seed 5 were not finite in epoch 1, step 1" in capsys.readouterr().out
    whole, spoilt = (
        json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "spoilt")
    )
    assert [one["seed"] for one in spoilt["diverged"]] == [5]
    assert whole["diverged"] == []
    assert spoilt["test"]["values"] == whole["test"]["values"][1:]
    assert spoilt["protocol"]["every_epoch"] == whole["protocol"]["every_epoch"][1:]
    row = json.loads((tmp_path / "spoilt" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["seeds"]["train_loss"][0] is None
    assert row["train_loss"] == row["seeds"]["train_loss"][1]


def test_divergence_in_validation_is_noticed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = ReadDigits.score

    def spoil(self: ReadDigits, predictions: Predictions) -> dict[str, Any]:
        return score(self, predictions) | {"loss": np.nan}

    monkeypatch.setattr(ReadDigits, "score", spoil)
    with pytest.raises(UserError, match=f"not finite in epoch 1, step {STEPS} "):
        train(short_run(), tmp_path / "run")


def test_a_bug_in_save_is_a_traceback_and_leaves_the_checkpoints_alone(
    unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = prepare(short_run()).init_state(0)
    saved = checkpoint.restore_latest(unfinished / "checkpoints", like, print)
    assert saved
    before = sorted((unfinished / "checkpoints").rglob("*"))

    def plant(state: TrainState) -> TrainState:
        raise TypeError("a bug of ours")

    monkeypatch.setattr(checkpoint, "_on_host", plant)
    with pytest.raises(TypeError, match="a bug of ours"):
        checkpoint.save(unfinished / "checkpoints", *saved)
    (unfinished / "checkpoints" / "3" / "record.json").write_text("{}")  # so that it trains again
    with pytest.raises(TypeError, match="a bug of ours"):
        train(short_run(), unfinished)
    monkeypatch.undo()
    assert {path.name for path in before} <= {
        path.name.removesuffix(".damaged") for path in (unfinished / "checkpoints").rglob("*")
    }


def test_a_stop_request_alone_never_stops(through: Path, tmp_path: Path) -> None:
    """In a notebook nobody listens to signals, and nothing of the process changes."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert not StopRequest().requested
    train(short_run(), tmp_path / "run", stop=StopRequest())
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert results(tmp_path / "run") == results(through)


def test_an_unfinished_run_of_an_older_version_resumes(unfinished: Path, through: Path) -> None:
    """Its config.json has fields by their old names, and its checkpoints the hash of that."""
    path = unfinished / "config.json"
    old = json.loads(path.read_text())
    old["backend"] = {"chwn": "batch_minor", "nhwc": "channels_last"}.get(old["layout"], "auto")
    del old["layout"]
    path.write_text(json.dumps(old))
    for number in ("2", "3"):
        folder = unfinished / "checkpoints" / number
        record = json.loads((folder / "record.json").read_text()) | {"config": config_hash(old)}
        (folder / "record.json").write_text(json.dumps(record))
        (folder / "checksums.json").write_text(json.dumps(checkpoint._checksums(folder)))
    train(short_run(), unfinished)
    assert results(unfinished) == results(through)
    assert "backend" in path.read_text()


def test_a_checkpoint_from_before_rates_lay_in_the_state_is_read(tmp_path: Path) -> None:
    state = prepare(short_run(**{"schedule.name": "one_cycle"})).init_state(0)
    record = checkpoint.Record(0, None, "digits", "config", [], {})
    checkpoint.save(tmp_path / "checkpoints", state._replace(schedule=()), record)
    restored = checkpoint.restore_latest(tmp_path / "checkpoints", state, print)
    assert restored
    assert restored[1] == record
    for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(restored[0]), strict=True):
        assert (ours == theirs).all()
    # Any other difference is told, as before.
    checkpoint.save(tmp_path / "other", state._replace(schedule=(), batch_stats=()), record)
    with pytest.raises(UserError, match="of another version of jaxmnist or Orbax"):
        checkpoint.restore_latest(tmp_path / "other", state, print)
