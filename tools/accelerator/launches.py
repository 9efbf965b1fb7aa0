"""Whole runs through launch.py: from end to end, killed and resumed, repeated to the bit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jaxmnist.runtime import cores
from tools.accelerator.section import Context, Item, Result

ROOT = Path(__file__).parents[2]
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
TIMEOUT = 300.0  # seconds; the section's own end comes first as a rule


@dataclass(frozen=True)
class Launch:
    """A run of launch.py in a process of its own: XLA reads its flags when it starts."""

    scratch: Path
    recipe: str
    overrides: tuple[str, ...]
    number: int = 1  # another one is another run of the same
    deterministic: bool = False
    cached: bool = True  # compiled programs are

    @property
    def workdir(self) -> Path:
        """The run folder."""
        kind = "deterministic" if self.deterministic else "default"
        return self.scratch / f"{self.recipe.replace(':', '-')}-{kind}-{self.number}"

    def start(self) -> "subprocess.Popen[str]":
        """Starts the process; in the same folder again, it resumes."""
        command = [sys.executable, "launch.py", f"--config={self.recipe}"]
        command += [f"--workdir={self.workdir}", *self.overrides]
        flags = [os.environ.get("XLA_FLAGS", ""), DETERMINISTIC if self.deterministic else ""]
        env = {"XLA_FLAGS": " ".join(filter(None, flags))}
        if not self.cached:
            env["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> Result:
        """Runs to the end and returns what the summary says of it."""
        began = time.perf_counter()
        process = self.start()
        output, _ = process.communicate(timeout=TIMEOUT)
        if process.returncode:
            raise RuntimeError(f"launch.py ended with {process.returncode}:\n{output[-3000:]}")
        summary = json.loads((self.workdir / "summary.json").read_text())
        return {
            "recipe": self.recipe,
            "accuracy": summary["test"]["mean"],
            "weights_sha256": summary["weights_sha256"],
            "epochs": summary["epochs"],
            "train_seconds_per_epoch": summary["seconds"]["train"] / summary["epochs"],
            "seconds_of": summary["seconds"],
            "process_seconds": round(time.perf_counter() - began, 2),
        }

    def run_until_killed(self) -> Result:
        """Kills the run (SIGKILL) after its first epoch; it must not have ended by then."""
        process, metrics = self.start(), self.workdir / "metrics.jsonl"
        end = time.monotonic() + TIMEOUT
        while process.poll() is None and time.monotonic() < end:
            if metrics.exists() and metrics.read_text().count("\n"):
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(f"it ended before it was killed:\n{output[-3000:]}")
        return {"epochs_before": metrics.read_text().count("\n")}


class Launches:
    """Runs launches in processes beside each other, each once."""

    def __init__(self, context: Context) -> None:
        """Starts nothing yet."""
        self.plan, self.scratch = context.plan, context.scratch
        together = cores() if context.plan.rehearsal else max(1, cores() // 4)
        self.pool = ThreadPoolExecutor(together)
        self.started: dict[Launch, Future[Result]] = {}

    def start(self, launch: Launch) -> "Future[Result]":
        """Starts a run, unless it has been started before."""
        if launch not in self.started:
            self.started[launch] = self.pool.submit(launch.run)
        return self.started[launch]

    def tiny(self, recipe: str, *, number: int = 1, deterministic: bool = False) -> Launch:
        """Returns a run of a tiny recipe."""
        return Launch(self.scratch, recipe, self.plan.tiny_overrides, number, deterministic)

    def repeated(self, deterministic: bool, number: int) -> Launch:
        """Returns one of two runs of the recipe that is repeated."""
        # A cached program has its kernels chosen already; a fresh one may choose others.
        return Launch(
            self.scratch,
            self.plan.repeated_recipe,
            self.plan.repeated_overrides,
            number,
            deterministic,
            cached=self.plan.rehearsal,
        )


def launch_items(context: Context) -> Iterator[Item]:
    """Yields the tiny recipes, the killed one, and the repeated one with its price."""
    launches, plan = Launches(context), context.plan
    # Nothing is timed here, so several share the device.
    tiny = {recipe: launches.start(launches.tiny(recipe)) for recipe in plan.tiny_recipes}
    unbroken = launches.start(launches.tiny(plan.killed_recipe, deterministic=True))
    broken = launches.tiny(plan.killed_recipe, number=3, deterministic=True)
    # The pool starts first what comes first, so that this waits for nothing that waits for it.
    killed = launches.pool.submit(killed_and_resumed, broken, unbroken)
    second = {flag: launches.start(launches.repeated(flag, 2)) for flag in (False, True)}
    for recipe, future in tiny.items():
        yield Item(f"tiny recipe {recipe}", future.result)
    yield Item("killed and resumed", killed.result)
    wait(second.values())
    # What follows is timed, and has the device to itself.
    seconds: dict[bool, float] = {}  # an epoch, by whether kernels are deterministic
    for flag, kernels in ((False, "default"), (True, "deterministic")):
        yield Item(
            f"repeated, {kernels} kernels",
            partial(repeat, launches, flag, second[flag], seconds),
        )
    yield Item("price of deterministic kernels", partial(price, seconds))


def killed_and_resumed(broken: Launch, unbroken: "Future[Result]") -> Result:
    """Compares a run that was killed with one that was not; deterministic, so to the bit."""
    killed = broken.run_until_killed()
    resumed, whole = broken.run(), unbroken.result()
    return killed | {
        "unbroken": whole,
        "resumed": resumed,
        "same_accuracy": whole["accuracy"] == resumed["accuracy"],
        "same_bits": whole["weights_sha256"] == resumed["weights_sha256"],
    }


def repeat(
    launches: Launches, deterministic: bool, second: "Future[Result]", seconds: dict[bool, float]
) -> Result:
    """Times the first of two runs, and returns whether both have the same bits."""
    first, other = launches.start(launches.repeated(deterministic, 1)).result(), second.result()
    seconds[deterministic] = first["train_seconds_per_epoch"]
    return {
        "flag": DETERMINISTIC if deterministic else None,
        "same_bits": first["weights_sha256"] == other["weights_sha256"],
        "same_accuracy": first["accuracy"] == other["accuracy"],
        "timed_run": first,
        "other_run": other,
    }


def price(seconds: dict[bool, float]) -> Result:
    """Returns seconds an epoch either way."""
    return {
        "default_seconds_per_epoch": seconds[False],
        "deterministic_seconds_per_epoch": seconds[True],
        "ratio": seconds[True] / seconds[False],
    }
