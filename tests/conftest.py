"""Strict settings for all tests, and what several of them share."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmnist.data.sources import VARIABLE, Source, load_source
from jaxmnist.generate.sequence import Bank
from tests.helpers import run_python

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def source() -> Source:
    """MNIST where it is at hand, else the stand-in: real digits in any case."""
    return load_source("dir" if VARIABLE in os.environ else "digits8x8")


@pytest.fixture(scope="session")
def digits(source: Source) -> np.ndarray:
    """A thousand real digits, uint8 (1000, 28, 28)."""
    return source.train.images[:1000]


@pytest.fixture(scope="session")
def bank(source: Source) -> Bank:
    """The same digits as the generator takes them."""
    return Bank(
        jax.numpy.asarray(source.train.images[:1000]),
        jax.numpy.asarray(source.train.labels[:1000], "int32"),
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run folder of `configs/seq.py:tiny`, and what the run printed."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    done = run_python("launch.py", "--config=configs/seq.py:tiny", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout
