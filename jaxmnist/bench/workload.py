"""What is trained in a comparison: the same recipe, digits and examples for every contender."""

from dataclasses import dataclass, replace

import numpy as np
from jax.tree_util import Partial
from jaxtyping import Float, Int

from jaxmnist import recipes
from jaxmnist.bench.options import Options
from jaxmnist.config import Augment, Config, from_dict
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import load_splits
from jaxmnist.errors import UserError
from jaxmnist.evaluation import ExampleList
from jaxmnist.experiment import Experiment, prepare
from jaxmnist.models.summary import layer_rows
from jaxmnist.rng import Stream
from jaxmnist.sharding import put_on_device
from jaxmnist.systems.published import SYSTEMS

READY_SEQUENCES = 4096  # that PyTorch is fed with, over and over
READY_BATCH = 100
Examples = tuple[Float[np.ndarray, "n 28 width"], Int[np.ndarray, "n heads"]]


@dataclass(frozen=True)
class Workload:
    """The training of one system with one batch size."""

    system: str
    experiment: Experiment
    ready: Examples | None  # made ahead of training, for baselines that are fed with them

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.experiment.config

    @property
    def examples_per_step(self) -> int:
        """The examples of a step, over all seeds."""
        return self.config.batch_size * self.config.num_seeds

    def train_flops(self) -> int:
        """Returns the floating-point operations that one example needs in training.

        These are three times those of the forward pass, for the gradients of weights and of
        inputs, less the gradient of the first layer's input, which nobody needs.
        """
        architecture = self.experiment.network.architecture
        flops = [row.flops for row in layer_rows(architecture, *self.experiment.task.image_size)]
        return 3 * sum(flops) - next(count for count in flops if count)


def make_workload(system: str, batch_size: int, options: Options) -> Workload:
    """Returns the recipe of a system with what the comparison changes of it.

    An epoch is cut to whole batches, so that every step of every contender has the same size.

    Raises:
      UserError: if there are fewer digits than a batch needs, or the configuration is impossible.
    """
    config = from_dict(recipes.load(SYSTEMS[system].config).to_dict())
    sequence = config.sequence
    if sequence:
        whole = whole_batches(sequence.train_sequences, batch_size)
        sequence = replace(sequence, train_sequences=whole)
    config = replace(
        config,
        batch_size=batch_size,
        num_seeds=options.seeds,
        early_stopping_patience=10**9,  # nothing is validated, and nothing stops
        data=replace(config.data, source=options.source),
        augment=config.augment if options.augment else without_augmentation(config.augment),
        sequence=sequence,
    )
    splits = load_splits(config.data)
    if not sequence:
        count = whole_batches(len(splits.train), batch_size)
        train = Dataset(splits.train.images[:count], splits.train.labels[:count])
        splits = replace(splits, train=train)
    experiment = prepare(config, splits)
    ready = make_examples(experiment) if options.against != ("published",) else None
    return Workload(system, experiment, ready)


def make_examples(experiment: Experiment) -> Examples:
    """Generates examples ahead of training, with our own generator: those of an epoch.

    Of sequences, which are as many as one likes, they are a few thousand.
    """
    spec, count = experiment.spec, experiment.spec.num_examples
    if experiment.config.sequence:
        count = whole_batches(min(count, READY_SEQUENCES), spec.batch_size)
    examples = ExampleList(
        dataset=put_on_device(experiment.splits.train),
        suites={"train": Partial(spec.example_fn)},
        count=count,
        seed=experiment.config.seed,
        streams=(Stream.DRAW, Stream.AUGMENT),
    )
    batches = list(examples.batches(READY_BATCH, "train"))
    return (
        np.concatenate([np.asarray(images) for images, _ in batches])[:count],
        np.concatenate([np.asarray(labels) for _, labels in batches])[:count],
    )


def without_augmentation(fields: Augment) -> Augment:
    """Returns the fields with every step of the augmentation switched off."""
    return Augment(crop_size=fields.crop_size)


def whole_batches(examples: int, batch_size: int) -> int:
    """Returns how many of the examples make whole batches.

    Raises:
      UserError: if there are fewer than one.
    """
    if examples < batch_size:
        raise UserError(f"--batch is {batch_size}, more than there are examples ({examples:,}).")
    return examples - examples % batch_size
