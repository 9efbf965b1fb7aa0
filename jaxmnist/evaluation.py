"""Predictions and scores on fixed lists of examples, every example counted once.

A list is made in batches of one size by one compiled function for all suites that can share it, and
goes through one compiled forward pass for all networks of a shape.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, Key, UInt8

from jaxmnist.data.dataset import Dataset
from jaxmnist.generate.augment import normalise
from jaxmnist.generate.examples import ExampleKeys
from jaxmnist.models.network import Network, Weights
from jaxmnist.rng import Stream, stream_key, stream_keys
from jaxmnist.sharding import (
    batch_axis,
    even_batch,
    join_batch,
    make_mesh,
    map_seeds,
    own_examples,
    put_on_device,
    shard_by_seed,
    to_host,
)
from jaxmnist.tasks import Predictions, Scores, Task
from jaxmnist.xla import MANY_KERNELS

EVAL_BATCH_SIZE = 100  # on a CPU: small enough for its caches
EVAL_BATCH_SIZE_ACCELERATOR = 1_000
Batch = tuple[Float[Array, "batch 28 width"], Int[Array, "batch heads"]]  # images and labels
AnswerFn = Callable[[Network, Weights, Array, Array], Any]  # of one network on images and labels


@dataclass(frozen=True)
class ExampleList:
    """A fixed list of examples over a data set, in one or more suites.

    Example `n` shows the same digits in every suite and epoch: where they are drawn, it is from
    `seed` and the first stream. A suite's own randomness depends on the second stream, too, and
    on the epoch.
    """

    dataset: Dataset
    suites: Mapping[str, Partial]  # what makes one example: an `ExampleFn` as a pytree
    count: int
    seed: int
    streams: tuple[Stream, Stream]

    def batches(
        self, batch_size: int, suite: str, epoch: int = 0, mesh: Mesh | None = None
    ) -> Iterator[Batch]:
        """Yields the examples in batches of one size; the last one repeats the last example.

        Args:
          batch_size: examples in each.
          suite: of the list.
          epoch: that a suite's own randomness depends on.
          mesh: over whose devices batches are spread, of which each process makes what its own
            need; default: whole ones on the default device.
        """
        own = own_examples(mesh, batch_size) if mesh else slice(None)
        for start in range(0, self.count, batch_size):
            numbers = np.minimum(start + np.arange(batch_size), self.count - 1)
            batch = self._batch(numbers[own], suite, epoch)
            yield join_batch(batch, mesh, batch_size) if mesh else batch

    def _batch(self, numbers: Int[np.ndarray, " batch"], suite: str, epoch: int) -> Batch:
        return _make_batch(
            jax.random.key(self.seed),
            jnp.asarray(numbers),
            epoch,
            self.dataset,
            self.suites[suite],
            streams=self.streams,
        )

    def images(self, batch_size: int, suite: str, count: int) -> Float[np.ndarray, "n 28 width"]:
        """Returns the images of the first `count` examples, or of all if there are fewer."""
        count = min(count, self.count)
        batches = islice(self.batches(batch_size, suite), -(-count // batch_size))
        return np.concatenate([np.asarray(images) for images, _ in batches])[:count]

    def images_of(
        self, numbers: Int[np.ndarray, " n"], batch_size: int, suite: str
    ) -> Float[np.ndarray, "n 28 width"]:
        """Returns the images of some examples, at most a batch of them."""
        whole_batch = np.resize(numbers, batch_size) if len(numbers) else np.zeros(batch_size, int)
        images, _ = self._batch(whole_batch, suite, epoch=0)
        return np.asarray(images)[: len(numbers)]


@partial(jax.jit, static_argnames="streams", compiler_options=MANY_KERNELS)
def _make_batch(
    root: Key[Array, ""],
    numbers: Int[Array, " batch"],
    epoch: int | Int[Array, ""],
    dataset: Dataset,
    example_fn: Partial,
    *,
    streams: tuple[Stream, Stream],
) -> Batch:
    """Makes the examples with these numbers of one suite of a list."""
    keys = ExampleKeys(
        index=numbers,
        sample_key=stream_keys(root, streams[0], numbers),
        # The stream first, then the epoch: no other stream's keys lie there.
        augment_key=stream_keys(stream_key(root, streams[1], epoch), streams[1], numbers),
    )
    batch: Batch = jax.vmap(example_fn, in_axes=(0, None))(keys, dataset)
    return batch


def suite_list(task: Task, dataset: Dataset, *, examples: int, seed: int) -> ExampleList:
    """Returns the evaluation suites over one list of test examples."""
    return ExampleList(
        dataset=put_on_device(dataset),
        suites=task.suites,
        count=task.num_examples(examples, len(dataset)),
        seed=seed,
        streams=(Stream.TEST_DRAW, Stream.TEST_AUGMENT),
    )


def image_batches(
    images: UInt8[np.ndarray, "n 28 width"] | Float[np.ndarray, "n 28 width"],
    labels: Int[np.ndarray, "n heads"],
    batch_size: int,
) -> Iterator[Batch]:
    """Yields given images (0 = ground, 255 = ink), standardised, in batches of one size."""
    for start in range(0, len(images), batch_size):
        numbers = np.minimum(start + np.arange(batch_size), len(images) - 1)
        scaled = jnp.asarray(images[numbers], jnp.float32) / 255
        yield normalise(scaled), jnp.asarray(labels[numbers], jnp.int32)


class Evaluator:
    """Applies networks of one architecture: one compiled forward pass, for one network or many."""

    def __init__(self, task: Task, network: Network, mesh: Mesh | None = None) -> None:
        """Compiles nothing yet.

        Args:
          task: that the networks do.
          network: their architecture in its layout.
          mesh: over which networks and batches are spread; default: one network on all devices.
        """
        self.task, self.architecture = task, network.architecture
        size = EVAL_BATCH_SIZE if jax.default_backend() == "cpu" else EVAL_BATCH_SIZE_ACCELERATOR
        self.mesh = mesh or make_mesh(1, size)
        self.batch_size = even_batch(self.mesh, size)
        self._forward = partial(
            _forward,
            network=network,
            mesh=self.mesh,
            axis_name=batch_axis(self.mesh, self.batch_size),
        )

    def predict(self, weights: Weights, batches: Iterator[Batch], count: int) -> list[Predictions]:
        """Returns the predictions of every network on the first `count` examples.

        Args:
          weights: with a leading axis of networks.
          batches: of `self.batch_size` examples.
          count: of the examples; what the last batch repeats is left out.
        """
        parts = self._over_batches(_answers, weights, batches)
        return [Predictions(*(part[:count] for part in one)) for one in zip(*parts, strict=True)]

    def logits(
        self, weights: Weights, batches: Iterator[Batch], count: int
    ) -> Float[np.ndarray, "networks n heads classes"]:
        """Returns the raw outputs of every network; arguments are those of `predict`."""
        logits: Float[np.ndarray, "networks n heads classes"] = self._over_batches(
            _logits, weights, batches
        )
        return logits[:, :count]

    def _over_batches(self, answer: AnswerFn, weights: Weights, batches: Iterator[Batch]) -> Any:
        """Returns what networks answer on all batches, on the host, networks first."""
        weights = shard_by_seed(weights, self.mesh)
        in_flight: list[Any] = []
        done: list[Any] = []
        for images, labels in batches:
            in_flight.append(self._forward(weights, images, labels, answer=answer))
            if len(in_flight) > 1:  # the device works on a batch while the last one is read
                done.append(to_host(in_flight.pop(0)))
        done += to_host(in_flight)
        return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *done)

    def predict_list(
        self, weights: Weights, examples: ExampleList, suite: str
    ) -> list[Predictions]:
        """Returns the predictions of every network on one suite of a list."""
        batches = examples.batches(self.batch_size, suite, mesh=self.mesh)
        return self.predict(weights, batches, examples.count)

    def score(self, weights: Weights, examples: ExampleList, suite: str) -> list[Scores]:
        """Returns the scores of every network on one suite of a list."""
        return [self.task.score(each) for each in self.predict_list(weights, examples, suite)]


def _answers(
    network: Network, weights: Weights, images: Array, labels: Array
) -> tuple[Array, Array, Array, Array]:
    """Returns the parts of `Predictions`."""
    architecture, logits = network.architecture, _logits(network, weights, images, labels)
    predicted = architecture.predict(logits, labels.shape[1])
    losses = architecture.losses(logits, labels)
    return losses, predicted, jnp.exp(-architecture.losses(logits, predicted)), labels


def _logits(network: Network, weights: Weights, images: Array, labels: Array) -> Array:
    del labels
    return jnp.asarray(network.apply(weights._asdict(), images, train=False))


@partial(jax.jit, static_argnames=("answer", "network", "mesh", "axis_name"))
def _forward(
    weights: Weights,
    images: Float[Array, "batch 28 width"],
    labels: Int[Array, "batch heads"],
    *,
    answer: AnswerFn,
    network: Network,
    mesh: Mesh,
    axis_name: str | None,
) -> Any:
    """Returns every network's answers on a batch."""
    # Unchecked: the scan in the loss of CTC starts from constants.
    mapped = map_seeds(partial(answer, network), mesh, shared=2, examples=axis_name, check=False)
    return mapped(weights, images, labels)


def score_every_epoch(
    evaluator: Evaluator, every_epoch: Weights, epochs: int, examples: ExampleList
) -> Float[np.ndarray, "seeds epochs"]:
    """Returns the accuracy of every epoch's weights of every seed."""
    # Each is one network more on the axis of seeds.
    networks = jax.tree.map(
        lambda leaf: leaf[:, :epochs].reshape(-1, *leaf.shape[2:]), to_host(every_epoch)
    )
    scores = evaluator.score(networks, examples, "clean")
    return np.array([score[evaluator.task.metric] for score in scores]).reshape(-1, epochs)


def one_network(weights: Weights) -> Weights:
    """Returns the weights of a single network as a population of one."""
    population: Weights = jax.tree.map(lambda leaf: leaf[None], weights)
    return population


def suite_scores(
    evaluator: Evaluator, weights: Weights, examples: ExampleList, names: Sequence[str]
) -> dict[str, tuple[Scores, Predictions]]:
    """Returns the scores and predictions of one network on suites."""
    found = {}
    for name in names:
        (predictions,) = evaluator.predict_list(one_network(weights), examples, name)
        found[name] = evaluator.task.score(predictions), predictions
    return found
