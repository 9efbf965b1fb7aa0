"""From settings to pure parts: everything that a run computes with, before there is any array."""

from functools import partial
from typing import Any, NamedTuple

import optax

from jaxmnist.generate.sequence import SIDE, sequence_example
from jaxmnist.generate.suites import Suite
from jaxmnist.generate.transforms import augmentation, compose
from jaxmnist.models.catalogue import create_network
from jaxmnist.models.network import Network
from jaxmnist.optim.optimizers import make_optimizer
from jaxmnist.optim.schedules import Schedule, make_schedule
from jaxmnist.steps import Generate, steps_per_epoch


class Recipe(NamedTuple):
    """What is trained, and how."""

    network: Network
    image_size: tuple[int, int]
    optimizer: optax.GradientTransformation
    schedule: Schedule
    generate: Generate  # of one training example
    validation: Suite  # what validation digits go through
    examples: int  # an epoch
    batch_size: int
    steps: int  # an epoch
    epochs: int  # at most
    patience: int  # epochs without improvement before stopping
    fixed_list: bool  # the same sequences every epoch


def make_recipe(settings: dict[str, Any]) -> Recipe:
    """Builds the parts that a configuration names.

    Raises:
      UserError: if it names something that does not exist.
    """
    sequence = settings["sequence"]
    max_length, examples = sequence["max_length"], sequence["train_sequences"]
    steps = steps_per_epoch(examples, settings["batch_size"])
    augment = augmentation(**settings["augment"])
    return Recipe(
        network=create_network(
            settings["model"], max_length=max_length, backend=settings["backend"]
        ),
        image_size=(SIDE, SIDE * max_length),
        optimizer=make_optimizer(**settings["optimizer"]),
        schedule=make_schedule(total_steps=settings["epochs"] * steps, **settings["schedule"]),
        generate=partial(
            sequence_example,
            max_length=max_length,
            digit_transform=augment,
            canvas_transform=compose(),
        ),
        validation=Suite(digit=augment) if sequence["validation_augmented"] else Suite(),
        examples=examples,
        batch_size=settings["batch_size"],
        steps=steps,
        epochs=settings["epochs"],
        patience=settings["early_stopping_patience"],
        fixed_list=sequence["fixed_list"],
    )
