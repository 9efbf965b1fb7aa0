"""Says in one sentence what is impossible about a configuration, before anything is made."""

from collections.abc import Callable
from typing import Any

from jaxmnist.errors import UserError
from jaxmnist.models.backend import BACKENDS
from jaxmnist.models.catalogue import MODELS

Rule = tuple[Callable[[Any], bool], str]  # does the value hold, and what it must be

POSITIVE: Rule = (lambda v: 1 <= v <= 10**9, "between 1 and 1000000000")
NOT_NEGATIVE: Rule = (lambda v: 0 <= v <= 10**9, "between 0 and 1000000000")
ABOVE_ZERO: Rule = (lambda v: 0 < v < float("inf"), "a number above 0")
PROBABILITY: Rule = (lambda v: 0 <= v <= 1, "between 0 and 1")
FRACTION: Rule = (lambda v: 0 < v < 1, "between 0 and 1, without the ends")
ANGLE: Rule = (lambda v: 0 <= v <= 180, "between 0 and 180 degrees")


def one_of(*choices: str) -> Rule:
    """Makes the rule that a value is one of some names."""
    return lambda value: value in choices, f"one of {', '.join(sorted(choices))}"


RULES: dict[str, Rule] = {
    "model": one_of(*MODELS),
    "backend": one_of("auto", *BACKENDS),
    "seed": (lambda v: 0 <= v < 2**31, "between 0 and 2147483647"),
    "num_seeds": (lambda v: 1 <= v <= 10_000, "between 1 and 10000"),
    "epochs": POSITIVE,
    "batch_size": POSITIVE,
    "early_stopping_patience": POSITIVE,
    "data.source": one_of("auto", "tfds", "dir", "digits8x8"),
    "data.train_examples": POSITIVE,
    "data.validation_examples": POSITIVE,
    "data.split_seed": (lambda v: 0 <= v < 2**31, "between 0 and 2147483647"),
    "sequence.max_length": (lambda v: 1 <= v <= 100, "between 1 and 100 digits"),
    "sequence.train_sequences": POSITIVE,
    "sequence.validation_sequences": POSITIVE,
    "augment.rotation_degrees": ANGLE,
    "augment.invert_probability": PROBABILITY,
    "augment.affine_degrees": ANGLE,
    "augment.translate": PROBABILITY,
    "augment.scale": (
        lambda v: len(v) == 2 and 0 < v[0] <= v[1] < float("inf"),
        "two factors above 0, the smaller first",
    ),
    "augment.noise_probability": PROBABILITY,
    "augment.noise_sigma": NOT_NEGATIVE,
    "optimizer.name": one_of("adam"),
    "optimizer.b1": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "optimizer.b2": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "optimizer.eps": ABOVE_ZERO,
    "schedule.name": one_of("constant", "one_cycle", "plateau"),
    "schedule.learning_rate": ABOVE_ZERO,
    "schedule.one_cycle.warmup_fraction": FRACTION,
    "schedule.one_cycle.initial_divisor": ABOVE_ZERO,
    "schedule.one_cycle.final_divisor": ABOVE_ZERO,
    "schedule.plateau.factor": FRACTION,
    "schedule.plateau.patience": NOT_NEGATIVE,
    "schedule.plateau.threshold": NOT_NEGATIVE,
    "schedule.plateau.threshold_mode": one_of("rel", "abs"),
    "schedule.plateau.cooldown": NOT_NEGATIVE,
    "schedule.plateau.floor": NOT_NEGATIVE,
    "schedule.plateau.epsilon": NOT_NEGATIVE,
    "eval.sequences": POSITIVE,
    "eval.seed": (lambda v: 0 <= v < 2**31, "between 0 and 2147483647"),
}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested groups into `group.field` names."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(rule(value))
    except TypeError:  # not even comparable
        return False


def check_settings(settings: dict[str, Any]) -> None:
    """Checks a resolved configuration.

    Raises:
      UserError: naming the first field whose value cannot be, and what it must be.
    """
    values = flatten(settings)
    for field, (holds, wanted) in RULES.items():
        if field not in values:
            raise UserError(f"the configuration lacks the field {field}: start from common.base().")
        if not _holds(holds, values[field]):
            raise UserError(f"config.{field} is {values[field]!r}: it must be {wanted}.")
    batch_size, examples = values["batch_size"], values["sequence.train_sequences"]
    if batch_size > examples:
        raise UserError(
            f"config.batch_size is {batch_size}, more than an epoch's {examples} "
            "(config.sequence.train_sequences): lower it."
        )
