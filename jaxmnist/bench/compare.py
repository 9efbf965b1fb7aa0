"""The comparison from beginning to end."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

import jax

from jaxmnist.bench.interleave import Prepare, Runner, interleave
from jaxmnist.bench.machine import matmul_gflops
from jaxmnist.bench.options import OURS, Options
from jaxmnist.bench.ours import prepare_ours
from jaxmnist.bench.report import contender_figures, geometric_means
from jaxmnist.bench.workload import Workload, make_workload
from jaxmnist.errors import UserError
from jaxmnist.run.progress import StatusLine
from jaxmnist.runtime import cores, device, git_commit, versions

QUIET_SECONDS = 2.0  # between lines where output does not go to a terminal


def compare(options: Options) -> dict[str, Any]:
    """Times every system with every batch size beside every baseline.

    Returns:
      The figures as `--json` prints them.

    Raises:
      UserError: if PyTorch or a baseline is not to be had here, or sizes do not fit each other.
    """
    commit = git_commit()  # now, as the source tree may move on
    baselines = start_baselines(options.threads or cores())
    options = replace(options, against=options.against or _fastest())
    if missing := [name for name in options.against if name not in baselines]:
        raise UserError(f"{missing[0]} cannot run here: it needs an NVIDIA GPU, leave it out.")
    line = StatusLine(QUIET_SECONDS)
    line.show("measuring the matmul peak ...")
    gflops = matmul_gflops()
    cases = [(system, size) for system in options.systems for size in options.batch_sizes]
    rows, digits = [], ""
    for number, (system, size) in enumerate(cases, 1):
        subject = f"{system}, batch {size} ({number}/{len(cases)})"
        _log(line, subject, "making examples")
        work = make_workload(system, size, options)
        digits = work.experiment.splits.title
        contenders: dict[str, Prepare] = {OURS: partial(prepare_ours, work)}
        contenders |= {name: partial(baselines[name], work) for name in options.against}
        timed = interleave(
            contenders,
            examples_per_step=work.examples_per_step,
            rounds=options.rounds,
            seconds=options.seconds,
            log=partial(_log, line, subject),
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


def start_baselines(threads: int) -> dict[str, Callable[[Workload], Runner]]:
    """Starts PyTorch and returns what it offers on this device.

    Raises:
      UserError: if it is not installed, or cannot use the device that JAX uses.
    """
    try:
        from jaxmnist.bench import torch_baselines, torch_published
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError(
            "PyTorch is not installed, and bench compares with it: pip install torch (its CPU "
            "build suffices)."
        ) from None
    torch_baselines.start_torch(threads)
    baselines: dict[str, Callable[[Workload], Runner]] = {
        "eager": torch_baselines.prepare_eager,
        "channels_last": torch_baselines.prepare_channels_last,
        "compile": torch_baselines.prepare_compile,
        "published": torch_published.prepare_published,
    }
    if jax.default_backend() == "gpu":
        baselines["cuda_graphs"] = torch_baselines.prepare_cuda_graphs
    return baselines


def _log(line: StatusLine, subject: str, text: str) -> None:
    line.show(f"{subject}: {text} ...")


def _fastest() -> tuple[str, ...]:
    on_gpu = jax.default_backend() == "gpu"
    return ("eager", "channels_last", *(("cuda_graphs",) if on_gpu else ()))


def _notes(options: Options) -> list[str]:
    """Returns how the work of the contenders differs."""
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
