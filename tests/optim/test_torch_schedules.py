"""Schedules against torch.optim.lr_scheduler: the same learning rates and momenta."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmnist.config import OneCycle, Plateau, StepDecay
from jaxmnist.experiment import make_network, make_spec
from jaxmnist.optim import (
    Mode,
    Schedule,
    make_schedule,
    one_cycle_schedule,
    plateau_schedule,
    step_schedule,
)
from tests.helpers import recipe

torch = pytest.importorskip("torch")


def torch_optimizer(learning_rate: float) -> "torch.optim.SGD":
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)


def torch_plateau(metrics: list[float], learning_rate: float, **rules: Any) -> list[float]:
    optimizer = torch_optimizer(learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **rules)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@cache
def compiled_plateau(
    mode: Mode, threshold_mode: str
) -> Callable[[dict[str, float], np.ndarray], jax.Array]:
    """Returns a quick function: the other rules and a history to the rate after every metric."""

    @jax.jit
    def rates_of(rules: dict[str, jax.Array], metrics: jax.Array) -> jax.Array:
        # Rules that are traced pass no checks, so the frozen group is filled by hand.
        fields = Plateau(threshold_mode=threshold_mode)
        for name, value in rules.items():
            object.__setattr__(fields, name, value)
        schedule = plateau_schedule(fields, mode=mode)

        def update(state: Any, metric: jax.Array) -> tuple[Any, jax.Array]:
            state = schedule.update(state, metric)
            return state, schedule.hyperparams(state, jnp.int32(0))["learning_rate"]

        return jax.lax.scan(update, schedule.init(0.03), metrics)[1]

    return rates_of


def our_plateau(
    metrics: list[float], *, mode: Mode = "min", threshold_mode: str = "rel", **rules: float
) -> list[float]:
    Plateau(threshold_mode=threshold_mode, **rules)  # possible rules
    padded = np.zeros(LONGEST, np.float32)
    padded[: len(metrics)] = metrics
    return compiled_plateau(mode, threshold_mode)(rules, padded)[: len(metrics)].tolist()


LONGEST = 40


# Multiples of 1/64 are exact in float32 and float64, so comparisons with the threshold agree.
HISTORIES = st.lists(st.integers(1, 400).map(lambda n: n / 64), min_size=5, max_size=LONGEST)


@settings(max_examples=150)
@given(
    metrics=HISTORIES,
    mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 3),
    factor=st.sampled_from([0.1, 0.5]),
    threshold=st.sampled_from([0.0, 1e-4, 0.1]),
    floor=st.sampled_from([0.0, 1e-3]),
)
def test_plateau_gives_pytorchs_learning_rates(
    metrics: list[float], floor: float, **rules: Any
) -> None:
    theirs = torch_plateau(metrics, 0.03, min_lr=floor, **rules)
    ours = our_plateau(metrics, floor=floor, **rules)
    # float32 against float64 over at most 40 multiplications.
    np.testing.assert_allclose(ours, theirs, rtol=5e-6)


@pytest.mark.parametrize(
    ("change", "value"), [("patience", 3), ("factor", 0.2), ("cooldown", 2), ("mode", "max")]
)
def test_plateau_differs_when_one_rule_does(change: str, value: object) -> None:
    """The negative control of the test above."""
    metrics = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.5, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    rules: dict[str, Any] = {"mode": "min", "factor": 0.1, "patience": 2, "cooldown": 0}
    theirs = torch_plateau(metrics, 0.03, **rules)
    np.testing.assert_allclose(our_plateau(metrics, **rules), theirs, rtol=5e-6)
    assert not np.allclose(our_plateau(metrics, **rules | {change: value}), theirs)


def torch_values(
    scheduler_of: Callable[..., Any], steps: int, **rules: Any
) -> dict[str, np.ndarray]:
    """Steps a scheduler of PyTorch after every step and notes what each step used."""
    optimizer = torch_optimizer(0.1)
    scheduler = scheduler_of(optimizer, **rules)
    found = []
    for step in range(steps):
        group = optimizer.param_groups[0]
        found.append((group["lr"], group["momentum"]))
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    rates, momenta = np.array(found).T
    return {"learning_rate": rates, "momentum": momenta}


def our_values(schedule: Schedule, steps: int, rate: float = 0.1) -> dict[str, np.ndarray]:
    state = schedule.init(rate)
    values = jax.vmap(lambda step: schedule.hyperparams(state, step))(jnp.arange(steps))
    return jax.tree.map(np.asarray, values)


@pytest.mark.parametrize("total_steps", [100, 469, 937, 1000])
@pytest.mark.parametrize("warmup_fraction", [0.1, 0.3])
@pytest.mark.parametrize("momentum", [None, (0.85, 0.95)])
def test_one_cycle_gives_pytorchs_rates_and_momenta(
    total_steps: int, warmup_fraction: float, momentum: tuple[float, float] | None
) -> None:
    low, high = momentum or (0.0, 0.0)
    theirs = torch_values(
        torch.optim.lr_scheduler.OneCycleLR,
        total_steps,
        max_lr=0.1,
        total_steps=total_steps,
        pct_start=warmup_fraction,
        cycle_momentum=momentum is not None,
        base_momentum=low,
        max_momentum=high,
    )

    def apart(cycle_steps: int = total_steps, **changes: float) -> dict[str, float]:
        rules = {"lowest_momentum": low, "highest_momentum": high} if momentum else {}
        fields = OneCycle(
            warmup_fraction=warmup_fraction, cycle_momentum=momentum is not None, **rules | changes
        )
        schedule = one_cycle_schedule(fields, total_steps=cycle_steps, steps_per_epoch=1)
        ours = our_values(schedule, total_steps)
        return {name: np.abs(ours[name] - theirs[name]).max() for name in ours}

    # float32 cosines: relative to the peaks of 0.1 and 0.95, as the rate's ends are 250,000 times
    # smaller.
    assert apart()["learning_rate"] <= 0.1 * 3e-7
    assert ("momentum" in apart()) == (momentum is not None)
    assert apart().get("momentum", 0) <= 0.95 * 3e-7
    assert apart(cycle_steps=total_steps - 1)["learning_rate"] > 1e-5
    assert apart(initial_divisor=24.0)["learning_rate"] > 1e-5
    assert momentum is None or apart(highest_momentum=0.9501)["momentum"] > 1e-5


@pytest.mark.parametrize(("every", "factor"), [(15, 0.1), (6, 0.1), (1, 0.5)])
def test_step_gives_pytorchs_learning_rates(every: int, factor: float) -> None:
    epochs, steps_per_epoch = 20, 7
    per_epoch = torch_values(
        torch.optim.lr_scheduler.StepLR, epochs, step_size=every, gamma=factor
    )["learning_rate"]
    theirs = np.repeat(per_epoch, steps_per_epoch)

    def ours(**changes: Any) -> np.ndarray:
        fields = StepDecay(**{"every": every, "factor": factor} | changes)
        schedule = step_schedule(fields, steps_per_epoch=steps_per_epoch)
        return our_values(schedule, len(theirs))["learning_rate"]

    # A float32 power of at most 20 factors.
    np.testing.assert_allclose(ours(), theirs, rtol=2e-6)
    assert not np.allclose(ours(every=every + 1), theirs, rtol=2e-6)
    assert not np.allclose(ours(factor=factor * 1.0001), theirs, rtol=2e-6)


def test_one_cycle_stepped_every_epoch_stays_where_pytorchs_stays() -> None:
    """V's other schedule as it ran: 15 steps into a cycle of 7,035."""
    config = recipe("v:v_3_onecycle_as_run")
    epochs = 15
    spec = make_spec(config, make_network(config), 60_000)
    steps_per_epoch = spec.steps_per_epoch
    assert (config.epochs, steps_per_epoch) == (epochs, 469)
    per_epoch = torch_values(
        torch.optim.lr_scheduler.OneCycleLR,
        epochs,
        max_lr=0.75,
        total_steps=epochs * steps_per_epoch,
        div_factor=7.5,
        final_div_factor=7.5,
        cycle_momentum=False,
    )["learning_rate"]
    theirs = np.repeat(per_epoch, steps_per_epoch)
    assert [f"{rate:.5f}" for rate in per_epoch[[0, -1]]] == ["0.10000", "0.10007"]

    def ours(**changes: Any) -> np.ndarray:
        fields = replace(config.schedule, one_cycle=replace(config.schedule.one_cycle, **changes))
        schedule = make_schedule(fields, epochs=epochs, steps_per_epoch=steps_per_epoch, mode="max")
        return our_values(schedule, len(theirs), 0.75)["learning_rate"]

    # Again relative to the peak: cosine near 1 keeps 6e-8 of it.
    np.testing.assert_allclose(ours(), theirs, rtol=0, atol=0.75 * 3e-7)
    assert np.abs(ours(warmup_fraction=0.29) - theirs).max() > 1e-6
    assert np.abs(ours(stepped_every="batch") - theirs).max() > 0.6
