"""Published systems 3-5, Models 1-3: SGD with momentum, 15 epochs of batches of 64.

  python launch.py --config=configs/models.py:model_1         as described, epoch chosen honestly
  python launch.py --config=configs/models.py:model_3_as_run  as the published code ran
  python launch.py --config=configs/models.py:model_3_as_logged  nearest to its published log
  python launch.py --config=configs/models.py:tiny            the same path in seconds

Published test accuracies, one run each, last epoch: 98.89, 99.18 and 99.46 %.
"""

from ml_collections import ConfigDict

from jaxmnist import recipes


def model_1() -> ConfigDict:
    """System 3: convolutions and ReLU alone."""
    return _plain("model_1")


def model_2() -> ConfigDict:
    """System 4: with batch normalisation and dropout."""
    return _plain("model_2")


def model_3() -> ConfigDict:
    """System 5: one cycle over all batches and +-7 degrees, as its description says."""
    config = _common("model_3")
    config.augment.rotation_degrees = 7.0
    config.augment.rotation_fill = 1 / 255  # "fill=(1,)" is one grey level: almost black
    config.augment.translate = 2 / 28
    config.schedule.name = "one_cycle"
    config.schedule.learning_rate = 0.1
    config.schedule.one_cycle.cycle_momentum = True
    return config


def model_3_as_run() -> ConfigDict:
    """What the code of system 5 did."""
    config = recipes.as_run(model_3())
    config.augment.rotation_degrees = 15.0  # the description says 7
    # OneCycleLR was given the test loss as its step number, once an epoch: it never left its
    # first step, a rate of 0.1 / 25 and the highest momentum.
    config.schedule.name = "constant"
    config.schedule.learning_rate = 0.004
    config.optimizer.momentum = 0.95
    return config


def model_3_as_logged() -> ConfigDict:
    """What makes the training column of system 5's published log, epoch by epoch: see AUDIT.md.

    Neither rate nor shift stands in the published code, and the log's test column is 0.2 points
    higher: that it was this recipe is not proven.
    """
    config = model_3_as_run()
    config.name = "model_3_as_logged"
    config.schedule.learning_rate = 0.015
    config.optimizer.momentum = 0.9
    config.augment.translate = 0.1
    return config


def tiny() -> ConfigDict:
    """Returns Model 3, shrunk to seconds and trained on the fallback dataset (not on MNIST)."""
    return recipes.tiny(model_3())


def _common(model: str) -> ConfigDict:
    config = recipes.classifier(model)
    config.epochs = 15
    config.augment.crop_probability = 0.1
    config.optimizer.name = "sgd"
    return config


def _plain(model: str) -> ConfigDict:
    config = _common(model)
    config.augment.rotation_degrees = 15.0
    config.schedule.name = "step"  # the first drop is due after the last epoch: a constant rate
    config.schedule.learning_rate = 0.01
    return config


VARIANTS = {
    "": model_3,
    "model_1": model_1,
    "model_1_as_run": lambda: recipes.as_run(model_1()),
    "model_2": model_2,
    "model_2_as_run": lambda: recipes.as_run(model_2()),
    "model_3": model_3,
    "model_3_as_run": model_3_as_run,
    "model_3_as_logged": model_3_as_logged,
    "tiny": tiny,
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the recipe called `variant`."""
    return recipes.choose("configs/models.py", VARIANTS, variant)
