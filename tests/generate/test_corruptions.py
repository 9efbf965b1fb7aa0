"""The corruptions of MNIST-C: properties of all, and each against its definition in float64.

Outside the repository, five hundred digits were compared with scikit-image's `warp`, `gaussian` and
`canny`: nothing differs by more than one grey level, no pixel of Canny's edges differs.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxmnist.generate.corruptions import CORRUPTIONS, fractal, smooth, subdivide
from tests.helpers import COMPILE_FAST

NAMES = [
    "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "shear", "scale", "rotate",
    "brightness", "translate", "stripe", "fog", "spatter", "dotted_line", "zigzag", "canny_edges",
]  # fmt: skip
FIXED = {"scale", "brightness", "stripe", "canny_edges"}  # nothing in them is random
SIGNS = {"shear", "rotate", "translate"}  # nothing but two directions, or four
COUNT = 200
BLANK, WHITE = np.zeros((COUNT, 28, 28), np.uint8), np.full((COUNT, 28, 28), 255, np.uint8)


@pytest.fixture(autouse=True, scope="module")
def _no_key_is_used_twice() -> Iterator[None]:
    with jax.debug_key_reuse(True):
        yield


@pytest.fixture(scope="module")
def some(digits: np.ndarray) -> np.ndarray:
    return digits[:COUNT]


@cache
def batched(name: str) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return jax.jit(jax.vmap(CORRUPTIONS[name]), compiler_options=COMPILE_FAST)


def keys_of(seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), COUNT)


def scaled(images: np.ndarray) -> jax.Array:
    return jnp.asarray(images, jnp.float32) / 255


def corrupted(name: str, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Grey levels 0-255 of corrupted images; what is not one to rounding fails."""
    pixels = batched(name)(keys_of(seed), scaled(images))
    assert pixels.shape == images.shape
    assert pixels.dtype == jnp.float32
    levels = np.asarray(pixels, np.float64) * 255
    whole = np.rint(levels)
    np.testing.assert_allclose(levels, whole, rtol=0, atol=1e-4)
    assert whole.min() >= 0
    assert whole.max() <= 255
    return whole


def drawn(draw: Callable[[jax.Array], jax.Array], seed: int = 0) -> np.ndarray:
    """What a corruption draws from the keys of `corrupted`, drawn again."""
    return np.asarray(jax.jit(jax.vmap(draw))(keys_of(seed)))


def correlation(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    pairs = zip(images.reshape(COUNT, -1), others.reshape(COUNT, -1), strict=True)
    return np.array([np.corrcoef(one, other)[0, 1] for one, other in pairs])


def test_the_fifteen_families_in_the_published_order() -> None:
    assert list(CORRUPTIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_key_decides_and_nothing_else(name: str, some: np.ndarray) -> None:
    images, others = corrupted(name, some), corrupted(name, some, seed=1)
    np.testing.assert_array_equal(images, corrupted(name, some))
    differ = (images != others).any(axis=(1, 2))
    if name in FIXED:
        assert not differ.any()
    elif name in SIGNS:
        chance = 0.75 if name == "translate" else 0.5
        assert abs(differ.mean() - chance) < 4 * np.sqrt(chance * (1 - chance) / COUNT)
    else:
        assert differ.mean() > 0.95  # lines are few: 27 x 27, and 27 x 10 zigzags
    # At another place of the batch, beside others.
    order = np.arange(COUNT)[::-1]
    moved = batched(name)(keys_of(0)[order], scaled(some[order]))
    levels = np.asarray(moved, np.float64) * 255
    np.testing.assert_allclose(levels, images[order], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", sorted(set(NAMES) - SIGNS - {"scale", "stripe", "canny_edges"}))
def test_what_stays_in_place_stays_the_same_digit(name: str, some: np.ndarray) -> None:
    images = corrupted(name, some)
    assert (images != some).any(axis=(1, 2)).all()
    own, other = correlation(images, some), correlation(images, np.roll(some, 1, axis=0))
    print(f"{name}: {np.median(own):.2f} with its own digit, {np.median(other):.2f} with another")
    assert np.median(own) > 0.55
    assert (own > other).mean() > 0.95


# ---- Noise ----


@pytest.mark.parametrize("level", [0, 30, 128, 255])
def test_shot_noise_is_poissons(level: int) -> None:
    photons = corrupted("shot_noise", np.full_like(BLANK, level), seed=level) * 3 / 255
    mean = 3 * level / 255
    counts = np.bincount(np.rint(photons).astype(int).reshape(-1), minlength=4)
    assert len(counts) == 4
    expected = np.append(stats.poisson.pmf(range(3), mean), stats.poisson.sf(2, mean))
    assert np.abs(counts / counts.sum() - expected).max() < 4 * 0.5 / np.sqrt(counts.sum())


def test_impulse_noise_has_as_much_salt_as_pepper() -> None:
    grey = corrupted("impulse_noise", np.full_like(BLANK, 100))
    assert set(np.unique(grey)) == {0, 100, 255}
    for level, share in ((0, 0.085), (255, 0.085), (100, 0.83)):
        assert abs((grey == level).mean() - share) < 4 * np.sqrt(share * (1 - share) / grey.size)


# ---- Blur ----


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("border", ["edge", "constant"])
def test_smoothing_is_scipys(sigma: float, border: str) -> None:
    noise = np.random.RandomState(3).uniform(size=(28, 28)).astype(np.float32)
    mode = "nearest" if border == "edge" else "constant"
    theirs = ndimage.gaussian_filter(noise.astype(np.float64), sigma, mode=mode)
    if border == "constant":
        theirs /= ndimage.gaussian_filter(np.ones((28, 28)), sigma, mode=mode)
    np.testing.assert_allclose(smooth(jnp.asarray(noise), sigma, border), theirs, atol=1e-6)


def test_glass_blur_exchanges_neighbours_in_turn(some: np.ndarray) -> None:
    """The definition, pixel by pixel, with the numbers drawn again."""
    draws = drawn(lambda key: jax.random.randint(key, (2, 26, 26), 0, 8))
    steps = [(0, 0), (0, 1), (1, 0), (1, 1), *[(0, 0)] * 4]  # up, left
    images = corrupted("glass_blur", some)
    for place in range(3):
        pixels = ndimage.gaussian_filter(some[place] / 255, 0.7, mode="nearest")
        for turn in draws[place]:
            for row in range(27, 1, -1):
                for column in range(27, 1, -1):
                    up, left = steps[turn[27 - row, 27 - column]]
                    here, there = (row, column), (row - up, column - left)
                    pixels[here], pixels[there] = pixels[there], pixels[here]
        expected = ndimage.gaussian_filter(pixels, 0.7, mode="nearest") * 255
        assert np.abs(images[place] - expected).max() < 0.501


def test_motion_blur_smears_against_the_direction(some: np.ndarray) -> None:
    angles = drawn(
        lambda key: jax.random.uniform(key, (), minval=-jnp.pi / 4, maxval=jnp.pi / 4)
    ).astype(np.float64)
    weights = np.exp(-0.5 * (np.arange(21) / 3) ** 2)
    weights /= weights.sum()
    images = corrupted("motion_blur", some)
    for place in range(20):
        padded, expected = np.pad(some[place] / 1.0, 20, mode="edge"), np.zeros((28, 28))
        for step, weight in enumerate(weights):
            top = 20 + round(step * np.sin(angles[place]))
            left = 20 + round(step * np.cos(angles[place]))
            expected += weight * padded[top : top + 28, left : left + 28]
        assert np.abs(images[place] - expected).max() < 0.501
    # What is seen of it: ink moves to the left, up or down, and none is lost.
    dots = np.zeros_like(BLANK)
    dots[:, 14, 18] = 255
    smears = corrupted("motion_blur", dots)
    rows, columns = (smears.sum(axis=axis).nonzero()[1] for axis in (2, 1))
    assert columns.max() == 18
    assert rows.min() < 10 < 18 < rows.max()
    assert np.abs(smears.sum(axis=(1, 2)) - 255).max() < 8


# ---- Affine maps ----


def resampled(images: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The bilinear map about the centre in float64; `matrix` is in (row, column)."""
    offset = 13.5 * (1 - matrix.sum(axis=1))
    return np.stack(
        [
            ndimage.affine_transform(image / 1.0, matrix, offset, order=1, mode="grid-constant")
            for image in images
        ]
    )


COS, SIN = np.cos(0.4), np.sin(0.4)


@pytest.mark.parametrize(
    ("name", "matrices"),
    [
        ("scale", [[[1 / 0.7, 0], [0, 1 / 0.7]]]),
        ("rotate", [[[COS, SIN], [-SIN, COS]], [[COS, -SIN], [SIN, COS]]]),
        ("shear", [[[COS, 0], [-SIN, 1]], [[COS, 0], [SIN, 1]]]),
    ],
)
def test_affine_maps_are_scipys(
    name: str, matrices: list[list[list[float]]], some: np.ndarray
) -> None:
    images = corrupted(name, some)
    expected = np.stack([resampled(some, np.array(matrix)) for matrix in matrices])
    errors = np.abs(expected - images).max(axis=(2, 3))
    assert errors.min(axis=0).max() < 0.51
    shares = np.bincount(errors.argmin(axis=0), minlength=len(matrices)) / COUNT
    assert np.abs(shares - 1 / len(matrices)).max() < 4 * 0.5 / np.sqrt(COUNT)
    # The negative control: a hundredth more of the same map is seen.
    more = resampled(some, np.array(matrices[0]) * 1.01)
    assert np.abs(more - images).max(axis=(1, 2)).min() > 2


def test_points_move_where_the_definitions_say() -> None:
    """A spot 6 pixels right of the centre and 4 above it, and its centroid after the maps."""
    row, column = np.mgrid[:28, :28]
    spot = 255 * np.exp(-((row - 9.5) ** 2 + (column - 19.5) ** 2) / 8)
    spots = np.broadcast_to(spot.astype(np.uint8), BLANK.shape)
    right, up = 6, 4
    places = {
        "scale": {(0.7 * right, 0.7 * up)},
        "rotate": {(COS * right + s * up, COS * up - s * right) for s in (SIN, -SIN)},
        "shear": {(right + s * up / COS, up / COS) for s in (SIN, -SIN)},
        "translate": {(right + x, up + y) for x in (3, -3) for y in (3, -3)},
    }
    for name, expected in places.items():
        images = corrupted(name, spots)
        total = images.sum(axis=(1, 2))
        found = np.stack(
            [
                (images * (column - 13.5)).sum(axis=(1, 2)) / total,
                (images * (13.5 - row)).sum(axis=(1, 2)) / total,
            ],
            axis=1,
        )
        distances = np.linalg.norm(found[:, None] - np.array(sorted(expected)), axis=2)
        assert distances.min(axis=1).max() < 0.15, name
        assert set(distances.argmin(axis=1)) == set(range(len(expected))), name


def test_translation_moves_all_pixels_by_three(some: np.ndarray) -> None:
    images = corrupted("translate", some)
    framed = np.pad(some, ((0, 0), (3, 3), (3, 3)))
    shifted = [framed[:, y : y + 28, x : x + 28] for y in (0, 6) for x in (0, 6)]
    same = np.stack([(images == each).all(axis=(1, 2)) for each in shifted])
    assert (same.sum(axis=0) == 1).all()
    assert np.abs(same.mean(axis=1) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / COUNT)


# ---- Light ----


def test_brightness_adds_half_the_range(some: np.ndarray) -> None:
    assert (corrupted("brightness", BLANK) == 128).all()
    images = corrupted("brightness", some)
    assert np.abs(images - np.minimum(some + 127.5, 255)).max() < 0.51


def test_stripe_inverts_the_outer_quarters(some: np.ndarray) -> None:
    images, outer = corrupted("stripe", some), [*range(7), *range(21, 28)]
    np.testing.assert_array_equal(images[:, :, 7:21], some[:, :, 7:21])
    np.testing.assert_array_equal(images[:, :, outer], 255 - some[:, :, outer])


# ---- Weather ----


def test_subdivision_takes_the_means_of_neighbours() -> None:
    heights = np.random.RandomState(0).uniform(size=(4, 4)).astype(np.float32)
    noise = np.random.RandomState(1).uniform(size=(8, 8)).astype(np.float32)
    twice = np.asarray(subdivide(jnp.asarray(heights), jnp.asarray(noise)))
    np.testing.assert_array_equal(twice[::2, ::2], heights)
    for row in range(8):
        for column in range(8):
            apart = {(0, 0): [], (1, 1): [(1, 1), (1, -1), (-1, 1), (-1, -1)]}.get(
                (row % 2, column % 2), [(0, 1), (0, -1), (1, 0), (-1, 0)]
            )
            if apart:
                mean = np.mean([twice[(row + y) % 8, (column + x) % 8] for y, x in apart])
                np.testing.assert_allclose(twice[row, column], mean + noise[row, column], rtol=1e-5)


def test_the_fractal_is_the_corner_of_the_whole_map() -> None:
    """All eight levels on 256 x 256 points, with the numbers of `fractal` where it has any."""
    key = jax.random.key(4)
    keys = jax.random.split(jax.random.clone(key))
    coarse = np.asarray(jax.random.uniform(keys[0], (32, 32), minval=-1))
    fine = np.asarray(jax.random.uniform(keys[1], (56, 56), minval=-1))
    noise = np.random.RandomState(2).uniform(-1, 1, (256, 256)).astype(np.float32)
    places = np.arange(-8, 48)
    noise[np.ix_(places, places)] = fine
    noise[::8, ::8] = coarse
    heights, double = jnp.zeros((1, 1)), jax.jit(subdivide, compiler_options=COMPILE_FAST)
    for level in range(8):
        stride = 128 >> level
        heights = double(heights, jnp.asarray(noise[::stride, ::stride]) / 1.96**level)
    whole = np.asarray(heights)
    ours = np.asarray(jax.jit(fractal, compiler_options=COMPILE_FAST)(key))
    assert 0 <= ours.min() < ours.max() <= 1
    corner = whole[:28, :28]
    # Only its range is not that of the whole map, but that of every 8th point of it.
    slope, start = np.polyfit(corner.reshape(-1), ours.reshape(-1), 1)
    np.testing.assert_allclose(ours, slope * corner + start, atol=1e-5)
    assert 1 <= slope * (whole.max() - whole.min()) < 1.04


def test_fog_keeps_the_brightest_and_hides_no_blank(some: np.ndarray) -> None:
    assert (corrupted("fog", BLANK) == 0).all()
    white = corrupted("fog", WHITE)  # (1 + 3 f) / 4
    assert white.min() >= 63
    assert white.mean((1, 2)).std() > 20  # some fogs are thick
    # What fog adds does not depend on the image, but for the factor most / (most + 3). Both are
    # rounded to half a level, then multiplied.
    images = corrupted("fog", some)
    most = some.max(axis=(1, 2), keepdims=True) / 255
    factor = (most + 3) / most
    added = images * factor - some
    assert (np.abs(added - (4 * white - 255)) < 0.51 * (factor + 4)).all()


def test_spatter_covers_with_mud() -> None:
    blank, white = corrupted("spatter", BLANK), corrupted("spatter", WHITE)
    mud = blank[blank > 0]
    assert mud.min() >= round(0.8 * 63)
    assert mud.max() == 63
    assert 0.08 < (blank > 0).mean() < 0.2
    # The same drops on ink: what 63 covers, 255 does not show.
    assert np.abs(white - (255 - blank * 192 / 63)).max() < 2.6


# ---- Marks ----


def inked(left: tuple[float, float], right: tuple[float, float]) -> np.ndarray:
    """The ink of a line between two points (column, row), in float64."""
    row, column = np.mgrid[:28, :28]
    slope = (right[1] - left[1]) / (right[0] - left[0])
    distance = np.abs(row - left[1] - slope * (column - left[0]))
    ink = np.clip(1 + np.log(np.maximum(1 - distance / 2.3, 1e-9)), 0, 1)
    return np.where((column >= np.floor(left[0])) & (column < np.ceil(right[0])), ink, 0)


def test_a_dotted_line_runs_between_its_ends() -> None:
    images = corrupted("dotted_line", BLANK)
    ends = drawn(lambda key: jax.random.randint(key, (2,), 0, 27))
    assert ends.min(axis=0).tolist() == [0, 0]
    assert ends.max(axis=0).tolist() == [26, 26]
    dots = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26]  # not 27, where the line ends
    assert set(images.nonzero()[2]) == set(dots)
    for image, (left, right) in zip(images, ends, strict=True):
        expected = 255 * inked((0, left), (27, right))[:, dots]
        assert np.abs(image[:, dots] - expected).max() < 0.51


def test_a_zigzag_goes_up_and_down_along_its_line() -> None:
    def numbers(key: jax.Array) -> jax.Array:
        row_key, fall_key = jax.random.split(key)
        row = jax.random.randint(row_key, (), 0, 27)
        return jnp.stack([row, jax.random.randint(fall_key, (), -5, 5)])

    images, draws = corrupted("zigzag", BLANK), drawn(numbers)
    assert draws.min(axis=0).tolist() == [0, -5]
    assert draws.max(axis=0).tolist() == [26, 4]
    for image, (row, fall) in zip(images, draws, strict=True):
        angle, length = np.arctan(fall / 23), np.hypot(23, fall)
        corners = [(0, 0), (2, 2), (6, -2), (10, 2), (14, -2), (18, 2), (22, -2)]
        turned = np.array([*corners, (length, -2 / (2 * (length - 20)))]) @ [
            [np.cos(angle), np.sin(angle)],
            [-np.sin(angle), np.cos(angle)],
        ]
        points = turned + np.array([2, row])
        expected = sum(inked(*pair) for pair in pairwise(points)) * 255
        assert np.abs(image - np.minimum(expected, 255)).max() < 0.51


def test_lines_only_add_ink(some: np.ndarray) -> None:
    for name in ("dotted_line", "zigzag"):
        added = corrupted(name, BLANK)
        assert np.abs(corrupted(name, some) - np.minimum(some + added, 255)).max() < 1.1


# ---- Edges ----


def canny(image: np.ndarray) -> np.ndarray:
    """Canny's detector in float64, out of scipy's parts."""
    smoothed = ndimage.gaussian_filter(image / 255, 1, mode="constant")
    smoothed /= ndimage.gaussian_filter(np.ones((28, 28)), 1, mode="constant")
    down, across = ndimage.sobel(smoothed, axis=0), ndimage.sobel(smoothed, axis=1)
    size = np.hypot(down, across)
    longest = np.maximum(np.maximum(np.abs(down), np.abs(across)), 1e-9)
    places, step = np.mgrid[:28, :28], np.stack([down, across]) / longest
    thin = size >= 0.1
    for sign in (1, -1):
        beside = ndimage.map_coordinates(size, places + sign * step, order=1, mode="grid-constant")
        thin &= size >= beside - 1e-12
    thin[[0, -1]] = thin[:, [0, -1]] = False
    parts, _ = ndimage.label(thin, np.ones((3, 3)))
    return thin & np.isin(parts, np.unique(parts[thin & (size >= 0.2)]))


def test_cannys_edges_are_thin_lines_about_the_ink(some: np.ndarray) -> None:
    assert (corrupted("canny_edges", BLANK) == 0).all()
    assert (corrupted("canny_edges", WHITE) == 0).all()  # not the border of the image
    images = corrupted("canny_edges", some)
    assert set(np.unique(images)) == {0, 255}
    # Moved to the border as well, where a part of the Gaussian falls outside.
    for shown in (some, np.roll(some, (-5, 6), axis=(1, 2))):
        edges = corrupted("canny_edges", shown) > 0
        expected = np.stack([canny(image) for image in shown])
        differ = edges != expected
        print(f"{differ.sum()} of {expected.sum()} pixels of edges differ")
        assert differ.sum() < 0.0005 * expected.sum()
    # The negative control: a digit an eighth as bright has fewer above the thresholds.
    assert ((images > 0) & ~np.stack([canny(image // 8) for image in some])).sum() > 100


def test_cannys_weak_edges_stay_where_they_touch_a_strong_one() -> None:
    """A vertical edge that fades from top to bottom, and the same one five times as faint."""
    steps = np.zeros_like(BLANK)
    steps[:, :, 14:] = np.linspace(60, 8, 28).astype(np.uint8)[None, :, None]
    edges = corrupted("canny_edges", steps)[0] > 0
    assert edges[2:20].any(axis=1).all()
    np.testing.assert_array_equal(edges, canny(steps[0]))
    assert (corrupted("canny_edges", steps // 5) == 0).all()  # weak ones alone
