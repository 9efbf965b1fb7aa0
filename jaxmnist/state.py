"""The train state: one pytree of arrays, and all that a checkpoint holds.

A run adds a leading axis of seeds to every leaf (sharding.py); a train step sees one seed.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from jaxmnist.metrics import Metrics
from jaxmnist.models.network import Network, Weights
from jaxmnist.models.summary import init_variables
from jaxmnist.optim import Mode
from jaxmnist.rng import Stream, stream_key
from jaxmnist.sharding import place, to_host


class Best(NamedTuple):
    """The weights of the epoch with the best validation metric."""

    metric: Float[Array, "*seeds"]
    epoch: Int[Array, "*seeds"]  # counted from 1; 0 before the first
    weights: Weights


class TrainState(NamedTuple):
    """The state of one run."""

    key: Key[Array, "*seeds"]  # root of every random stream; never changes
    step: Int[Array, "*seeds"]  # updates made
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    schedule: PyTree
    best: Best
    sums: Metrics  # of the epoch under way
    diverged: Int[Array, "*seeds"]  # the step that was not finite, after which nothing changes; -1
    average: Weights | None  # the running average, where a recipe evaluates that
    every_epoch: Weights | None  # rows of every epoch's weights, where a recipe keeps them

    @property
    def weights(self) -> Weights:
        """Returns the weights that are evaluated: the average, or those that are trained."""
        return self.average or Weights(self.params, self.batch_stats)

    def starting_from(self, weights: Weights) -> "TrainState":
        """Returns the state before the first step of all seeds with one network's weights."""

        def put(own: Array, given: Array) -> Array:
            return place(np.broadcast_to(np.asarray(given), own.shape), own.sharding)

        def of(own: Weights) -> Weights:
            return jax.tree.map(put, own, weights)

        started = of(Weights(self.params, self.batch_stats))
        return self._replace(
            params=started.params,
            batch_stats=started.batch_stats,
            best=self.best._replace(weights=of(self.best.weights)),
            average=None if self.average is None else of(self.average),
        )

    def averaged(self, decay: float) -> "TrainState":
        """Returns the state with its present weights in the average (Polyak & Juditsky, 1992).

        The first averages are of few steps: the decay rises to its value.
        """
        if self.average is None:
            return self
        rising = (1 + self.step) / (10 + self.step)
        share = 1 - jnp.minimum(decay, rising.astype(jnp.float32))

        def move(average: Array, now: Array) -> Array:
            whole = jnp.issubdtype(now.dtype, jnp.integer)  # a count of batches
            return now if whole else average + share * (now - average)

        now = Weights(self.params, self.batch_stats)
        return self._replace(average=jax.tree.map(move, self.average, now))


def init_state(
    seed: Int[Array, ""],
    *,
    network: Network,
    image_size: tuple[int, int],
    optimizer: optax.GradientTransformation,
    schedule: PyTree,
    mode: Mode,
    average: bool,
    keep_epochs: int,
) -> TrainState:
    """Returns the state before the first step, a function of the seed and the schedule's state.

    Args:
      seed: of everything random.
      network: that is trained.
      image_size: height and width in pixels.
      optimizer: of its weights.
      schedule: the first state of the optimizer's schedule.
      mode: whether the validation metric is better when it is lower (`min`) or higher (`max`).
      average: whether the state has an average of the weights.
      keep_epochs: how many epochs' weights the state has room for.
    """
    key = jax.random.key(seed)
    variables = init_variables(network, stream_key(key, Stream.INIT), *image_size)
    weights = Weights(variables["params"], variables["batch_stats"])
    rows = jax.tree.map(lambda leaf: jnp.zeros((keep_epochs, *leaf.shape), leaf.dtype), weights)
    return TrainState(
        key=key,
        step=jnp.int32(0),
        params=weights.params,
        batch_stats=weights.batch_stats,
        opt_state=optimizer.init(weights.params),
        schedule=schedule,
        best=Best(jnp.float32(math.inf if mode == "min" else -math.inf), jnp.int32(0), weights),
        sums=Metrics.zero(),
        diverged=jnp.int32(-1),
        average=weights if average else None,
        every_epoch=rows if keep_epochs else None,
    )


def finite_seeds(state: TrainState) -> Int[np.ndarray, " n"]:
    """Returns the places of the seeds that have not diverged."""
    return np.flatnonzero(to_host(state.diverged) < 0)
