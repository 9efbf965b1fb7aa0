"""The same recipe, seed, machine and versions give the same bits; another seed gives others."""

from pathlib import Path
from typing import Any

import jax
import pytest

from jaxmnist.training import train
from tests.helpers import recipe, run_python, short_run, write_config_file
from tools.kill_points import results

EPOCHS = 2


def here(workdir: Path, **more: int) -> list[Any]:
    train(short_run(epochs=EPOCHS, **more), workdir)
    return results(workdir)


def in_another_process(workdir: Path, cache: Path) -> list[Any]:
    path = write_config_file(workdir.with_suffix(".py"), {"epochs": EPOCHS})
    done = run_python(
        "launch.py", f"--config={path}", f"--workdir={workdir}",
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
def test_in_another_process_that_compiles_and_in_one_that_finds_it_compiled(
    first: list[Any], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert in_another_process(tmp_path / "compiling", cache) == first
    compiled = sorted(cache.glob("*-cache"))
    assert compiled
    assert in_another_process(tmp_path / "cached", cache) == first
    assert sorted(cache.glob("*-cache")) == compiled  # nothing was compiled anew


@pytest.mark.slow
def test_a_recogniser_in_another_process(tiny_run: tuple[Path, str], tmp_path: Path) -> None:
    train(recipe("seq:compact-tiny"), tmp_path / "here")
    assert results(tmp_path / "here") == results(tiny_run[0])
