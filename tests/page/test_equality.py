"""The page sees and reads what Python does, picture by picture."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.page.weights import COARSE, pack, quantise, unpack
from jaxmnist.reader.forward import StringNetwork, from_arrays
from jaxmnist.shipped import find_weights
from tools.page.equality import compare, has_node, read_by_page
from tools.page.pictures import pictures

needs_node = pytest.mark.skipif(not has_node(), reason="needs node")


@pytest.fixture(scope="module")
def network() -> StringNetwork:
    return quantise(from_arrays(read_arrays(find_weights("seq"))[0]), COARSE)


@pytest.fixture(scope="module")
def weights(network: StringNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "seq.bin"
    path.write_bytes(pack("seq", network))
    return path


@needs_node
def test_canvases_are_equal_and_logits_nearly(weights: Path, digits: np.ndarray) -> None:
    found = compare(pictures(digits, 24), weights.read_bytes(), weights)
    assert found.pictures == 24
    assert found.canvases > 24
    assert found.different_canvases == 0
    assert found.different_readings == 0
    assert found.logits < 1e-5


@needs_node
def test_other_pixels_and_other_weights_are_noticed(
    network: StringNetwork, weights: Path, digits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = list(pictures(digits, 6))
    last = network.convs[-1]
    changed = StringNetwork((*network.convs[:-1], replace(last, factor=last.factor * 1.001)))
    assert 1e-4 < compare(images, pack("seq", changed), weights).logits < 1e-2

    def turned(given: Sequence[Image.Image], path: Path) -> Iterator[dict[str, Any]]:
        return read_by_page([image.transpose(Image.Transpose.ROTATE_180) for image in given], path)

    monkeypatch.setattr("tools.page.equality.read_by_page", turned)
    found = compare(images, weights.read_bytes(), weights)
    assert found.different_canvases >= found.canvases - 1 > 0
    assert found.different_readings > 0


@needs_node
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2), (801, 20)])
def test_pictures_without_writing(size: tuple[int, int], weights: Path) -> None:
    images = [Image.new("RGB", size, colour) for colour in ("white", "black", (90, 140, 80))]
    images.append(Image.new("RGBA", size, (0, 0, 0, 0)))
    found = compare(images, weights.read_bytes(), weights)
    assert (found.pictures, found.canvases, found.different_readings) == (4, 0, 0)


@needs_node
def test_a_large_transparent_picture_is_reduced_before_it_is_laid_on_paper(
    weights: Path, digits: np.ndarray
) -> None:
    pixels = np.zeros((900, 850, 4), np.uint8)
    pixels[..., :3] = (20, 30, 20)
    image = Image.fromarray(np.concatenate(digits[:2], axis=1)).resize((800, 400))
    pixels[200:600, 20:820, 3] = np.asarray(image) // 2
    found = compare([Image.fromarray(pixels)], weights.read_bytes(), weights)
    assert found.canvases > 0
    assert (found.different_canvases, found.different_readings) == (0, 0)


def test_weights_come_out_as_they_went_in(network: StringNetwork) -> None:
    name, found = unpack(pack("seq", network))
    assert name == "seq"
    for ours, theirs in zip(network.convs, found.convs, strict=True):
        for part in ("kernel", "factor", "bias"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
            assert getattr(theirs, part).dtype == np.float32


def test_quantised_logits_are_near(network: StringNetwork) -> None:
    whole = from_arrays(read_arrays(find_weights("seq"))[0])
    canvases = np.random.default_rng(0).integers(0, 256, (2, 28, 56), np.uint8)
    exact = whole.logits(canvases)
    errors = [
        float(np.square(quantise(whole, step).logits(canvases) - exact).mean())
        for step in (0.2, 0.1, 0.05)
    ]
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2]
    assert errors[2] < 1e-3 * float(exact.var())
