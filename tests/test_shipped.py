"""The weights in the package are what their cards say."""

import hashlib
import math
import os

import numpy as np
import pytest

import jaxmnist
from jaxmnist.data.sources import VARIABLE
from jaxmnist.models.summary import count_parameters
from jaxmnist.shipped import FOLDER, SUFFIX, read_card, shipped_names
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.weights import load_weights, rounded, save_weights
from tests.helpers import ROOT
from tools import ship

MOST_BYTES = 5_000_000  # of all, in a package that people download


@pytest.mark.parametrize("name", shipped_names())
def test_a_card_describes_its_file(name: str) -> None:
    card, content = read_card(name), (FOLDER / f"{name}{SUFFIX}").read_bytes()
    assert card["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["file"]["bytes"] == len(content)
    model = jaxmnist.load(name)
    assert card["params"] == count_parameters(model.params)
    assert model.metadata.data == "mnist"
    assert name in SYSTEMS


@pytest.mark.slow
@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder with MNIST")
@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_file_has_the_stated_accuracy(name: str) -> None:
    test = read_card(name)["test"]
    scores = jaxmnist.evaluate(name, "clean")
    assert scores["n"] == test["n"]
    # On another processor sums round differently: a few of thousands of answers are that near.
    assert scores[test["metric"]] == pytest.approx(test["value"], abs=3 / test["n"])


def test_all_weights_are_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*")) <= MOST_BYTES


def test_the_page_is_made_of_the_cards() -> None:
    assert (ROOT / "docs" / "weights.md").read_text(encoding="utf-8") == ship.page()


def test_numbers_in_16_bits_are_read_as_they_were_rounded(tiny_run, tmp_path) -> None:
    loaded = load_weights(tiny_run[0] / "weights.safetensors")
    half = rounded(loaded.weights)
    save_weights(tmp_path / "half.safetensors", half, loaded.metadata, half=True)
    again = load_weights(tmp_path / "half.safetensors")
    x = np.random.default_rng(0).random((3, 28, 84), np.float32)
    outputs = [
        each.network.apply(weights._asdict(), x, train=False)
        for each, weights in ((loaded, loaded.weights), (loaded, half), (again, again.weights))
    ]
    assert np.array_equal(outputs[1], outputs[2])
    assert not np.array_equal(outputs[0], outputs[1])
    whole, small = (
        path.stat().st_size
        for path in (tiny_run[0] / "weights.safetensors", tmp_path / "half.safetensors")
    )
    assert small < 0.6 * whole


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Of 10 of 10 it is known: its lower end is 1 / (1 + z^2 / n).
    low, high = ship.interval(10, 10)
    assert math.isclose(low, 1 / (1 + 1.96**2 / 10), abs_tol=1e-5)
    assert high == 1.0
    low, high = ship.interval(9_900, 10_000)
    assert low < 0.99 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.99 * 0.01 / 10_000), rel=0.02)
