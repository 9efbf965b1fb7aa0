"""Times contenders in turns, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax

from jaxmnist.bench.machine import peak_above, start_peak


@dataclass(frozen=True)
class Runner:
    """A contender, ready to train."""

    run: Callable[[int], None]  # makes so many steps of every seed, and returns when they are done
    device_bytes: Callable[[], int | None]  # what it took of an accelerator at most, until now


Prepare = Callable[[], Runner]  # builds and compiles
Log = Callable[[str], None]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Timed:
    """The times of a contender."""

    setup_seconds: float  # building, compiling and the first step
    peak_memory_bytes: int | None  # of setup and warm-up, above what was held before
    rates: list[float]  # examples a second, over all seeds, in each round


def interleave(
    contenders: Mapping[str, Prepare],
    *,
    examples_per_step: int,
    rounds: int,
    seconds: float,
    log: Log,
) -> dict[str, Timed]:
    """Prepares all contenders, then lets each train for about `seconds` in every round."""
    ready: dict[str, Runner] = {}
    steps: dict[str, int] = {}
    timed: dict[str, Timed] = {}
    for name, prepare in contenders.items():
        log(f"preparing {name}")
        held = start_peak()
        began = time.perf_counter()
        ready[name] = prepare()
        ready[name].run(1)
        setup_seconds = time.perf_counter() - began
        log(f"warming up {name}")
        steps[name] = calibrate(ready[name].run, seconds)
        on_cpu = jax.default_backend() == "cpu"
        peak = peak_above(held) if on_cpu else ready[name].device_bytes()
        timed[name] = Timed(setup_seconds, peak, [])
    for number in range(rounds):
        for name in rotate(list(contenders), number):
            log(f"round {number + 1}/{rounds}: {name}")
            took = _seconds(ready[name].run, steps[name], time.perf_counter)
            timed[name].rates.append(steps[name] * examples_per_step / took)
    return timed


def rotate(names: Sequence[str], number: int) -> list[str]:
    """Returns the order of round `number`: another contender begins every time."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


def calibrate(run: Callable[[int], None], seconds: float, clock: Clock = time.perf_counter) -> int:
    """Returns how many steps take about `seconds`, by trying ever more of them."""
    steps = 1
    while True:
        took = max(_seconds(run, steps, clock), 1e-9)
        wanted = max(1, round(steps * seconds / took))
        if took >= seconds / 4:
            return wanted
        steps = min(wanted, 8 * steps)


def _seconds(run: Callable[[int], None], steps: int, clock: Clock) -> float:
    began = clock()
    run(steps)
    return clock() - began
