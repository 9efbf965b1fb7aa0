"""Augmentations of one image: pure functions `(key, image) -> image`, pixels in [0, 1].

Geometry follows Pillow, which the published systems used (through torchvision): nearest
neighbour, pixel centres at half-integers, coordinates in 16.16 fixed point, same size out, fill 0
unless stated; resizing is bilinear on whole grey levels.
Every function takes one image; batches come from `vmap` in steps.py and evaluation.py.
"""

import math
from collections.abc import Callable
from functools import cache, partial, wraps

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxmnist.config import Augment
from jaxmnist.constants import MEAN, SD

Image = Float[Array, "height width"]
Transform = Callable[[Key[Array, ""], Image], Image]

FIXED = 1 << 16  # Pillow's ImagingTransformAffine counts in 1/65536 of a pixel
PRECISION = 1 << 22  # and its ImagingResample in 1/4194304 of a weight


def normalise(image: Float[Array, "*batch height width"]) -> Float[Array, "*batch height width"]:
    """Standardises pixels in [0, 1] with MNIST's mean and sd; black becomes -0.4242."""
    return (image - MEAN) / SD


def warp(image: Image, matrix: Float[Array, "2 3"], fill: float = 0.0) -> Image:
    """Resamples by nearest neighbour as `PIL.Image.transform(size, AFFINE, ..., NEAREST)` does.

    `matrix` maps output to input coordinates in pixels: source = matrix @ (x, y, 1). Pixels whose
    source lies outside the image become `fill`.
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
    return jnp.where(inside, pixels.reshape(height, width), fill)


def about_centre(linear: Float[Array, "2 2"], shift: Float[Array, " 2"], image: Image) -> Array:
    """Builds the output-to-input matrix that turns about the centre, then shifts by `shift`."""
    height, width = image.shape
    centre = jnp.array([width / 2, height / 2])
    return jnp.column_stack([linear, centre - linear @ (centre + shift)])


def rotate(image: Image, angle: Float[Array, ""], fill: float = 0.0) -> Image:
    """Rotates counter-clockwise by `angle` radians, as `PIL.Image.rotate` does."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    linear = jnp.array([[cos, -sin], [sin, cos]])
    return warp(image, about_centre(linear, jnp.zeros(2), image), fill)


def affine(
    image: Image, angle: Float[Array, ""], shift: Float[Array, " 2"], scale: Float[Array, ""]
) -> Image:
    """Rotates clockwise by `angle` radians, scales and shifts, as `torchvision...affine` does."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    linear = jnp.array([[cos, sin], [-sin, cos]]) / scale
    return warp(image, about_centre(linear, shift, image))


def random_rotation(
    key: Key[Array, ""], image: Image, *, degrees: float, fill: float = 0.0
) -> Image:
    """Rotates by an angle uniform in +-`degrees` (torchvision's RandomRotation)."""
    limit = math.radians(degrees)
    return rotate(image, jax.random.uniform(key, (), minval=-limit, maxval=limit), fill)


def resize(image: Float[Array, "rows columns"], height: int, width: int) -> Image:
    """Enlarges as `PIL.Image.resize(..., BILINEAR)` does on grey levels, to the last bit.

    Pillow goes over columns, then over rows, and rounds to whole grey levels after each.
    """
    levels = jnp.round(image * 255).astype(jnp.int32)
    levels = _enlarge(_enlarge(levels.T, width).T, height)
    return levels.astype(jnp.float32) / 255


def _enlarge(levels: Int[Array, "rows columns"], rows: int) -> Int[Array, "new columns"]:
    """Interpolates linearly between rows in Pillow's fixed point (ImagingResample)."""
    old = len(levels)
    centre = (np.arange(rows) + 0.5) * old / rows - 0.5
    above = np.floor(centre).astype(int)
    share = centre - above
    # Beyond the border there is no second row, and the weight of the first becomes one.
    share = np.where(above < 0, 1.0, np.where(above + 1 > old - 1, 0.0, share))
    weights = [np.floor(w * PRECISION + 0.5).astype(np.int32)[:, None] for w in (1 - share, share)]
    upper, lower = levels[np.maximum(above, 0)], levels[np.minimum(above + 1, old - 1)]
    return (upper * weights[0] + lower * weights[1] + PRECISION // 2) // PRECISION


def random_centre_crop(
    key: Key[Array, ""], image: Image, *, size: int, probability: float
) -> Image:
    """Cuts out the middle `size` x `size` pixels with `probability` and enlarges them again.

    torchvision's RandomApply([CenterCrop(size)]), Resize; without the cut, Resize does nothing.
    """
    height, width = image.shape
    top, left = round((height - size) / 2), round((width - size) / 2)
    cut = resize(image[top : top + size, left : left + size], height, width)
    return jnp.where(jax.random.bernoulli(key, probability), cut, image)


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


def grey_levels(transform: Transform) -> Transform:
    """Clips to [0, 1] and rounds to whole grey levels, as files of images hold pixels."""

    @wraps(transform)
    def rounded(key: Key[Array, ""], image: Image) -> Image:
        return jnp.round(jnp.clip(transform(key, image), 0, 1) * 255) / 255

    return rounded


def compose(*transforms: Transform) -> Transform:
    """Runs transforms in order, each with a key of its own."""

    def transform(key: Key[Array, ""], image: Image) -> Image:
        for number, step in enumerate(transforms):
            image = step(jax.random.fold_in(key, number), image)
        return image

    return transform


@cache  # the same object for equal fields, so that JAX finds what it compiled for it
def augmentation(fields: Augment) -> Transform:
    """Builds the chain crop, rotation, inversion, affine, noise; what is zero is left out.

    Every published system uses a part of this chain, in this order.
    """
    steps: list[Transform] = []
    if fields.crop_probability:
        steps.append(
            partial(random_centre_crop, size=fields.crop_size, probability=fields.crop_probability)
        )
    if fields.rotation_degrees:
        steps.append(
            partial(random_rotation, degrees=fields.rotation_degrees, fill=fields.rotation_fill)
        )
    if fields.invert_probability:
        steps.append(partial(random_invert, probability=fields.invert_probability))
    if fields.affine_degrees or fields.translate or fields.scale != (1.0, 1.0):
        steps.append(
            partial(
                random_affine,
                degrees=fields.affine_degrees,
                translate=fields.translate,
                scale=fields.scale,
            )
        )
    if fields.noise_probability:
        steps.append(
            partial(random_noise, probability=fields.noise_probability, sigma=fields.noise_sigma)
        )
    return compose(*steps)
