"""Everything a run is, between two steps: one pytree of arrays.

Populations add a leading seed axis to every leaf; nothing here knows of it.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from jaxmnist.models.network import Network, Weights
from jaxmnist.models.table import init_variables
from jaxmnist.optim.schedules import Schedule
from jaxmnist.rng import Stream, stream_key

Tree = Any  # a pytree of arrays


class Metrics(NamedTuple):
    """Sums over examples; adding two of these merges them."""

    loss: Float[Array, ""]  # sum over examples of the loss summed over heads
    correct: Int[Array, ""]  # heads that were right
    exact: Int[Array, ""]  # examples of which every head was right
    examples: Int[Array, ""]

    @classmethod
    def zero(cls) -> "Metrics":
        return cls(jnp.float32(0), jnp.int32(0), jnp.int32(0), jnp.int32(0))

    def merge(self, other: "Metrics") -> "Metrics":
        return Metrics(*(a + b for a, b in zip(self, other, strict=True)))


class Best(NamedTuple):
    """The weights of the epoch with the best validation metric."""

    metric: Float[Array, ""]
    epoch: Int[Array, ""]  # counted from 1; 0 before the first
    weights: Weights


class TrainState(NamedTuple):
    """The state of one run; also what a checkpoint holds."""

    key: Key[Array, ""]  # root of every random stream; never changes
    step: Int[Array, ""]  # updates made
    params: Tree
    batch_stats: Tree
    opt_state: Tree
    schedule: Tree
    best: Best
    sums: Metrics  # of the epoch under way
    diverged: Int[
        Array, ""
    ]  # the step at which numbers went wrong, and nothing more was learnt; -1
    every_epoch: Weights | None  # rows of every epoch's weights, where a recipe keeps them

    @property
    def weights(self) -> Weights:
        """Returns the weights as they are now."""
        return Weights(self.params, self.batch_stats)


def init_state(
    seed: Int[Array, ""],
    *,
    network: Network,
    image_size: tuple[int, int],
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    mode: str,
    keep_epochs: int,
) -> TrainState:
    """Returns the state before the first step, a function of the seed alone.

    Args:
      seed: of everything random.
      network: what is trained.
      image_size: height and width in pixels.
      optimizer: gives its state.
      schedule: gives its state.
      mode: whether the validation metric is better when it is lower (`min`) or higher (`max`).
      keep_epochs: how many epochs' weights the state has room for.
    """
    key = jax.random.key(seed)
    variables = init_variables(network, stream_key(key, Stream.INIT), *image_size)
    params, batch_stats = variables["params"], variables["batch_stats"]
    weights = Weights(params, batch_stats)
    rows = jax.tree.map(lambda leaf: jnp.zeros((keep_epochs, *leaf.shape), leaf.dtype), weights)
    return TrainState(
        key=key,
        step=jnp.int32(0),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        schedule=schedule.init(),
        best=Best(jnp.float32(math.inf if mode == "min" else -math.inf), jnp.int32(0), weights),
        sums=Metrics.zero(),
        diverged=jnp.int32(-1),
        every_epoch=rows if keep_epochs else None,
    )


def survivors(state: TrainState) -> tuple[TrainState, Int[np.ndarray, " n"]]:
    """Returns the states of the seeds that have not diverged, and which of all seeds they are."""
    kept = np.flatnonzero(np.asarray(state.diverged) < 0)
    if len(kept) == len(state.step):
        return state, kept
    # By way of the host, since so many may be spread over other devices.
    numbers = state._replace(key=jax.random.key_data(state.key))
    rows = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[kept]), numbers)
    return rows._replace(key=jax.random.wrap_key_data(rows.key)), kept
