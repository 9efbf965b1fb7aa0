r"""Every suite of strings, read by trained recognisers and by a classifier on fixed cells.

  python -m tools.suites --runs runs/seq-0 runs/seq-1 runs/seq-2 --cells runs/models-model_3 \
    --out results/suites/seq.json

The second is the trivial baseline: the canvas is cut into cells of 28 pixels, a cell without ink is
none, and the others are read one by one. What a recogniser is worth is what it reads beyond that.
At last letters are shown, printed ones: no answer to them is right, and few should be sure.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from jaxmnist.api import Model, load_run
from jaxmnist.constants import BLANK, MEAN, SD, SIDE
from jaxmnist.evaluation import ExampleList, suite_list
from jaxmnist.files import atomic_write
from jaxmnist.metrics import coverage
from jaxmnist.models.summary import count_parameters
from jaxmnist.run.summary import spread
from jaxmnist.runtime import configure_jax, provenance
from jaxmnist.tasks import SURE
from jaxmnist.weights import Loaded

BATCH = 100
LETTERS = "AEFHKMNRTWXY"  # those that look like no digit
LETTER_IMAGES = 1_000
CONFIDENCE = ("calibration_error", "coverage")
INK = 0.5  # of the darkest pixel of a cell, from which on there is a digit


def read_cells(
    logits: Float[np.ndarray, "batch cells 10"], images: Float[np.ndarray, "batch 28 width"]
) -> Int[np.ndarray, "batch cells"]:
    """Returns the digits of cells with ink, from the left."""
    ink = _cells(images * SD + MEAN).max((2, 3)) > INK
    labels = np.where(ink, logits.argmax(-1), BLANK)
    order = np.argsort(~ink, axis=1, kind="stable")
    return np.take_along_axis(labels, order, axis=1)


def score_cells(classifier: Loaded, examples: ExampleList, suite: str) -> float:
    """Returns the share of strings that a classifier reads right, cell by cell."""
    apply = jax.jit(
        lambda x: classifier.network.apply(classifier.weights._asdict(), x, train=False)
    )
    right: list[np.ndarray] = []
    for images, labels in examples.batches(BATCH, suite):
        cells = _cells(np.asarray(images))
        logits = np.asarray(apply(jnp.asarray(cells.reshape(-1, SIDE, SIDE))))
        read = read_cells(logits.reshape(*cells.shape[:2], -1), np.asarray(images))
        longest = max(read.shape[1], labels.shape[1])
        padded = [
            np.pad(each, ((0, 0), (0, longest - each.shape[1])), constant_values=BLANK)
            for each in (read, np.asarray(labels))
        ]
        right.append((padded[0] == padded[1]).all(1))
    return float(np.concatenate(right)[: examples.count].mean())


def _cells(images: Float[np.ndarray, "batch 28 width"]) -> Float[np.ndarray, "batch cells 28 28"]:
    frame = ((0, 0), (0, 0), (0, -images.shape[2] % SIDE))
    padded = np.pad(images, frame, mode="edge")
    return np.stack(np.split(padded, padded.shape[2] // SIDE, axis=2), axis=1)


def letters(count: int, seed: int = 0) -> UInt8[np.ndarray, "n 28 84"]:
    """Draws one to three printed letters that look like no digit, on the canvas of three cells."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    random = np.random.default_rng(seed)
    figure = Figure(figsize=(3 * SIDE / 100, SIDE / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    drawn = []
    for _ in range(count):
        figure.clear()
        figure.patch.set_facecolor("black")
        text = "".join(random.choice(list(LETTERS), random.integers(1, 4)))
        left = random.uniform(0.02, 0.9 - 0.25 * len(text))
        figure.text(left, 0.5, text, color="white", size=random.uniform(13, 17), va="center")
        canvas.draw()
        drawn.append(np.asarray(canvas.buffer_rgba())[..., 0].copy())
    return np.stack(drawn)


def surest(confidences: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> float:
    """Returns the confidence from which on answers are right with the accuracy of `coverage`."""
    order = np.argsort(-confidences, kind="stable")
    covered = round(coverage(confidences, right, SURE) * len(right))
    return float(confidences[order][covered - 1]) if covered else 1.0


def score_run(folder: Path) -> tuple[Model, dict[str, dict[str, float]]]:
    """Returns a run, and its scores on every suite and on letters."""
    reader = load_run(folder)
    scores: dict[str, dict[str, float]] = {}
    threshold = 1.0
    for name in reader.loaded.task.suites:
        ((score, found),) = reader.score_suites([name]).values()
        scores[name] = {key: score[key] for key in (reader.loaded.task.metric, *CONFIDENCE)}
        if name == "clean":
            threshold = surest(found.confidences, (found.predicted == found.labels).all(1))
        print(f"{folder.name} {name:<24}{score[reader.loaded.task.metric]:>8.2%}", flush=True)
    nothing = np.full((LETTER_IMAGES, 1), BLANK)
    _, found = reader.score_arrays(letters(LETTER_IMAGES), nothing)
    read = found.predicted[:, 0] != BLANK
    scores["letters"] = {
        "read_as_digits": float(read.mean()),
        "surely_read_as_digits": float((read & (found.confidences >= threshold)).mean()),
        "confidence_from_which_on_clean_is_sure": threshold,
    }
    return reader, scores


def main() -> None:
    """Measures all on all suites, prints the table and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="of a recogniser")
    parser.add_argument("--cells", type=Path, required=True, help="run of a classifier")
    parser.add_argument("--out", type=Path, required=True, help="write the table as JSON")
    chosen = parser.parse_args()
    configure_jax()
    runs = [score_run(folder) for folder in chosen.runs]
    reader, classifier = runs[0][0], load_run(chosen.cells)
    task, fields = reader.loaded.task, reader.metadata.eval
    examples = suite_list(task, reader.digits.test, examples=fields.examples, seed=fields.seed)
    table: dict[str, dict[str, Any]] = {}
    for name, first in runs[0][1].items():
        table[name] = {key: spread(scores[name][key] for _, scores in runs) for key in first}
        if name in task.suites:
            cells = score_cells(classifier.loaded, examples, name)
            table[name]["cells"] = cells
            print(f"{name:<24}{table[name][task.metric]['mean']:>8.2%}{cells:>8.2%}", flush=True)
    report: dict[str, Any] = {
        "system": reader.metadata.name,
        "seeds": [run.metadata.seed for run, _ in runs],
        "params": count_parameters(reader.loaded.weights.params),
        "cells": classifier.metadata.name,
        "examples": fields.examples,
        "suites": table,
    }
    report |= {"data": reader.digits.name} | provenance()
    atomic_write(chosen.out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
