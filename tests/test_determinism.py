"""The same recipe, seed, machine and versions give the same bits; another seed gives others."""

from pathlib import Path
from typing import Any

import jax
import pytest

from configs import iterations, seq
from jaxmnist.train import train_and_evaluate
from tests.helpers import run_python
from tests.test_recovery import results

# One of each task: a run of the others took 40 seconds each, for the same few programs.
FILES = {"iterations": iterations, "seq": seq}
SHORTER = {"epochs": 2, "validation.examples": 60, "eval.examples": 60}
SEQUENCES = {"sequence.train_sequences": 320}


def changes(name: str) -> dict[str, int]:
    """What makes a tiny recipe shorter still, by the names of its fields."""
    return SHORTER | (SEQUENCES if name == "seq" else {})


def here(workdir: Path, **more: int) -> list[Any]:
    config = iterations.get_config("tiny")
    config.update_from_flattened_dict(changes("iterations") | more)
    train_and_evaluate(config.to_dict(), workdir)
    return results(workdir)


def in_another_process(name: str, workdir: Path, cache: Path) -> list[Any]:
    flags = [f"--config.{field}={value}" for field, value in changes(name).items()]
    done = run_python(
        "launch.py", f"--config=configs/{name}.py:tiny", f"--workdir={workdir}", *flags,
        JAX_COMPILATION_CACHE_DIR=str(cache),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return results(workdir)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return here(tmp_path_factory.mktemp("first") / "run")


@pytest.mark.slow
def test_a_second_time_in_this_process(first: list[Any], tmp_path: Path) -> None:
    assert len(first[0]["weights_sha256"]) == 64
    jax.clear_caches()  # what was traced and compiled for the first is nothing to the second
    assert here(tmp_path / "again") == first


@pytest.mark.slow
def test_another_seed_gives_other_bits(first: list[Any], tmp_path: Path) -> None:
    """The negative twin."""
    other = here(tmp_path / "other", seed=1)
    assert other[0]["weights_sha256"] != first[0]["weights_sha256"]
    for one, another in zip(first[1:], other[1:], strict=True):  # metrics and weights
        assert one != another


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_in_two_other_processes(name: str, first: list[Any], tmp_path: Path) -> None:
    """One compiles its programs, the other finds them in the cache."""
    cache = tmp_path / "cache"
    compiling = in_another_process(name, tmp_path / "compiling", cache)
    compiled = sorted(path.name for path in cache.iterdir())
    assert compiled
    assert in_another_process(name, tmp_path / "cached", cache) == compiling
    assert sorted(path.name for path in cache.iterdir()) == compiled  # nothing was compiled anew
    if name == "iterations":
        assert compiling == first
