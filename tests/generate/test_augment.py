"""Per-digit transforms against Pillow, pixel by pixel, on a thousand real digits.

Counted on MNIST's first thousand training digits: no pixel of 784,000 differs.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxmnist.config import Augment
from jaxmnist.generate import augment
from jaxmnist.generate.augment import (
    affine,
    augmentation,
    random_affine,
    random_centre_crop,
    random_invert,
    random_noise,
    resize,
    rotate,
    warp,
)
from tests.helpers import recipe

# Pixels of 784,000 that may differ. Pillow computes the matrix in float64 before it counts in
# 1/65536 of a pixel; here it is float32: a source within 1/2000 pixel of an edge may fall beyond.
ALLOWED = 8
RANDOM = np.random.RandomState(7)


def pillow(images: np.ndarray, matrices: list[list[float]], fill: int = 0) -> np.ndarray:
    return np.stack(
        [
            np.asarray(
                Image.fromarray(image).transform(
                    (28, 28), Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST,
                    fillcolor=fill,
                )
            )
            for image, matrix in zip(images, matrices, strict=True)
        ]
    )  # fmt: skip


def torchvision_matrix(angle: float, shift: np.ndarray, scale: float) -> list[float]:
    """torchvision's _get_inverse_affine_matrix without shear, in float64."""
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = -14 - shift[0], -14 - shift[1]
    return [cos, sin, cos * x + sin * y + 14, -sin, cos, -sin * x + cos * y + 14]


def differing(ours: jax.Array, theirs: np.ndarray) -> int:
    return int((np.asarray(ours) != theirs).sum())


def pillow_rotated(images: np.ndarray, angles: np.ndarray, fill: int) -> np.ndarray:
    return np.stack(
        [
            np.asarray(Image.fromarray(d).rotate(a, Image.Resampling.NEAREST, fillcolor=fill))
            for d, a in zip(images, angles, strict=True)
        ]
    )


def pillow_enlarged(
    images: np.ndarray, rule: Image.Resampling = Image.Resampling.BILINEAR, edge: int = 3
) -> np.ndarray:
    """torchvision's CenterCrop(22), whose corner is at round((28 - 22) / 2), and Resize."""
    box = (edge, edge, edge + 22, edge + 22)
    return np.stack(
        [np.asarray(Image.fromarray(d).crop(box).resize((28, 28), rule)) for d in images]
    )


def grey_levels(images: jax.Array) -> np.ndarray:
    """Whole levels of images in [0, 1]; what is not one to rounding fails."""
    levels = np.asarray(images, np.float64) * 255
    whole = np.rint(levels)
    np.testing.assert_allclose(levels, whole, rtol=0, atol=1e-4)
    return whole


@pytest.mark.parametrize("fill", [0, 1])
def test_rotation_is_pillows(digits: np.ndarray, fill: int) -> None:
    angles = RANDOM.uniform(-45, 45, len(digits))
    theirs = pillow_rotated(digits, angles, fill)
    turn = jax.jit(jax.vmap(partial(rotate, fill=float(fill))))
    ours = turn(jnp.asarray(digits, jnp.float32), jnp.radians(jnp.asarray(angles, jnp.float32)))
    count = differing(ours, theirs)
    print(f"rotation on {fill}: {count} of {theirs.size} pixels differ")
    assert count <= ALLOWED
    # The negative controls: another fill, half a degree more, and another direction of turning.
    assert differing(ours, pillow_rotated(digits, angles, 1 - fill)) > 10 * ALLOWED
    for other in (angles + 0.5, -angles):
        turned = turn(
            jnp.asarray(digits, jnp.float32), jnp.radians(jnp.asarray(other, jnp.float32))
        )
        assert differing(turned, theirs) > 10 * ALLOWED


def test_affine_is_torchvisions_through_pillow(digits: np.ndarray) -> None:
    n = len(digits)
    angles = np.radians(RANDOM.uniform(-10, 10, n))
    shifts = np.round(RANDOM.uniform(-2.8, 2.8, (n, 2)))
    scales = RANDOM.uniform(0.9, 1.1, n)
    matrices = [torchvision_matrix(*each) for each in zip(angles, shifts, scales, strict=True)]
    theirs = pillow(digits, matrices)
    arguments = (jnp.asarray(a, jnp.float32) for a in (digits, angles, shifts, scales))
    ours = jax.jit(jax.vmap(affine))(*arguments)
    count = differing(ours, theirs)
    print(f"affine: {count} of {theirs.size} pixels differ")
    assert count <= ALLOWED
    # The negative control: another fill rule.
    assert differing(ours, pillow(digits, matrices, fill=1)) > 10 * ALLOWED


def test_enlarging_the_middle_is_pillows(digits: np.ndarray) -> None:
    images = jnp.asarray(digits, jnp.float32) / 255
    theirs = pillow_enlarged(digits)
    enlarge = jax.jit(jax.vmap(lambda image: resize(image[3:25, 3:25], 28, 28)))
    # Integers in Pillow and here: not one pixel may differ.
    assert differing(grey_levels(enlarge(images)), theirs) == 0
    keys = jax.random.split(jax.random.key(0), len(digits))

    def cropped(probability: float) -> np.ndarray:
        crop = partial(random_centre_crop, size=22, probability=probability)
        return grey_levels(jax.jit(jax.vmap(crop))(keys, images))

    np.testing.assert_array_equal(cropped(1.0), theirs)
    np.testing.assert_array_equal(cropped(0.0), digits)
    some = cropped(0.1)
    cut = (some == theirs).all((1, 2))
    assert (cut | (some == digits).all((1, 2))).all()
    assert abs(cut.mean() - 0.1) < 4 * np.sqrt(0.09 / len(digits))
    # The negative controls: another rule of interpolation, and a corner one pixel further.
    for other in (
        pillow_enlarged(digits, Image.Resampling.BICUBIC),
        pillow_enlarged(digits, edge=4),
    ):
        assert differing(theirs, other) > 10 * ALLOWED


def test_the_chain_of_model_3_is_pillows(digits: np.ndarray) -> None:
    """Crop, rotation on grey level 1, shift by whole pixels on 0: as one published system has it.

    The crop is made in half of the cases, not a tenth, so that both paths are seen. The drawn
    numbers are drawn again from the keys of the chain, and Pillow does the rest.
    """
    fields = recipe("models:model_3", {"augment.crop_probability": 0.5}).augment
    assert (fields.rotation_fill, fields.rotation_degrees) == (1 / 255, 7.0)
    keys = jax.random.split(jax.random.key(3), len(digits))

    def drawn(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        crop, turn, move = (jax.random.fold_in(key, number) for number in range(3))
        limit = math.radians(7)
        shift_key = jax.random.split(move, 3)[1]
        return (
            jax.random.bernoulli(crop, 0.5),
            jax.random.uniform(turn, (), minval=-limit, maxval=limit),
            jnp.round(jax.random.uniform(shift_key, (2,), minval=-2, maxval=2)),
        )

    cuts, angles, shifts = (np.asarray(column) for column in jax.jit(jax.vmap(drawn))(keys))
    assert 0.4 < cuts.mean() < 0.6
    assert set(shifts.ravel().tolist()) == {-2, -1, 0, 1, 2}

    def chain(rule: Image.Resampling, fill: int, shifts: np.ndarray) -> np.ndarray:
        images = np.where(cuts[:, None, None], pillow_enlarged(digits, rule), digits)
        images = pillow_rotated(images, np.degrees(angles.astype(np.float64)), fill)
        return pillow(images, [torchvision_matrix(0.0, shift, 1.0) for shift in shifts])

    transform = jax.jit(jax.vmap(augmentation(fields)))
    ours = grey_levels(transform(keys, jnp.asarray(digits, jnp.float32) / 255))
    count = differing(ours, chain(Image.Resampling.BILINEAR, 1, shifts))
    print(f"the chain of model 3: {count} of {ours.size} pixels differ")
    assert count <= ALLOWED
    # The negative controls: another fill, another interpolation, and a shift the other way.
    assert differing(ours, chain(Image.Resampling.BILINEAR, 0, shifts)) > 10 * ALLOWED
    assert differing(ours, chain(Image.Resampling.BICUBIC, 1, shifts)) > 10 * ALLOWED
    assert differing(ours, chain(Image.Resampling.BILINEAR, 1, -shifts)) > 10 * ALLOWED


def test_warp_fills_with_black_and_keeps_the_size(digits: np.ndarray) -> None:
    image = jnp.asarray(digits[0], jnp.float32) + 1
    moved = warp(image, jnp.array([[1.0, 0, -5], [0, 1, 0]]))
    assert moved.shape == image.shape
    assert (moved[:, :5] == 0).all()
    np.testing.assert_array_equal(moved[:, 5:], image[:, :-5])


def test_shifts_are_whole_pixels_with_the_published_frequencies() -> None:
    dot = jnp.zeros((28, 28)).at[14, 14].set(1.0)
    shift = partial(random_affine, degrees=0.0, translate=0.1, scale=(1.0, 1.0))
    moved = jax.jit(jax.vmap(shift, in_axes=(0, None)))(
        jax.random.split(jax.random.key(0), 20_000), dot
    )
    where = np.argwhere(np.asarray(moved) == 1)[:, 2] - 14
    shares = np.bincount(where + 3, minlength=7) / len(moved)
    # U(-2.8, 2.8) rounded: +-3 from 0.3 of 5.6, the others from 1 of 5.6; 4 sd of 20,000 draws.
    expected = np.array([0.3, 1, 1, 1, 1, 1, 0.3]) / 5.6
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.18 * 0.82 / 20_000)


def test_angles_and_factors_are_uniform_between_their_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def note(image: jax.Array, angle: jax.Array, shift: jax.Array, scale: jax.Array) -> jax.Array:
        return image.at[0, :2].set(jnp.stack([angle, scale]))

    monkeypatch.setattr(augment, "affine", note)
    draw = partial(random_affine, degrees=10.0, translate=0.1, scale=(0.9, 1.1))
    keys = jax.random.split(jax.random.key(0), 20_000)
    angles, factors = np.asarray(
        jax.jit(jax.vmap(lambda key, image: draw(key, image)[0, :2], in_axes=(0, None)))(
            keys, jnp.zeros((28, 28))
        )
    ).T
    for values, low, high in ((np.degrees(angles), -10, 10), (factors, 0.9, 1.1)):
        assert low <= values.min()
        assert values.max() <= high
        # Five standard errors of 20,000 draws, for the mean and for the variance.
        half = (high - low) / 2
        assert abs(values.mean() - (low + high) / 2) < 5 * half / np.sqrt(3 * len(values))
        assert abs(values.var() / (half**2 / 3) - 1) < 5 * np.sqrt(0.8 / len(values))


def test_inversion_and_noise() -> None:
    images = jnp.broadcast_to(jnp.linspace(0, 1, 784).reshape(28, 28), (4_000, 28, 28))
    keys = jax.random.split(jax.random.key(1), len(images))
    inverted = jax.vmap(partial(random_invert, probability=0.5))(keys, images)
    flipped = np.asarray((inverted == 1 - images).all(axis=(1, 2)))
    kept = np.asarray((inverted == images).all(axis=(1, 2)))
    assert (flipped ^ kept).all()
    assert abs(flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(images))
    noisy = jax.vmap(partial(random_noise, probability=1.0, sigma=0.15))(
        jax.random.split(jax.random.key(2), len(images)), images
    )
    noise = np.asarray(noisy - images)
    assert abs(noise.std() - 0.15) < 0.001
    assert np.asarray(noisy).min() < 0 < 1 < np.asarray(noisy).max()  # not clipped


@pytest.mark.parametrize("inverted", [False, True])
def test_the_affine_after_the_inversion_makes_black_corners(inverted: bool) -> None:
    """The published order: an inverted digit is turned on black, not on white."""
    fields = Augment(invert_probability=1.0 if inverted else 0.0, scale=(0.5, 0.5))
    transform = augmentation(fields)
    result = transform(jax.random.key(0), jnp.zeros((28, 28)))
    assert result[0, 0] == 0
    assert result[14, 14] == float(inverted)
