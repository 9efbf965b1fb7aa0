"""Optimizers, and schedules as pure parts of the train state.

A schedule is three functions over a state of its own, so that one that only counts steps and one
that listens to validation look the same to the train step, and both are in every checkpoint.
Rules are PyTorch's (torch.optim.lr_scheduler), because the published systems ran there.

What is built for equal fields is the same object, so that JAX finds what it compiled for it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from jaxmnist import config
from jaxmnist.errors import UserError

Hyperparams = dict[str, Float[Array, ""]]
Mode = Literal["min", "max"]  # whether a metric is better when it is lower or higher


@cache
def make_optimizer(fields: config.Optimizer) -> optax.GradientTransformation:
    """Builds an optimizer whose state holds its hyperparameters, which a schedule sets."""
    # Both are PyTorch's: optax's Adam and SGD follow the same equations.
    if fields.name == "adam":
        own = {"b1": fields.b1, "b2": fields.b2, "eps": fields.eps}
        return optax.inject_hyperparams(optax.adam)(learning_rate=0.0, **own)
    if fields.name == "adamw":
        own = {"b1": fields.b1, "b2": fields.b2, "eps": fields.eps}
        return optax.inject_hyperparams(optax.adamw, static_args=("mask",))(
            learning_rate=0.0, weight_decay=fields.weight_decay, mask=_kernels, **own
        )
    return optax.inject_hyperparams(optax.sgd)(learning_rate=0.0, momentum=fields.momentum)


def _kernels(params: PyTree) -> PyTree:
    """Returns which parameters decay: kernels, no biases and no scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


@dataclass(frozen=True)
class Schedule:
    """Hyperparameters over a run."""

    init: Callable[[], Any]  # () -> state
    hyperparams: Callable[[Any, Int[Array, ""]], Hyperparams]  # (state, step) -> what to use now
    update: Callable[[Any, Float[Array, ""]], Any]  # (state, metric of an epoch) -> state


@cache
def make_schedule(
    fields: config.Schedule, *, epochs: int, steps_per_epoch: int, mode: Mode
) -> Schedule:
    """Builds the schedule that a configuration names.

    Args:
      fields: `schedule.*` of a configuration.
      epochs: of the run, if nothing stops it.
      steps_per_epoch: training steps in each.
      mode: whether the metric that a plateau monitors is better when it is lower or higher.

    Raises:
      UserError: if a one-cycle schedule has too few steps.
    """
    rate = fields.learning_rate
    match fields.name:
        case "constant":
            return constant_schedule(rate)
        case "step":
            return step_schedule(fields.step, learning_rate=rate, steps_per_epoch=steps_per_epoch)
        case "one_cycle":
            return one_cycle_schedule(
                fields.one_cycle,
                learning_rate=rate,
                total_steps=epochs * steps_per_epoch,
                steps_per_epoch=steps_per_epoch,
            )
        case "plateau":
            return plateau_schedule(fields.plateau, learning_rate=rate, mode=mode)


def _of_step(hyperparams: Callable[[Int[Array, ""]], Hyperparams]) -> Schedule:
    """Wraps a function of the step alone."""
    return Schedule(
        init=lambda: (),
        hyperparams=lambda state, step: hyperparams(step),
        update=lambda state, metric: state,
    )


def constant_schedule(learning_rate: float) -> Schedule:
    """The same learning rate throughout."""
    return _of_step(lambda step: {"learning_rate": jnp.float32(learning_rate)})


def step_schedule(
    fields: config.StepDecay, *, learning_rate: float, steps_per_epoch: int
) -> Schedule:
    """PyTorch's StepLR: multiplies the rate by `factor` after every `every` epochs."""
    steps = min(steps_per_epoch * fields.every, 2**31 - 1)  # what a step, an int32, can count to

    def hyperparams(step: Int[Array, ""]) -> Hyperparams:
        drops = step // steps
        return {"learning_rate": learning_rate * jnp.float32(fields.factor) ** drops}

    return _of_step(hyperparams)


def one_cycle_schedule(
    fields: config.OneCycle, *, learning_rate: float, total_steps: int, steps_per_epoch: int
) -> Schedule:
    """PyTorch's OneCycleLR with cosine annealing (Smith & Topin, 2018).

    The rate rises from `learning_rate / initial_divisor` to its maximum `learning_rate` and falls
    to `learning_rate / initial_divisor / final_divisor`. The peak is at step
    `warmup_fraction * total_steps - 1`, which may lie between two steps, as it may in PyTorch.

    Args:
      fields: `schedule.one_cycle.*` of a configuration.
      learning_rate: the highest rate.
      total_steps: of the whole cycle.
      steps_per_epoch: training steps for one step of a cycle that is stepped every epoch. Code that
        does so stays at the cycle's beginning.

    Raises:
      UserError: if there are too few steps to rise and to fall.
    """
    start = learning_rate / fields.initial_divisor
    end = start / fields.final_divisor
    peak = fields.warmup_fraction * total_steps - 1
    steps_per_update = steps_per_epoch if fields.stepped_every == "epoch" else 1
    if not 0 < peak < total_steps - 1:
        raise UserError(
            f"a one-cycle schedule of {total_steps} steps has no room for a warm-up of "
            f"{fields.warmup_fraction:g} of them: train longer, or choose another schedule."
        )

    def cycle(step: Int[Array, ""], first: float, top: float, last: float) -> Float[Array, ""]:
        rising = _cosine(first, top, step / peak)
        falling = _cosine(top, last, (step - peak) / (total_steps - 1 - peak))
        return jnp.where(step <= peak, rising, falling)

    def hyperparams(step: Int[Array, ""]) -> Hyperparams:
        step = step // steps_per_update
        found = {"learning_rate": cycle(step, start, learning_rate, end)}
        if fields.cycle_momentum:
            low, high = fields.lowest_momentum, fields.highest_momentum
            found["momentum"] = cycle(step, high, low, high)
        return found

    return _of_step(hyperparams)


def _cosine(first: float, last: float, share: Float[Array, ""]) -> Float[Array, ""]:
    return last + (first - last) / 2 * (1 + jnp.cos(math.pi * share))


class PlateauState(NamedTuple):
    """State of a plateau schedule."""

    learning_rate: Float[Array, ""]
    best: Float[Array, ""]  # best metric so far
    bad_epochs: Int[Array, ""]  # epochs since then (0 while cooling down)
    cooldown: Int[Array, ""]  # epochs still to cool down


def plateau_schedule(fields: config.Plateau, *, learning_rate: float, mode: Mode) -> Schedule:
    """PyTorch's ReduceLROnPlateau: multiplies the rate by `factor` when a metric stops improving.

    A metric improves when it beats the best by `threshold`, relative or absolute. After more than
    `patience` epochs without, the rate falls to `max(rate * factor, floor)` unless that would
    change it by `epsilon` or less, and bad epochs are not counted for `cooldown` epochs.
    """
    sign = 1 if mode == "min" else -1

    def init() -> PlateauState:
        return PlateauState(
            learning_rate=jnp.float32(learning_rate),
            best=jnp.float32(sign * math.inf),
            bad_epochs=jnp.int32(0),
            cooldown=jnp.int32(0),
        )

    def update(state: PlateauState, metric: Float[Array, ""]) -> PlateauState:
        target = (
            state.best * (1 - sign * fields.threshold)
            if fields.threshold_mode == "rel"
            else state.best - sign * fields.threshold
        )
        better = metric < target if mode == "min" else metric > target
        best = jnp.where(better, metric, state.best)
        cooling = state.cooldown > 0
        bad_epochs = jnp.where(better | cooling, 0, state.bad_epochs + 1)
        remaining = jnp.where(cooling, state.cooldown - 1, state.cooldown)
        # From here on as PyTorch's _reduce_lr.
        fire = bad_epochs > fields.patience
        lower = jnp.maximum(state.learning_rate * fields.factor, fields.floor)
        changes = fire & (state.learning_rate - lower > fields.epsilon)
        return PlateauState(
            learning_rate=jnp.where(changes, lower, state.learning_rate),
            best=best,
            bad_epochs=jnp.where(fire, 0, bad_epochs),
            cooldown=jnp.where(fire, fields.cooldown, remaining),
        )

    return Schedule(
        init=init,
        hyperparams=lambda state, step: {"learning_rate": state.learning_rate},
        update=update,
    )
