"""Logits and scores on fixed lists of examples, block by block, every example counted once."""

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int, UInt8

from jaxmnist.data.sources import Labelled
from jaxmnist.devices import put_everywhere
from jaxmnist.generate.example import Bank
from jaxmnist.generate.transforms import normalise
from jaxmnist.models.network import Weights
from jaxmnist.programs import (
    BLOCK,
    Block,
    Generator,
    Predict,
    for_predictions,
    make_generator,
)
from jaxmnist.rng import Stream
from jaxmnist.tasks import Scores, Task


def to_device(digits: Labelled, mesh: Mesh | None = None) -> Bank:
    """Puts digits on the device, or on every device of a mesh, where they stay."""
    arrays = Bank(digits.images, digits.labels.astype(np.int32))  # type: ignore[arg-type]
    bank: Bank = put_everywhere(arrays, mesh) if mesh else jax.device_put(arrays)
    return bank


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
    """Yields examples 0..count-1 of a generator in blocks (the last one may be smaller)."""
    for start in range(0, count, BLOCK):
        yield generate(jnp.arange(start, min(start + BLOCK, count)), epoch, bank)


def suite_generator(task: Task, name: str, seed: int) -> Generator:
    """Returns the generator of an evaluation suite; all suites show the same test digits."""
    streams = (Stream.TEST_DRAW, Stream.TEST_AUGMENT)
    return make_generator(task.example(task.suites[name]), seed=seed, streams=streams)


def predict_blocks(
    predict: Predict, weights: Weights, blocks: Iterable[Block]
) -> tuple[Float[np.ndarray, "seeds n heads classes"], Int[np.ndarray, "n heads"]]:
    """Returns the logits of every seed's network, and the labels."""
    weights = for_predictions(weights)
    logits, labels = [], []
    for images, block_labels in blocks:
        logits.append(np.asarray(predict(weights, images)))
        labels.append(np.asarray(block_labels))
    return np.concatenate(logits, axis=1), np.concatenate(labels)


def score_seeds(
    task: Task, predict: Predict, weights: Weights, blocks: Iterable[Block]
) -> list[Scores]:
    """Scores the networks of all seeds on the same examples."""
    logits, labels = predict_blocks(predict, weights, blocks)
    return [task.score(of_seed, labels) for of_seed in logits]
