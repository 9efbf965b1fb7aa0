"""Measures a weights file: on the evaluation suites, or on somebody's own images."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from jaxmnist.data.npz import read_npz
from jaxmnist.data.sources import VARIABLE, Source
from jaxmnist.errors import UserError
from jaxmnist.evaluate import (
    Scores,
    generated_blocks,
    image_blocks,
    predict_blocks,
    sequence_scores,
    suite_generator,
    to_device,
)
from jaxmnist.generate.suites import SUITES
from jaxmnist.programs import Block, make_predict
from jaxmnist.weights import Loaded

Measured = tuple[Scores, Int[np.ndarray, "n heads"]]  # the scores, and what was predicted


def measure_npz(loaded: Loaded, path: Path) -> Measured:
    """Scores a network on the labelled images of an npz file.

    Raises:
      UserError: if the file cannot be read or does not fit the network.
    """
    return _measure(loaded, image_blocks(*read_npz(path, loaded.max_length)))


def measure_suites(
    loaded: Loaded, source: Source, names: Sequence[str] = tuple(SUITES)
) -> dict[str, Measured]:
    """Scores a network on evaluation suites, with the sequences its own run was evaluated on.

    Raises:
      UserError: if a suite is unknown, or the digits are of another kind than in the run.
    """
    for name in names:
        if name not in SUITES:
            raise UserError(f"there is no suite '{name}': choose one of {', '.join(SUITES)}.")
    about = loaded.about
    if source.title() != about["digits"]:
        raise UserError(
            f"this network was trained on {about['digits']}, but here is {source.title()}: "
            f"set {VARIABLE} to the folder of those digits, or give your own with --data."
        )
    bank = to_device(source.test)
    sequences, seed = about["eval"]["sequences"], about["eval"]["seed"]
    return {
        name: _measure(
            loaded,
            generated_blocks(suite_generator(name, loaded.max_length, seed), sequences, bank),
        )
        for name in names
    }


def _measure(loaded: Loaded, blocks: Iterable[Block]) -> Measured:
    params, batch_stats = jax.tree.map(lambda leaf: leaf[None], (loaded.params, loaded.batch_stats))
    logits, labels = predict_blocks(make_predict(loaded.network), params, batch_stats, blocks)
    return sequence_scores(logits[0], labels), logits[0].argmax(-1)
