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
Mode = Literal["min", "max"]  # whether a metric is better when it is lower or higher


class Schedule(NamedTuple):
    """Hyperparameters over a run."""

    init: Callable[[], Any]  # () -> state
    values: Callable[[Any, Int[Array, ""]], Hyperparameters]  # (state, step) -> what to use now
    observe: Callable[[Any, Float[Array, ""]], Any]  # (state, metric of an epoch) -> state


def _of_step(values: Callable[[Int[Array, ""]], Hyperparameters]) -> Schedule:
    """Makes a schedule of a function of the step alone."""
    return Schedule(
        init=lambda: (),
        values=lambda state, step: values(step),
        observe=lambda state, metric: state,
    )


def constant_schedule(*, learning_rate: float) -> Schedule:
    """The same learning rate throughout."""
    return _of_step(lambda step: {"learning_rate": jnp.float32(learning_rate)})


def step_schedule(
    *, learning_rate: float, steps_per_epoch: int, every: int, factor: float
) -> Schedule:
    """PyTorch's StepLR: multiplies the rate by `factor` after every `every` epochs."""
    steps = min(steps_per_epoch * every, 2**31 - 1)  # what a step, an int32, can count to

    def values(step: Int[Array, ""]) -> Hyperparameters:
        drops = step // steps
        return {"learning_rate": learning_rate * jnp.float32(factor) ** drops}

    return _of_step(values)


def one_cycle_schedule(
    *,
    total_steps: int,
    learning_rate: float,
    warmup_fraction: float = 0.3,
    initial_divisor: float = 25.0,
    final_divisor: float = 1e4,
    momentum: tuple[float, float] | None = None,
    steps_per_update: int = 1,
) -> Schedule:
    """PyTorch's OneCycleLR with cosine annealing (Smith & Topin, 2018), stepped every batch.

    The rate rises from `learning_rate / initial_divisor` to its maximum `learning_rate` and falls
    to `learning_rate / initial_divisor / final_divisor`. The peak is at step
    `warmup_fraction * total_steps - 1`, which may lie between two steps, as it may in PyTorch.

    Args:
      total_steps: of the whole cycle.
      learning_rate: the highest rate.
      warmup_fraction: share of the cycle before the peak.
      initial_divisor: highest rate over first rate.
      final_divisor: first rate over last rate.
      momentum: (lowest, highest): momentum falls while the rate rises, and rises while it falls;
        None leaves it alone.
      steps_per_update: training steps for one step of the cycle. Code that steps the schedule only
        once an epoch stays at the cycle's beginning.

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

    def cycle(step: Int[Array, ""], first: float, top: float, last: float) -> Float[Array, ""]:
        rising = _cosine(first, top, step / peak)
        falling = _cosine(top, last, (step - peak) / (total_steps - 1 - peak))
        return jnp.where(step <= peak, rising, falling)

    def values(step: Int[Array, ""]) -> Hyperparameters:
        step = step // steps_per_update
        found = {"learning_rate": cycle(step, start, learning_rate, end)}
        if momentum:
            low, high = momentum
            found["momentum"] = cycle(step, high, low, high)
        return found

    return _of_step(values)


def _cosine(first: float, last: float, share: Float[Array, ""]) -> Float[Array, ""]:
    return last + (first - last) / 2 * (1 + jnp.cos(math.pi * share))


class PlateauState(NamedTuple):
    """What a plateau schedule remembers."""

    learning_rate: Float[Array, ""]
    best: Float[Array, ""]  # best metric so far
    bad_epochs: Int[Array, ""]  # epochs since then (0 while cooling down)
    cooldown: Int[Array, ""]  # epochs still to cool down


def plateau_schedule(
    *,
    learning_rate: float,
    mode: Mode = "min",
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
    epochs: int,
    steps_per_epoch: int,
    mode: Mode,
    learning_rate: float,
    step: dict[str, Any],
    one_cycle: dict[str, Any],
    plateau: dict[str, Any],
) -> Schedule:
    """Builds the schedule called `name`.

    Args:
      name: `constant`, `step`, `one_cycle` or `plateau`.
      epochs: of the run, if nothing stops it.
      steps_per_epoch: training steps in each.
      mode: whether the metric that a plateau watches is better when it is lower or higher.
      learning_rate: the highest learning rate.
      step: the further settings of `step_schedule`.
      one_cycle: the further settings of `one_cycle_schedule`; momentum's two ends and whether the
        cycle is stepped every epoch are fields here.
      plateau: the further settings of `plateau_schedule`.

    Raises:
      UserError: if no schedule has that name.
    """
    if name == "constant":
        return constant_schedule(learning_rate=learning_rate)
    if name == "step":
        return step_schedule(learning_rate=learning_rate, steps_per_epoch=steps_per_epoch, **step)
    if name == "one_cycle":
        rules = dict(one_cycle)
        ends = (rules.pop("lowest_momentum"), rules.pop("highest_momentum"))
        momentum = ends if rules.pop("cycle_momentum") else None
        slow = rules.pop("stepped_every") == "epoch"
        return one_cycle_schedule(
            total_steps=epochs * steps_per_epoch,
            learning_rate=learning_rate,
            momentum=momentum,
            steps_per_update=steps_per_epoch if slow else 1,
            **rules,
        )
    if name == "plateau":
        return plateau_schedule(learning_rate=learning_rate, mode=mode, **plateau)
    raise UserError(f"there is no schedule '{name}': choose constant, step, one_cycle or plateau.")
