"""The recipes against their sources: every field in which a published system is not the default."""

from typing import Any

import pytest

from jaxmnist import recipes
from jaxmnist.config import flatten

# As the published sources have them; what is not named is the default of jaxmnist/config.py.
FIRST_SEED: dict[str, Any] = {
    "epochs": 15, "batch_size": 64, "augment.crop_probability": 0.1, "augment.crop_size": 22,
    "optimizer.name": "sgd", "optimizer.momentum": 0.9,
}  # fmt: skip
PLAIN = FIRST_SEED | {
    "augment.rotation_degrees": 15.0, "augment.rotation_fill": 0.0,
    "schedule.name": "step", "schedule.learning_rate": 0.01, "schedule.step.every": 15,
    "schedule.step.factor": 0.1,
}  # fmt: skip
MODEL_3 = FIRST_SEED | {
    "augment.rotation_degrees": 7.0, "augment.rotation_fill": 1 / 255, "augment.translate": 2 / 28,
    "schedule.name": "one_cycle", "schedule.learning_rate": 0.1,
    "schedule.one_cycle.initial_divisor": 25.0, "schedule.one_cycle.final_divisor": 1e4,
    "schedule.one_cycle.warmup_fraction": 0.3, "schedule.one_cycle.cycle_momentum": True,
    "schedule.one_cycle.highest_momentum": 0.95, "schedule.one_cycle.lowest_momentum": 0.85,
    "schedule.one_cycle.stepped_every": "batch",
}  # fmt: skip
MODEL_3_AS_RUN = MODEL_3 | {
    "augment.rotation_degrees": 15.0, "optimizer.momentum": 0.95,
    "schedule.name": "constant", "schedule.learning_rate": 0.004,
}  # fmt: skip
V_STEP = {
    "epochs": 15, "batch_size": 128, "augment.rotation_degrees": 7.0,
    "augment.rotation_fill": 1 / 255, "optimizer.name": "sgd", "optimizer.momentum": 0.9,
    "schedule.name": "step", "schedule.learning_rate": 0.01, "schedule.step.every": 6,
    "schedule.step.factor": 0.1,
}  # fmt: skip
V_ONECYCLE = V_STEP | {
    "schedule.name": "one_cycle", "schedule.learning_rate": 0.75,
    "schedule.one_cycle.initial_divisor": 7.5, "schedule.one_cycle.final_divisor": 7.5,
    "schedule.one_cycle.warmup_fraction": 0.3, "schedule.one_cycle.cycle_momentum": False,
    "schedule.one_cycle.stepped_every": "batch",
}  # fmt: skip
ADAM = {"optimizer.name": "adam", "optimizer.b1": 0.9, "optimizer.b2": 0.999, "optimizer.eps": 1e-8}
ITERATION = ADAM | {
    "batch_size": 64, "augment.crop_probability": 0.1, "augment.crop_size": 22,
    "augment.rotation_degrees": 15.0, "augment.rotation_fill": 0.0,
    "schedule.name": "step", "schedule.learning_rate": 0.002, "schedule.step.every": 15,
    "schedule.step.factor": 0.1,
}  # fmt: skip
DS_CNN = ADAM | {
    "epochs": 19, "batch_size": 32, "augment.affine_degrees": 10.0, "augment.translate": 0.1,
    "schedule.name": "plateau", "schedule.learning_rate": 0.03, "schedule.plateau.factor": 0.5,
    "schedule.plateau.patience": 0, "schedule.plateau.threshold": 1e-4,
    "schedule.plateau.threshold_mode": "rel", "data.shuffle": False,
}  # fmt: skip
SEQUENCES = ADAM | {
    "epochs": 40, "batch_size": 64, "early_stopping_patience": 5, "selection": "best",
    "validation.metric": "loss", "validation.examples": 6_000, "validation.batch_means": True,
    "data.train_examples": 54_000, "data.validation_examples": 6_000,
    "augment.affine_degrees": 10.0, "augment.translate": 0.1, "augment.scale": (0.9, 1.1),
    "schedule.name": "plateau", "schedule.learning_rate": 1e-3, "schedule.plateau.factor": 0.1,
    "schedule.plateau.patience": 2, "schedule.plateau.threshold": 1e-4,
    "sequence.max_length": 3, "sequence.resample_each_epoch": False,
}  # fmt: skip
ROBUST = {
    "augment.rotation_degrees": 45.0, "augment.invert_probability": 0.5,
    "augment.noise_probability": 0.5, "augment.noise_sigma": 0.15,
}  # fmt: skip
HELD_OUT = {
    "validation.digits": "held_out", "validation.augmented": False, "validation.metric": "accuracy",
    "selection": "best", "data.train_examples": 55_000, "data.validation_examples": 5_000,
}  # fmt: skip
AS_RUN = {
    "validation.digits": "test", "validation.augmented": False, "validation.metric": "accuracy",
    "selection": "last", "data.train_examples": 60_000, "data.validation_examples": 0,
}  # fmt: skip
ON_TRAIN = AS_RUN | {"validation.digits": "train", "validation.augmented": True}
EPOCHS = {1: 1, 2: 5, 3: 20, 4: 20, 5: 20, 6: 20, 7: 20}

RECIPES: list[tuple[str, str, dict[str, Any]]] = [
    *(("models", name, PLAIN | HELD_OUT) for name in ("model_1", "model_2")),
    *(("models", f"{name}_as_run", PLAIN | AS_RUN) for name in ("model_1", "model_2")),
    ("models", "model_3", MODEL_3 | HELD_OUT),
    ("models", "model_3_as_run", MODEL_3_AS_RUN | AS_RUN),
    (
        "models",
        "model_3_as_logged",
        MODEL_3_AS_RUN
        | AS_RUN
        | {
            "schedule.learning_rate": 0.015,
            "optimizer.momentum": 0.9,
            "augment.translate": 0.1,
        },
    ),
    *(
        ("v", f"{name}{variant}", fields)
        for name in ("v_1", "v_2", "v_3")
        for variant, fields in {
            "": V_STEP | HELD_OUT,
            "_as_run": V_STEP | AS_RUN,
            "_10_epochs_as_run": V_STEP | AS_RUN | {"epochs": 10},
            "_onecycle": V_ONECYCLE | HELD_OUT,
            "_onecycle_as_run": V_ONECYCLE | AS_RUN | {"schedule.one_cycle.stepped_every": "epoch"},
        }.items()
    ),
    *(
        ("iterations", f"iteration_{n}", ITERATION | HELD_OUT | {"epochs": EPOCHS[n]})
        for n in EPOCHS
    ),
    *(
        (
            "iterations",
            f"iteration_{n}_as_run",
            ITERATION
            | ON_TRAIN
            | {"epochs": EPOCHS[n], "schedule.learning_rate": 0.001 if n == 1 else 0.002},
        )
        for n in EPOCHS
    ),
    ("ds_cnn", "", DS_CNN | HELD_OUT | {"data.train_examples": 50_000}),
    ("ds_cnn", "as_run", DS_CNN | AS_RUN | {"data.train_examples": 50_000}),
    (
        "seq",
        "specialist",
        SEQUENCES | {"sequence.train_sequences": 54_000, "validation.augmented": False},
    ),
    (
        "seq",
        "generalist",
        SEQUENCES | ROBUST | {"sequence.train_sequences": 30_000, "validation.augmented": True},
    ),
]
# What says nothing of how a system learns.
NAMES = {"name", "system", "model", "eval.every_epoch"}


@pytest.mark.parametrize(("file", "variant", "published"), RECIPES)
def test_a_recipe_is_the_published_one(file: str, variant: str, published: dict[str, Any]) -> None:
    recipe = flatten(recipes.load(f"{file}:{variant}").to_dict())
    base = recipes.sequences() if file == "seq" else recipes.base()
    assert published.keys() <= recipe.keys()
    expected = flatten(base.to_dict()) | published
    assert recipe.keys() == expected.keys()
    differing = {
        field: (recipe[field], expected[field])
        for field in recipe.keys() - NAMES
        if recipe[field] != expected[field]
    }
    # Of the schedules that a recipe does not use, nothing matters.
    used = f"schedule.{recipe['schedule.name']}."
    idle = tuple(f"schedule.{name}." for name in ("step", "one_cycle", "plateau"))
    differing = {
        field: values
        for field, values in differing.items()
        if not field.startswith(idle) or field.startswith(used)
    }
    assert not differing
