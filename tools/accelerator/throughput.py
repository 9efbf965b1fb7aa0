"""Section b: training throughput beside PyTorch, and what layout, convolution and bf16 change."""

import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax

from jaxmnist.bench.compare import start_baselines
from jaxmnist.bench.interleave import Prepare, Runner, interleave
from jaxmnist.bench.options import OURS, Options
from jaxmnist.bench.ours import prepare_ours
from jaxmnist.bench.report import contender_figures
from jaxmnist.bench.workload import Workload, make_workload
from jaxmnist.errors import UserError
from jaxmnist.runtime import cores
from tools.accelerator.device_time import Run, busy_seconds, peaks, torch_busy_seconds
from tools.accelerator.plan import Plan
from tools.accelerator.section import Context, Item, Result
from tools.accelerator.variants import variants

MODES = ("eager", "channels_last", "cuda_graphs")
COMPILED = "compile"  # takes half a minute a case: after everything else, and against ours alone
Measure = Callable[[Run], dict[str, Any]]  # of device_time.py


def throughput(context: Context) -> Iterator[Item]:
    """The peak; every system and batch size; variants of ours; torch.compile; its device time.

    PyTorch's profiler comes last: once it has run, CUDA refuses JAX's in the same process.
    """
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # compile times are of a first run
    plan, found = context.plan, Peak()
    torch_profiles: list[Item] = []
    yield Item("peak", partial(found.measure, plan.matrix_side))
    on_gpu = jax.default_backend() == "gpu"
    cases = [(system, size) for size in plan.batch_sizes for system in plan.systems]
    for system, size in cases:
        modes = tuple(mode for mode in MODES if on_gpu or mode != "cuda_graphs")
        name = f"{system}, batch {size}"
        yield Item(name, partial(compare, system, size, modes, context, found, torch_profiles))
        yield Item(f"{name}: cuda_graphs", partial(_in_the_item_before, name), needs_cuda=True)
    for system, size in plan.variant_cases:
        yield Item(
            f"variants of {system}, batch {size}",
            partial(compare_variants, system, size, context, found),
        )
    for system, size in cases:
        yield Item(
            f"{system}, batch {size}: torch.compile",
            partial(compare, system, size, (COMPILED,), context, found, torch_profiles),
            # The lines are those of the modes above.
            left_out="compiling takes too long for a rehearsal" if plan.rehearsal else "",
        )
    yield from torch_profiles


def _in_the_item_before(name: str) -> Result:
    return {"see": name}


class Peak:
    """The measured peak, which everything after it is compared with."""

    flops: float | None = None

    def measure(self, side: int) -> Result:
        """Measures products of matrices and a copy."""
        found = peaks(side)
        self.flops = 1e12 * found["float32_tflops"]
        return found


def compare(
    system: str,
    size: int,
    modes: tuple[str, ...],
    context: Context,
    peak: Peak,
    torch_profiles: list[Item],
) -> Result:
    """Lets ours and PyTorch's ways train in turns; then ours once more under a profiler."""
    work = workload(system, size, context.plan, modes)
    contenders: dict[str, Callable[[Workload], Runner]] = {OURS: prepare_ours}
    failed: dict[str, str] = {}
    try:
        baselines = start_baselines(cores())
        contenders |= {mode: baselines[mode] for mode in modes}
    except (
        UserError
    ) as error:  # PyTorch is not there, or has no GPU: ours is worth timing all the same
        failed["torch"] = str(error)
    prepares = {name: partial(prepare, work) for name, prepare in contenders.items()}
    result, ready = time_all(prepares, work, context, peak, failed)
    ours = partial(busy_seconds, folder=context.scratch / f"trace-{time.time_ns()}")
    result["contenders"][OURS]["profile"] = profile(ready.pop(OURS), ours, context)
    for mode, runner in ready.items():
        measure = partial(profile, runner, torch_busy_seconds, context)
        torch_profiles.append(Item(f"{system}, batch {size}: device time of {mode}", measure))
    return result


def compare_variants(system: str, size: int, context: Context, peak: Peak) -> Result:
    """Lets variants of ours train in turns, and says how far their results are apart."""
    work = workload(system, size, context.plan, ("published",))  # nobody is fed with ready examples
    found = variants(work, context.plan.variants)
    prepares = {variant.name: variant.prepare for variant in found}
    result, ready = time_all(prepares, work, context, peak, {})
    for name, runner in ready.items():
        measure = partial(busy_seconds, folder=context.scratch / f"trace-{time.time_ns()}")
        result["contenders"][name]["profile"] = profile(runner, measure, context)
    return result | {"errors": {variant.name: variant.errors() for variant in found}}


def workload(system: str, size: int, plan: Plan, modes: tuple[str, ...]) -> Workload:
    """Returns what is trained: the system's recipe, nothing augmented."""
    return make_workload(system, size, Options(against=modes, source=plan.source))


def time_all(
    prepares: Mapping[str, Prepare],
    work: Workload,
    context: Context,
    peak: Peak,
    failed: dict[str, str],
) -> tuple[Result, dict[str, Runner]]:
    """Times contenders in turns; one that cannot run is left out, with the reason.

    Returns:
      What is known of them all, and those that can run on.
    """
    plan = context.plan
    ready: dict[str, Runner] = {}
    setup: dict[str, float] = {}
    for name, prepare in prepares.items():
        began = time.perf_counter()
        try:
            ready[name] = prepare()
            ready[name].run(1)
        except Exception:  # e.g. a kernel that this card lacks; the others go on
            failed[name] = traceback.format_exc()
            ready.pop(name, None)
            continue
        setup[name] = time.perf_counter() - began
    names = list(ready)
    timed = interleave(
        {name: partial(ready.__getitem__, name) for name in names},
        examples_per_step=work.examples_per_step,
        rounds=plan.rounds,
        seconds=plan.turn_seconds,
        log=lambda line: None,
    )
    # Ours, or the first variant, is what ratios are of.
    timed = {OURS: timed[names[0]]} | timed
    figures = contender_figures(timed, work.train_flops(), peak.flops or float("nan"))
    result: Result = {
        "examples": work.experiment.spec.num_examples,
        "train_flops_per_example": work.train_flops(),
        "contenders": {name: figures[name] | {"setup_seconds": setup[name]} for name in names},
        "failed": failed,
    }
    return result, ready


def profile(runner: Runner, measure: Measure, context: Context) -> Result:
    """Returns device and wall time of some steps, or why there are none."""
    steps = context.plan.profiled_steps
    try:
        found = measure(partial(runner.run, steps))
    except Exception as error:  # two profilers in one process may refuse each other
        return {"failed": f"{type(error).__name__}: {error}"}
    busy = found["device_seconds"]
    return found | {"steps": steps, "device_share": busy and busy / found["wall_seconds"]}
