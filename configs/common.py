"""Every field a run has, with its unit or its reason. Recipes change what they need."""

from ml_collections import ConfigDict


def base() -> ConfigDict:
    """Returns the fields shared by all sequence recipes."""
    config = ConfigDict()
    config.name = "seq"  # what summaries and tables call this recipe
    config.model = "sequence_compact"  # an entry of jaxmnist.models.catalogue.MODELS
    config.backend = "auto"  # array layout: auto (by platform), batch_minor, channels_last
    config.seed = 0  # root of all randomness in training
    config.num_seeds = 1  # trains seeds seed .. seed+num_seeds-1 at once, in one program
    config.epochs = 1  # at most; early stopping may end the run before
    config.batch_size = 64  # examples a step; a smaller last batch is kept
    config.early_stopping_patience = 5  # epochs without a lower validation loss

    config.data = ConfigDict()
    config.data.source = "auto"  # auto, tfds, dir, digits8x8
    config.data.dir = ""  # folder of the four idx files; empty: $JAXMNIST_DATA
    config.data.verify = True  # refuse files that are not MNIST's own
    config.data.train_examples = 54_000  # digits sequences are made of
    config.data.validation_examples = 6_000  # digits of validation sequences
    config.data.split_seed = 0  # of the permutation that parts the two

    config.sequence = ConfigDict()
    config.sequence.max_length = 3  # digits; the canvas is 28 x 28*max_length
    config.sequence.train_sequences = 54_000  # an epoch
    config.sequence.fixed_list = False  # True: the same sequences every epoch, fresh augmentation
    config.sequence.validation_sequences = 6_000
    config.sequence.validation_augmented = False  # True: validation is augmented as training is

    config.augment = ConfigDict()  # of each digit, in this order; zero switches a step off
    config.augment.rotation_degrees = 0.0  # uniform in +-
    config.augment.invert_probability = 0.0  # of exchanging ink and ground
    config.augment.affine_degrees = 0.0  # uniform in +-
    config.augment.translate = 0.0  # share of 28 pixels, uniform in +-, rounded to whole pixels
    config.augment.scale = (1.0, 1.0)  # factor, uniform between
    config.augment.noise_probability = 0.0  # of adding Gaussian noise
    config.augment.noise_sigma = 0.0  # in units of full contrast

    config.optimizer = ConfigDict()
    config.optimizer.name = "adam"
    config.optimizer.b1 = 0.9
    config.optimizer.b2 = 0.999
    config.optimizer.eps = 1e-8

    config.schedule = ConfigDict()
    config.schedule.name = "constant"  # constant, one_cycle, plateau
    config.schedule.learning_rate = 1e-3  # the highest one
    config.schedule.one_cycle = ConfigDict()
    config.schedule.one_cycle.warmup_fraction = 0.3  # share of all steps before the peak
    config.schedule.one_cycle.initial_divisor = 25.0  # start = learning_rate / this
    config.schedule.one_cycle.final_divisor = 1e4  # end = start / this
    config.schedule.plateau = ConfigDict()  # watches the validation loss
    config.schedule.plateau.factor = 0.1
    config.schedule.plateau.patience = 2  # epochs
    config.schedule.plateau.threshold = 1e-4
    config.schedule.plateau.threshold_mode = "rel"
    config.schedule.plateau.cooldown = 0  # epochs
    config.schedule.plateau.floor = 0.0
    config.schedule.plateau.epsilon = 1e-8

    config.eval = ConfigDict()
    config.eval.sequences = 10_000  # of test digits, the same in every suite
    config.eval.seed = 2026  # of their drawing and of the suites' randomness
    return config


def tiny(config: ConfigDict) -> ConfigDict:
    """Shrinks a recipe to seconds: the same path from end to end, for tests and first contact."""
    config.epochs = 4
    config.batch_size = 32
    config.data.source = "digits8x8"
    config.sequence.train_sequences = 2_000  # not a multiple of the batch: a smaller last one
    config.sequence.validation_sequences = 200
    config.eval.sequences = 300
    return config
