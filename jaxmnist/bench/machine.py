"""The machine that contenders share: its cores, its memory, how fast it multiplies matrices."""

import ctypes
import gc
import os
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxmnist.errors import UserError
from jaxmnist.runtime import cores

PROCESS = Path("/proc/self")
SIDE, TIMES = 2048, 5


def prepare_process(threads: int | None) -> None:
    """Limits this process to `threads` cores; JAX has a thread for each core that it may use.

    It has to be called before JAX starts and PyTorch is imported.

    Raises:
      UserError: if there are not so many, or their number cannot be limited here.
    """
    available = cores()
    if threads is not None and threads != available:
        if not 1 <= threads <= available:
            raise UserError(f"--threads is {threads}: this process may use 1 to {available} cores.")
        if not hasattr(os, "sched_setaffinity"):
            raise UserError(
                "--threads cannot be chosen on this system, as JAX has a thread for each core: "
                "leave it out."
            )
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    # Compile times are those of a first run, on both sides.
    jax.config.update("jax_enable_compilation_cache", False)
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # else JAX keeps a GPU to itself


def start_peak() -> int | None:
    """Resets the peak of resident memory; returns the bytes held at present.

    None elsewhere than on Linux.

    What was freed goes back to the system first: else what comes now would find it for nothing.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        (PROCESS / "clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _status("VmRSS")


def peak_above(held: int | None) -> int | None:
    """Returns the peak since `start_peak`, less what it returned."""
    if held is None or (peak := _status("VmHWM")) is None:
        return None
    return max(peak - held, 0)


def _status(field: str) -> int | None:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return 1024 * int(kilobytes[0]) if kilobytes else None


def matmul_gflops() -> float:
    """Measures float32 products of 2048 x 2048 matrices, as networks have them: the median."""
    at_once = 2 if jax.default_backend() == "cpu" else 100  # a GPU needs work to get going
    multiply = jax.jit(jnp.matmul)
    matrix = jnp.full((SIDE, SIDE), 1 / SIDE, jnp.float32)
    product = multiply(matrix, matrix).block_until_ready()
    rates = []
    for _ in range(TIMES):
        began = time.perf_counter()
        for _ in range(at_once):
            product = multiply(product, matrix)
        product.block_until_ready()
        rates.append(at_once * 2 * SIDE**3 / (time.perf_counter() - began) / 1e9)
    return statistics.median(rates)
