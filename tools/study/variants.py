"""The variants of the study: the fields of the base recipe that each of them changes."""

from typing import Any

from jaxmnist import config, recipes
from jaxmnist.config import Config
from jaxmnist.models.zoo import SEQUENCE_MODELS
from tools.study.networks import NETWORKS

BASE = "seq"
# An eighth of its training. A run tests its weights once: on as little as can be, as nothing here
# goes by it.
SHORT = {
    "epochs": 1, "sequence.train_sequences": 48_000, "ema_decay": 0.99,
    "validation.examples": 3_000, "eval.examples": 1, "eval.suites": ("clean",),
}  # fmt: skip


def without(*switches: str) -> dict[str, Any]:
    """Returns the changes that switch effects off: fields of `strings` that are zero then."""
    return {f"strings.{switch}": 0.0 for switch in switches}


VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "half the training": {"sequence.train_sequences": 24_000},
    "twice the training": {"epochs": 2},
    "four times the training": {"epochs": 4},
    "eight times the training": {"epochs": 8},
    "half as wide": {"model": "half_as_wide"},
    "the reader's network": {"model": "sequence_ctc"},
    "a head for each place": {"model": "query_heads"},
    "images as they are": {"model": "plain_images"},
    "a column of logits in four": {"model": "coarse_columns"},
    "one wide layer on the map": {"model": "shallow_map"},
    "one layer along the line": {"model": "short_line"},
    "no average of weights": {"ema_decay": 0.0},
    "adamw": {"optimizer.name": "adamw"},
    "half the rate": {"schedule.learning_rate": 6e-3},
    "twice the rate": {"schedule.learning_rate": 24e-3},
    "half the batch": {"batch_size": 32},
    "twice the batch": {"batch_size": 128},
    "width 84": {"strings.width": 84},
    "lengths uniform": without("writing.full_probability"),
    "no cells": without("writing.cells_probability"),
    "letters": {"strings.writing.letter_probability": 0.1},
    "no turning": without("writing.turn_probability"),
    "no elastic": without("writing.elastic"),
    "no serifs": without("writing.serif_probability"),
    "no other shapes": without("writing.shape_probability"),
    "turned and slanted, each digit": {
        "strings.writing.own_slant_degrees": 10.0, "strings.writing.own_turn_degrees": 10.0,
    },
    "no strokes, hollow ones": without("writing.stroke_probability", "writing.hollow_probability"),
    "no lines, squares, marks, specks": without(
        "page.lines_probability", "page.squares_probability", "page.marks_probability",
        "page.specks_probability",
    ),
    "no tiles, inversion": without("page.tiles_probability", "page.invert_probability"),
    "no contrast, light, texture": without(
        "camera.contrast_probability", "camera.light_probability", "camera.texture_probability"
    ),
    "no blur": without("camera.blur_probability"),
    "no noise, impulses": without("camera.noise_probability", "camera.impulse_probability"),
    "no jpeg": without("camera.jpeg_probability"),
}  # fmt: skip


def variant_config(name: str, seed: int) -> Config:
    """Returns the configuration of a variant."""
    SEQUENCE_MODELS.update(NETWORKS)
    tree = recipes.load(BASE)
    tree.update_from_flattened_dict(
        SHORT | VARIANTS[name] | {"seed": seed, "name": "study", "system": ""}
    )
    return config.from_dict(tree.to_dict())
