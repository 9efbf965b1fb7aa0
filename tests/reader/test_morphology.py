"""Neighbourhoods, runs and pieces against SciPy's, on masks of every density and odd shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from jaxmnist.reader.morphology import closed, dilate, erode, mean_around, opened, percentile
from jaxmnist.reader.pieces import connect, find_runs, paint

SIDES = st.sampled_from([1, 2, 3, 7, 16, 33])
SIZES = st.sampled_from([1, 3, 5, 9, 41])  # of windows; the last is larger than most pictures
EIGHT = np.ones((3, 3), int)


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Empty, full, or of any density between."""
    shape, density = (draw(SIDES), draw(SIDES)), draw(st.sampled_from([0, 0.05, 0.3, 0.6, 0.95, 1]))
    return np.random.default_rng(draw(st.integers(0, 2**32))).random(shape) < density


@st.composite
def greys(draw: st.DrawFn) -> np.ndarray:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return random.integers(0, 256, (draw(SIDES), draw(SIDES)), np.uint8)


@given(masks() | greys(), SIZES, SIZES)
def test_dilation_and_erosion_are_the_largest_and_smallest_of_a_window(
    image: np.ndarray, rows: int, columns: int
) -> None:
    # Beyond the edge there is nothing that could win.
    full = 1 if image.dtype == bool else 255
    largest = ndimage.maximum_filter(image, (rows, columns), mode="constant", cval=0)
    smallest = ndimage.minimum_filter(image, (rows, columns), mode="constant", cval=full)
    np.testing.assert_array_equal(dilate(image, rows, columns), largest)
    np.testing.assert_array_equal(erode(image, rows, columns), smallest)


@given(masks(), SIZES, SIZES)
def test_opening_and_closing(mask: np.ndarray, rows: int, columns: int) -> None:
    # Windows end at the edges: what would lie beyond them hinders no erosion.
    window = np.ones((rows, columns), bool)
    eroded = ndimage.binary_erosion(mask, window, border_value=1)
    expected = ndimage.binary_dilation(eroded, window)
    np.testing.assert_array_equal(opened(mask, rows, columns), expected)
    dilated = ndimage.binary_dilation(mask, window)
    expected = ndimage.binary_erosion(dilated, window, border_value=1)
    np.testing.assert_array_equal(closed(mask, rows, columns), expected)


@given(greys(), SIZES, SIZES)
def test_closing_fills_and_does_so_once(image: np.ndarray, rows: int, columns: int) -> None:
    once = closed(image, rows, columns)
    assert (once >= image).all()
    np.testing.assert_array_equal(closed(once, rows, columns), once)


@given(greys(), SIZES)
def test_a_mean_is_that_of_the_pixels_that_exist(image: np.ndarray, size: int) -> None:
    def total(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values.astype(float), size, mode="constant")

    expected = total(image) / total(np.ones(image.shape))
    # Sums of float64 up to 33 x 33 x 255, of which small ones are differences.
    np.testing.assert_allclose(mean_around(image, size), expected, rtol=1e-9, atol=1e-9)


@given(masks())
def test_pieces_are_those_that_touch_at_sides_and_corners(mask: np.ndarray) -> None:
    runs = find_runs(mask)
    piece = connect(runs)
    expected, count = ndimage.label(mask, EIGHT)
    assert set(piece) == set(range(count))
    ours = np.zeros(mask.shape, int)
    for number in range(count):
        ours[paint(runs, piece == number, mask.shape)] = number + 1
    np.testing.assert_array_equal(ours, expected)  # both number by the first pixel


def test_a_corner_is_a_touch() -> None:
    # The negative control of the test above: with sides alone there would be two.
    mask = np.eye(2, dtype=bool)
    assert connect(find_runs(mask)).tolist() == [0, 0]
    assert ndimage.label(mask)[1] == 2


@given(masks(), st.integers(0, 2**32))
def test_runs_are_painted_where_they_were_found(mask: np.ndarray, seed: int) -> None:
    runs = find_runs(mask)
    every = np.ones(len(runs.row), bool)
    np.testing.assert_array_equal(paint(runs, every, mask.shape), mask)
    assert not paint(runs, ~every, mask.shape).any()
    some = np.random.default_rng(seed).random(len(runs.row)) < 0.5
    expected = np.zeros_like(mask)
    for row, start, stop in zip(
        *(each[some] for each in (runs.row, runs.start, runs.stop)), strict=True
    ):
        expected[row, start:stop] = True
    np.testing.assert_array_equal(paint(runs, some, mask.shape), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (64, 64)])
def test_a_spiral_and_a_comb_are_one_piece(shape: tuple[int, int]) -> None:
    # Labels have to travel the longest ways through a picture.
    comb = np.zeros(shape, bool)
    comb[::2] = True
    comb[1::4, -1:] = comb[3::4, :1] = True
    assert set(connect(find_runs(comb))) == {0}


@given(greys(), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_level_that_a_share_does_not_exceed(
    image: np.ndarray, share: float
) -> None:
    level = percentile(np.bincount(image.reshape(-1)), share)
    assert (image <= level).sum() >= share * image.size
    assert level == 0 or (image <= level - 1).sum() < share * image.size
