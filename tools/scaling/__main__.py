"""Measures steps on 1, 2 and 4 devices of this machine's cores, and how well a model predicts them.

  python -m tools.scaling --out scaling.json              twenty minutes of two idle cores
  python -m tools.scaling --rounds 1 --recipes models:tiny --source digits8x8 --out rehearsal.json

Each number of devices has a process of its own, on as many cores as there are devices, or on all.
Some points give the model its constants, the others are predicted. It prints the tables of
docs/scaling.md.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxmnist.files import user_path
from jaxmnist.runtime import cores, git_commit, versions
from tools.scaling.model import Constants, Point, fit

# devices for seeds, devices for a batch, seeds, and the batch in the recipe's own size
PLAN = [
    (1, 1, 1, 0.25, True), (1, 1, 1, 0.5, True), (1, 1, 1, 1.0, True), (1, 1, 1, 2.0, True),
    (1, 1, 1, 4.0, False), (1, 1, 2, 1.0, False),
    (2, 1, 2, 1.0, True), (1, 2, 1, 1.0, True), (1, 2, 1, 2.0, False), (2, 1, 4, 1.0, False),
    (4, 1, 4, 1.0, False), (1, 4, 1, 1.0, False), (1, 4, 1, 2.0, False), (2, 2, 2, 1.0, False),
]  # fmt: skip
BATCH = 64
RECIPES = ("models:model_3", "seq:compact")


def plan(recipe: str, available: int) -> list[Point]:
    """Returns what is measured of a recipe."""
    return [
        Point(
            recipe, min(population * data, available), population, data, seeds,
            round(BATCH * size), 0, fitted,
        )
        for population, data, seeds, size, fitted in PLAN
    ]  # fmt: skip


def measured(points: Sequence[Point], rounds: int, source: str) -> list[Point]:
    """Measures points, those with as many devices in one process."""
    done: list[Point] = []
    for devices in sorted({point.devices for point in points}):
        some = [dataclasses.asdict(point) for point in points if point.devices == devices]
        answer = subprocess.run(
            [sys.executable, "-m", "tools.scaling.measure", str(devices), str(rounds), source],
            input=json.dumps(some),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        done += [Point(**point) for point in json.loads(answer.stdout)]
        print(f"measured {some[0]['recipe']} on {devices}", file=sys.stderr, flush=True)
    return done


def table(points: Sequence[Point], constants: Constants) -> str:
    """Returns the measured and the predicted as a Markdown table."""
    lines = [
        "| recipe | devices (seeds x batch) | cores | seeds | batch | ms a step | predicted "
        "| error | MB a device | predicted |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for point in points:
        predicted = constants.seconds(point)
        error = "fitted" if point.fitted else f"{predicted / point.seconds - 1:+.0%}"
        cells = [
            point.recipe,
            f"{point.devices} ({point.population} x {point.data})",
            *map(str, (point.cores, point.seeds, point.batch)),
            f"{1e3 * point.seconds:.2f}",
            f"{1e3 * predicted:.2f}",
            error,
            f"{(point.state_bytes + point.work_bytes) / 1e6:.1f}",
            f"{constants.bytes(point) / 1e6:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def weak_scaling(points: Sequence[Point], recipe: str) -> float:
    """Returns how many times the examples a second of one seed two seeds on two devices train."""
    one, two = (
        next(
            point.seconds
            for point in points
            if point.recipe == recipe
            and (point.population, point.data, point.seeds, point.batch) == (count, 1, count, BATCH)
        )
        for count in (1, 2)
    )
    return 2 * one / two


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, fits, predicts, and writes all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=user_path, required=True, metavar="FILE.json")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, metavar="RECIPE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--source", default="auto", help="of digits, as in config.data.source")
    chosen = parser.parse_args(arguments)
    points: list[Point] = []
    for recipe in chosen.recipes:
        points += measured(plan(recipe, cores()), chosen.rounds, chosen.source)
    constants = fit(points)
    print(table(points, constants))
    for recipe in chosen.recipes:
        print(
            f"\n{recipe}: two seeds on two devices are {weak_scaling(points, recipe):.2f} times one"
        )
    errors = [abs(constants.seconds(p) / p.seconds - 1) for p in points if not p.fitted]
    within = sum(error <= 0.2 for error in errors)
    print(
        f"\n{within} of {len(errors)} predictions within 20 %, the worst off by {max(errors):.0%}"
    )
    report = {
        "points": [
            dataclasses.asdict(point) | {"predicted_seconds": constants.seconds(point)}
            for point in points
        ],
        "constants": dataclasses.asdict(constants),
        "weak_scaling": {recipe: weak_scaling(points, recipe) for recipe in chosen.recipes},
        "cores": cores(),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    Path(chosen.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
