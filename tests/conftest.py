"""Strict settings for all tests, and what several of them share."""

import os
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest
from filelock import FileLock

from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import VARIABLE, Source, load_source
from jaxmnist.sharding import put_on_device
from tests.helpers import ROOT, run_python

# What one worker or session compiles, all others and their subprocesses find. Given a bound, JAX
# locks the cache; without one it may read a file that another process is still writing.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "xla"))
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(4 << 30))
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch's; every core has a worker already
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update(
    "jax_compilation_cache_max_size", int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"])
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
# The same examples every time, however slow the machine.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)  # so that populations are spread, as in a run


@pytest.fixture(scope="session")
def source() -> Source:
    """MNIST where it is at hand, else the fallback dataset: real digits in any case."""
    return load_source("dir" if VARIABLE in os.environ else "digits8x8")


@pytest.fixture(scope="session")
def digits(source: Source) -> np.ndarray:
    """A thousand real digits, uint8 (1000, 28, 28)."""
    return source.train.images[:1000]


@pytest.fixture(scope="session")
def dataset(source: Source) -> Dataset:
    """The same digits on the device."""
    return put_on_device(Dataset(source.train.images[:1000], source.train.labels[:1000]))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run folder of `seq:compact-tiny`, and what the run printed; all workers share it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder in it
    workdir, printed = base / "tiny_run", base / "tiny_run.txt"
    with FileLock(base / "tiny_run.lock"):
        if not printed.exists():
            done = run_python(
                "launch.py", "--config=configs/seq.py:compact-tiny", f"--workdir={workdir}"
            )
            assert done.returncode == 0, done.stderr
            printed.write_text(done.stdout, encoding="utf-8")
    return workdir, printed.read_text(encoding="utf-8")
