"""Says in one sentence what is impossible about a configuration, before anything is made."""

from collections.abc import Callable
from typing import Any

from jaxmnist.errors import UserError
from jaxmnist.models.backend import BACKENDS
from jaxmnist.models.catalogue import MODELS, SEQUENCE_MODELS

Rule = tuple[Callable[[Any], bool], str]  # does the value hold, and what it must be


def whole(low: int, high: int, unit: str = "") -> Rule:
    """Makes the rule that a value is a whole number within bounds."""
    wanted = f"between {low} and {high}{unit and f' {unit}'}, a whole number"
    return lambda v: type(v) is int and low <= v <= high, wanted


SEED = whole(0, 2**31 - 1)
POSITIVE = whole(1, 10**9)
COUNT = whole(0, 10**9)
NOT_NEGATIVE: Rule = (lambda v: 0 <= v <= 10**9, "between 0 and 1000000000")
# What single precision holds.
ABOVE_ZERO: Rule = (lambda v: 1e-37 <= v <= 1e37, "a number above 0, from 1e-37 to 1e37")
SWITCH: Rule = (lambda v: type(v) is bool, "True or False")
TEXT: Rule = (lambda v: isinstance(v, str), "a text")
PROBABILITY: Rule = (lambda v: 0 <= v <= 1, "between 0 and 1")
FRACTION: Rule = (lambda v: 0 < v < 1, "between 0 and 1, without the ends")
ANGLE: Rule = (lambda v: 0 <= v <= 180, "between 0 and 180 degrees")


def one_of(*choices: str) -> Rule:
    """Makes the rule that a value is one of some names."""
    return lambda value: value in choices, f"one of {', '.join(sorted(choices))}"


RULES: dict[str, Rule] = {
    "model": one_of(*MODELS),
    "backend": one_of("auto", *BACKENDS),
    "name": TEXT,
    "system": TEXT,
    "seed": SEED,
    "num_seeds": whole(1, 10_000),
    "epochs": POSITIVE,
    "batch_size": POSITIVE,
    "early_stopping_patience": POSITIVE,
    "selection": one_of("best", "last"),
    "data.source": one_of("auto", "tfds", "dir", "digits8x8"),
    "data.train_examples": POSITIVE,
    "data.validation_examples": COUNT,
    "data.split_seed": SEED,
    "data.dir": TEXT,
    "data.verify": SWITCH,
    "data.shuffle": SWITCH,
    "validation.digits": one_of("held_out", "train", "test"),
    "validation.examples": POSITIVE,
    "validation.metric": one_of("loss", "accuracy"),
    "validation.augmented": SWITCH,
    "augment.crop_probability": PROBABILITY,
    "augment.crop_size": (
        lambda v: type(v) is int and 1 <= v <= 28 and v % 2 == 0,
        "even, and between 2 and 28",
    ),
    "augment.rotation_degrees": ANGLE,
    "augment.rotation_fill": PROBABILITY,
    "augment.invert_probability": PROBABILITY,
    "augment.affine_degrees": ANGLE,
    "augment.translate": PROBABILITY,
    "augment.scale": (
        lambda v: len(v) == 2 and 1e-3 <= v[0] <= v[1] <= 1e3,
        "two factors above 0, the smaller first, from 0.001 to 1000",
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
    "schedule.one_cycle.cycle_momentum": SWITCH,
    "schedule.one_cycle.warmup_fraction": FRACTION,
    "schedule.one_cycle.initial_divisor": ABOVE_ZERO,
    "schedule.one_cycle.final_divisor": ABOVE_ZERO,
    "schedule.plateau.factor": FRACTION,
    "schedule.plateau.patience": COUNT,
    "schedule.plateau.threshold": NOT_NEGATIVE,
    "schedule.plateau.threshold_mode": one_of("rel", "abs"),
    "schedule.plateau.cooldown": COUNT,
    "schedule.plateau.floor": NOT_NEGATIVE,
    "schedule.plateau.epsilon": NOT_NEGATIVE,
    "eval.examples": POSITIVE,
    "eval.seed": SEED,
    "eval.every_epoch": SWITCH,
}
SEQUENCE_RULES: dict[str, Rule] = {
    "sequence.max_length": whole(1, 100, "digits"),
    "sequence.train_sequences": POSITIVE,
    "sequence.fixed_list": SWITCH,
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


def shown(value: Any) -> str:
    """Shows a value, the beginning of it if it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(rule(value))
    except (TypeError, ValueError, OverflowError):  # not even comparable
        return False


def check_settings(settings: dict[str, Any]) -> None:
    """Checks a resolved configuration.

    Raises:
      UserError: naming the first field whose value cannot be, and what it must be.
    """
    values = flatten(settings)
    reads_sequences = str(values.get("model")) in SEQUENCE_MODELS
    if unknown := sorted(values.keys() - RULES.keys() - SEQUENCE_RULES.keys()):
        raise UserError(
            f"the configuration has a field {unknown[0]}, which nothing uses: see "
            "configs/common.py for those that there are."
        )
    for field, (holds, wanted) in (RULES | (SEQUENCE_RULES if reads_sequences else {})).items():
        if field not in values:
            raise UserError(f"the configuration lacks the field {field}: start from common.base().")
        if not _holds(holds, values[field]):
            raise UserError(f"config.{field} is {shown(values[field])}: it must be {wanted}.")
    if not reads_sequences and "sequence" in settings:
        raise UserError(
            f"config.model {values['model']} reads single digits: start from a recipe of its own "
            "kind, such as configs/models.py."
        )
    if values["seed"] + values["num_seeds"] > 2**31:
        raise UserError(
            f"config.seed is {values['seed']}, too large for {values['num_seeds']} seeds from it "
            "on (the last one may be 2147483647): lower it."
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
