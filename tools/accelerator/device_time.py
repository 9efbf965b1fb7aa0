"""What a device can do at most, and for how long it is busy while a program runs."""

import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Run = Callable[[], None]  # makes some steps, and returns when they are done
Interval = tuple[float, float]


def peaks(side: int) -> dict[str, float]:
    """Measures products of two matrices of `side` x `side`, and a copy, on random numbers.

    Returns:
      Tera-operations a second by precision, and gigabytes a second, read and written.
    """
    random = np.random.RandomState(0)
    matrix = jnp.asarray(random.uniform(-1, 1, (side, side)) * (3 / side) ** 0.5, jnp.float32)
    half = matrix.astype(jnp.bfloat16)
    found: dict[str, float] = {}
    for name, precision, factor in (
        ("float32", "default", matrix), ("float32_highest", "highest", matrix),
        ("bfloat16", "default", half),
    ):  # fmt: skip
        with jax.default_matmul_precision(precision):
            seconds = call_seconds(jax.jit(jnp.matmul), factor, factor)
        found[f"{name}_tflops"] = 2 * side**3 / seconds / 1e12
    seconds = call_seconds(jax.jit(jnp.negative), matrix)
    found["copy_gigabytes_per_second"] = 2 * matrix.nbytes / seconds / 1e9
    return found


def call_seconds(function: Callable[..., Any], *arguments: Any, calls: int = 20) -> float:
    """Returns the seconds of a call: the median of five times `calls` calls without waiting."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(calls):
            result = function(*arguments)
        jax.block_until_ready(result)
        times.append((time.perf_counter() - began) / calls)
    return statistics.median(times)


def busy_seconds(run: Run, folder: Path) -> dict[str, Any]:
    """Runs it under JAX's profiler, and returns for how long kernels ran on a GPU.

    The profiler sees the whole process. The wall time is of the same run, profiler included;
    without a GPU there are no kernels to see, and `device_seconds` is None.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = options.host_tracer_level = 0
    began = time.perf_counter()
    with jax.profiler.trace(str(folder), profiler_options=options):
        run()
        wall = time.perf_counter() - began
    (file,) = folder.rglob("*.xplane.pb")
    profile = jax.profiler.ProfileData.from_file(str(file))
    kernels = [
        (event.start_ns / 1e9, event.end_ns / 1e9)
        for plane in profile.planes
        if plane.name.startswith("/device:GPU")
        for line in plane.lines
        if line.name.startswith("Stream")  # the other lines sum these up, by module and operation
        for event in line.events
    ]
    return {
        "profiler": "jax",
        "wall_seconds": wall,
        "device_seconds": covered(kernels) if kernels else None,
        "kernels": len(kernels),
    }


def torch_busy_seconds(run: Run) -> dict[str, Any]:
    """Does the same with PyTorch's profiler; beside it, what CUDA events say of the whole run."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    on_gpu = torch.cuda.is_available()
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    began = time.perf_counter()
    with profile(activities=[activity]) as profiler:
        run()
        wall = time.perf_counter() - began
    kernels = [
        (event.time_range.start / 1e6, event.time_range.end / 1e6)
        for event in profiler.events()
        if "CUDA" in str(event.device_type)
    ]
    events: float | None = None
    if on_gpu:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        run()
        last.record()
        last.synchronize()
        events = first.elapsed_time(last) / 1e3
    return {
        "profiler": "torch",
        "wall_seconds": wall,
        "device_seconds": covered(kernels) if kernels else None,
        "kernels": len(kernels),
        "cuda_event_seconds": events,
    }


def covered(intervals: Iterable[Interval]) -> float:
    """Returns the length of what intervals cover, where they overlap counted once."""
    total, until = 0.0, -np.inf
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
