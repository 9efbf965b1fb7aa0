"""What each part of the recogniser of strings is worth, on validation digits alone.

  python -m tools.study --workdir runs/study --out results/study.json

Every variant is the base recipe with some fields changed, trained with each seed and measured on
the suites over held-out digits. What is measured is not repeated: the table can be made in pieces,
and by several processes that are given different `--variants`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxmnist import config, recipes
from jaxmnist.config import Config
from jaxmnist.data.sources import load_splits
from jaxmnist.evaluation import Evaluator, ExampleList, suite_scores
from jaxmnist.files import atomic_write
from jaxmnist.models.layers import Conv
from jaxmnist.models.network import Architecture
from jaxmnist.models.zoo import SEQUENCE_MODELS, find_architecture, sequence_ctc
from jaxmnist.rng import Stream
from jaxmnist.runtime import configure_jax, device, git_commit, versions
from jaxmnist.sharding import put_on_device
from jaxmnist.training import train
from jaxmnist.weights import FILE_NAME, load_weights

BASE = "seq"
# A quarter of its training. A run tests its weights once: on as little as can be, as nothing here
# goes by it.
SHORT = {
    "epochs": 2, "sequence.train_sequences": 48_000, "average": 0.998, "validation.examples": 3_000,
    "eval.examples": 1, "eval.suites": ("clean",),
}  # fmt: skip
SUITES = (
    "clean", "inverted", "rotation", "noise", "noise_30", "noise_50", "length_10", "free",
    "touching", "overlapping", "repeated", "size", "stroke", "blur", "light", "rotated_canvas",
    "lines", "blank", "noise_only",
)  # fmt: skip


def without(*switches: str) -> dict[str, Any]:
    """Returns the changes that switch effects off: fields of `strings` that are zero then."""
    return {f"strings.{switch}": 0.0 for switch in switches}


def plain_images(max_length: int) -> Architecture:
    """Returns the base's network without the layer that makes polarity and light alike."""
    base = find_architecture("seq", max_length)
    return replace(base, layers=base.layers[1:])


def coarse_columns(max_length: int) -> Architecture:
    """Returns the base's network with logits for every fourth column instead of every other."""
    base = find_architecture("seq", max_length)
    return replace(base, layers=(*base.layers[:-1], Conv(base.classes, 1)))


def shallow_map(max_length: int) -> Architecture:
    """Returns a network with one wide layer on the map of seven rows, in place of two."""
    return sequence_ctc(half=16, quarter=(64,), column=192, line=(128, 128))


def short_line(max_length: int) -> Architecture:
    """Returns a network with one layer along the line, in place of two."""
    return sequence_ctc(half=16, quarter=(48, 48), column=192, line=(128,))


NETWORKS = {
    network.__name__: network for network in (plain_images, coarse_columns, shallow_map, short_line)
}
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "twice the training": {"epochs": 4},
    "four times the training": {"epochs": 8},
    "the reader's network": {"model": "sequence_ctc"},
    "images as they are": {"model": "plain_images"},
    "a column of logits in four": {"model": "coarse_columns"},
    "one wide layer on the map": {"model": "shallow_map"},
    "one layer along the line": {"model": "short_line"},
    "no average of weights": {"average": 0.0},
    "adam": {"optimizer.name": "adam"},
    "half the rate": {"schedule.learning_rate": 4.5e-3},
    "twice the rate": {"schedule.learning_rate": 1.8e-2},
    "width 84": {"strings.width": 84},
    "lengths uniform": without("writing.full_probability"),
    "no cells": without("writing.cells_probability"),
    "letters": {"strings.writing.letter_probability": 0.1},
    "no turning": without("writing.turn_probability"),
    "no elastic": without("writing.elastic"),
    "no serifs": without("writing.serif_probability"),
    "no strokes, hollow ones": without("writing.stroke_probability", "writing.hollow_probability"),
    "no lines, squares, marks, specks": without(
        "page.lines_probability", "page.squares_probability", "page.marks_probability",
        "page.specks_probability",
    ),
    "no tiles, inversion": without("page.tiles_probability", "page.invert_probability"),
    "no contrast, light, texture": without(
        "camera.contrast_probability", "camera.light_probability", "camera.texture_probability"
    ),
    "no blur": without("camera.blur_probability"),
    "no noise, impulses": without("camera.noise_probability", "camera.impulse_probability"),
    "no jpeg": without("camera.jpeg_probability"),
}  # fmt: skip


def variant_config(name: str, seed: int) -> Config:
    """Returns the configuration of a variant."""
    SEQUENCE_MODELS.update(NETWORKS)
    tree = recipes.load(BASE)
    tree.update_from_flattened_dict(
        SHORT | VARIANTS[name] | {"seed": seed, "name": "study", "system": ""}
    )
    return config.from_dict(tree.to_dict())


def measure(config: Config, workdir: Path) -> dict[str, Any]:
    """Trains a configuration and measures it on held-out digits, unless that is done already."""
    done = workdir / "study.json"
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return found
    summary = train(config, workdir)
    loaded = load_weights(workdir / FILE_NAME)
    suites = loaded.task.suites
    examples = ExampleList(
        dataset=put_on_device(load_splits(config.data).validation),
        suites={name: suites[name] for name in SUITES},
        count=config.validation.examples,
        seed=config.data.split_seed,
        streams=(Stream.VALIDATION_DRAW, Stream.VALIDATION_AUGMENT),
    )
    evaluator = Evaluator(loaded.task, loaded.network)
    scores = suite_scores(evaluator, loaded.weights, examples, SUITES)
    found = {name: score[loaded.task.metric] for name, (score, _) in scores.items()}
    found |= {"train_seconds": summary.seconds.train, "params": summary.params}
    atomic_write(done, json.dumps(found) + "\n")
    return found


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Formats means over seeds, in percent, a line each variant."""
    lines = ["variant".ljust(34) + "n  " + " ".join(f"{name[-9:]:>9}" for name in SUITES)]
    for variant, found in rows.items():
        means = [100 * np.mean([one[name] for one in found]) for name in SUITES]
        cells = " ".join(f"{mean:>9.2f}" for mean in means)
        lines.append(f"{variant:<34}{len(found)}  {cells}")
    return "\n".join(lines)


def main() -> None:
    """Trains and measures what is missing, and writes the table after each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workdir", type=Path, required=True, help="of the runs")
    parser.add_argument("--out", type=Path, required=True, help="the table as JSON")
    chosen = parser.parse_args()
    configure_jax()
    rows: dict[str, list[dict[str, Any]]] = {}
    for seed in range(chosen.seeds):  # every variant once before any twice
        for name in chosen.variants:
            workdir = chosen.workdir / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
            rows.setdefault(name, []).append(measure(variant_config(name, seed), workdir))
            report = {"base": BASE, "changes": SHORT, "variants": rows, "seeds": seed + 1}
            report |= {"device": device(), "versions": versions(), "git_commit": git_commit()}
            atomic_write(chosen.out, (json.dumps(report, indent=2) + "\n").encode())
            print(table(rows), flush=True)


if __name__ == "__main__":
    main()
