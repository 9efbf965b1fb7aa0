"""Which recipe made a published log: trains some, and compares every epoch of both columns.

  python -m tools.published_log --workdir runs/model_3_log --out results/logs/model_3.json

Every recipe is trained with three seeds, as the published code did, with all training digits and
the test digits read after every epoch. A run that was stopped goes on. `jaxmnist audit` puts the
file's tables into AUDIT.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

import jaxmnist
from jaxmnist import recipes
from jaxmnist.files import atomic_write, user_path
from jaxmnist.runtime import configure_jax

# The accuracies, in percent, that the log of system 5 (model3_output.log) prints after each epoch.
TRAIN = [
    91.63, 96.78, 97.32, 97.60, 97.83, 97.90, 98.03, 98.08, 98.14, 98.16, 98.27, 98.17, 98.30,
    98.29, 98.34,
]  # fmt: skip
TEST = [
    98.49, 98.98, 99.12, 99.05, 99.30, 99.26, 99.24, 99.37, 99.36, 99.34, 99.32, 99.27, 99.48,
    99.44, 99.46,
]  # fmt: skip
BASE = "models:model_3_as_logged"
# What is changed of that recipe, by name; the first is what the published code did.
GRID: dict[str, dict[str, Any]] = {
    "as run: rate 0.004, momentum 0.95, moved by 2 pixels": {
        "schedule.learning_rate": 0.004, "optimizer.momentum": 0.95, "augment.translate": 2 / 28,
    },
    "the script's defaults: rate 0.01, momentum 0.9, moved by 2 pixels": {
        "schedule.learning_rate": 0.01, "augment.translate": 2 / 28,
    },
    "rate 0.015, momentum 0.9, moved by 10 %": {},
}  # fmt: skip


def main() -> None:
    """Trains the grid, or one of its recipes, and writes what all have found so far."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=user_path, required=True, help="folder of run folders")
    parser.add_argument("--out", type=user_path, required=True, help="the JSON")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, help="number of one recipe, from 0")
    chosen = parser.parse_args()
    configure_jax()
    numbers = range(len(GRID)) if chosen.only is None else [chosen.only]
    for number in numbers:
        jaxmnist.train(recipe(number, chosen.seeds), chosen.workdir / str(number))
    found = {
        name: columns(chosen.workdir / str(number))
        for number, name in enumerate(GRID)
        if (chosen.workdir / str(number) / "summary.json").exists()
    }
    report = {
        "system": "model_3",
        "command": "python -m tools.published_log",
        "log": {"train": TRAIN, "test": TEST},
        "recipes": found,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(chosen.out, json.dumps(report, indent=1) + "\n")
    for name, each in found.items():
        print(f"{name}: {each['rms_train']:.3f} train, {each['rms_test']:.3f} test")


def recipe(number: int, seeds: int) -> ConfigDict:
    """Returns a recipe of the grid."""
    config = recipes.load(BASE)
    changes = list(GRID.values())[number]
    config.update_from_flattened_dict(changes)
    config.name = config.name if not changes else f"model_3_{number}"
    config.num_seeds = seeds
    return config


def columns(run: Path) -> dict[str, Any]:
    """Returns a run's accuracies in percent by epoch and seed, and how far from the log they are.

    The distance is the root of the mean square, over epochs, of the mean of seeds less the log.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((run / "summary.json").read_text())
    found: dict[str, Any] = {
        key: summary[key] for key in ("data", "device", "versions", "git_commit")
    }
    found["config"] = {k: v for k, v in summary["config"].items() if k not in ("name", "system")}
    for column, field, log in (
        ("train", "train_accuracy", TRAIN), ("test", "validation_accuracy", TEST),
    ):  # fmt: skip
        # With one seed a line has its figure alone.
        by_epoch = [line.get("seeds", {field: [line[field]]})[field] for line in lines]
        values = 100 * np.array(by_epoch)
        found[column] = values.round(3).tolist()
        found[f"rms_{column}"] = float(np.sqrt(np.mean((values.mean(1) - log) ** 2)))
    return found


if __name__ == "__main__":
    main()
