"""What tests of the outside share."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import optax
import pytest

from jaxmnist import recipes
from jaxmnist.config import Config, from_dict
from jaxmnist.data.sources import VARIABLE
from jaxmnist.models.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalContrast,
    MaxPool,
    Relu,
    SpaceToDepth,
    SplitColumns,
)
from jaxmnist.models.network import Architecture
from jaxmnist.models.zoo import DIGIT_MODELS, SEQUENCE_MODELS

ROOT = Path(__file__).parent.parent

# Networks that compile in a second: whole runs are the same for any network.
SMALL, SMALL_SEQUENCES = "small_for_tests", "small_sequences_for_tests"
SMALL_STRINGS = "small_strings_for_tests"

# Runs of seconds, for every test that needs some run: their programs are compiled once for all of
# them, as neither the seed nor the number of epochs is in them. A classifier with dropout,
# rotation, a plateau and a smaller last batch; a recogniser with a plateau and one, too.
SHORT_RUN: dict[str, Any] = {
    "model": SMALL, "epochs": 3, "batch_size": 64,
    "schedule.name": "plateau", "schedule.plateau.patience": 0,
    "data.source": "digits8x8", "eval.examples": 100, "eval.every_epoch": False,
}  # fmt: skip
SHORT_SEQUENCES: dict[str, Any] = {
    "model": SMALL_SEQUENCES, "sequence.train_sequences": 150,
    "schedule.name": "plateau", "schedule.plateau.patience": 0,
    "validation.examples": 60, "eval.examples": 60,
}  # fmt: skip


def _blocks(*split: Layer, classes: int) -> tuple[Layer, ...]:
    block = (Conv(8, padding=1), BatchNorm(), Relu(), Dropout(0.1), MaxPool(4))
    return *block, *split, Flatten(), Dense(classes)


DIGIT_MODELS[SMALL] = Architecture(_blocks(classes=10), heads=1, classes=10)
SEQUENCE_MODELS[SMALL_SEQUENCES] = lambda length: Architecture(
    _blocks(SplitColumns(length), classes=11), heads=length, classes=11
)

SEQUENCE_MODELS[SMALL_STRINGS] = lambda length: Architecture(
    (
        *(
            LocalContrast(),
            SpaceToDepth(),
            Conv(8, (14, 3), (0, 1), bias=False),
            BatchNorm(),
            Relu(),
        ),
        Conv(11, 1),
    ),
    heads=None,
    classes=11,
)

# XLA compiles faster so, to code that is ten times slower. (Without its fusion emitters it would be
# faster still, and wrong: the second step of training was not PyTorch's, in four networks.)
COMPILE_FAST = {"xla_backend_optimization_level": 0}

needs_mnist = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"needs MNIST's four files in ${VARIABLE}"
)


def recipe(name: str, changes: dict[str, Any] | None = None) -> Config:
    """Returns a shipped recipe, `seq:tiny`, with changes by full name, `{"data.source": "dir"}`."""
    config = recipes.load(name)
    config.update_from_flattened_dict(changes or {})
    return from_dict(config.to_dict())


def short_run(**changes: Any) -> Config:
    """Returns the short run of a classifier, with changes."""
    return recipe("iterations:iteration_6", SHORT_RUN | changes)


def first_gradient(opt_state: optax.OptState) -> dict[str, Any]:
    """The gradient of a first step, out of the optimizer's first average of gradients."""
    trace = optax.tree.get(opt_state, "trace")
    if trace is not None:
        found: dict[str, Any] = trace
        return found
    if optax.tree.get(opt_state, "ns_coeffs") is not None:  # Muon: AdamW has what is no kernel
        parts, hyperparams = opt_state.inner_state.inner_states, opt_state.hyperparams
        return jax.tree.map(
            lambda muon, adam: (
                adam / (1 - hyperparams["b1"])
                if isinstance(muon, optax.MaskedNode)
                else muon / (1 - hyperparams["momentum"])
            ),
            *(parts[name].inner_state[0].mu for name in ("muon", "adam")),
            is_leaf=lambda leaf: isinstance(leaf, optax.MaskedNode),
        )
    share = 1 - optax.tree.get(opt_state, "b1")
    averages: dict[str, Any] = jax.tree.map(
        lambda leaf: leaf / share, optax.tree.get(opt_state, "mu")
    )
    return averages


# A published recipe, shrunk in size alone.
SHORT_PUBLISHED = {
    "epochs": 1, "batch_size": 8, "data.source": "digits8x8", "sequence.train_sequences": 16,
    "validation.examples": 8, "eval.examples": 8,
}  # fmt: skip

# As somebody writes it who has a network of his own.
CONFIG_FILE = """\
from tests.helpers import SHORT_RUN
from jaxmnist import recipes

def get_config():
    config = recipes.load("iterations:iteration_6")
    config.update_from_flattened_dict(SHORT_RUN | CHANGES)
    return config
"""


def write_config_file(path: Path, changes: dict[str, Any]) -> Path:
    """Writes a config file that makes a short run in another process."""
    path.write_text(CONFIG_FILE.replace("CHANGES", repr(changes)))
    return path


def run_python(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the repository as a person would."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=600,
    )
