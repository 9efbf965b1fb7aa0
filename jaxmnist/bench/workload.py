"""What is to be trained: the same settings, digits and examples for every contender."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxmnist.bench.options import Options
from jaxmnist.data.sources import Digits, load_digits
from jaxmnist.errors import UserError
from jaxmnist.evaluate import generated_blocks, to_device
from jaxmnist.models.table import layer_rows
from jaxmnist.programs import make_generator
from jaxmnist.recipe import Recipe, make_recipe
from jaxmnist.rng import Stream
from jaxmnist.settings import check_settings
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.systems.recipes import find_recipe

READY_SEQUENCES = 4096  # that PyTorch is fed with, over and over
Examples = tuple[Float[np.ndarray, "n 28 width"], Int[np.ndarray, "n heads"]]


class Workload(NamedTuple):
    """The training of one system with one batch size."""

    system: str
    settings: dict[str, Any]
    digits: Digits
    recipe: Recipe
    ready: Examples | None  # made ahead of training, where somebody is fed with them

    @property
    def examples_per_step(self) -> int:
        """Counts the examples of a step, over all seeds."""
        return self.recipe.batch_size * int(self.settings["num_seeds"])

    def train_flops(self) -> int:
        """Counts the floating-point operations that one example needs in training.

        These are three times those of the forward pass, for the gradients of weights and of
        inputs, less the gradient of the first layer's input, which nobody needs.
        """
        architecture = self.recipe.network.architecture
        flops = [row.flops for row in layer_rows(architecture, *self.recipe.task.image_size)]
        return 3 * sum(flops) - next(count for count in flops if count)


def make_workload(system: str, batch_size: int, options: Options) -> Workload:
    """Takes the recipe of a system and changes what the comparison asks for.

    An epoch is cut to whole batches, so that every step of every contender has the same size.

    Raises:
      UserError: if there are fewer digits than a batch needs, or the settings cannot be.
    """
    settings = find_recipe(SYSTEMS[system].config)
    settings |= {"batch_size": batch_size, "num_seeds": options.seeds}
    settings["early_stopping_patience"] = 10**9  # nothing is validated, and nothing stops
    settings["data"]["source"] = options.source
    if not options.augment:
        settings["augment"] = without_augmentation(settings["augment"])
    check_settings(settings)
    digits = load_digits(**settings["data"])
    if "sequence" in settings:
        sequence = settings["sequence"]
        sequence["train_sequences"] = _whole_batches(sequence["train_sequences"], batch_size)
    recipe = make_recipe(settings, _whole_batches(len(digits.train), batch_size))
    ready = make_examples(settings, digits, recipe) if options.against != ("published",) else None
    return Workload(system, settings, digits, recipe, ready)


def make_examples(settings: dict[str, Any], digits: Digits, recipe: Recipe) -> Examples:
    """Makes examples ahead of training, with our own generator: those of an epoch.

    Of sequences, which are as many as one likes, they are a few thousand.
    """
    count = recipe.examples
    if "sequence" in settings:
        count = _whole_batches(min(count, READY_SEQUENCES), recipe.batch_size)
    streams = (Stream.DRAW, Stream.AUGMENT)
    generate = make_generator(recipe.generate, seed=settings["seed"], streams=streams)
    blocks = list(generated_blocks(generate, count, to_device(digits.train)))
    return (
        np.concatenate([np.asarray(images) for images, _ in blocks]),
        np.concatenate([np.asarray(labels) for _, labels in blocks]),
    )


def without_augmentation(augment: dict[str, Any]) -> dict[str, Any]:
    """Switches off every step of the augmentation."""
    return augment | {
        "crop_probability": 0.0,
        "rotation_degrees": 0.0,
        "invert_probability": 0.0,
        "affine_degrees": 0.0,
        "translate": 0.0,
        "scale": (1.0, 1.0),
        "noise_probability": 0.0,
    }


def _whole_batches(examples: int, batch_size: int) -> int:
    if examples < batch_size:
        raise UserError(f"--batch is {batch_size}, more than there are examples ({examples:,}).")
    return examples - examples % batch_size
