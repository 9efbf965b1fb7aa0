"""Schedules: impossible ones are refused, and each seed has its own plateau."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import common
from jaxmnist.errors import UserError
from jaxmnist.optim.schedules import make_schedule, plateau_schedule


def test_plateau_maps_over_seeds() -> None:
    schedule = plateau_schedule(learning_rate=0.1, patience=0)
    states = jax.vmap(lambda _: schedule.init())(jnp.arange(2))
    for metrics in ([1.0, 1.0], [0.5, 1.0]):
        states = jax.vmap(schedule.observe)(states, jnp.array(metrics))
    np.testing.assert_allclose(states.learning_rate, [0.1, 0.01], rtol=1e-6)


@pytest.mark.parametrize(
    "rules", [{"mode": "most"}, {"threshold_mode": "x"}, {"factor": 1.0}, {"factor": 0.0}]
)
def test_impossible_rules_are_refused(rules: dict) -> None:
    with pytest.raises(UserError, match="choose"):
        plateau_schedule(learning_rate=0.1, **rules)


def test_unknown_schedule_is_refused() -> None:
    rules = common.base().schedule.to_dict() | {"name": "cosine"}
    with pytest.raises(UserError, match="constant, step, one_cycle or plateau"):
        make_schedule(**rules, epochs=1, steps_per_epoch=1, mode="min")
