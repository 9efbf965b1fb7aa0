"""Optimizers, and schedules as pure parts of the train state.

A schedule is three functions over a state of its own, so that one that only counts steps and one
that listens to validation look the same to the train step, and both are in every checkpoint.
Rules are PyTorch's (torch.optim.lr_scheduler), because the published systems ran there.

What is built for equal fields is the same object, so that JAX finds what it compiled for it. The
learning rate is no part of that: it lies in the state, so that runs which differ in it alone are
members of one population, and one program serves them all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array, Float, Int, PyTree

from jaxmnist import config
from jaxmnist.errors import UserError

Scalar = float | Float[Array, ""]
Hyperparams = dict[str, Float[Array, ""]]
# The root mean square of an update by Muon, in learning rates: that of AdamW's, so that the same
# rates are right for both.
MUON_RMS = 0.2
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
    if fields.name == "muon":
        own = {"b1": fields.b1, "b2": fields.b2, "eps": fields.eps, "momentum": fields.momentum}
        return optax.inject_hyperparams(_muon)(
            learning_rate=0.0, weight_decay=fields.weight_decay, **own
        )
    return optax.inject_hyperparams(optax.sgd)(learning_rate=0.0, momentum=fields.momentum)


def _muon(
    learning_rate: Scalar,
    weight_decay: Scalar,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
    momentum: Scalar,
) -> optax.GradientTransformation:
    """Muon for kernels, as matrices from inputs to features, and AdamW for all else.

    Keller Jordan, 2024; scaled as Liu et al., 2025, arXiv:2502.16982.
    """

    def matrices(params: PyTree) -> PyTree:
        return jax.tree.map(
            lambda leaf: (
                optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)
                if leaf.ndim > 1
                else None
            ),
            params,
        )

    return optax.contrib.muon(
        learning_rate,
        weight_decay=weight_decay,
        beta=momentum,
        adam_b1=b1,
        adam_b2=b2,
        adam_learning_rate=learning_rate,
        eps=eps,
        consistent_rms=MUON_RMS,
        muon_weight_dimension_numbers=matrices,
    )


def _kernels(params: PyTree) -> PyTree:
    """Returns which parameters decay: kernels, no biases and no scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


@dataclass(frozen=True)
class Schedule:
    """Hyperparameters over a run."""

    init: Callable[[float], Any]  # learning rate -> state; rounded on the host, once
    hyperparams: Callable[[Any, Int[Array, ""]], Hyperparams]  # (state, step) -> what to use now
    update: Callable[[Any, Float[Array, ""]], Any]  # (state, metric of an epoch) -> state


def make_schedule(
    fields: config.Schedule, *, epochs: int, steps_per_epoch: int, mode: Mode
) -> Schedule:
    """Builds the schedule that a configuration names, the same one for every learning rate.

    Args:
      fields: `schedule.*` of a configuration.
      epochs: of the run, if nothing stops it.
      steps_per_epoch: training steps in each.
      mode: whether the metric that a plateau monitors is better when it is lower or higher.

    Raises:
      UserError: if a one-cycle schedule has too few steps.
    """
    any_rate = replace(fields, learning_rate=config.Schedule.learning_rate)
    return _schedule(any_rate, epochs, steps_per_epoch, mode)


@cache
def _schedule(fields: config.Schedule, epochs: int, steps_per_epoch: int, mode: Mode) -> Schedule:
    match fields.name:
        case "constant":
            return constant_schedule()
        case "step":
            return step_schedule(fields.step, steps_per_epoch=steps_per_epoch)
        case "one_cycle":
            return one_cycle_schedule(
                fields.one_cycle,
                total_steps=epochs * steps_per_epoch,
                steps_per_epoch=steps_per_epoch,
            )
        case "plateau":
            return plateau_schedule(fields.plateau, mode=mode)


def constant_schedule() -> Schedule:
    """The same learning rate throughout."""
    return Schedule(
        init=jnp.float32,
        hyperparams=lambda rate, step: {"learning_rate": rate},
        update=lambda rate, metric: rate,
    )


def step_schedule(fields: config.StepDecay, *, steps_per_epoch: int) -> Schedule:
    """PyTorch's StepLR: multiplies the rate by `factor` after every `every` epochs."""
    steps = min(steps_per_epoch * fields.every, 2**31 - 1)  # what a step, an int32, can count to

    def hyperparams(rate: Float[Array, ""], step: Int[Array, ""]) -> Hyperparams:
        drops = step // steps
        return {"learning_rate": rate * jnp.float32(fields.factor) ** drops}

    return Schedule(init=jnp.float32, hyperparams=hyperparams, update=lambda rate, metric: rate)


class Wave(NamedTuple):
    """Half a cosine wave from one value to another."""

    last: float | Float[Array, ""]
    half: float | Float[Array, ""]  # (first - last) / 2

    def at(self, share: Float[Array, ""]) -> Float[Array, ""]:
        """Returns the value after a share of the way."""
        return self.last + self.half * (1 + jnp.cos(math.pi * share))


class Cycle(NamedTuple):
    """The two halves of a one-cycle schedule; as arrays of a learning rate, they are its state."""

    rising: Wave
    falling: Wave

    @classmethod
    def of(cls, first: float, top: float, last: float) -> "Cycle":
        """Returns the cycle from `first` to `top` to `last`."""
        return cls(Wave(top, (first - top) / 2), Wave(last, (top - last) / 2))


def one_cycle_schedule(
    fields: config.OneCycle, *, total_steps: int, steps_per_epoch: int
) -> Schedule:
    """PyTorch's OneCycleLR with cosine annealing (Smith & Topin, 2018).

    The rate rises from `learning_rate / initial_divisor` to its maximum `learning_rate` and falls
    to `learning_rate / initial_divisor / final_divisor`. The peak is at step
    `warmup_fraction * total_steps - 1`, which may lie between two steps, as it may in PyTorch.

    Args:
      fields: `schedule.one_cycle.*` of a configuration.
      total_steps: of the whole cycle.
      steps_per_epoch: training steps for one step of a cycle that is stepped every epoch. Code that
        does so stays at the cycle's beginning.

    Raises:
      UserError: if there are too few steps to rise and to fall.
    """
    peak = fields.warmup_fraction * total_steps - 1
    steps_per_update = steps_per_epoch if fields.stepped_every == "epoch" else 1
    if not 0 < peak < total_steps - 1:
        raise UserError(
            f"a one-cycle schedule of {total_steps} steps has no room for a warm-up of "
            f"{fields.warmup_fraction:g} of them: train longer, or choose another schedule."
        )

    def init(learning_rate: float) -> Cycle:
        start = learning_rate / fields.initial_divisor
        cycle = Cycle.of(start, learning_rate, start / fields.final_divisor)
        rounded: Cycle = jax.tree.map(jnp.float32, cycle)
        return rounded

    def value(cycle: Cycle, step: Int[Array, ""]) -> Float[Array, ""]:
        rising = cycle.rising.at(step / peak)
        falling = cycle.falling.at((step - peak) / (total_steps - 1 - peak))
        return jnp.where(step <= peak, rising, falling)

    def hyperparams(rates: Cycle, step: Int[Array, ""]) -> Hyperparams:
        step = step // steps_per_update
        found = {"learning_rate": value(rates, step)}
        if fields.cycle_momentum:
            low, high = fields.lowest_momentum, fields.highest_momentum
            found["momentum"] = value(Cycle.of(high, low, high), step)
        return found

    return Schedule(init=init, hyperparams=hyperparams, update=lambda rates, metric: rates)


class PlateauState(NamedTuple):
    """State of a plateau schedule."""

    learning_rate: Float[Array, ""]
    best: Float[Array, ""]  # best metric so far
    bad_epochs: Int[Array, ""]  # epochs since then (0 while cooling down)
    cooldown: Int[Array, ""]  # epochs still to cool down


def plateau_schedule(fields: config.Plateau, *, mode: Mode) -> Schedule:
    """PyTorch's ReduceLROnPlateau: multiplies the rate by `factor` when a metric stops improving.

    A metric improves when it beats the best by `threshold`, relative or absolute. After more than
    `patience` epochs without, the rate falls to `max(rate * factor, floor)` unless that would
    change it by `epsilon` or less, and bad epochs are not counted for `cooldown` epochs.
    """
    sign = 1 if mode == "min" else -1

    def init(learning_rate: float) -> PlateauState:
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
