"""Schedules against torch.optim.lr_scheduler: the same learning rates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmnist.optim.schedules import one_cycle_schedule, plateau_schedule

torch = pytest.importorskip("torch")


def torch_optimizer(learning_rate: float):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)


def torch_plateau(metrics: list[float], learning_rate: float, **rules) -> list[float]:
    optimizer = torch_optimizer(learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **rules)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def our_plateau(metrics: list[float], learning_rate: float, **rules) -> list[float]:
    schedule = plateau_schedule(learning_rate=learning_rate, **rules)
    state = schedule.init()
    rates = []
    for metric in metrics:
        state = schedule.observe(state, jnp.float32(metric))
        rates.append(float(schedule.values(state, jnp.int32(0))["learning_rate"]))
    return rates


# Multiples of 1/64 are exact in float32 and float64, so comparisons with the threshold agree.
HISTORIES = st.lists(st.integers(1, 400).map(lambda n: n / 64), min_size=5, max_size=40)


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
def test_plateau_gives_pytorchs_learning_rates(metrics, floor, **rules) -> None:
    theirs = torch_plateau(metrics, 0.03, min_lr=floor, **rules)
    ours = our_plateau(metrics, 0.03, floor=floor, **rules)
    # float32 against float64 over at most 40 multiplications.
    np.testing.assert_allclose(ours, theirs, rtol=5e-6)


@pytest.mark.parametrize(
    ("change", "value"), [("patience", 3), ("factor", 0.2), ("cooldown", 2), ("mode", "max")]
)
def test_plateau_differs_when_one_rule_does(change: str, value: object) -> None:
    """The negative twin of the test above."""
    metrics = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.5, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    rules = {"mode": "min", "factor": 0.1, "patience": 2, "cooldown": 0}
    theirs = torch_plateau(metrics, 0.03, **rules)
    np.testing.assert_allclose(our_plateau(metrics, 0.03, **rules), theirs, rtol=5e-6)
    assert not np.allclose(our_plateau(metrics, 0.03, **rules | {change: value}), theirs)


@pytest.mark.parametrize("total_steps", [100, 469, 937, 1000])
@pytest.mark.parametrize("warmup_fraction", [0.1, 0.3])
def test_one_cycle_gives_pytorchs_learning_rates(total_steps: int, warmup_fraction: float) -> None:
    optimizer = torch_optimizer(0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.1, total_steps, pct_start=warmup_fraction, cycle_momentum=False
    )
    theirs = []
    for _ in range(total_steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(theirs) < total_steps:
            scheduler.step()

    def ours(**changes) -> np.ndarray:
        rules = {"warmup_fraction": warmup_fraction, "total_steps": total_steps} | changes
        schedule = one_cycle_schedule(learning_rate=0.1, **rules)
        steps = jnp.arange(total_steps)
        return np.asarray(jax.vmap(lambda s: schedule.values((), s)["learning_rate"])(steps))

    # float32 cosines: relative to the peak of 0.1, as the far ends are 250,000 times smaller.
    np.testing.assert_allclose(ours(), theirs, rtol=0, atol=0.1 * 3e-7)
    assert np.abs(ours(total_steps=total_steps - 1) - theirs).max() > 1e-5
    assert np.abs(ours(initial_divisor=24.0) - theirs).max() > 1e-5
