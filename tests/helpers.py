"""What tests of the outside share."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    MaxPool,
    Relu,
    SplitColumns,
)
from jaxmnist.models.network import Architecture
from jaxmnist.models.zoo import DIGIT_MODELS, SEQUENCE_MODELS

ROOT = Path(__file__).parent.parent

# Two networks that compile in a second: whole runs are the same for any network.
SMALL, SMALL_SEQUENCES = "small_for_tests", "small_sequences_for_tests"


def _blocks(*split: Layer, classes: int) -> tuple[Layer, ...]:
    block = (Conv(8, padding=1), BatchNorm(), Relu(), Dropout(0.1), MaxPool(4))
    return *block, *split, Flatten(), Dense(classes)


DIGIT_MODELS[SMALL] = Architecture(_blocks(classes=10), heads=1, classes=10)
SEQUENCE_MODELS[SMALL_SEQUENCES] = lambda length: Architecture(
    _blocks(SplitColumns(length), classes=11), heads=length, classes=11
)

needs_mnist = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"needs MNIST's four files in ${VARIABLE}"
)


def recipe(name: str, changes: dict[str, Any] | None = None) -> Config:
    """Returns a shipped recipe, `seq:tiny`, with changes by full name, `{"data.source": "dir"}`."""
    config = recipes.load(name)
    config.update_from_flattened_dict(changes or {})
    return from_dict(config.to_dict())


def run_python(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the repository as a person would."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
