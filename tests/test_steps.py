"""What an epoch goes through: order, fresh augmentation, and what is the same after a stop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import models
from jaxmnist import steps
from jaxmnist.generate.example import Bank, Draws
from jaxmnist.generate.suites import SUITES
from jaxmnist.programs import initial_state
from jaxmnist.recipe import make_recipe
from jaxmnist.state import Metrics, TrainState
from jaxmnist.steps import Watch, run_steps

EXAMPLES = 12


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns `(epoch, fixed_list) -> draws` of all examples of an epoch that is one batch."""

    def remember(
        state: TrainState, draws: Draws, bank: Bank, **parts: Any
    ) -> tuple[TrainState, Metrics]:
        return state._replace(params=draws), Metrics.zero()

    monkeypatch.setattr(steps, "train_step", remember)
    recipe = make_recipe(models.get_config("model_1").to_dict(), 100)
    state = jax.tree.map(lambda leaf: leaf[0], initial_state(recipe, 0, 1))
    # What is remembered takes the place of the parameters, and has to look like them.
    nothing = Draws(
        jnp.zeros(EXAMPLES, jnp.int32),
        *(jax.random.split(jax.random.key(9), EXAMPLES) for _ in range(2)),
    )

    def draws(epoch: int, *, fixed_list: bool) -> Draws:
        last = run_steps(
            state._replace(params=nothing),
            jnp.int32(epoch),
            jnp.int32(epoch + 1),
            Bank(jnp.zeros((1, 28, 28), jnp.uint8), jnp.zeros(1, jnp.int32)),
            examples=EXAMPLES,
            batch_size=EXAMPLES,
            fixed_list=fixed_list,
            watch=Watch("min", 1_000),
        )
        found: Draws = last.params
        keys = {name: jax.random.key_data(getattr(found, name)) for name in ("draw", "augment")}
        return jax.tree.map(np.asarray, found._replace(**keys))

    return draws


@pytest.mark.parametrize("fixed_list", [True, False])
def test_every_epoch_has_an_order_and_an_augmentation_of_its_own(
    seen: Any, fixed_list: bool
) -> None:
    first, again, second = (seen(epoch, fixed_list=fixed_list) for epoch in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert sorted(first.position) == sorted(second.position) == list(range(EXAMPLES))
    assert (first.position != second.position).any()

    def by_position(draws: Draws) -> Draws:
        order = np.argsort(draws.position)
        return jax.tree.map(lambda leaf: leaf[order], draws)

    first, second = by_position(first), by_position(second)
    assert (first.augment != second.augment).any(axis=1).all()
    same_draws = (first.draw == second.draw).all(axis=1)
    assert same_draws.all() if fixed_list else not same_draws.any()


def test_suites_change_what_they_say() -> None:
    def said(change: Any) -> dict[str, float]:
        return getattr(change, "keywords", {})

    assert said(SUITES["rotation"].digit) == {"degrees": 45.0}
    assert said(SUITES["inverted"].digit) == said(SUITES["inverted_canvas"].canvas)
    assert said(SUITES["inverted"].digit) == {"probability": 1.0}
    assert said(SUITES["noise"].digit) == {"probability": 1.0, "sigma": 0.15}
    assert said(SUITES["noise_canvas"].canvas) == {"probability": 1.0, "sigma": 0.3}
