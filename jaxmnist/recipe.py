"""From settings to pure parts: everything that a run computes with, before there is any state."""

from typing import Any, NamedTuple

import optax

from jaxmnist.errors import UserError
from jaxmnist.generate.example import Generate
from jaxmnist.generate.suites import Suite
from jaxmnist.generate.transforms import augmentation
from jaxmnist.models.catalogue import create_network
from jaxmnist.models.network import Network
from jaxmnist.optim.optimizers import make_optimizer
from jaxmnist.optim.schedules import Mode, Schedule, make_schedule
from jaxmnist.steps import Watch, steps_per_epoch
from jaxmnist.tasks import Task, task_of


class Recipe(NamedTuple):
    """What is trained, and how."""

    network: Network
    task: Task
    optimizer: optax.GradientTransformation
    schedule: Schedule
    generate: Generate  # of one training example
    validation: Suite  # what validation digits go through
    watch: Watch  # what early stopping and the choice of an epoch go by
    examples: int  # an epoch
    batch_size: int
    steps: int  # an epoch
    epochs: int  # at most
    fixed_list: bool  # the same sequences every epoch
    keep_epochs: bool  # the weights of every epoch stay in the state


def make_recipe(settings: dict[str, Any], train_digits: int) -> Recipe:
    """Builds the parts that a configuration names, for training on `train_digits` digits.

    Raises:
      UserError: if it names something that does not exist, or sizes do not fit each other.
    """
    sequence = settings.get("sequence", {})
    network = create_network(
        settings["model"], max_length=sequence.get("max_length", 1), backend=settings["backend"]
    )
    task = task_of(network.architecture)
    augment = Suite(digit=augmentation(**settings["augment"]))
    examples = sequence.get("train_sequences", train_digits)
    if examples < settings["batch_size"]:
        raise UserError(
            f"config.batch_size is {settings['batch_size']}, more than the {examples:,} "
            f"{task.noun} of an epoch: lower it, or hold fewer digits out."
        )
    steps = steps_per_epoch(examples, settings["batch_size"])
    mode: Mode = "min" if settings["validation"]["metric"] == "loss" else "max"
    return Recipe(
        network=network,
        task=task,
        optimizer=make_optimizer(settings["optimizer"]["name"], settings["optimizer"]),
        schedule=make_schedule(
            **settings["schedule"], epochs=settings["epochs"], steps_per_epoch=steps, mode=mode
        ),
        generate=task.example(augment),
        validation=augment if settings["validation"]["augmented"] else Suite(),
        watch=Watch(mode, settings["early_stopping_patience"]),
        examples=examples,
        batch_size=settings["batch_size"],
        steps=steps,
        epochs=settings["epochs"],
        fixed_list=sequence.get("fixed_list", True),
        keep_epochs=settings["eval"]["every_epoch"],
    )
