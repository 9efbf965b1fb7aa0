"""The same recipe, seed, machine and versions give the same bits; another seed gives others."""

from pathlib import Path
from typing import Any

import jax
import pytest

from jaxmnist.training import train
from tests.helpers import recipe, run_python
from tests.test_recovery import results

# One of each task: a run of the others took 40 seconds each, for the same few functions.
SHORTER = {"epochs": 2, "validation.examples": 60, "eval.examples": 60}
SEQUENCES = {"sequence.train_sequences": 320}


def changes(name: str) -> dict[str, int]:
    """What makes a tiny recipe shorter still, by the names of its fields."""
    return SHORTER | (SEQUENCES if name == "seq" else {})


def here(workdir: Path, **more: int) -> list[Any]:
    train(recipe("iterations:tiny", changes("iterations") | more), workdir)
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
    """The negative control."""
    other = here(tmp_path / "other", seed=1)
    assert other[0]["weights_sha256"] != first[0]["weights_sha256"]
    for one, another in zip(first[1:], other[1:], strict=True):  # metrics and weights
        assert one != another


@pytest.mark.slow
def test_in_another_process(first: list[Any], tmp_path: Path) -> None:
    assert in_another_process("iterations", tmp_path / "other", tmp_path / "cache") == first


@pytest.mark.slow
def test_from_the_cache_of_another_process(tmp_path: Path) -> None:
    """One process compiles, the other finds its functions in the cache."""
    cache = tmp_path / "cache"
    compiling = in_another_process("seq", tmp_path / "compiling", cache)
    compiled = sorted(path.name for path in cache.iterdir())
    assert compiled
    assert in_another_process("seq", tmp_path / "cached", cache) == compiling
    assert sorted(path.name for path in cache.iterdir()) == compiled  # nothing was compiled anew
