"""Random changes to one image, as pure functions `(key, image) -> image` in [0, 1].

Geometry follows Pillow, which the published systems used (through torchvision): nearest
neighbour, pixel centres at half-integers, coordinates in 16.16 fixed point, same size out, fill 0.
Every function takes one example; batches come from `vmap` in one place, the generator.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Image = Float[Array, "height width"]
Transform = Callable[[Key[Array, ""], Image], Image]

# torchvision's Normalize((0.1307,), (0.3081,)): mean and sd of MNIST's training pixels in [0, 1].
MEAN, SD = 0.1307, 0.3081
FIXED = 1 << 16  # Pillow's ImagingTransformAffine counts in 1/65536 of a pixel


def normalise(image: Image) -> Image:
    """Maps [0, 1] to the networks' input scale; black becomes -0.4242."""
    return (image - MEAN) / SD


def warp(image: Image, matrix: Float[Array, "2 3"]) -> Image:
    """Resamples by nearest neighbour as `PIL.Image.transform(size, AFFINE, ..., NEAREST)` does.

    `matrix` maps output to input coordinates in pixels: source = matrix @ (x, y, 1). Pixels whose
    source lies outside the image become 0.
    """
    height, width = image.shape
    # The integer arithmetic is Pillow's own, so ties fall as they fall there.
    offset = matrix @ jnp.array([0.5, 0.5, 1.0])
    linear = jnp.floor(matrix[:, :2] * FIXED + 0.5).astype(jnp.int32)
    start = jnp.floor(offset * FIXED + 0.5).astype(jnp.int32)
    column, row = jnp.arange(width)[None, :], jnp.arange(height)[:, None]
    x = (start[0] + linear[0, 0] * column + linear[0, 1] * row) >> 16
    y = (start[1] + linear[1, 0] * column + linear[1, 1] * row) >> 16
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # take_along_axis keeps a batch dimension under vmap; a flat gather is ten times slower on CPU.
    source = jnp.where(inside, y * width + x, 0).reshape(-1)
    pixels = jnp.take_along_axis(image.reshape(-1), source, axis=0)
    return jnp.where(inside, pixels.reshape(height, width), 0)


def about_centre(linear: Float[Array, "2 2"], shift: Float[Array, " 2"], image: Image) -> Array:
    """Builds the output-to-input matrix that turns about the centre, then shifts by `shift`."""
    height, width = image.shape
    centre = jnp.array([width / 2, height / 2])
    return jnp.column_stack([linear, centre - linear @ (centre + shift)])


def rotate(image: Image, angle: Float[Array, ""]) -> Image:
    """Rotates counter-clockwise by `angle` radians, as `PIL.Image.rotate` does."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    linear = jnp.array([[cos, -sin], [sin, cos]])
    return warp(image, about_centre(linear, jnp.zeros(2), image))


def affine(
    image: Image, angle: Float[Array, ""], shift: Float[Array, " 2"], scale: Float[Array, ""]
) -> Image:
    """Rotates clockwise by `angle` radians, scales and shifts, as `torchvision...affine` does."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    linear = jnp.array([[cos, sin], [-sin, cos]]) / scale
    return warp(image, about_centre(linear, shift, image))


def random_rotation(key: Key[Array, ""], image: Image, *, degrees: float) -> Image:
    """Rotates by an angle uniform in +-`degrees` (torchvision's RandomRotation)."""
    limit = math.radians(degrees)
    return rotate(image, jax.random.uniform(key, (), minval=-limit, maxval=limit))


def random_invert(key: Key[Array, ""], image: Image, *, probability: float) -> Image:
    """Exchanges ink and ground with `probability` (torchvision's RandomInvert)."""
    return jnp.where(jax.random.bernoulli(key, probability), 1 - image, image)


def random_affine(
    key: Key[Array, ""],
    image: Image,
    *,
    degrees: float,
    translate: float,
    scale: tuple[float, float],
) -> Image:
    """Rotates, shifts by whole pixels and scales (torchvision's RandomAffine).

    The shift is uniform in +-`translate` x size and *rounded*: 0.1 of 28 pixels gives -3..3, of
    which +-3 come up 5.4 % of the time each and the others 17.9 %.
    """
    angle_key, shift_key, scale_key = jax.random.split(key, 3)
    limit = math.radians(degrees)
    angle = jax.random.uniform(angle_key, (), minval=-limit, maxval=limit)
    reach = translate * jnp.array(image.shape[::-1], jnp.float32)
    shift = jnp.round(jax.random.uniform(shift_key, (2,), minval=-reach, maxval=reach))
    factor = jax.random.uniform(scale_key, (), minval=scale[0], maxval=scale[1])
    return affine(image, angle, shift, factor)


def random_noise(key: Key[Array, ""], image: Image, *, probability: float, sigma: float) -> Image:
    """Adds Gaussian noise, not clipped, with `probability`."""
    coin_key, noise_key = jax.random.split(key)
    noise = sigma * jax.random.normal(noise_key, image.shape)
    return jnp.where(jax.random.bernoulli(coin_key, probability), image + noise, image)


def compose(*transforms: Transform) -> Transform:
    """Runs transforms in order, each with a key of its own."""

    def transform(key: Key[Array, ""], image: Image) -> Image:
        for number, step in enumerate(transforms):
            image = step(jax.random.fold_in(key, number), image)
        return image

    return transform


def augmentation(
    *,
    rotation_degrees: float,
    invert_probability: float,
    affine_degrees: float,
    translate: float,
    scale: tuple[float, float],
    noise_probability: float,
    noise_sigma: float,
) -> Transform:
    """Builds the published chain: rotation, inversion, affine, noise; what is zero is left out."""
    steps: list[Transform] = []
    if rotation_degrees:
        steps.append(partial(random_rotation, degrees=rotation_degrees))
    if invert_probability:
        steps.append(partial(random_invert, probability=invert_probability))
    if affine_degrees or translate or scale != (1.0, 1.0):
        steps.append(
            partial(random_affine, degrees=affine_degrees, translate=translate, scale=scale)
        )
    if noise_probability:
        steps.append(partial(random_noise, probability=noise_probability, sigma=noise_sigma))
    return compose(*steps)
