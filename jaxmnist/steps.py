"""The train step, the loop over steps, and the end of an epoch: pure functions of one seed.

Nothing here is compiled or mapped over seeds: experiment.py does that for all of it.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxmnist.data.dataset import Dataset
from jaxmnist.generate.examples import ExampleFn, ExampleKeys
from jaxmnist.metrics import Metrics, batch_metrics
from jaxmnist.models.network import Network
from jaxmnist.optim import Mode, Schedule
from jaxmnist.rng import Stream, permuted, stream_key, stream_keys
from jaxmnist.sharding import axis_size, local_shard, psum
from jaxmnist.state import Best, TrainState


@dataclass(frozen=True)
class EarlyStopping:
    """What early stopping and the choice of the best epoch go by."""

    mode: Mode
    patience: int  # epochs without improvement before stopping

    def improves(self, value: Float[Array, ""], best: Float[Array, ""]) -> Bool[Array, ""]:
        """Returns whether `value` is better than `best`."""
        return value < best if self.mode == "min" else value > best


@dataclass(frozen=True)
class TrainSpec:
    """What a train step computes with, besides the state and the digits."""

    network: Network
    optimizer: optax.GradientTransformation
    schedule: Schedule
    example_fn: ExampleFn  # makes one training example
    early_stopping: EarlyStopping
    num_examples: int  # an epoch
    batch_size: int
    ema_decay: float  # of the average of weights; 0: there is none
    resample_each_epoch: bool  # else the same examples every epoch, with fresh augmentation
    axis_name: str | None = None  # of the devices that each hold a shard of the batch

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches an epoch, the last one possibly smaller."""
        return steps_per_epoch(self.num_examples, self.batch_size)


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Returns the number of batches, the last one possibly smaller."""
    return -(-num_examples // batch_size)


def train_steps(
    state: TrainState,
    first: Int[Array, ""],
    last: Int[Array, ""],
    dataset: Dataset,
    *,
    spec: TrainSpec,
    batch_size: int,
) -> TrainState:
    """Runs the steps `first <= step < last` of one epoch; a run that has stopped stays as it is.

    Both bounds are arguments, so that one compiled function serves a whole epoch and any part of
    it. `batch_size` is smaller than the spec's in the function for an epoch's short last batch,
    which is kept, as PyTorch's DataLoader keeps it.
    """

    def body(step: Int[Array, ""], state: TrainState) -> TrainState:
        return train_step(state, step, dataset, spec=spec, batch_size=batch_size)

    stopped = has_stopped(state, first // spec.steps_per_epoch, spec.early_stopping)
    # A branch, not a choice between two states: that is one kernel more for every array in them.
    return lax.cond(
        stopped, lambda state: state, lambda state: lax.fori_loop(first, last, body, state), state
    )


def train_step(
    state: TrainState,
    step: Int[Array, ""],
    dataset: Dataset,
    *,
    spec: TrainSpec,
    batch_size: int,
) -> TrainState:
    """Generates a batch, computes its gradient and updates the weights.

    Along `spec.axis_name`, if it is given, every device does so for its shard of the batch, and all
    come to the same state. Where loss or gradients are not finite (or so large that their squares
    overflow), the state stays as it was, notes the step, and changes no more.
    """
    # --- Which examples: the places of this step in the epoch's random order. ---
    # `step` counts the epochs' batches; `state.step` counts updates, and stays once a run diverged.
    epoch, step_of_epoch = step // spec.steps_per_epoch, step % spec.steps_per_epoch
    places = local_shard(step_of_epoch * spec.batch_size + jnp.arange(batch_size), spec.axis_name)
    index = permuted(stream_key(state.key, Stream.ORDER, epoch), places, spec.num_examples)

    # --- The batch: sampled, augmented and normalised on the device, from keys. ---
    keys = example_keys(state, epoch, index, spec)
    images, labels = jax.vmap(spec.example_fn, in_axes=(0, None))(keys, dataset)

    # --- Gradients. ---
    def loss_fn(params: PyTree) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        logits, variables = spec.network.apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            rngs={"dropout": stream_key(state.key, Stream.DROPOUT, state.step)},
            mutable=["batch_stats"],
        )
        losses = spec.network.architecture.losses(logits, labels)
        predicted = spec.network.architecture.predict(logits, labels.shape[1])
        metrics = batch_metrics(losses, predicted, labels)
        loss = losses.mean() / axis_size(spec.axis_name)
        return loss, (metrics, variables.get("batch_stats", {}))

    gradients, (metrics, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    gradients, metrics = psum((gradients, metrics), spec.axis_name)

    # --- Learning rate (and momentum), from the schedule into the optimizer's state. ---
    hyperparams = spec.schedule.hyperparams(state.schedule, state.step)
    opt_state = state.opt_state._replace(hyperparams={**state.opt_state.hyperparams, **hyperparams})

    # --- The update. ---
    updates, opt_state = spec.optimizer.update(gradients, opt_state, state.params)
    new = state._replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        sums=state.sums.merge(metrics),
    ).averaged(spec.ema_decay)

    # --- Divergence: a step that is not finite changes nothing but `diverged`. ---
    finite = jnp.isfinite(metrics.loss) & jnp.isfinite(optax.tree.norm(gradients, squared=True))
    return _select(finite & ~has_diverged(state), new, note_divergence(state, finite, state.step))


def example_keys(
    state: TrainState, epoch: Int[Array, ""], index: Int[Array, " batch"], spec: TrainSpec
) -> ExampleKeys:
    """Returns what determines the examples with these numbers in an epoch.

    Without `resample_each_epoch` they show the same digits in every epoch, and only augmentation
    is fresh, as in the published code; with it every epoch draws its own.
    """
    numbers = epoch * spec.num_examples + index
    return ExampleKeys(
        index=index,
        sample_key=stream_keys(
            state.key, Stream.DRAW, numbers if spec.resample_each_epoch else index
        ),
        augment_key=stream_keys(state.key, Stream.AUGMENT, numbers),
    )


def end_epoch(
    state: TrainState, metric: Float[Array, ""], epoch: Int[Array, ""], *, spec: TrainSpec
) -> TrainState:
    """Updates schedule and best weights with the validation metric of epoch `epoch` (from 1).

    A metric that is not finite ends the run like a step that is not.
    """
    state = note_divergence(state, jnp.isfinite(metric), state.step - 1)
    improved = spec.early_stopping.improves(metric, state.best.metric)
    new = state._replace(
        schedule=spec.schedule.update(state.schedule, metric),
        best=_select(improved, Best(metric, epoch, state.weights), state.best),
        sums=Metrics.zero(),
    )
    if state.every_epoch is not None:
        kept = jax.tree.map(
            lambda rows, row: rows.at[epoch - 1].set(row), state.every_epoch, state.weights
        )
        new = new._replace(every_epoch=kept)
    return _select(has_stopped(state, epoch - 1, spec.early_stopping), state, new)


def has_stopped(
    state: TrainState, epoch: int | Int[Array, ""], early_stopping: EarlyStopping
) -> Bool[Array, "*seeds"]:
    """Returns whether a run learns no more after its first `epoch` epochs.

    That is so after too many epochs without improvement, or once it has diverged.
    """
    return (epoch - state.best.epoch >= early_stopping.patience) | has_diverged(state)


def has_diverged(state: TrainState) -> Bool[Array, "*seeds"]:
    """Returns whether loss, gradients or validation stopped being finite."""
    return state.diverged >= 0


def note_divergence(state: TrainState, finite: Bool[Array, ""], step: Int[Array, ""]) -> TrainState:
    """Notes the first step that was not finite."""
    first = ~finite & ~has_diverged(state)
    return state._replace(diverged=jnp.where(first, step, state.diverged))


def _select(condition: Bool[Array, ""], yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
