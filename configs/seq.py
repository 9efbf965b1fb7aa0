"""Reads strings of digits: the default, small and quick; and those that read three cells at most.

  python launch.py --config=configs/seq.py             any length, anywhere: minutes on two cores
  python launch.py --config=configs/seq.py:compact     three heads of eleven classes, our own
  python launch.py --config=configs/seq.py:specialist  published system 1: hours on two cores
  python launch.py --config=configs/seq.py:generalist  published system 2: hours on two cores
  python launch.py --config=configs/seq.py:tiny        the default in a minute, on digits8x8

Published exact-sequence accuracies, one run each: the specialist 99.25 % on clean sequences; the
generalist 97.50 % clean, 97.38 % inverted, 97.28 % rotated, 97.22 % noisy. Ours are in results/.
"""

from ml_collections import ConfigDict

from jaxmnist import recipes

# What a run is tested on; `jaxmnist evaluate` measures all suites.
SUITES = (
    *("clean", "inverted", "inverted_canvas", "rotation", "noise", "noise_canvas"),
    *("noise_30", "length_5", "free", "light", "blank"),
)


def default() -> ConfigDict:
    """Returns the recipe of a small network of any length: 220,150 parameters, CTC."""
    config = recipes.strings()
    config.name = config.system = "seq"
    config.model = "sequence_ctc_small"
    config.epochs = 8
    config.sequence.train_sequences = 48_000
    config.ema_decay = 0.998
    # In so few steps letters, and digits turned and bent further, cost more than they bring.
    config.strings.writing.letter_probability = 0.0
    config.strings.writing.own_slant_degrees = 0.0
    config.strings.writing.own_turn_degrees = 0.0
    config.strings.writing.elastic = 2.0
    config.eval.suites = SUITES
    return config


def compact() -> ConfigDict:
    """Returns the recipe of a network with heads: 245,423 parameters, augmented as system 2."""
    config = recipes.sequences()
    config.name = config.system = "seq-compact"
    config.model = "sequence_compact"
    config.epochs = 9
    config.early_stopping_patience = 1_000  # one cycle is best at its end: never stop before
    _augment_robustly(config)
    config.schedule.name = "one_cycle"
    config.schedule.learning_rate = 4e-3
    config.schedule.one_cycle.warmup_fraction = 0.2
    return config


def specialist() -> ConfigDict:
    """Published system 1 (old_model.py), trained on lightly augmented digits."""
    config = _published("seq-specialist")
    config.sequence.train_sequences = 54_000
    config.validation.augmented = False
    _augment_lightly(config)
    return config


def generalist() -> ConfigDict:
    """Published system 2 (new_model.py), trained on turned, inverted and noisy digits.

    The original ran in half precision on a GPU; here everything is float32.
    """
    config = _published("seq-generalist")
    config.sequence.train_sequences = 30_000
    config.validation.augmented = True  # as published: the plateau watches noisy digits
    _augment_robustly(config)
    return config


def tiny() -> ConfigDict:
    """Returns the default, shrunk to a minute, on the fallback dataset (not on MNIST)."""
    return recipes.tiny(default())


def compact_tiny() -> ConfigDict:
    """Returns the compact network's recipe, shrunk likewise."""
    return recipes.tiny(compact())


def _published(name: str) -> ConfigDict:
    config = recipes.sequences()
    config.name = config.system = name
    config.model = "sequence_published"
    config.epochs = 40  # the cap; the question "continue? y/n" after every fifth is left out
    config.early_stopping_patience = 5
    config.validation.batch_means = True
    config.sequence.resample_each_epoch = (
        False  # drawn once, though the description says on the fly
    )
    config.schedule.name = "plateau"
    config.schedule.learning_rate = 1e-3
    return config


def _augment_lightly(config: ConfigDict) -> None:
    config.augment.affine_degrees = 10.0
    config.augment.translate = 0.1
    config.augment.scale = (0.9, 1.1)


def _augment_robustly(config: ConfigDict) -> None:
    _augment_lightly(config)
    config.augment.rotation_degrees = 45.0
    config.augment.invert_probability = 0.5
    config.augment.noise_probability = 0.5
    config.augment.noise_sigma = 0.15


VARIANTS = {
    "": default,
    "compact": compact,
    "specialist": specialist,
    "generalist": generalist,
    "tiny": tiny,
    "compact-tiny": compact_tiny,
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the recipe called `variant`."""
    return recipes.choose("configs/seq.py", VARIANTS, variant)
