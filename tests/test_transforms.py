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

from jaxmnist.generate.transforms import (
    affine,
    augmentation,
    random_affine,
    random_invert,
    random_noise,
    rotate,
    warp,
)

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


def test_rotation_is_pillows(digits: np.ndarray) -> None:
    angles = RANDOM.uniform(-45, 45, len(digits))
    theirs = np.stack(
        [
            np.asarray(Image.fromarray(d).rotate(a, Image.Resampling.NEAREST, fillcolor=0))
            for d, a in zip(digits, angles, strict=True)
        ]
    )
    ours = jax.jit(jax.vmap(rotate))(
        jnp.asarray(digits, jnp.float32), jnp.radians(jnp.asarray(angles, jnp.float32))
    )
    count = differing(ours, theirs)
    print(f"rotation: {count} of {theirs.size} pixels differ")
    assert count <= ALLOWED
    # The negative twins: half a degree more, and another direction of turning.
    turned = jax.vmap(rotate)(
        jnp.asarray(digits, jnp.float32), jnp.radians(jnp.asarray(angles + 0.5, jnp.float32))
    )
    assert differing(turned, theirs) > 10 * ALLOWED
    other = jax.vmap(rotate)(
        jnp.asarray(digits, jnp.float32), -jnp.radians(jnp.asarray(angles, jnp.float32))
    )
    assert differing(other, theirs) > 10 * ALLOWED


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
    # The negative twin: another fill rule.
    assert differing(ours, pillow(digits, matrices, fill=1)) > 10 * ALLOWED


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
    transform = augmentation(invert_probability=1.0 if inverted else 0.0, scale=(0.5, 0.5))
    result = transform(jax.random.key(0), jnp.zeros((28, 28)))
    assert result[0, 0] == 0
    assert result[14, 14] == float(inverted)
