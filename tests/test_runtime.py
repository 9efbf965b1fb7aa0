"""Training holds no more after twenty epochs than after two, and compiles nothing on the way."""

import gc
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import runtime, training
from jaxmnist.runtime import peak_memory_bytes, trim_heap
from jaxmnist.training import train
from tests.helpers import short_run

EPOCHS = 20
WARM = 3  # epochs: all programs have run, and the oldest checkpoint was removed
COMPILED = "/jax/core/compile/backend_compile_duration"  # also told where the cache had it
# Bytes. What is resident swings by 40 MB with the buffers of threads, the lowest of several epochs
# by half of that (seen in 40 epochs, of which the 19th to 35th were level). It finds what leaks on
# the host at 4 MB an epoch and more; arrays are counted exactly.
GROWTH = 40e6


def resident_bytes() -> int:
    """What the process holds now; the pages that nothing uses were given back."""
    gc.collect()
    trim_heap()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Gives a list that grows by an entry for everything that is compiled."""
    found: list[str] = []

    def listen(event: str, seconds: float, **about: Any) -> None:
        if event == COMPILED:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@contextmanager
def only_new_objects_collected() -> Iterator[None]:
    """Collections look through what was made since, not through all imported modules each time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def watch(
    epochs: int,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    meddle: Callable[[Any], None] = lambda state: None,
) -> dict[str, list[int]]:
    """Runs and notes, after every epoch, what there is; `meddle` sees the state before."""
    seen: dict[str, list[int]] = {"arrays": [], "bytes": [], "resident": [], "compiled": []}
    save = training.checkpoint.save

    with (
        compilations() as compiled,
        only_new_objects_collected(),
        monkeypatch.context() as patched,
    ):

        def note(folder: Path, state: Any, record: Any) -> None:
            save(folder, state, record)
            meddle(state)
            gc.collect()
            live = jax.live_arrays()
            seen["arrays"].append(len(live))
            seen["bytes"].append(sum(array.nbytes for array in live))
            seen["compiled"].append(len(compiled))
            seen["resident"].append(resident_bytes() if sys.platform == "linux" else 0)

        patched.setattr(training.checkpoint, "save", note)
        train(short_run(epochs=epochs), workdir)
    return seen


def resident_growth(values: list[int]) -> int:
    """Compares the lowest values of the last and the first third, after the first epochs."""
    steady = values[WARM - 1 :]
    third = len(steady) // 3
    return min(steady[-third:]) - min(steady[:third])


def grows(values: list[int]) -> bool:
    """Says whether every epoch ends with more than the one before it."""
    return all(after > before for before, after in itertools.pairwise(values[WARM:]))


@pytest.mark.slow
def test_twenty_epochs_hold_what_three_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch(EPOCHS, tmp_path / "run", monkeypatch)
    for what in ("arrays", "bytes", "compiled"):
        assert len(seen[what]) == EPOCHS
        assert len(set(seen[what][WARM - 1 :])) == 1, f"{what}: {seen[what]}"
    assert resident_growth(seen["resident"]) < GROWTH, seen["resident"]


@pytest.mark.slow
def test_a_leak_and_a_program_that_is_compiled_again_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: every state is kept, and every epoch jits a function of its own."""
    kept: list[Any] = []

    def keep(state: Any) -> None:
        kept.append(jax.tree.map(jnp.copy, state.params))
        kept.append(np.ones(2_000_000))  # on the host, 16 MB
        kept.append(jax.jit(lambda x: x + len(kept))(jnp.float32(0)))

    seen = watch(WARM + 4, tmp_path / "run", monkeypatch, keep)
    for what in ("arrays", "bytes", "compiled"):
        assert grows(seen[what]), f"{what}: {seen[what]}"
    if sys.platform == "linux":
        assert resident_growth(seen["resident"]) > GROWTH, seen["resident"]


def test_the_peak_is_in_bytes_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = peak_memory_bytes()
    assert peak is not None
    held = np.ones(1_000_000)  # and what Python and JAX need: in kilobytes it would be too few
    assert peak > held.nbytes

    def hidden(path: Path, **how: Any) -> str:
        raise FileNotFoundError

    class Resource:
        RUSAGE_SELF = 0

        @staticmethod
        def getrusage(who: int) -> Any:
            return type("Usage", (), {"ru_maxrss": 5 << 20})

    monkeypatch.setattr(Path, "read_text", hidden)  # a system without /proc
    monkeypatch.setitem(sys.modules, "resource", Resource)
    for platform, expected in (("darwin", 5 << 20), ("freebsd14", 5 << 30)):
        monkeypatch.setattr(runtime.sys, "platform", platform)
        assert peak_memory_bytes() == expected
    monkeypatch.setitem(sys.modules, "resource", None)  # Windows
    assert peak_memory_bytes() is None
