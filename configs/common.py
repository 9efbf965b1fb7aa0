"""Every field a run has, with its unit or its reason. Recipes change what they need."""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict


def base() -> ConfigDict:
    """Returns the fields shared by all recipes."""
    config = ConfigDict()
    config.name = ""  # what summaries and tables call this recipe
    config.system = ""  # the published system that this recipe is; empty: none
    config.model = ""  # an entry of jaxmnist.models.catalogue
    config.backend = "auto"  # array layout: auto (by platform), batch_minor, channels_last
    config.seed = 0  # root of all randomness in training
    config.num_seeds = 1  # trains seeds seed .. seed+num_seeds-1 at once, in one program
    config.epochs = 1  # at most; early stopping may end the run before
    config.batch_size = 64  # examples a step; a smaller last batch is kept
    config.early_stopping_patience = 1_000  # epochs without improvement in validation
    config.selection = "best"  # weights that are kept and tested: best in validation, or last

    config.data = ConfigDict()
    config.data.source = "auto"  # auto, tfds, dir, digits8x8
    config.data.dir = ""  # folder of the four idx files; empty: $JAXMNIST_DATA
    config.data.verify = True  # refuse files that are not MNIST's own
    config.data.train_examples = 55_000  # digits to train on
    config.data.validation_examples = 5_000  # digits held out from training
    config.data.shuffle = True  # False: the first digits train, those after them validate
    config.data.split_seed = 0  # of the permutation that parts the two

    config.validation = ConfigDict()  # after every epoch; early stopping and plateau watch it
    config.validation.digits = "held_out"  # held_out, train, or (as some published code did) test
    config.validation.examples = 60_000  # sequences; of digits at most so many, without repeating
    config.validation.augmented = False  # True: augmented as in training
    config.validation.metric = "loss"  # what counts as better: a lower loss, a higher accuracy

    config.augment = ConfigDict()  # of each digit, in this order; zero switches a step off
    config.augment.crop_probability = 0.0  # of enlarging the middle
    config.augment.crop_size = 22  # pixels of the middle that fill the 28 again
    config.augment.rotation_degrees = 0.0  # uniform in +-
    config.augment.rotation_fill = 0.0  # of the corners, 1 = ink
    config.augment.invert_probability = 0.0  # of exchanging ink and ground
    config.augment.affine_degrees = 0.0  # uniform in +-
    config.augment.translate = 0.0  # share of 28 pixels, uniform in +-, rounded to whole pixels
    config.augment.scale = (1.0, 1.0)  # factor, uniform between
    config.augment.noise_probability = 0.0  # of adding Gaussian noise
    config.augment.noise_sigma = 0.0  # in units of full contrast

    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"  # adam, sgd
    config.optimizer.b1 = 0.9  # adam
    config.optimizer.b2 = 0.999  # adam
    config.optimizer.eps = 1e-8  # adam
    config.optimizer.momentum = 0.9  # sgd

    config.schedule = ConfigDict()
    config.schedule.name = "constant"  # constant, step, one_cycle, plateau
    config.schedule.learning_rate = 1e-3  # the highest one
    config.schedule.step = ConfigDict()
    config.schedule.step.every = 15  # epochs
    config.schedule.step.factor = 0.1
    config.schedule.one_cycle = ConfigDict()
    config.schedule.one_cycle.warmup_fraction = 0.3  # share of all steps before the peak
    config.schedule.one_cycle.initial_divisor = 25.0  # start = learning_rate / this
    config.schedule.one_cycle.final_divisor = 1e4  # end = start / this
    config.schedule.one_cycle.cycle_momentum = False  # sgd: from highest to lowest and back
    config.schedule.one_cycle.highest_momentum = 0.95
    config.schedule.one_cycle.lowest_momentum = 0.85
    config.schedule.one_cycle.stepped_every = "batch"  # epoch: as published code did by mistake
    config.schedule.plateau = ConfigDict()  # watches the validation metric
    config.schedule.plateau.factor = 0.1
    config.schedule.plateau.patience = 2  # epochs
    config.schedule.plateau.threshold = 1e-4
    config.schedule.plateau.threshold_mode = "rel"
    config.schedule.plateau.cooldown = 0  # epochs
    config.schedule.plateau.floor = 0.0
    config.schedule.plateau.epsilon = 1e-8

    config.eval = ConfigDict()
    config.eval.examples = 10_000  # sequences, the same in every suite; of digits at most so many
    config.eval.seed = 2026  # of their drawing and of the suites' randomness
    config.eval.every_epoch = (
        False  # True: keep every epoch's weights, and test them all at the end
    )
    return config


def sequences() -> ConfigDict:
    """Returns the fields of a recipe that reads sequences of digits."""
    config = base()
    config.early_stopping_patience = 5
    config.data.train_examples = 54_000  # digits that sequences are made of
    config.data.validation_examples = 6_000
    config.validation.examples = 6_000

    config.sequence = ConfigDict()
    config.sequence.max_length = 3  # digits; the canvas is 28 x 28*max_length
    config.sequence.train_sequences = 54_000  # an epoch
    config.sequence.fixed_list = False  # True: the same sequences every epoch, fresh augmentation
    return config


def classifier(model: str) -> ConfigDict:
    """Returns the fields of a recipe that reads single digits.

    5,000 of the training digits are held out: they choose the epoch. `as_run` gives them back.
    """
    config = base()
    config.name = config.system = config.model = model
    config.validation.metric = "accuracy"
    config.eval.every_epoch = True  # shows what choosing on the test set would have added
    return config


def as_run(config: ConfigDict) -> ConfigDict:
    """Makes of a recipe what its published code ran.

    It trained on all digits, looked at the test digits after every epoch, and was quoted at its
    last epoch.
    """
    config.name += "_as_run"
    config.data.train_examples += config.data.validation_examples
    config.data.validation_examples = 0
    config.validation.digits = "test"
    config.selection = "last"
    return config


def tiny(config: ConfigDict) -> ConfigDict:
    """Shrinks a recipe to seconds: the same path from end to end, for tests and first contact.

    Its batches divide an epoch evenly: a smaller last one would need a program of its own.
    """
    config.name += "-tiny"
    config.system = ""
    config.epochs = 4
    config.batch_size = 32
    config.data.source = "digits8x8"
    config.validation.examples = min(config.validation.examples, 200)
    config.eval.examples = 300
    if "sequence" in config:
        config.sequence.train_sequences = 1_920
    else:
        config.data.train_examples, config.data.validation_examples = 1_344, 156  # 42 batches
    return config


def choose(file: str, variants: Mapping[str, Callable[[], ConfigDict]], name: str) -> ConfigDict:
    """Returns the recipe `name` of a config file.

    Raises:
      ValueError: if the file has no such variant.
    """
    if name not in variants:
        known = ", ".join(f"':{variant}'" for variant in variants if variant)
        raise ValueError(f"{file} has no variant ':{name}': choose {known} or none.")
    return variants[name]()
