"""The configuration: every field once, with its type, default, bounds, unit and help.

From these dataclasses come the ConfigDict that the command line overrides (`to_config_dict`), the
checks (`from_dict`, and `dataclasses.replace` on any group), the field list of `--help`, and
docs/configuration.md. Code takes the typed, frozen `Config` and never indexes it by name. Recipes
in configs/ start from the defaults here and change what they need.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from jaxmnist import fields
from jaxmnist.errors import UserError
from jaxmnist.fields import (
    Field,
    Group,
    Rule,
    Tree,
    angle,
    choice,
    decay,
    declare,
    fraction,
    is_real,
    number,
    positive,
    switch,
    text,
    whole,
)
from jaxmnist.old_configs import upgrade
from jaxmnist.string_config import Strings

if TYPE_CHECKING:
    from ml_collections import ConfigDict

MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Data(Group):
    """Which digits, and how they are split."""

    prefix: ClassVar[str] = "data."

    source: str = choice(
        "auto", "where digits come from; auto: folder, download or fallback",
        "auto", "tfds", "dir", "digits8x8",
    )  # fmt: skip
    dir: str = text("", "folder of MNIST or digits in another form; empty: $JAXMNIST_DATA")
    verify: bool = switch(True, "refuse files that are not MNIST's own")
    train_examples: int = whole(55_000, "digits to train on")
    validation_examples: int = whole(5_000, "digits held out from training", low=0)
    shuffle: bool = switch(True, "False: the first digits train, those after them validate")
    split_seed: int = whole(0, "of the permutation that splits the two", 0, MAX_SEED)


@dataclass(frozen=True)
class Validation(Group):
    """What is measured after every epoch; early stopping and plateau go by it."""

    prefix: ClassVar[str] = "validation."

    digits: Literal["held_out", "train", "test"] = choice(
        "held_out", "which digits; test: as some published code did", "held_out", "train", "test"
    )
    examples: int = whole(60_000, "sequences; of digits at most this many, without repeating")
    augmented: bool = switch(False, "True: augmented as in training")
    batch_means: bool = switch(
        False, "True: the loss is the mean of batches' means, a short last batch counting in full"
    )
    metric: Literal["loss", "accuracy"] = choice(
        "loss", "what counts as better: a lower loss, or a higher accuracy", "loss", "accuracy"
    )


@dataclass(frozen=True)
class Augment(Group):
    """Random changes to each digit, in this order; zero switches a step off."""

    prefix: ClassVar[str] = "augment."

    crop_probability: float = number(0.0, "of enlarging the middle", 0, 1)
    crop_size: int = declare(
        22, "pixels of the middle that fill the 28 again",
        Rule(lambda v: type(v) is int and 1 <= v <= 28 and v % 2 == 0, "even, between 2 and 28"),
    )  # fmt: skip
    rotation_degrees: float = angle(0.0, "rotation, uniform in +- degrees")
    rotation_fill: float = number(0.0, "of the corners, 1 = ink", 0, 1)
    invert_probability: float = number(0.0, "of exchanging ink and ground", 0, 1)
    affine_degrees: float = angle(0.0, "rotation of the affine map, uniform in +- degrees")
    translate: float = number(0.0, "share of 28 pixels, uniform in +-, whole pixels", 0, 1)
    scale: tuple[float, float] = declare(
        (1.0, 1.0), "factor, uniform between the two",
        Rule(
            lambda v: (
                type(v) is tuple
                and len(v) == 2
                and all(map(is_real, v))
                and 1e-3 <= v[0] <= v[1] <= 1e3
            ),
            "two factors above 0, the smaller first, from 0.001 to 1000",
        ),
    )  # fmt: skip
    noise_probability: float = number(0.0, "of adding Gaussian noise", 0, 1)
    noise_sigma: float = number(0.0, "of the noise, in units of full contrast", 0, 1e9)


@dataclass(frozen=True)
class Optimizer(Group):
    """The update rule; Muon is for kernels, and AdamW for all else then."""

    prefix: ClassVar[str] = "optimizer."

    name: Literal["adam", "adamw", "muon", "sgd"] = choice(
        "adam", "the update rule", "adam", "adamw", "muon", "sgd"
    )
    b1: float = decay(0.9, "all but sgd: decay of the mean")
    b2: float = decay(0.999, "all but sgd: decay of the mean square")
    eps: float = positive(1e-8, "all but sgd: added to the root of the mean square")
    weight_decay: float = number(0.0, "adamw, muon: of kernels, times the learning rate", 0, 1e3)
    momentum: float = decay(0.9, "muon, sgd: momentum")


@dataclass(frozen=True)
class StepDecay(Group):
    """The `step` schedule: PyTorch's StepLR."""

    prefix: ClassVar[str] = "schedule.step."

    every: int = whole(15, "epochs between two drops")
    factor: float = fraction(0.1, "of the learning rate at a drop")


@dataclass(frozen=True)
class OneCycle(Group):
    """The `one_cycle` schedule: PyTorch's OneCycleLR."""

    prefix: ClassVar[str] = "schedule.one_cycle."

    warmup_fraction: float = fraction(0.3, "share of all steps before the peak")
    initial_divisor: float = positive(25.0, "first rate = learning_rate / this")
    final_divisor: float = positive(1e4, "last rate = first rate / this")
    cycle_momentum: bool = switch(False, "sgd: move momentum from highest to lowest and back")
    highest_momentum: float = decay(0.95, "momentum at both ends")
    lowest_momentum: float = decay(0.85, "momentum at the peak of the rate")
    stepped_every: Literal["batch", "epoch"] = choice(
        "batch", "epoch: as published code did by mistake", "batch", "epoch"
    )


@dataclass(frozen=True)
class Plateau(Group):
    """The `plateau` schedule: PyTorch's ReduceLROnPlateau, on the validation metric."""

    prefix: ClassVar[str] = "schedule.plateau."

    factor: float = fraction(0.1, "of the learning rate at a drop")
    patience: int = whole(2, "epochs without improvement that are let pass", low=0)
    threshold: float = number(1e-4, "by which a metric must beat the best", 0, 1e9)
    threshold_mode: Literal["rel", "abs"] = choice(
        "rel", "whether the threshold is relative or absolute", "rel", "abs"
    )
    cooldown: int = whole(0, "epochs after a drop that are not counted", low=0)
    floor: float = number(0.0, "the lowest learning rate", 0, 1e9)
    epsilon: float = number(1e-8, "a smaller change of the rate is left out", 0, 1e9)


@dataclass(frozen=True)
class Schedule(Group):
    """How the learning rate moves."""

    prefix: ClassVar[str] = "schedule."

    name: Literal["constant", "step", "one_cycle", "plateau"] = choice(
        "constant", "which schedule", "constant", "step", "one_cycle", "plateau"
    )
    learning_rate: float = positive(1e-3, "the highest learning rate")
    step: StepDecay = StepDecay()
    one_cycle: OneCycle = OneCycle()
    plateau: Plateau = Plateau()


@dataclass(frozen=True)
class Population(Group):
    """Members of one program that differ in seed and learning rate; sweeps have this group."""

    prefix: ClassVar[str] = "population."

    seeds: tuple[int, ...] = declare(
        (0,), "one a member, num_seeds in all; then seed is not used",
        Rule(
            lambda v: (
                type(v) is tuple
                and bool(v)
                and all(type(seed) is int and 0 <= seed <= MAX_SEED for seed in v)
            ),
            f"whole numbers between 0 and {MAX_SEED}, such as (0, 0, 1)",
        ),
    )  # fmt: skip
    learning_rates: tuple[float, ...] = declare(
        (1e-3,), "one a member; then schedule.learning_rate is not used",
        Rule(
            lambda v: (
                type(v) is tuple and bool(v) and all(is_real(r) and 1e-37 <= r <= 1e37 for r in v)
            ),
            "numbers above 0, from 1e-37 to 1e37, such as (0.001, 0.002, 0.001)",
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Evaluation(Group):
    """What the trained network is tested on, once, at the end."""

    prefix: ClassVar[str] = "eval."

    examples: int = whole(10_000, "sequences, the same in every suite; of digits at most this many")
    seed: int = whole(2026, "of drawing them, and of the suites' randomness", 0, MAX_SEED)
    suites: tuple[str, ...] = declare(
        (), "names of those that a run is tested on, `clean` among them; (): all",
        Rule(
            lambda v: v == () or (type(v) is tuple and set(map(type, v)) == {str} and "clean" in v),
            "names of suites with 'clean' among them, such as ('clean', 'noise'), or ()",
        ),
    )  # fmt: skip
    every_epoch: bool = switch(False, "keep every epoch's weights, and test them all at the end")


@dataclass(frozen=True)
class Sequence(Group):
    """Sequences of digits; a recipe for single digits has no such group."""

    prefix: ClassVar[str] = "sequence."

    max_length: int = whole(3, "digits; the canvas is 28 x 28*max_length", 1, 100, "digits")
    train_sequences: int = whole(54_000, "sequences an epoch")
    resample_each_epoch: bool = switch(
        True, "False: the same sequences every epoch, with fresh augmentation"
    )


@dataclass(frozen=True)
class Config(Group):
    """A whole configuration."""

    name: str = text("", "what summaries and tables call this recipe")
    system: str = text("", "the published system that this recipe is; empty: none")
    model: str = text("", "an entry of jaxmnist/models/zoo.py")
    layout: Literal["auto", "chwn", "nhwc"] = choice(
        "auto", "of arrays in memory; auto: chwn on a CPU, else nhwc", "auto", "chwn", "nhwc"
    )
    batch_norm: Literal["global", "shard"] = choice(
        "global", "what a batch is normalised over: all of it, or the shard that a device has",
        "global", "shard",
    )  # fmt: skip
    seed: int = whole(0, "root of all randomness in training", 0, MAX_SEED)
    num_seeds: int = whole(1, "train seeds seed .. seed+num_seeds-1 in one program", 1, 10_000)
    init_from: str = text(
        "", "weights to begin with: shipped ones, a run folder or a file; empty: random ones"
    )
    epochs: int = whole(1, "at most; early stopping may end the run before")
    batch_size: int = whole(64, "examples a step; a smaller last batch is kept")
    ema_decay: float = decay(
        0.0, "decay of the running average of weights that is evaluated; 0: the weights themselves"
    )
    early_stopping_patience: int = whole(1_000, "epochs without improvement in validation")
    selection: Literal["best", "last"] = choice(
        "best", "weights that are tested: best in validation, or of the last epoch", "best", "last"
    )
    data: Data = Data()
    validation: Validation = Validation()
    augment: Augment = Augment()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    eval: Evaluation = Evaluation()
    sequence: Sequence | None = None
    strings: Strings | None = None
    population: Population | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every member."""
        if self.population:
            return self.population.seeds
        return tuple(range(self.seed, self.seed + self.num_seeds))

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The highest learning rate of every member."""
        if self.population:
            return self.population.learning_rates
        return (self.schedule.learning_rate,) * self.num_seeds

    def __post_init__(self) -> None:
        """Checks every field, and what has to fit together.

        Raises:
          UserError: naming the field, and what to do.
        """
        super().__post_init__()
        if not len(self.seeds) == len(self.learning_rates) == self.num_seeds:
            raise UserError(
                f"config.population has {len(self.seeds)} seeds and {len(self.learning_rates)} "
                f"learning rates, and config.num_seeds is {self.num_seeds}: give as many of each."
            )
        if not self.population and self.seed + self.num_seeds > 2**31:
            raise UserError(
                f"config.seed is {self.seed}, too large for {self.num_seeds} seeds from it on (the "
                f"last one may be {MAX_SEED}): lower it."
            )
        field, examples = "data.train_examples", self.data.train_examples
        if self.sequence:
            field, examples = "sequence.train_sequences", self.sequence.train_sequences
        if examples < self.batch_size:
            raise UserError(
                f"config.batch_size is {self.batch_size}, more than an epoch's {examples} "
                f"(config.{field}): lower it."
            )
        if self.validation.digits == "held_out" and not self.data.validation_examples:
            raise UserError(
                "config.data.validation_examples is 0 and config.validation.digits is 'held_out': "
                "hold some out, or validate on 'train'."
            )
        if self.selection == "best" and self.validation.digits == "test":
            raise UserError(
                "config.selection is 'best' and config.validation.digits is 'test': the best epoch "
                "would be chosen on the test digits; choose 'held_out' digits or the 'last' epoch."
            )
        if self.strings and not self.sequence:
            raise UserError(
                "config.strings needs the group sequence: start from recipes.strings()."
            )
        if self.strings and self.augment != Augment():
            raise UserError(
                "config.augment changes nothing where strings are written: set fields of "
                "config.strings.writing instead, such as config.strings.writing.turn_degrees."
            )
        cycles = self.schedule.name == "one_cycle" and self.schedule.one_cycle.cycle_momentum
        if cycles and self.optimizer.name != "sgd":
            raise UserError("config.schedule.one_cycle.cycle_momentum needs optimizer.name 'sgd'.")


# What a run may change and still be the published system.
REPRODUCTION_FIELDS = {"seed", "num_seeds", "layout", "data.source", "data.dir", "data.verify"}
# Where data lie is no part of what is computed; that they are the same is checked on resuming.
LOCATION_FIELDS = {"data.dir"}


def from_dict(tree: Mapping[str, Any]) -> Config:
    """Builds a configuration from a nested dictionary (of a ConfigDict or of JSON).

    Old names are understood. All fields have to be there: a recipe starts from the defaults.

    Raises:
      UserError: naming a field that is unknown, missing or impossible, and what to do.
    """
    config: Config = fields.build(Config, upgrade(tree))
    return config


def to_dict(group: Group) -> Tree:
    """Returns the nested dictionary of a configuration, without the groups that it has not."""
    tree = dataclasses.asdict(group)
    return {name: value for name, value in tree.items() if value is not None}


def to_config_dict(group: Group) -> "ConfigDict":
    """Returns the ConfigDict that recipes change and `--config.FIELD=VALUE` overrides."""
    from ml_collections import ConfigDict

    return ConfigDict(to_dict(group))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Turns nested groups into `group.field` names."""
    flat: Tree = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def config_hash(tree: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of all fields but where data lie."""
    fields = {k: v for k, v in flatten(tree).items() if k not in LOCATION_FIELDS}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def all_fields() -> Iterator[tuple[str, Field]]:
    """Yields every field with its full name, those of a group together."""
    for group in fields.walk(Config):
        for field in fields.own_fields(group):
            yield f"{group.prefix}{field.name}", field


def field_list() -> str:
    """Lists every field with its default and its help, for `--help`."""
    return "\n".join(
        f"  {f'{name} = {field.default!r}':<50} {field.metadata['help']}"
        for name, field in all_fields()
    )
