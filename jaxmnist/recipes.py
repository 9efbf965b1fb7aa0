"""Recipes: what configs/*.py are made of, and how one is found by its name.

A recipe is a config file, `configs/seq.py`, with variants, `configs/seq.py:tiny`. It comes with the
package, so `seq:tiny` names the same one from any directory.
"""

import importlib.util
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from jaxmnist.config import Config, Data, Evaluation, Sequence, Validation, to_config_dict
from jaxmnist.errors import UserError
from jaxmnist.files import user_path
from jaxmnist.string_config import Camera, Page, Strings, Writing

Variants = Mapping[str, Callable[[], ConfigDict]]


def base() -> ConfigDict:
    """Returns the defaults of a recipe that reads single digits."""
    return to_config_dict(Config())


def sequences() -> ConfigDict:
    """Returns the defaults of a recipe that reads sequences of digits."""
    return to_config_dict(
        Config(
            early_stopping_patience=5,
            # The digits that sequences are made of.
            data=Data(train_examples=54_000, validation_examples=6_000),
            validation=Validation(examples=6_000),
            sequence=Sequence(),
        )
    )


def strings() -> ConfigDict:
    """Returns the defaults of a recipe that reads strings of any length, anywhere on the canvas.

    One cycle of Muon, an average of the weights at its end, and every effect on the strings.
    """
    config = sequences()
    config.batch_size = 64
    config.early_stopping_patience = 1_000  # one cycle is best at its end: never stop before
    config.selection = "last"
    config.validation.examples = 3_000
    config.validation.metric = "accuracy"
    config.sequence.max_length = 6
    config.optimizer.name = "muon"
    config.optimizer.momentum = 0.95
    config.optimizer.weight_decay = 0.02
    config.schedule.name = "one_cycle"
    config.schedule.learning_rate = 12e-3
    config.schedule.one_cycle.warmup_fraction = 0.2
    config.strings = to_config_dict(Strings())
    _write_robustly(config.strings)
    return config


def _write_robustly(strings: ConfigDict) -> None:
    """Switches on every effect of `strings`, as strongly as people, paper and cameras have it."""
    strings.writing.update(
        full_probability=0.6,
        letter_probability=0.05,
        shape_probability=0.1,
        cells_probability=0.25,
        scale=(0.62, 1.2),
        own_scale=0.12,
        aspect=0.2,
        slant_degrees=15.0,
        own_slant_degrees=10.0,
        own_turn_degrees=10.0,
        turn_probability=0.25,
        turn_degrees=45.0,
        gap=(-4.0, 14.0),
        own_gap=2.0,
        slope_degrees=7.0,
        jitter=2.0,
        elastic=3.0,
        serif_probability=0.4,
        stroke_probability=0.4,
        stroke=(0.0, 1.0),
        hollow_probability=0.03,
    )
    strings.page.update(
        lines_probability=0.12,
        squares_probability=0.06,
        marks_probability=0.15,
        specks_probability=0.12,
        tiles_probability=0.08,
        invert_probability=0.35,
    )
    strings.camera.update(
        contrast_probability=0.4,
        contrast=(0.12, 1.0),
        light_probability=0.25,
        light=(0.0, 0.7),
        texture_probability=0.2,
        texture=(0.0, 0.3),
        blur_probability=0.25,
        blur=(0.3, 2.0),
        noise_probability=0.3,
        noise=(0.0, 0.5),
        impulse_probability=0.06,
        impulse=(0.0, 0.2),
        jpeg_probability=0.15,
        jpeg=(0.5, 4.0),
    )


def classifier(model: str) -> ConfigDict:
    """Returns the defaults of a published classifier's recipe.

    5,000 of the training digits are held out: they choose the epoch. `as_run` gives them back.
    """
    config = Config(
        name=model,
        system=model,
        model=model,
        validation=Validation(metric="accuracy"),
        eval=Evaluation(every_epoch=True),  # shows what choosing on the test set would have added
    )
    return to_config_dict(config)


def as_run(config: ConfigDict) -> ConfigDict:
    """Turns a recipe into what its published code ran.

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
    if "strings" in config:
        # Every effect takes a second to compile: one of each group is enough to see the path.
        config.strings = to_config_dict(
            Strings(
                width=84,
                writing=Writing(cells_probability=0.5, gap=(2.0, 10.0)),
                page=Page(invert_probability=0.35),
                camera=Camera(noise_probability=0.4, noise=(0.0, 0.5)),
            )
        )
        config.eval.suites = ("clean", "noise_30")
    if "sequence" in config:
        config.sequence.train_sequences = 1_920
    else:
        config.data.train_examples, config.data.validation_examples = 1_344, 156  # 42 batches
    return config


def choose(file: str, variants: Variants, name: str) -> ConfigDict:
    """Returns the variant `name` of a config file.

    Raises:
      UserError: if the file has no such variant.
    """
    if name not in variants:
        known = ", ".join(f"':{variant}'" for variant in variants if variant)
        raise UserError(f"{file} has no variant ':{name}': choose {known} or none.")
    return variants[name]()


def shipped() -> Path:
    """Returns the folder of the recipes that come with the package."""
    inside = Path(__file__).parent / "configs"  # of an installed wheel
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def find(name: str) -> str:
    """Returns the address of a recipe as `--config` takes it, `FILE.py:VARIANT`.

    Args:
      name: `seq`, `seq:tiny` or `configs/seq.py:tiny` of the recipes that come with the package,
        or the path of a config file of your own, with `:VARIANT` if it has variants.

    Raises:
      UserError: if there is no such recipe.
    """
    file, colon, variant = name.partition(":")
    path = user_path(file)
    here = str(path.parent) in (".", "configs")
    if path.suffix != ".py" or (here and not os.path.exists(path)):
        path = shipped() / f"{path.stem if path.suffix == '.py' else file}.py"
    if not os.path.isfile(path):  # False, too, where a name is too long
        known = ", ".join(sorted(p.stem for p in shipped().glob("[!_]*.py")))
        raise UserError(
            f"there is no recipe '{name}': choose one of {known}, with :VARIANT if you like, or "
            "give the path of a config file."
        )
    return f"{path}{colon}{variant}"


def load(name: str) -> ConfigDict:
    """Runs the config file of a recipe and returns its ConfigDict; names are as in `find`.

    Raises:
      UserError: if there is no such recipe.
      TypeError: if its `get_config` returns no ConfigDict.
      Exception: whatever the config file raises.
    """
    file, _, variant = find(name).partition(":")
    module = _run(file)
    config = module.get_config(variant) if variant else module.get_config()
    if not isinstance(config, ConfigDict):
        raise TypeError(f"get_config() returned {type(config).__name__}, not a ConfigDict")
    return config


def variants(name: str) -> list[str]:
    """Returns the variants of a recipe that comes with the package; the default is empty."""
    return list(_run(find(name)).VARIANTS)


def _run(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{Path(file).stem}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
