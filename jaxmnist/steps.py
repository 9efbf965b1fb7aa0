"""The train step, the loop over steps and the end of an epoch, as pure functions.

Nothing here is jitted or mapped over seeds: `programs.py` does that for all of it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxmnist.devices import count_parts, own_part, sum_of_parts
from jaxmnist.generate.example import Bank, Draws, Generate
from jaxmnist.models.network import Network
from jaxmnist.optim.optimizers import set_hyperparameters
from jaxmnist.optim.schedules import Mode, Schedule
from jaxmnist.rng import Stream, permutation, stream_key, stream_keys
from jaxmnist.state import Best, Metrics, TrainState, Tree


class Watch(NamedTuple):
    """What early stopping and the choice of the best epoch go by."""

    mode: Mode
    patience: int  # epochs without improvement before stopping

    def better(self, value: Float[Array, ""], best: Float[Array, ""]) -> Array:
        """Says whether `value` improves on `best`."""
        return value < best if self.mode == "min" else value > best


def loss_per_example(
    logits: Float[Array, "batch heads classes"], labels: Int[Array, "batch heads"]
) -> Float[Array, " batch"]:
    """Cross-entropy summed over heads (its batch mean is the published loss)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).sum(-1)


def measure(
    logits: Float[Array, "batch heads classes"], labels: Int[Array, "batch heads"]
) -> Metrics:
    """Sums what a batch got right."""
    right = logits.argmax(-1) == labels
    return Metrics(
        loss=loss_per_example(logits, labels).sum(),
        correct=right.sum(dtype=jnp.int32),
        exact=right.all(-1).sum(dtype=jnp.int32),
        examples=jnp.int32(len(labels)),
    )


def update(
    state: TrainState,
    images: Float[Array, "batch height width"],
    labels: Int[Array, "batch heads"],
    *,
    network: Network,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    batch_axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Makes one step of the optimizer on one batch.

    Along `batch_axis`, if it is given, every device has a part of the batch, and all of them come
    to the same state.
    Where loss or gradients are not finite (or so large that their squares overflow) the state stays
    as it was, and notes the step; from then on it stays as it is.
    """

    def loss_fn(params: Any) -> tuple[Float[Array, ""], tuple[Metrics, Any]]:
        logits, changed = network.parted(batch_axis).apply(
            {"params": params, "batch_stats": state.batch_stats},
            images,
            train=True,
            rngs={"dropout": stream_key(state.key, Stream.DROPOUT, state.step)},
            mutable=["batch_stats"],
        )
        loss = loss_per_example(logits, labels).mean() / count_parts(batch_axis)
        return loss, (measure(logits, labels), changed.get("batch_stats", {}))

    gradients, (metrics, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    gradients, metrics = sum_of_parts((gradients, metrics), batch_axis)
    hyperparameters = schedule.values(state.schedule, state.step)
    opt_state = set_hyperparameters(state.opt_state, hyperparameters)
    updates, opt_state = optimizer.update(gradients, opt_state, state.params)
    new = state._replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
    )
    finite = jnp.isfinite(metrics.loss) & jnp.isfinite(optax.tree.norm(gradients, squared=True))
    sound = finite & ~has_diverged(state)
    return (
        _select(sound, new, note_divergence(state, finite, state.step)),
        _select(sound, metrics, Metrics.zero()),
    )


def train_step(
    state: TrainState, draws: Draws, bank: Bank, *, generate: Generate, **parts: Any
) -> tuple[TrainState, Metrics]:
    """Generates a batch from its keys and learns from it; `parts` as in `update`."""
    images, labels = jax.vmap(generate, in_axes=(0, None))(draws, bank)
    return update(state, images, labels, **parts)


def example_draws(
    state: TrainState,
    epoch: Int[Array, ""],
    positions: Int[Array, " batch"],
    *,
    examples: int,
    fixed_list: bool,
) -> Draws:
    """Says what examples are, by their positions in the epoch's list of `examples`.

    With `fixed_list` the list is the same in every epoch, and only augmentation is fresh (as in
    the published code); without, every epoch has a list of its own (as in its description).
    """
    numbers = epoch * examples + positions
    return Draws(
        position=positions,
        draw=stream_keys(state.key, Stream.DRAW, positions if fixed_list else numbers),
        augment=stream_keys(state.key, Stream.AUGMENT, numbers),
    )


def run_steps(
    state: TrainState,
    first: Int[Array, ""],
    last: Int[Array, ""],
    bank: Bank,
    *,
    examples: int,
    batch_size: int,
    short: bool = False,
    fixed_list: bool,
    watch: Watch,
    batch_axis: str | None = None,
    **parts: Any,
) -> TrainState:
    """Makes the steps `first <= step < last` of one epoch; `parts` as in `train_step`.

    Along `batch_axis`, if it is given, every device makes and learns its own part of the batches.

    Both bounds are arguments, so one compiled program serves a whole epoch or any piece of it. A
    `short` program makes the last step of an epoch whose last batch has fewer examples, which is
    kept, as PyTorch's DataLoader keeps it; the other program makes the steps before it.
    A run that has stopped early comes back as it was.
    """
    size = examples % batch_size if short else batch_size
    epoch = first // steps_per_epoch(examples, batch_size)
    epoch_start = epoch * steps_per_epoch(examples, batch_size)

    def learn(state: TrainState) -> TrainState:
        order = permutation(stream_key(state.key, Stream.ORDER, epoch), examples)

        def body(step: Int[Array, ""], state: TrainState) -> TrainState:
            positions = lax.dynamic_slice(order, ((step - epoch_start) * batch_size,), (size,))
            positions = own_part(positions, batch_axis)
            draws = example_draws(state, epoch, positions, examples=examples, fixed_list=fixed_list)
            state, metrics = train_step(state, draws, bank, batch_axis=batch_axis, **parts)
            return state._replace(sums=state.sums.merge(metrics))

        return lax.fori_loop(first, last, body, state)

    # A branch, not a choice between two states: that is one kernel more for every array in them.
    return lax.cond(has_stopped(state, epoch, watch), lambda state: state, learn, state)


def end_epoch(
    state: TrainState,
    metric: Float[Array, ""],
    epoch: Int[Array, ""],
    *,
    schedule: Schedule,
    watch: Watch,
) -> TrainState:
    """Takes the validation metric of epoch `epoch` (from 1) into schedule and best weights.

    A metric that is not a number says that validation went wrong: it ends the run like a step that
    does.
    """
    state = note_divergence(state, jnp.isfinite(metric), state.step - 1)
    improved = watch.better(metric, state.best.metric)
    new = state._replace(
        schedule=schedule.observe(state.schedule, metric),
        best=_select(improved, Best(metric, epoch, state.weights), state.best),
        sums=Metrics.zero(),
    )
    if state.every_epoch is not None:
        kept = jax.tree.map(
            lambda rows, row: rows.at[epoch - 1].set(row), state.every_epoch, state.weights
        )
        new = new._replace(every_epoch=kept)
    return _select(has_stopped(state, epoch - 1, watch), state, new)


def has_stopped(state: TrainState, epoch: int | Array, watch: Watch) -> Array:
    """Says whether a run learns nothing more after its first `epoch` epochs.

    That is so if too many of them ended without improvement, or if its numbers went wrong.
    """
    return (epoch - state.best.epoch >= watch.patience) | has_diverged(state)


def has_diverged(state: TrainState) -> Array:
    """Says whether loss, gradients or validation stopped being numbers."""
    return state.diverged >= 0


def note_divergence(state: TrainState, finite: Bool[Array, ""], step: Int[Array, ""]) -> TrainState:
    """Notes the step at which numbers went wrong, if this is the first."""
    first = ~finite & ~has_diverged(state)
    return state._replace(diverged=jnp.where(first, step, state.diverged))


def _select(condition: Bool[Array, ""], yes: Tree, no: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Counts batches, the last one possibly smaller."""
    return -(-examples // batch_size)
