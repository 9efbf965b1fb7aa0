"""Sweeps of short runs: stopped and resumed, shared among machines, guided; and what is refused."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxmnist.config import Config
from jaxmnist.errors import AllDivergedError, UserError
from jaxmnist.experiment import Experiment, prepare
from jaxmnist.models.layers import Dense, Flatten
from jaxmnist.models.network import Architecture
from jaxmnist.models.zoo import DIGIT_MODELS
from jaxmnist.parser import make_parser
from jaxmnist.run.progress import Progress
from jaxmnist.sweep import run
from jaxmnist.sweep.options import read_options
from jaxmnist.sweep.points import Point, population
from jaxmnist.sweep.run import run_sweep
from tests.helpers import short_run, write_config_file

# A linear network, which compiles at once, on batches that divide an epoch.
DIGIT_MODELS["linear_for_tests"] = Architecture((Flatten(), Dense(10)), heads=1, classes=10)
LINEAR: dict[str, Any] = {
    "model": "linear_for_tests", "batch_size": 64, "augment.rotation_degrees": 0.0,
    "augment.crop_probability": 0.0,
    "data.train_examples": 1_280, "data.validation_examples": 220,
}  # fmt: skip
# Two runs of four members; the number of epochs is in no program, so that one serves them all.
OVER = "epochs=1,2; schedule.learning_rate=0.001,0.01; seed=0,1"
FILES = ("results.json", "results.csv", "winner.py")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config_file(tmp_path_factory.mktemp("recipe") / "mine.py", LINEAR)


def sweep(recipe: Path, over: str, workdir: Path, *flags: str) -> Path:
    """Runs `jaxmnist sweep` in this process, without what it changes there."""
    line = ["sweep", str(recipe), "--over", over, "--workdir", str(workdir), *flags]
    chosen = make_parser().parse_args(line)
    chosen.overrides = {}
    options = read_options(chosen)
    return run_sweep(options.sweep, options.workdir, shard=options.shard)


def tables(workdir: Path) -> list[str]:
    return [(workdir / name).read_text() for name in FILES]


def refuse_training(*arguments: Any, **others: Any) -> None:
    raise AssertionError("something was trained again")


@pytest.fixture(scope="module")
def through(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("through") / "sweep"
    assert sweep(recipe, OVER, workdir) == workdir / "results.json"
    return workdir


def test_a_sweep_that_was_killed_goes_on_to_the_same_table(
    recipe: Path, through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_epoch = Progress.end_epoch

    def stop_in_the_second_run(self: Progress, line: str) -> None:
        end_epoch(self, line)
        if self.epochs == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "end_epoch", stop_in_the_second_run)
        with pytest.raises(KeyboardInterrupt):
            sweep(recipe, OVER, tmp_path / "sweep")
    first = tmp_path / "sweep" / "001" / "summary.json"
    written = first.stat().st_mtime_ns
    assert not (tmp_path / "sweep" / "winner.py").exists()
    sweep(recipe, OVER, tmp_path / "sweep")
    assert first.stat().st_mtime_ns == written
    assert tables(tmp_path / "sweep") == tables(through)
    monkeypatch.setattr(run, "train", refuse_training)
    sweep(recipe, OVER, tmp_path / "sweep")
    assert tables(tmp_path / "sweep") == tables(through)
    with pytest.raises(UserError, match="another sweep, which differs in axes"):
        sweep(recipe, "seed=0,1", tmp_path / "sweep")


def test_shards_in_one_place_make_one_table(
    recipe: Path,
    through: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in (1, 2):
        sweep(recipe, OVER, tmp_path / f"{number}", "--shard", f"{number}/2")
        assert "4 of 8 points are trained" in capsys.readouterr().out
    shutil.copytree(tmp_path / "2", tmp_path / "1", dirs_exist_ok=True)
    monkeypatch.setattr(run, "train", refuse_training)
    sweep(recipe, OVER, tmp_path / "1")
    assert tables(tmp_path / "1") == tables(through)


def test_a_point_that_diverges_is_in_the_table_and_is_not_trained_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = "epochs=1; schedule.learning_rate={}; seed=0,1"
    sweep(recipe, over.format("0.01,1e37"), tmp_path / "some")
    assert "epochs = 1, schedule.learning_rate = 0.01" in (tmp_path / "some/winner.py").read_text()
    lines = (tmp_path / "some" / "results.csv").read_text().splitlines()
    assert [line.split(",")[3] == "" for line in lines[1:]] == [False, False, True, True]
    for _ in range(2):
        with pytest.raises(AllDivergedError, match=r"every setting has a point that diverged"):
            sweep(recipe, over.format("1e36,1e37"), tmp_path / "all")
        monkeypatch.setattr(run, "train", refuse_training)


def test_a_guided_sweep_makes_the_same_choices_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    over = "epochs=1; schedule.learning_rate=log(1e-4,0.1); seed=0,1"
    flags = ("--guided", "4", "--at-once", "4")
    sweep(recipe, over, tmp_path / "sweep", *flags)
    before = tables(tmp_path / "sweep")
    assert sorted(path.name for path in (tmp_path / "sweep").glob("0*")) == ["001", "002"]
    shutil.rmtree(tmp_path / "sweep" / "002")
    sweep(recipe, over, tmp_path / "sweep", *flags)
    assert tables(tmp_path / "sweep") == before
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'jaxmnist\[sweep\]'"):
        sweep(recipe, over, tmp_path / "sweep", *flags)


@pytest.mark.parametrize(
    ("over", "flags", "message"),
    [
        ("model=model_3,nosuch", [], "nosuch"),
        ("batch_size=64,100000", [], "batch_size is 100000, more than"),
        ("seed=0,1", ["--shard", "3/2"], "--shard is '3/2'"),
        ("seed=0,1", ["--at-once", "0"], "--at-once is 0: it must be at least 1"),
        ("seed=0,1", ["--guided", "2"], "seeds alone"),
        ("epochs=1,2", ["--guided", "2", "--shard", "1/2"], "exclude each other"),
    ],
)
def test_what_is_impossible_is_refused_before_anything_is_written(
    over: str, flags: list[str], message: str, recipe: Path, tmp_path: Path
) -> None:
    if "seeds alone" in message:
        pytest.importorskip("optuna")
    with pytest.raises(UserError, match=message):
        sweep(recipe, over, tmp_path / "sweep", *flags)
    assert not any(tmp_path.iterdir())


def test_members_of_a_population_train_to_what_they_train_to_alone() -> None:
    # Plain gradient descent: Adam would turn the rounding of gradients near zero into whole steps.
    alone = short_run(**LINEAR | {"optimizer.name": "sgd", "schedule.name": "one_cycle"})
    members = (3, 0.02), (5, 0.1)

    def config(seed: int, rate: float) -> Config:
        return replace(alone, seed=seed, schedule=replace(alone.schedule, learning_rate=rate))

    def trained(config: Config) -> tuple[Experiment, list[np.ndarray]]:
        """What is trained, and its weights after ten steps, a row a member."""
        experiment = prepare(config)
        fns = experiment.compile(state := experiment.init_state(config.seed))
        state = fns.train_steps(state, 0, 10, experiment.train_data())
        return experiment, [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]

    def apart(first: list[np.ndarray], second: list[np.ndarray]) -> float:
        return max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))

    experiment, weights = trained(population([Point({}, config(*each)) for each in members]))
    for row, member in enumerate(members):
        single, own = trained(config(*member))
        # Not the same bits: here a member has a core, alone both share each batch, and add up.
        assert apart([leaf[row : row + 1] for leaf in weights], own) < 1e-5
        assert apart([leaf[1 - row : 2 - row] for leaf in weights], own) > 1e-2
        assert single.spec == experiment.spec  # rates are in no program
