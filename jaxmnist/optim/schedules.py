"""Schedules as pure parts of the train state.

A schedule is three functions over a state of its own, so that one that only counts steps and one
that listens to validation look the same to the train step, and both are in every checkpoint.
Rules are PyTorch's (torch.optim.lr_scheduler), because the published systems ran there.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmnist.errors import UserError

Hyperparameters = dict[str, Float[Array, ""]]


class Schedule(NamedTuple):
    """Hyperparameters over a run."""

    init: Callable[[], Any]  # () -> state
    values: Callable[[Any, Int[Array, ""]], Hyperparameters]  # (state, step) -> what to use now
    observe: Callable[[Any, Float[Array, ""]], Any]  # (state, metric of an epoch) -> state


def _of_step(learning_rate: Callable[[Int[Array, ""]], Float[Array, ""]]) -> Schedule:
    """Makes a schedule of a function of the step alone."""
    return Schedule(
        init=lambda: (),
        values=lambda state, step: {"learning_rate": learning_rate(step)},
        observe=lambda state, metric: state,
    )


def constant_schedule(*, learning_rate: float) -> Schedule:
    """The same learning rate throughout."""
    return _of_step(lambda step: jnp.float32(learning_rate))


def one_cycle_schedule(
    *,
    total_steps: int,
    learning_rate: float,
    warmup_fraction: float = 0.3,
    initial_divisor: float = 25.0,
    final_divisor: float = 1e4,
) -> Schedule:
    """PyTorch's OneCycleLR with cosine annealing (Smith & Topin, 2018), stepped every batch.

    The rate rises from `learning_rate / initial_divisor` to its maximum `learning_rate` and falls
    to `learning_rate / initial_divisor / final_divisor`. The peak is at step
    `warmup_fraction * total_steps - 1`, which may lie between two steps, as it may in PyTorch.

    Raises:
      UserError: if there are too few steps to rise and to fall.
    """
    start = learning_rate / initial_divisor
    end = start / final_divisor
    peak = warmup_fraction * total_steps - 1
    if not 0 < peak < total_steps - 1:
        raise UserError(
            f"a one-cycle schedule of {total_steps} steps has no room for a warm-up of "
            f"{warmup_fraction:g} of them: train longer, or choose another schedule."
        )

    def cosine(first: float, last: float, share: Float[Array, ""]) -> Float[Array, ""]:
        return last + (first - last) / 2 * (1 + jnp.cos(math.pi * share))

    def at(step: Int[Array, ""]) -> Float[Array, ""]:
        rising = cosine(start, learning_rate, step / peak)
        falling = cosine(learning_rate, end, (step - peak) / (total_steps - 1 - peak))
        return jnp.where(step <= peak, rising, falling)

    return _of_step(at)


class PlateauState(NamedTuple):
    """What a plateau schedule remembers."""

    learning_rate: Float[Array, ""]
    best: Float[Array, ""]  # best metric so far
    bad_epochs: Int[Array, ""]  # epochs since then (0 while cooling down)
    cooldown: Int[Array, ""]  # epochs still to cool down


def plateau_schedule(
    *,
    learning_rate: float,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    floor: float = 0.0,
    epsilon: float = 1e-8,
) -> Schedule:
    """PyTorch's ReduceLROnPlateau: multiplies the rate by `factor` when a metric stops improving.

    A metric improves when it beats the best by `threshold`, relative or absolute. After more than
    `patience` epochs without, the rate falls to `max(rate * factor, floor)` unless that would
    change it by `epsilon` or less, and bad epochs are not counted for `cooldown` epochs.

    Raises:
      UserError: if `mode` or `threshold_mode` is unknown or `factor` is not in (0, 1).
    """
    if mode not in ("min", "max"):
        raise UserError(f"the plateau's mode is '{mode}': choose min or max.")
    if threshold_mode not in ("rel", "abs"):
        raise UserError(f"the plateau's threshold_mode is '{threshold_mode}': choose rel or abs.")
    if not 0 < factor < 1:
        raise UserError(f"the plateau's factor is {factor}: choose one between 0 and 1.")
    sign = 1 if mode == "min" else -1

    def init() -> PlateauState:
        return PlateauState(
            learning_rate=jnp.float32(learning_rate),
            best=jnp.float32(sign * math.inf),
            bad_epochs=jnp.int32(0),
            cooldown=jnp.int32(0),
        )

    def observe(state: PlateauState, metric: Float[Array, ""]) -> PlateauState:
        target = (
            state.best * (1 - sign * threshold)
            if threshold_mode == "rel"
            else state.best - sign * threshold
        )
        better = metric < target if mode == "min" else metric > target
        best = jnp.where(better, metric, state.best)
        cooling = state.cooldown > 0
        bad_epochs = jnp.where(better | cooling, 0, state.bad_epochs + 1)
        remaining = jnp.where(cooling, state.cooldown - 1, state.cooldown)
        # From here on as PyTorch's _reduce_lr.
        fire = bad_epochs > patience
        lower = jnp.maximum(state.learning_rate * factor, floor)
        changes = fire & (state.learning_rate - lower > epsilon)
        return PlateauState(
            learning_rate=jnp.where(changes, lower, state.learning_rate),
            best=best,
            bad_epochs=jnp.where(fire, 0, bad_epochs),
            cooldown=jnp.where(fire, cooldown, remaining),
        )

    return Schedule(
        init=init,
        values=lambda state, step: {"learning_rate": state.learning_rate},
        observe=observe,
    )


def make_schedule(
    name: str,
    *,
    total_steps: int,
    learning_rate: float,
    one_cycle: dict[str, Any],
    plateau: dict[str, Any],
) -> Schedule:
    """Builds the schedule called `name` for a run of `total_steps` steps.

    Args:
      name: `constant`, `one_cycle` or `plateau`.
      total_steps: how many steps the run makes, if nothing stops it.
      learning_rate: the highest learning rate.
      one_cycle: the further settings of `one_cycle_schedule`.
      plateau: the further settings of `plateau_schedule`.

    Raises:
      UserError: if no schedule has that name.
    """
    if name == "constant":
        return constant_schedule(learning_rate=learning_rate)
    if name == "one_cycle":
        return one_cycle_schedule(total_steps=total_steps, learning_rate=learning_rate, **one_cycle)
    if name == "plateau":
        return plateau_schedule(learning_rate=learning_rate, **plateau)
    raise UserError(f"there is no schedule '{name}': choose constant, one_cycle or plateau.")
