"""How the picture of a page is taken: light, paper, lens, sensor and file; functions of a key.

The result is what an image can hold: whole grey levels from 0 to 255, as pixels in [0, 1].
"""

import math
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxmnist.rng import Seed, fast_normal, fast_uniform, seed_of
from jaxmnist.string_config import Camera
from jaxmnist.strings.canvas import SCALARS, Ink, Strength, between, is_on, smooth_noise
from jaxmnist.xla import no_inline

CLOUDS = 7  # pixels between two knots of the paper's texture
RADIUS = 5  # of the blur's kernel: two sigmas of the strongest
BLOCK = 8  # pixels of a JPEG block

# Table K.1 of the JPEG standard (ITU-T T.81, 1992): the coarseness of luminance by frequency.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)


def take_picture(key: Key[Array, ""], ink: Ink, fields: Camera) -> Ink:
    """Returns the picture of a page.

    Noise and the blocks of a JPEG file are in proportion to the contrast that is left:
    nobody could read what is both faint and covered.
    """
    seeds = seed_of(jax.random.split(key, 7))
    image, contrast, size = ink, jnp.float32(1), (ink.shape[0], ink.shape[1])
    if is_on(fields.contrast_probability):
        coin, drawn, base = fast_uniform(seeds[0], (3,))
        drawn = between(fields.contrast, drawn)
        contrast = jnp.where(coin < fields.contrast_probability, drawn, 1)
        image = base * (1 - contrast) + contrast * image
    if is_on(fields.light_probability):
        image = no_inline(_lit, seeds[1], image, fields)
    if is_on(fields.texture_probability):
        coin, drawn = fast_uniform(seeds[2], (2,))
        strength = _strength(coin, fields.texture_probability, fields.texture, drawn)
        image += strength * contrast * smooth_noise(seeds[2], (1, *size), CLOUDS)[0]
    if is_on(fields.blur_probability):
        image, sigma = no_inline(_blurred, seeds[3], image, fields)
        contrast *= jax.lax.rsqrt(1 + jnp.square(sigma) / 2)  # of strokes two pixels wide
    if is_on(fields.noise_probability):
        image = no_inline(_noisy, seeds[4], image, contrast, fields)
    if is_on(fields.impulse_probability):
        image = no_inline(_impulses, seeds[5], image, fields)
    image = jnp.clip(image, 0, 1)
    if is_on(fields.jpeg_probability):
        image = no_inline(_compressed, seeds[6], image, contrast, fields)
    return jnp.round(image * 255) / 255


def _strength(
    coin: Array, probability: Strength, span: tuple[Strength, Strength], drawn: Array
) -> Array:
    """Returns an effect's strength: zero where it is not drawn."""
    return jnp.where(coin < probability, between(span, drawn), 0)


@jax.jit
def _lit(seed: Seed, image: Ink, fields: Camera) -> Ink:
    """Darkens the picture towards one side and its corners; half of the time, its negative.

    A picture of dark ink on white paper is such a negative: its paper changes, not its ink.
    """
    height, width = image.shape
    y = jnp.linspace(-1, 1, height)[:, None]
    x = jnp.linspace(-1, 1, width)[None]
    coin, drawn, angle, corners, negative = fast_uniform(seed, (5,))
    missing = _strength(coin, fields.light_probability, fields.light, drawn)
    angle = 2 * math.pi * angle
    gradient = (1 + x * jnp.cos(angle) + y * 0.5 * jnp.sin(angle)) / 2
    vignette = (x**2 + y**2) / 2
    dark = missing * jnp.clip(gradient * (1 - corners) + vignette * corners, 0, 1)
    return image * (1 - dark) + jnp.where(negative < 0.5, dark, 0)


@jax.jit
def _blurred(seed: Seed, image: Ink, fields: Camera) -> tuple[Ink, Float[Array, ""]]:
    """Blurs by a Gaussian, and returns its sigma; half of the time it is less in one direction."""
    coin, drawn, uneven, share = fast_uniform(seed, (4,))
    sigma = _strength(coin, fields.blur_probability, fields.blur, drawn)
    less = jnp.where(uneven < 0.5, 1, share)
    across = sigma * jnp.where(uneven < 0.25, less, 1)
    down = sigma * jnp.where(uneven < 0.25, 1, less)
    places = jnp.arange(-RADIUS, RADIUS + 1)
    for axis, width in enumerate((down, across)):
        weights = jnp.exp(-jnp.square(places) / (2 * jnp.square(width) + 1e-6))
        weights /= weights.sum()
        frame = [(RADIUS, RADIUS) if i == axis else (0, 0) for i in range(2)]
        padded = jnp.pad(image, frame, mode="edge")
        size = image.shape[axis]
        parts = [
            weight * jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
            for start, weight in enumerate(weights)
        ]
        image = reduce(jnp.add, parts)
    return image, sigma


@jax.jit
def _noisy(seed: Seed, image: Ink, contrast: Float[Array, ""], fields: Camera) -> Ink:
    """Adds noise in proportion to the contrast."""
    coin, drawn = fast_uniform(seed, (2,))
    sigma = _strength(coin, fields.noise_probability, fields.noise, drawn)
    return image + sigma * contrast * fast_normal(seed, image.shape, start=SCALARS)


@jax.jit
def _impulses(seed: Seed, image: Ink, fields: Camera) -> Ink:
    """Makes single pixels as dark or as bright as the picture gets."""
    coin, drawn = fast_uniform(seed, (2,))
    share = _strength(coin, fields.impulse_probability, fields.impulse, drawn)
    pixels = fast_uniform(seed, image.shape, start=SCALARS)
    darkest, brightest = image.min(), image.max()
    return jnp.where(pixels < share / 2, darkest, jnp.where(pixels < share, brightest, image))


@jax.jit
def _compressed(seed: Seed, image: Ink, contrast: Float[Array, ""], fields: Camera) -> Ink:
    """Rounds the cosine transform of blocks of 8x8 pixels, as a JPEG file does.

    Coarseness is in proportion to the contrast, of which nothing would be left otherwise.
    """
    coin, drawn = fast_uniform(seed, (2,))
    coarse = contrast * _strength(coin, fields.jpeg_probability, fields.jpeg, drawn)
    height, width = image.shape
    frame = [(0, -height % BLOCK), (0, -width % BLOCK)]
    padded = jnp.pad(image, frame, mode="edge")
    rows, columns = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    blocks = padded.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3)
    # A block is one vector, and its transform in both directions one matrix.
    matrix = np.kron(cosine_matrix(), cosine_matrix())
    levels = (blocks.reshape(-1, BLOCK**2) * 255 - 128) @ matrix.T
    step = jnp.maximum(LUMINANCE.reshape(1, -1) * coarse, 1e-3)
    blocks = ((jnp.round(levels / step) * step) @ matrix).reshape(blocks.shape)
    changed = blocks.transpose(0, 2, 1, 3).reshape(padded.shape)[:height, :width]
    return jnp.where(coarse > 0, jnp.clip((changed + 128) / 255, 0, 1), image)


def cosine_matrix() -> Float[np.ndarray, "8 8"]:
    """Returns the orthonormal cosine transform (DCT-II)."""
    frequency, place = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None]
    matrix = np.cos(np.pi * (2 * place + 1) * frequency / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    matrix[0] /= 2**0.5
    return matrix.astype(np.float32)
