"""Times a population of n members on n host devices, beside one member on one device.

  python -m tools.weak_scaling --out scaling.json           model_3, on one device and on two

Every measurement is a process of its own with as many cores as it has devices, so that one device
is one core; rounds alternate. `scaling` is how many times the examples a second of one member the
population trains: n is perfect. Nothing else should run beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from jaxmnist.runtime import cores, git_commit, versions

MEMBERS = "JAXMNIST_SCALING_MEMBERS"  # how many a measuring process trains


def train_members(recipe: str, members: int, steps: int) -> float:
    """Returns the seconds of some steps of a population, each member on a core of its own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:members])
    from jaxmnist.runtime import configure_jax

    configure_jax()
    import jax

    from jaxmnist.config import from_dict
    from jaxmnist.experiment import prepare
    from jaxmnist.recipes import load

    config = replace(from_dict(load(recipe).to_dict()), num_seeds=members)
    experiment = prepare(config)
    state = experiment.init_state(config.seed)
    fns, dataset = experiment.compile(state), experiment.train_data()
    steps = min(steps, fns.steps_per_epoch - 1)
    state = jax.block_until_ready(fns.train_steps(state, 0, steps, dataset))  # once to warm up
    began = time.perf_counter()
    jax.block_until_ready(fns.train_steps(state, 0, steps, dataset))
    return time.perf_counter() - began


def measure(recipe: str, members: int, steps: int) -> float:
    """Returns the same, from a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.weak_scaling", f"--recipe={recipe}", f"--steps={steps}"],
        env=os.environ | {MEMBERS: str(members)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measures, and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipe", default="models:model_3")
    parser.add_argument("--members", type=int, default=2, help="of the population; default: 2")
    parser.add_argument("--steps", type=int, default=400, help="that are timed; default: 400")
    parser.add_argument("--rounds", type=int, default=5, help="of measurements; default: 5")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    if MEMBERS in os.environ:
        print(train_members(chosen.recipe, int(os.environ[MEMBERS]), chosen.steps))
        return
    if chosen.members > cores():
        parser.error(f"--members {chosen.members}: this machine has {cores()} core(s)")
    seconds: dict[int, list[float]] = {1: [], chosen.members: []}
    for number in range(chosen.rounds):
        for members, times in seconds.items():
            times.append(measure(chosen.recipe, members, chosen.steps))
            print(f"round {number + 1}: {members} on {members}: {times[-1]:.2f} s", flush=True)
    scaling = chosen.members * median(seconds[1]) / median(seconds[chosen.members])
    print(f"{chosen.members} members on {chosen.members} devices: {scaling:.2f} times one")
    if chosen.out:
        result = {
            "recipe": chosen.recipe,
            "steps": chosen.steps,
            "seconds": {str(members): times for members, times in seconds.items()},
            "scaling": scaling,
            "versions": versions(),
            "git_commit": git_commit(),
        }
        chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
