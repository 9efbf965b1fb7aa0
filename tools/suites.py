"""Every suite of strings, read by a trained recogniser and by a classifier on fixed cells.

  python -m tools.suites --run runs/reader --cells runs/models-model_3 --out results/suites.json

The second is the trivial baseline: the canvas is cut into cells of 28 pixels, a cell without ink is
none, and the others are read one by one. What a recogniser is worth is what it reads beyond that.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxmnist.api import load_run
from jaxmnist.constants import BLANK, SIDE
from jaxmnist.evaluation import Evaluator, ExampleList, suite_list, suite_scores
from jaxmnist.files import atomic_write
from jaxmnist.generate.augment import MEAN, SD
from jaxmnist.runtime import configure_jax, device, git_commit, versions
from jaxmnist.weights import Loaded

BATCH = 100
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


def main() -> None:
    """Measures both on all suites, prints the table and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="of a recogniser of strings")
    parser.add_argument("--cells", type=Path, required=True, help="run of a classifier")
    parser.add_argument("--out", type=Path, required=True, help="write the table as JSON")
    chosen = parser.parse_args()
    configure_jax()
    reader, classifier = load_run(chosen.run), load_run(chosen.cells).loaded
    task, fields = reader.loaded.task, reader.metadata.eval
    examples = suite_list(task, reader.digits.test, examples=fields.examples, seed=fields.seed)
    evaluator = Evaluator(task, reader.loaded.network)
    table: dict[str, dict[str, Any]] = {}
    for name in task.suites:
        ((score, _),) = suite_scores(evaluator, reader.loaded.weights, examples, [name]).values()
        table[name] = score | {"cells": score_cells(classifier, examples, name)}
        print(f"{name:<24}{score[task.metric]:>8.2%}{table[name]['cells']:>8.2%}", flush=True)
    report: dict[str, Any] = {
        "weights": reader.metadata.name,
        "cells": classifier.metadata.name,
        "suites": table,
    }
    report |= {"data": reader.digits.name, "device": device(), "versions": versions()}
    report |= {"git_commit": git_commit()}
    atomic_write(chosen.out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
