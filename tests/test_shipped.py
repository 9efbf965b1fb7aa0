"""The weights in the package are what their cards say."""

import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmnist
from jaxmnist.models.summary import count_parameters
from jaxmnist.shipped import FOLDER, SUFFIX, read_card, shipped_names
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.weights import load_weights, save_weights, weights_sha256
from tests.helpers import ROOT, needs_mnist
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
@needs_mnist
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


def test_numbers_in_16_bits_are_read_as_they_were_rounded(
    tiny_run: tuple[Path, str], tmp_path: Path
) -> None:
    whole, half = tiny_run[0] / "weights.safetensors", tmp_path / "half.safetensors"
    loaded = load_weights(whole)
    save_weights(half, loaded.weights, loaded.metadata, half=True)
    again = load_weights(half)  # which compares the hash
    for before, after in zip(
        jax.tree.leaves(loaded.weights), jax.tree.leaves(again.weights), strict=True
    ):
        assert before.dtype == after.dtype
        # Half a unit in the last of 11 bits; below the smallest normal number, of that.
        np.testing.assert_allclose(after, before, rtol=2**-11, atol=2**-25)
    assert weights_sha256(again.weights) != weights_sha256(loaded.weights)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
