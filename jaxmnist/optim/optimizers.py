"""Optimizers from optax whose hyperparameters a schedule sets at every step."""

from collections.abc import Mapping
from typing import Any

import optax

from jaxmnist.errors import UserError
from jaxmnist.optim.schedules import Hyperparameters

# What each takes from the configuration; both with PyTorch's rules.
SETTINGS = {"adam": ("b1", "b2", "eps"), "sgd": ("momentum",)}


def make_optimizer(name: str, settings: Mapping[str, float]) -> optax.GradientTransformation:
    """Builds an optimizer; `set_hyperparameters` gives it the learning rate.

    Raises:
      UserError: if no optimizer has that name.
    """
    known = {"adam": optax.adam, "sgd": optax.sgd}
    if name not in known:
        raise UserError(f"there is no optimizer '{name}': choose one of {', '.join(known)}.")
    own = {field: settings[field] for field in SETTINGS[name]}
    return optax.inject_hyperparams(known[name])(learning_rate=0.0, **own)


def set_hyperparameters(opt_state: Any, values: Hyperparameters) -> Any:
    """Returns the optimizer state with a schedule's values for this step."""
    return opt_state._replace(hyperparams={**opt_state.hyperparams, **values})
