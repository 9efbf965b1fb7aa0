"""Says in one sentence what is impossible about a configuration, before anything is made."""

from collections.abc import Callable
from typing import Any

from jaxmnist.errors import UserError
from jaxmnist.models.backend import BACKENDS
from jaxmnist.models.catalogue import MODELS, SEQUENCE_MODELS

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
    "selection": one_of("best", "last"),
    "data.source": one_of("auto", "tfds", "dir", "digits8x8"),
    "data.train_examples": POSITIVE,
    "data.validation_examples": NOT_NEGATIVE,
    "data.split_seed": (lambda v: 0 <= v < 2**31, "between 0 and 2147483647"),
    "validation.digits": one_of("held_out", "train", "test"),
    "validation.examples": POSITIVE,
    "validation.metric": one_of("loss", "accuracy"),
    "augment.crop_probability": PROBABILITY,
    "augment.crop_size": (lambda v: 1 <= v <= 28 and v % 2 == 0, "even, and between 2 and 28"),
    "augment.rotation_degrees": ANGLE,
    "augment.rotation_fill": PROBABILITY,
    "augment.invert_probability": PROBABILITY,
    "augment.affine_degrees": ANGLE,
    "augment.translate": PROBABILITY,
    "augment.scale": (
        lambda v: len(v) == 2 and 0 < v[0] <= v[1] < float("inf"),
        "two factors above 0, the smaller first",
    ),
    "augment.noise_probability": PROBABILITY,
    "augment.noise_sigma": NOT_NEGATIVE,
    "optimizer.name": one_of("adam", "sgd"),
    "optimizer.b1": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "optimizer.b2": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "optimizer.eps": ABOVE_ZERO,
    "optimizer.momentum": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "schedule.name": one_of("constant", "step", "one_cycle", "plateau"),
    "schedule.learning_rate": ABOVE_ZERO,
    "schedule.step.every": POSITIVE,
    "schedule.step.factor": FRACTION,
    "schedule.one_cycle.highest_momentum": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "schedule.one_cycle.lowest_momentum": (lambda v: 0 <= v < 1, "at least 0 and below 1"),
    "schedule.one_cycle.stepped_every": one_of("batch", "epoch"),
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
    "eval.examples": POSITIVE,
    "eval.seed": (lambda v: 0 <= v < 2**31, "between 0 and 2147483647"),
}
SEQUENCE_RULES: dict[str, Rule] = {
    "sequence.max_length": (lambda v: 1 <= v <= 100, "between 1 and 100 digits"),
    "sequence.train_sequences": POSITIVE,
}
# What a run may change and still be the published system.
HARMLESS = {"seed", "num_seeds", "backend", "data.source", "data.dir", "data.verify"}


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
    reads_sequences = values.get("model") in SEQUENCE_MODELS
    for field, (holds, wanted) in (RULES | (SEQUENCE_RULES if reads_sequences else {})).items():
        if field not in values:
            raise UserError(f"the configuration lacks the field {field}: start from common.base().")
        if not _holds(holds, values[field]):
            raise UserError(f"config.{field} is {values[field]!r}: it must be {wanted}.")
    if not reads_sequences and "sequence" in settings:
        raise UserError(
            f"config.model {values['model']} reads single digits: start from a recipe of its own "
            "kind, such as configs/models.py."
        )
    batch_size, name = values["batch_size"], "sequence.train_sequences"
    if (examples := values.get(name, values["data.train_examples"])) < batch_size:
        field = name if reads_sequences else "data.train_examples"
        raise UserError(
            f"config.batch_size is {batch_size}, more than an epoch's {examples} "
            f"(config.{field}): lower it."
        )
    if values["validation.digits"] == "held_out" and not values["data.validation_examples"]:
        raise UserError(
            "config.data.validation_examples is 0 and config.validation.digits is 'held_out': "
            "hold some out, or validate on 'train'."
        )
    if values["selection"] == "best" and values["validation.digits"] == "test":
        raise UserError(
            "config.selection is 'best' and config.validation.digits is 'test': the best epoch "
            "would be chosen on the test digits; choose 'held_out' digits or the 'last' epoch."
        )
    cycles = values["schedule.name"] == "one_cycle" and values["schedule.one_cycle.cycle_momentum"]
    if cycles and values["optimizer.name"] != "sgd":
        raise UserError("config.schedule.one_cycle.cycle_momentum needs optimizer.name 'sgd'.")
