"""Images that are legal and mean something else: the change that helps is named."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxmnist import hints
from jaxmnist.data.sources import load_source

DIGITS = np.asarray(load_source("digits8x8").test.images[:60], np.float32)
FAR = hints.recentre(DIGITS)  # as a network knows them


def reader(known: np.ndarray) -> Callable[[np.ndarray], float]:
    """A network that reads what is nearest to what it knows."""

    def score(images: np.ndarray) -> float:
        squares = ((images[:, None] - known[None]) ** 2).sum((2, 3))
        return float((squares.argmin(1) == np.arange(len(images))).mean())

    return score


def find(
    images: np.ndarray, score: Callable[[np.ndarray], float], *, labelled: bool = True
) -> list[str]:
    return hints.find_hints(images, score(images), score, labelled=labelled)


def hint(images: np.ndarray, known: np.ndarray = FAR) -> str:
    (found,) = find(np.asarray(images), reader(known)) or [""]
    return found


def small(digit: np.ndarray, top: int, left: int) -> np.ndarray:
    canvas = np.zeros((28, 28), np.float32)
    canvas[top : top + 14, left : left + 14] = digit[::2, ::2]
    return canvas


def test_images_as_a_network_knows_them_need_no_hint() -> None:
    assert reader(FAR)(FAR) == 1.0
    assert hint(FAR) == ""
    assert hint(np.zeros_like(FAR)) == ""


@pytest.mark.parametrize("light", [255, 240])
def test_ink_and_ground_exchanged(light: int) -> None:
    said = hint((light - FAR).clip(0, 255))
    assert "with ink and ground exchanged" in said
    assert "100%" in said


@pytest.mark.parametrize("largest", [15, 2])
def test_another_scale(largest: int) -> None:
    assert "stretched" in hint(np.round(FAR * largest / 255))


def test_rows_and_columns_exchanged() -> None:
    assert "rows and columns" in hint(FAR.transpose(0, 2, 1))


@pytest.mark.parametrize(("top", "left"), [(0, 0), (13, 14), (1, 10)])
def test_another_size_and_place(top: int, left: int) -> None:
    images = np.stack([small(digit, top, left) for digit in FAR])
    assert "brought to MNIST's size and place" in hint(images)
    both = hint(255 - images)
    assert "ink and ground exchanged (255 - x), and every digit brought" in both


@pytest.mark.parametrize("places", [(10, 40), (0, 22), (20, 50)])
def test_sequences_elsewhere_on_the_canvas(places: tuple[int, int]) -> None:
    """Indented, narrow, or far apart."""
    canvases, known = np.zeros((2, 30, 28, 84), np.float32)
    for number in range(30):
        pair = FAR[number], FAR[number + 30]
        for cell, (digit, left) in enumerate(zip(pair, places, strict=True)):
            ink = digit[:, 4:24]  # tight
            canvases[number, :, left : left + 20] = np.maximum(
                canvases[number, :, left : left + 20], ink
            )
            known[number, :, 28 * cell : 28 * cell + 28] = digit
    assert "brought to MNIST's size and place" in hint(canvases, known)


def test_without_labels_it_speaks_of_confidence() -> None:
    (said,) = find(255 - FAR, reader(FAR), labelled=False)
    assert "the answers would be sure to 100%" in said


def test_of_doubt_most_has_to_go() -> None:
    """Without labels a network may be sure of nonsense: 84 % of inverted digits, once."""

    def sure(images: np.ndarray) -> float:
        return 0.99 if images[0, 0, 0] == 0 else 0.84

    assert find(255 - FAR, sure, labelled=False)
    assert not find(255 - FAR, lambda x: min(sure(x), 0.89), labelled=False)


def test_a_few_images_say_nothing() -> None:
    assert find(255 - FAR[:7], reader(FAR[:7])) == []


def test_what_no_change_helps_has_no_hint() -> None:
    noise = np.random.RandomState(0).uniform(0, 255, FAR.shape).astype(np.float32)
    assert hint(noise) == ""
