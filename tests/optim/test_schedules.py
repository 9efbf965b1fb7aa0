"""Schedules: impossible ones are refused, and each seed has its own plateau."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.config import OneCycle, Plateau, Schedule
from jaxmnist.errors import UserError
from jaxmnist.optim import make_schedule, plateau_schedule


def test_plateau_maps_over_seeds() -> None:
    schedule = plateau_schedule(Plateau(patience=0), mode="min")
    states = jax.vmap(lambda _: schedule.init(0.1))(jnp.arange(2))
    for metrics in ([1.0, 1.0], [0.5, 1.0]):
        states = jax.vmap(schedule.update)(states, jnp.array(metrics))
    np.testing.assert_allclose(states.learning_rate, [0.1, 0.01], rtol=1e-6)


@pytest.mark.parametrize(
    "rules",
    [{"threshold_mode": "x"}, {"factor": 1.0}, {"factor": 0.0}, {"patience": -1}],
)
def test_impossible_rules_are_refused(rules: dict[str, Any]) -> None:
    (field,) = rules
    with pytest.raises(UserError, match=rf"schedule\.plateau\.{field}"):
        Plateau(**rules)


def test_unknown_schedule_is_refused() -> None:
    with pytest.raises(UserError, match="constant, one_cycle, plateau, step"):
        Schedule(name="cosine")  # type: ignore[arg-type]


def test_a_cycle_without_room_is_refused() -> None:
    fields = Schedule(name="one_cycle", one_cycle=OneCycle(warmup_fraction=0.1))
    with pytest.raises(UserError, match=r"10 steps has no room for a warm-up of 0\.1"):
        make_schedule(fields, epochs=2, steps_per_epoch=5, mode="min")
    make_schedule(fields, epochs=3, steps_per_epoch=5, mode="min")
