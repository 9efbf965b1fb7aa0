"""Measures a weights file: on the evaluation suites, or on somebody's own images."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from jaxmnist.alphabet import DIGITS
from jaxmnist.data.npz import read_npz
from jaxmnist.data.sources import VARIABLE, Source
from jaxmnist.errors import UserError
from jaxmnist.evaluate import (
    generated_blocks,
    image_blocks,
    predict_blocks,
    suite_generator,
    to_device,
)
from jaxmnist.programs import Block, make_predict
from jaxmnist.storage.weights import Loaded
from jaxmnist.tasks import Scores

Measured = tuple[Scores, Int[np.ndarray, "n heads"]]  # the scores, and what was predicted


def measure_npz(loaded: Loaded, path: Path) -> Measured:
    """Scores a network on the labelled images of an npz file.

    Raises:
      UserError: if the file cannot be read or does not fit the network.
    """
    architecture = loaded.network.architecture
    has_blank = architecture.classes > DIGITS
    images, labels = read_npz(path, architecture.heads, has_blank=has_blank)
    return _measure(loaded, image_blocks(images, labels))


def measure_suites(
    loaded: Loaded, source: Source, names: Sequence[str] = ()
) -> dict[str, Measured]:
    """Scores a network on evaluation suites, with the examples its own run was evaluated on.

    Args:
      loaded: the network.
      source: of the test digits.
      names: of the suites; all of the network's task if none is given.

    Raises:
      UserError: if a suite is unknown, or the digits are of another kind than in the run.
    """
    task, about = loaded.task, loaded.about
    for name in names:
        if name not in task.suites:
            raise UserError(f"there is no suite '{name}': choose one of {', '.join(task.suites)}.")
    if source.title() != about["digits"]:
        raise UserError(
            f"this network was trained on {about['digits']}, but here is {source.title()}: "
            f"set {VARIABLE} to the folder of those digits, or give your own with --data."
        )
    bank = to_device(source.test)
    count = task.list_length(about["eval"]["examples"], len(source.test))
    measured = {}
    for name in names or task.suites:
        generate = suite_generator(task, name, about["eval"]["seed"])
        measured[name] = _measure(loaded, generated_blocks(generate, count, bank))
    return measured


def _measure(loaded: Loaded, blocks: Iterable[Block]) -> Measured:
    weights = jax.tree.map(lambda leaf: leaf[None], loaded.weights)  # a population of one
    logits, labels = predict_blocks(make_predict(loaded.network), weights, blocks)
    return loaded.task.score(logits[0], labels), logits[0].argmax(-1)
