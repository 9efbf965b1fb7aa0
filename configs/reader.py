"""Reads strings of digits of any length, anywhere on the image, through noise, light and paper.

  python launch.py --config=configs/reader.py        one network for all of it, by CTC
  python launch.py --config=configs/reader.py:quick  a sixth of the training
  python launch.py --config=configs/reader.py:tiny   the same path, shrunk, on digits8x8

Strings are written on the device, from training digits, step by step: `strings.*` says how.
"""

from ml_collections import ConfigDict

from jaxmnist import recipes

# What a run is tested on beside the published suites; `jaxmnist evaluate` measures all.
SUITES = ("noise_30", "length_5", "free", "light", "noise_only")


def reader() -> ConfigDict:
    """Returns the recipe: 354,486 parameters, 1.2 million strings."""
    config = recipes.strings()
    config.name = config.system = "reader"
    config.model = "sequence_ctc"
    config.epochs = 12
    config.sequence.train_sequences = 100_000
    config.ema_decay = 0.999
    config.eval.suites = ("clean", "inverted", "rotation", "noise", *SUITES)
    return config


def quick() -> ConfigDict:
    """Returns the recipe with a sixth of the training."""
    config = reader()
    config.name = "reader-quick"
    config.epochs = 2
    config.ema_decay = 0.998
    return config


def tiny() -> ConfigDict:
    """Returns the recipe, shrunk and trained on the fallback dataset (not on MNIST)."""
    return recipes.tiny(reader())


VARIANTS = {"": reader, "quick": quick, "tiny": tiny}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the recipe called `variant`."""
    return recipes.choose("configs/reader.py", VARIANTS, variant)
