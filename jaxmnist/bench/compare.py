"""The comparison from beginning to end."""

import math
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import jax

from jaxmnist.bench import ours
from jaxmnist.bench.machine import matmul_gflops
from jaxmnist.bench.options import OURS, Options
from jaxmnist.bench.report import contender_figures, geometric_means
from jaxmnist.bench.turns import Prepare, Ready, take_turns
from jaxmnist.bench.workload import Workload, make_workload
from jaxmnist.devices import cores, split_cpu
from jaxmnist.errors import UserError
from jaxmnist.run.environment import device, git_commit, versions
from jaxmnist.run.progress import StatusLine

QUIET_SECONDS = 2.0  # between lines where output does not go to a terminal


def compare(options: Options) -> dict[str, Any]:
    """Measures every system with every batch size against every rival.

    Returns:
      The figures as `--json` prints them.

    Raises:
      UserError: if PyTorch or a rival is not to be had here, or sizes do not fit each other.
    """
    commit = git_commit()  # now, as the source tree may move on
    split_cpu(options.seeds, math.lcm(*options.batch_sizes))  # enough for each of them
    rivals = find_rivals(options.threads or cores())
    options = options._replace(against=options.against or _best_rivals())
    if missing := [name for name in options.against if name not in rivals]:
        raise UserError(f"{missing[0]} cannot run here: it needs an NVIDIA GPU, leave it out.")
    line = StatusLine(QUIET_SECONDS)
    line.show("measuring the matmul peak ...")
    gflops = matmul_gflops()
    cases = [(system, size) for system in options.systems for size in options.batch_sizes]
    rows, digits = [], ""
    for number, (system, size) in enumerate(cases, 1):
        subject = f"{system}, batch {size} ({number}/{len(cases)})"
        _tell(line, subject, "making examples")
        work = make_workload(system, size, options)
        digits = work.digits.title
        contenders: dict[str, Prepare] = {OURS: partial(ours.prepare, work)}
        contenders |= {name: partial(rivals[name], work) for name in options.against}
        timed = take_turns(
            contenders,
            examples_per_step=work.examples_per_step,
            rounds=options.rounds,
            seconds=options.seconds,
            tell=partial(_tell, line, subject),
        )
        rows.append(
            {
                "system": system,
                "batch_size": size,
                "augment": options.augment,
                "seeds": options.seeds,
                "train_flops": work.train_flops(),
                "contenders": contender_figures(timed, work.train_flops(), gflops * 1e9),
            }
        )
    line.clear()
    return {
        "rows": rows,
        "geometric_mean_ratio": geometric_means(rows),
        "matmul_gflops": gflops,
        "rounds": options.rounds,
        "threads": options.threads or cores(),
        "data": digits,
        "notes": _notes(options),
        "device": device(),
        "versions": versions() | {"torch": version("torch")},
        "git_commit": commit,
    }


def find_rivals(threads: int) -> dict[str, Callable[[Workload], Ready]]:
    """Starts PyTorch and returns what it offers on this device.

    Raises:
      UserError: if it is not installed, or cannot use the device that JAX uses.
    """
    try:
        from jaxmnist.bench import torch_published, torch_side
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError(
            "PyTorch is not installed, and bench compares with it: pip install torch (its CPU "
            "build suffices)."
        ) from None
    torch_side.start_torch(threads)
    rivals: dict[str, Callable[[Workload], Ready]] = {
        "eager": torch_side.prepare_eager,
        "channels_last": torch_side.prepare_channels_last,
        "compile": torch_side.prepare_compile,
        "published": torch_published.prepare_published,
    }
    if jax.default_backend() == "gpu":
        rivals["cuda_graphs"] = torch_side.prepare_cuda_graphs
    return rivals


def _tell(line: StatusLine, subject: str, text: str) -> None:
    line.show(f"{subject}: {text} ...")


def _best_rivals() -> tuple[str, ...]:
    on_gpu = jax.default_backend() == "gpu"
    return ("eager", "channels_last", *(("cuda_graphs",) if on_gpu else ()))


def _notes(options: Options) -> list[str]:
    """Says in what the work of the contenders differs."""
    notes = []
    in_memory = ", ".join(name for name in options.against if name != "published")
    if in_memory and options.augment:
        notes.append(
            f"{in_memory}: examples lie ready, augmented once, while {OURS} (and published) "
            "augments afresh in every step."
        )
    if in_memory and any(system.startswith("seq-") for system in options.systems):
        notes.append(
            f"{in_memory}: sequences lie ready, while {OURS} (and published) makes them in every "
            "step."
        )
    if options.seeds > 1:
        notes.append(f"{OURS} trains all seeds in one program, PyTorch one after the other.")
    return notes
