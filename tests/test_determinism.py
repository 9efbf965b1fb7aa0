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
SEQUENCES = {"sequence.train_sequences": 330}
QUICK = ("iterations",)


def changes(name: str) -> dict[str, int]:
    """What makes a tiny recipe shorter still, by the names of its fields."""
    return SHORTER | (SEQUENCES if name == "seq" else {})


def settings(name: str, **more: int) -> dict[str, Any]:
    config = FILES[name].get_config("tiny")
    config.update_from_flattened_dict(changes(name) | more)
    return config.to_dict()


def in_another_process(name: str, workdir: Path, **environment: str) -> list[Any]:
    flags = [f"--config.{field}={value}" for field, value in changes(name).items()]
    done = run_python(
        "launch.py", f"--config=configs/{name}.py:tiny", f"--workdir={workdir}", *flags,
        **environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return results(workdir)


def here(name: str, workdir: Path, **more: int) -> list[Any]:
    train_and_evaluate(settings(name, **more), workdir)
    return results(workdir)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FILES]
)
def test_here_and_in_another_process(name: str, tmp_path: Path) -> None:
    first = here(name, tmp_path / "first")
    assert len(first[0]["weights_sha256"]) == 64
    assert in_another_process(name, tmp_path / "second") == first
    if name in QUICK:
        jax.clear_caches()  # what was traced and compiled for the first is nothing to the third
        assert here(name, tmp_path / "third") == first


@pytest.mark.slow
def test_a_cached_program_gives_the_bits_of_a_fresh_one(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    environment = {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    fresh = in_another_process("iterations", tmp_path / "fresh", **environment)
    compiled = sorted(path.name for path in cache.iterdir())
    assert compiled
    cached = in_another_process("iterations", tmp_path / "cached", **environment)
    assert sorted(path.name for path in cache.iterdir()) == compiled  # nothing was compiled anew
    assert cached == fresh


def test_another_seed_gives_other_bits(tmp_path: Path) -> None:
    """The negative twin."""
    found = [here("iterations", tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    assert found[0][0]["weights_sha256"] != found[1][0]["weights_sha256"]
    for one, other in zip(found[0][1:], found[1][1:], strict=True):  # metrics and weights
        assert one != other
