"""Optimizers from optax whose hyperparameters a schedule sets at every step."""

from typing import Any

import optax

from jaxmnist.errors import UserError
from jaxmnist.optim.schedules import Hyperparameters


def make_optimizer(name: str, **settings: Any) -> optax.GradientTransformation:
    """Builds an optimizer; `set_hyperparameters` gives it the learning rate.

    Raises:
      UserError: if no optimizer has that name.
    """
    known = {"adam": optax.adam}
    if name not in known:
        raise UserError(f"there is no optimizer '{name}': choose one of {', '.join(known)}.")
    return optax.inject_hyperparams(known[name])(learning_rate=0.0, **settings)


def set_hyperparameters(opt_state: Any, values: Hyperparameters) -> Any:
    """Returns the optimizer state with a schedule's values for this step."""
    return opt_state._replace(hyperparams={**opt_state.hyperparams, **values})
