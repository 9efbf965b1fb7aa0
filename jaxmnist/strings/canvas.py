"""What the effects on a canvas share: strengths, smooth fields, a small blur.

The groups of a configuration that say how strong effects are (`jaxmnist.string_config`) are pytrees
here. With numbers in them, as in training, an effect that is off is left out of the program; with
arrays, as in the evaluation suites, one program has all effects at any strength.
"""

from dataclasses import fields
from functools import reduce
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmnist.fields import Group
from jaxmnist.rng import Seed, fast_uniform
from jaxmnist.string_config import Camera, Page, Strings, Writing

SCALARS = 64  # the first numbers of a seed, for what a whole canvas has once

Ink = Float[Array, "28 width"]  # 0 = ground, 1 = ink
Strength = float | Float[Array, ""]


def is_on(probability: Strength | None) -> TypeGuard[Strength]:
    """Returns whether an effect may be drawn: not if its probability is known to be zero.

    None is a zero that is known in a program whose other strengths are arrays (`without_unused`).
    """
    return probability is not None and (isinstance(probability, Array) or probability > 0)


def _register(group: type[Group], static: tuple[str, ...] = ()) -> None:
    names = [field.name for field in fields(group) if field.name not in static]

    def flatten(one: Any) -> tuple[list[Any], Any]:
        return [getattr(one, name) for name in names], [getattr(one, name) for name in static]

    def unflatten(aux: Any, leaves: Any) -> Any:
        one = object.__new__(group)  # without its checks, which are of numbers
        for name, value in zip((*names, *static), (*leaves, *aux), strict=True):
            object.__setattr__(one, name, value)
        return one

    jax.tree_util.register_pytree_node(group, flatten, unflatten)


for _group in (Writing, Page, Camera):
    _register(_group)
_register(Strings, static=("width",))


def between(span: tuple[Strength, Strength], share: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the number at this share of the way between two."""
    return span[0] + (span[1] - span[0]) * share


def smooth_noise(
    seed: Seed, shape: tuple[int, int, int], spacing: int
) -> Float[Array, "fields height width"]:
    """Draws random fields with values in (-1, 1): cubic B-splines over knots `spacing` apart."""
    fields, height, width = shape
    down, across = (_spline(size, spacing) for size in (height, width))
    knots = 2 * fast_uniform(seed, (fields, down.shape[1], across.shape[1]), start=SCALARS) - 1
    return jnp.einsum("hk,fkl,wl->fhw", down, knots, across)


def _spline(size: int, spacing: int) -> Float[np.ndarray, "size knots"]:
    """Returns the weights of knots at every pixel of a cubic B-spline."""
    distance = np.abs(
        np.arange(size)[:, None] / spacing + 1 - np.arange(-(-size // spacing) + 3)[None]
    )
    near = 2 / 3 - distance**2 + distance**3 / 2
    return np.where(distance < 1, near, np.clip(2 - distance, 0, None) ** 3 / 6).astype(np.float32)


@jax.jit
def blur_little(image: Ink) -> Ink:
    """Blurs with the binomial kernel 1, 4, 6, 4, 1 along and across (sigma 1)."""
    for axis in (0, 1):
        padded = jnp.pad(image, [(2, 2) if i == axis else (0, 0) for i in range(2)])
        size = image.shape[axis]
        parts = [
            weight / 16 * jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
            for start, weight in enumerate((1, 4, 6, 4, 1))
        ]
        image = reduce(jnp.add, parts)
    return image
