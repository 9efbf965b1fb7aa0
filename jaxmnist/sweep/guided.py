"""Guided search: Optuna chooses the next settings by those before (the only file that imports it).

Its study lives in memory. A search that goes on makes the same choices again from the same seed,
and is told the results that lie in the run folders.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jaxmnist.errors import UserError
from jaxmnist.sweep.points import Axis, Texts
from jaxmnist.sweep.results import Comparison

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SEED = 0  # of the sampler; what is trained has seeds of its own


def import_optuna() -> None:
    """Imports Optuna, quietly.

    Raises:
      UserError: if it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError(
            "--guided needs Optuna: install it with `pip install 'jaxmnist[sweep]'`."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def choose(
    axes: Sequence[Axis],
    evaluate: Callable[[Sequence[Texts]], Sequence[float]],
    *,
    trials: int,
    width: int,
    comparison: Comparison,
) -> None:
    """Chooses `trials` settings, `width` at a time, each batch knowing the results before it.

    The sampler is the tree-structured Parzen estimator (Bergstra et al., 2011).

    Args:
      axes: what to choose from: a range as a whole, whatever its number of values, or a list.
      evaluate: returns the validation metric of each setting, infinity if it diverged.
      trials: settings in all.
      width: settings that are evaluated together.
      comparison: which metric is better.
    """
    import optuna

    distributions = {axis.field: _distribution(axis) for axis in axes}
    with warnings.catch_warnings():
        # `constant_liar` keeps a batch apart: its other settings count as bad while they train.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=SEED, constant_liar=True)
    direction = "minimize" if comparison.mode == "min" else "maximize"
    study = optuna.create_study(direction=direction, sampler=sampler)
    for first in range(0, trials, width):
        asked = [study.ask(distributions) for _ in range(min(width, trials - first))]
        settings = [
            {axis.field: _text(axis, trial.params[axis.field]) for axis in axes} for trial in asked
        ]
        for trial, value in zip(asked, evaluate(settings), strict=True):
            study.tell(trial, value)


def _distribution(axis: Axis) -> "BaseDistribution":
    from optuna import distributions

    if axis.span is None:
        return distributions.CategoricalDistribution(axis.values)
    if axis.span.whole:
        low, high = math.ceil(axis.span.low), math.floor(axis.span.high)
        return distributions.IntDistribution(low, high, log=axis.span.log)
    return distributions.FloatDistribution(axis.span.low, axis.span.high, log=axis.span.log)


def _text(axis: Axis, value: float | str) -> str:
    return axis.span.format(float(value)) if axis.span else str(value)
