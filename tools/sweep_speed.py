"""Times a sweep beside the same points one after another, as whole processes.

  python -m tools.sweep_speed --out sweep.json           32 learning rates x 3 seeds of model_3
  python -m tools.sweep_speed --rates 4 --seeds 2 --singles 3 --epochs 1 --out rehearsal.json

Both sides begin with an empty cache of compiled programs. Of the single runs only some are made,
spread over all points, half of them before the sweep and half after it: the others are taken to
last as long as those that found their program in the cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxmnist.runtime import cores, git_commit, versions
from jaxmnist.sweep.points import grid, parse_over


def timed(arguments: Sequence[str], cache: Path) -> float:
    """Runs a command of jaxmnist and returns its seconds, from start to end of the process."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "jaxmnist", *arguments],
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def measure(recipe: str, over: str, singles: int, fields: Sequence[str]) -> dict[str, object]:
    """Returns the seconds of both sides, and their ratio."""
    points = grid(parse_over(over))
    chosen = [points[i] for i in np.linspace(0, len(points) - 1, singles).round().astype(int)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def single(number: int) -> float:
            values = [f"--config.{field}={value}" for field, value in chosen[number].items()]
            workdir = ["--workdir", str(folder / f"single-{number}")]
            seconds = timed(["train", recipe, *workdir, *values, *fields], folder / "cache-single")
            print(f"single run {number + 1}/{singles}: {seconds:.1f} s", flush=True)
            return seconds

        before = [single(number) for number in range(singles // 2)]
        workdir = ["--workdir", str(folder / "sweep")]
        sweep = timed(["sweep", recipe, "--over", over, *workdir, *fields], folder / "cache-sweep")
        print(f"sweep of {len(points)}: {sweep:.1f} s", flush=True)
        times = before + [single(number) for number in range(singles // 2, singles)]
    others = float(np.mean(times[1:])) * (len(points) - 1)
    return {
        "points": len(points),
        "sweep_seconds": sweep,
        "single_seconds": times,
        "one_after_another_seconds": times[0] + others,
        "ratio": (times[0] + others) / sweep,
    }


def main() -> None:
    """Measures, and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipe", default="models:model_3")
    parser.add_argument("--rates", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=6, help="single runs; at least 2")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    over = f"schedule.learning_rate=log(1e-3,3e-2,{chosen.rates}); seed=0..{chosen.seeds - 1}"
    fields = [f"--config.epochs={chosen.epochs}"] if chosen.epochs else []
    figures = measure(chosen.recipe, over, chosen.singles, fields)
    about = {"recipe": chosen.recipe, "over": over, "fields": fields, "cores": cores()}
    result = about | figures | {"versions": versions(), "git_commit": git_commit()}
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"ratio {figures['ratio']:.2f}")


if __name__ == "__main__":
    main()
