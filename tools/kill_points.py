"""Kills real runs at random moments and at disk operations, and compares their results.

  python -m tools.kill_points --points 200 --out results/robustness/recovery.json

Every recipe is run once without interruption. Then it is run again, killed (`kill -9`) after a
random time, resumed and killed again, until it finishes, and all its results must be the same bits.
Where there is a C compiler, runs are also killed at operations on the run folder (writes, renames,
removals, syncs), spread evenly over all that a run makes.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxmnist.runtime import provenance
from tools.storage_faults import compile_faults

ROOT = Path(__file__).parent.parent
# They hold nothing of the clock.
RESULT_FILES = ("metrics.jsonl", "predictions.safetensors", "weights.safetensors")
# What may differ between summaries.
CLOCK_FIELDS = ("seconds", "examples_per_second", "peak_memory_bytes", "git_commit")
SMALL_SEQUENCES = (
    "--config=configs/seq.py:compact-tiny",
    "--config.sequence.train_sequences=300",
    "--config.validation.examples=60",
    "--config.eval.examples=60",
    "--config.epochs=3",
)
RECIPES = {
    "sequences, one-cycle": SMALL_SEQUENCES,
    "sequences, plateau, two seeds": (
        *SMALL_SEQUENCES,
        "--config.schedule.name=plateau",
        "--config.schedule.plateau.patience=0",
        "--config.num_seeds=2",
    ),
    "classifier, step": (
        "--config=configs/iterations.py:tiny",
        "--config.data.validation_examples=125",  # a smaller last batch
    ),
    "classifier, one-cycle with momentum, dropout": ("--config=configs/v.py:tiny",),
    "classifier, plateau": (
        "--config=configs/ds_cnn.py:tiny",
        "--config.schedule.name=plateau",
        "--config.schedule.plateau.patience=0",
    ),
    "classifier, constant, three seeds": (
        "--config=configs/speedrun.py:tiny",
        "--config.schedule.name=constant",
        "--config.num_seeds=3",
        "--config.eval.every_epoch=True",
        "--config.validation.batch_means=True",
    ),
}


def results(workdir: Path) -> list[Any]:
    """Returns everything of a finished run that must not depend on how often it was stopped."""
    summary = json.loads((workdir / "summary.json").read_text())
    kept = {name: value for name, value in summary.items() if name not in CLOCK_FIELDS}
    return [kept, *((workdir / name).read_bytes() for name in RESULT_FILES)]


@dataclass
class Outcome:
    """What happened to one recipe."""

    kills: int = 0
    while_: dict[str, int] = field(default_factory=dict)  # what the killed processes were doing
    finished: int = 0  # runs that were killed at least once and then ended
    mismatches: int = 0

    def killed(self, output: str) -> None:
        """Counts a kill of a process that had printed `output`."""
        phases = (
            ("evaluating on test", "evaluating"),
            ("epoch ", "training, validating or saving"),
            ("compiling", "compiling or the first epoch"),
            ("", "starting"),
        )
        phase = next(name for mark, name in phases if mark in output)
        self.kills += 1
        self.while_[phase] = self.while_.get(phase, 0) + 1


class Trial:
    """One recipe, and how it is run."""

    def __init__(self, recipe: tuple[str, ...], folder: Path, library: Path | None) -> None:
        """Runs the recipe twice without interruption, so that programs come from the cache.

        Args:
          recipe: arguments of launch.py.
          folder: for run folders and cache.
          library: compiled from tools/faults.c, counts operations on the disk.
        """
        self.recipe, self.folder = recipe, folder
        self.environment = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
        self.uninterrupted, self.interrupted = folder / "uninterrupted", folder / "interrupted"
        self.faults = {"LD_PRELOAD": str(library)} if library else {}
        self.seconds, self.operations = 0.0, 0
        for _ in range(2):
            shutil.rmtree(self.uninterrupted, ignore_errors=True)
            began, count = time.perf_counter(), folder / "count"
            counted = {"FAULT_UNDER": str(self.uninterrupted), "FAULT_COUNT": str(count)}
            with self.process(self.uninterrupted, self.faults | counted) as process:
                output = process.communicate()[0]
            self.seconds = time.perf_counter() - began
            if process.returncode != 0:
                raise RuntimeError(output)
            self.operations = int(count.read_text()) if library else 0

    @contextmanager
    def process(
        self, workdir: Path, environment: Mapping[str, str] | None = None
    ) -> Iterator["subprocess.Popen[str]"]:
        """Starts or resumes a run."""
        with subprocess.Popen(
            [sys.executable, "launch.py", *self.recipe, f"--workdir={workdir}"],
            cwd=ROOT,
            env=os.environ | self.environment | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def kill_at_random(self, outcome: Outcome, points: int, chance: random.Random) -> None:
        """Kills runs after random times until there were `points` kills."""
        while outcome.kills < points:
            workdir, killed = self.interrupted, 0
            shutil.rmtree(workdir, ignore_errors=True)
            if chance.random() < 0.1:  # now and then everything is compiled again
                shutil.rmtree(self.folder / "cache", ignore_errors=True)
            while True:
                with self.process(workdir) as process:
                    try:
                        # At most five kills a run, so that it comes to its end.
                        limit = chance.uniform(0, self.seconds) if killed < 5 else 600
                        output = process.communicate(timeout=limit)[0]
                        break
                    except subprocess.TimeoutExpired:
                        process.send_signal(signal.SIGKILL)
                        output = process.communicate()[0]
                killed += 1
                outcome.killed(output)
            self.compare(outcome, workdir, killed, output)

    def kill_at_operations(self, outcome: Outcome, points: int) -> None:
        """Kills runs at `points` of the operations on the disk that a run makes."""
        workdir = self.interrupted
        faults = self.faults | {"FAULT_UNDER": str(workdir), "FAULT_HOW": "kill"}
        for point in range(points):
            at = 1 + round(point * (self.operations - 1) / max(points - 1, 1))
            shutil.rmtree(workdir, ignore_errors=True)
            with self.process(workdir, faults | {"FAULT_AT": str(at)}) as process:
                output = process.communicate()[0]
            if process.returncode != -signal.SIGKILL:
                continue  # a run with fewer operations than the one that was counted
            outcome.killed(output)
            with self.process(workdir) as process:
                output = process.communicate()[0]
            self.compare(outcome, workdir, 1, output)

    def compare(self, outcome: Outcome, workdir: Path, killed: int, output: str) -> None:
        """Compares a run that has ended with the uninterrupted one."""
        outcome.finished += killed > 0
        try:
            same = results(workdir) == results(self.uninterrupted)
        except FileNotFoundError:
            same = False
        if not same:
            outcome.mismatches += 1
            print(f"MISMATCH in {workdir} after {killed} kills:\n{output}", file=sys.stderr)


def search(points: int, recipes: Mapping[str, tuple[str, ...]], seed: int) -> dict[str, Any]:
    """Kills every recipe at its share of `points`, half of them at operations on the disk."""
    each = -(-points // len(recipes))
    table: dict[str, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        library = compile_faults(Path(name))
        for recipe, flags in recipes.items():
            folder = Path(name) / str(len(table))
            folder.mkdir()
            trial, at_random, at_operations = Trial(flags, folder, library), Outcome(), Outcome()
            if library:
                trial.kill_at_operations(at_operations, each // 2)
            trial.kill_at_random(at_random, each - at_operations.kills, random.Random(seed))
            table[recipe] = {
                "at_random_moments": vars(at_random),
                "at_operations_on_the_disk": vars(at_operations),
            }
            print(f"{recipe}: {_format(table[recipe])}", flush=True)
    return table


def _format(row: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{kind.replace('_', ' ')} {one['kills']} kills, {one['finished']} runs, "
        f"{one['mismatches']} mismatches"
        for kind, one in row.items()
    )


def main() -> int:
    """Searches and prints the table; the exit code is 1 if there was a mismatch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=200, help="kills in all")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    chosen = parser.parse_args()
    table = search(chosen.points, RECIPES, chosen.seed)
    outcomes = [one for row in table.values() for one in row.values()]
    kills, mismatches = (sum(one[name] for one in outcomes) for name in ("kills", "mismatches"))
    print(f"{kills} kills, {mismatches} mismatches")
    if chosen.out:
        report = {"kills": kills, "mismatches": mismatches, "recipes": table, "seed": chosen.seed}
        report |= provenance()
        chosen.out.write_text(json.dumps(report, indent=2) + "\n")
    return int(mismatches > 0)


if __name__ == "__main__":
    sys.exit(main())
