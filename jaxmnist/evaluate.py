"""Scores on fixed sets of sequences, block by block, with every example counted once."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxmnist.data.sources import Labelled
from jaxmnist.generate.sequence import BLANK, Bank
from jaxmnist.generate.suites import SUITES
from jaxmnist.generate.transforms import normalise
from jaxmnist.programs import Block, Generator, Predict, make_generator
from jaxmnist.rng import Stream

BLOCK = 100  # examples that go through the network at once: small enough for caches
Scores = dict[str, Any]


def to_device(digits: Labelled) -> Bank:
    """Puts digits on the device, where they stay."""
    return Bank(jnp.asarray(digits.images), jnp.asarray(digits.labels, jnp.int32))


def image_blocks(
    images: UInt8[np.ndarray, "n 28 width"], labels: Int[np.ndarray, "n heads"]
) -> Iterator[Block]:
    """Yields given images (0 = ground, 255 = ink), normalised, in blocks."""
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        yield normalise(jnp.asarray(images[block], jnp.float32) / 255), jnp.asarray(labels[block])


def generated_blocks(
    generate: Generator, count: int, bank: Bank, epoch: int = 0
) -> Iterator[Block]:
    """Yields sequences 0..count-1 of a generator in blocks (the last one may be smaller)."""
    for start in range(0, count, BLOCK):
        yield generate(jnp.arange(start, min(start + BLOCK, count)), epoch, bank)


def suite_generator(name: str, max_length: int, seed: int) -> Generator:
    """Returns the generator of an evaluation suite; all suites show the same test digits."""
    streams = (Stream.TEST_DRAW, Stream.TEST_AUGMENT)
    return make_generator(SUITES[name], max_length, seed=seed, streams=streams)


def predict_blocks(
    predict: Predict, params: Any, batch_stats: Any, blocks: Iterable[Block]
) -> tuple[Float[np.ndarray, "seeds n heads classes"], Int[np.ndarray, "n heads"]]:
    """Returns the logits of every seed's network, and the labels."""
    logits, labels = [], []
    for images, block_labels in blocks:
        logits.append(np.asarray(predict(params, batch_stats, images)))
        labels.append(np.asarray(block_labels))
    return np.concatenate(logits, axis=1), np.concatenate(labels)


def score_seeds(
    predict: Predict, params: Any, batch_stats: Any, blocks: Iterable[Block]
) -> list[Scores]:
    """Scores the networks of all seeds on the same sequences."""
    logits, labels = predict_blocks(predict, params, batch_stats, blocks)
    return [sequence_scores(of_seed, labels) for of_seed in logits]


def sequence_scores(
    logits: Float[np.ndarray, "n heads classes"], labels: Int[np.ndarray, "n heads"]
) -> Scores:
    """Scores one network's logits.

    Returns:
      `n`; `loss`, the mean over examples of the cross-entropy summed over heads;
      `exact_sequence_accuracy`, the share of sequences with every head right, blanks included;
      `digit_accuracy`, the share of written digits that were read right; and `by_length`, exact
      accuracy for each length that occurs.
    """
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    log_total = np.log(np.exp(wide - top).sum(-1)) + top[..., 0]
    chosen = np.take_along_axis(wide, labels[..., None].astype(np.int64), -1)[..., 0]
    predicted = logits.argmax(-1)
    exact = (predicted == labels).all(-1)
    written = labels != BLANK
    lengths = written.sum(-1)
    return {
        "n": len(labels),
        "loss": float((log_total - chosen).sum(-1).mean()),
        "exact_sequence_accuracy": float(exact.mean()),
        "digit_accuracy": float((predicted == labels)[written].mean()) if written.any() else None,
        "by_length": {
            str(length): float(exact[lengths == length].mean())
            for length in sorted(set(lengths.tolist()))
        },
    }
