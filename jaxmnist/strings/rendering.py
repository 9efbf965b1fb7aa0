"""Digits sampled where they stand.

The canvas is two layers, one of the even and one of the odd digits, so that neighbours may overlap,
and each pixel of a layer belongs to one digit: two samples a pixel, for any number of digits.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from jaxmnist.constants import SIDE
from jaxmnist.strings.canvas import Ink
from jaxmnist.strings.placement import CENTRE, Placement
from jaxmnist.xla import no_inline

STROKE_NUMBERS = 7  # of a stroke: its start, its end less that, the slope along it, its width


class Segment(NamedTuple):
    """A straight stroke for each digit, in its image's coordinates, relative to the centre."""

    start: Float[Array, "n 2"]
    end: Float[Array, "n 2"]
    width: Float[Array, " n"]  # half of it; negative: no stroke


@partial(jax.jit, static_argnums=5)
def render(
    images: Float[Array, "n 28 28"],
    placement: Placement,
    strokes: tuple[Segment, ...],
    rows: Float[Array, "28 width"],
    columns: Float[Array, "28 width"],
    width: int,
) -> Ink:
    """Samples both layers of digits, with strokes added, at the given places of the canvas."""
    packed = no_inline(_packed, images)
    table = no_inline(_digit_table, placement, strokes)
    layers = [
        _layer(packed, no_inline(_column_table, placement, table, parity, width), rows, columns)
        for parity in range(min(2, len(images)))
    ]
    return jnp.stack(layers).max(0)


@jax.jit
def _packed(images: Float[Array, "n 28 28"]) -> UInt32[Array, "n 29 29"]:
    """Packs four neighbouring pixels into one number, so that sampling takes one gather."""
    levels = jnp.pad(jnp.round(images * 255).astype(jnp.uint32), ((0, 0), (1, 1), (1, 1)))
    upper, lower = levels[:, :-1], levels[:, 1:]
    return (
        upper[..., :-1] | (upper[..., 1:] << 8) | (lower[..., :-1] << 16) | (lower[..., 1:] << 24)
    )


@jax.jit
def _digit_table(placement: Placement, strokes: tuple[Segment, ...]) -> Float[Array, "n numbers"]:
    """Packs what `_layer` unpacks, a row for each digit.

    Its inverse matrix, its centre, whether it is written, where its image begins, added strokes.
    """
    (a, b), (c, d) = jnp.moveaxis(placement.matrix, 0, -1)
    count = len(placement.left)
    per_digit = [
        jnp.stack([d, -b, -c, a], axis=1) / (a * d - b * c)[:, None],
        placement.centre,
        jnp.where(placement.written, 1.0, 0.0)[:, None],
        jnp.arange(count, dtype=jnp.float32)[:, None] * (SIDE + 1) ** 2,
    ]
    for start, end, half in strokes:
        along = end - start
        slope = along / (jnp.square(along).sum(1, keepdims=True) + 1e-6)
        per_digit += [start, along, slope, half[:, None]]
    return jnp.concatenate(per_digit, axis=1)


@partial(jax.jit, static_argnums=(2, 3))
def _column_table(
    placement: Placement, table: Float[Array, "n numbers"], parity: int, width: int
) -> Float[Array, "numbers width"]:
    """Returns the numbers of the digit that each column of a layer belongs to, the nearest."""
    count = len(placement.left)
    own = np.arange(parity, count, 2)
    borders = (placement.right[own[:-1]] + placement.left[own[1:]]) / 2
    passed = (jnp.arange(width)[:, None] > borders[None]).sum(1)
    return (jax.nn.one_hot(parity + 2 * passed, count) @ table).T


def _layer(
    packed: UInt32[Array, "n 29 29"],
    table: Float[Array, "numbers width"],
    rows: Float[Array, "28 width"],
    columns: Float[Array, "28 width"],
) -> Ink:
    """Samples one layer, bilinearly; outside the digits there is no ink."""
    a, b, c, d, x, y, written, base, *strokes = table[:, None]
    across, down = columns - x, rows - y
    u, v = a * across + b * down, c * across + d * down  # relative to the centre of the image
    column, row = jnp.floor(u + CENTRE), jnp.floor(v + CENTRE)
    share_x, share_y = u + CENTRE - column, v + CENTRE - row
    inside = (column >= -1) & (column < SIDE) & (row >= -1) & (row < SIDE)
    index = base + (row + 1) * (SIDE + 1) + column + 1
    index = jnp.where(inside, index, 0).astype(jnp.int32)
    four = no_inline(_take, packed.reshape(-1), index.reshape(-1)).reshape(index.shape)
    upper = _level(four, 0) * (1 - share_x) + _level(four, 8) * share_x
    lower = _level(four, 16) * (1 - share_x) + _level(four, 24) * share_x
    ink = jnp.where(inside, upper * (1 - share_y) + lower * share_y, 0) / 255
    for first in range(0, len(strokes), STROKE_NUMBERS):
        x0, y0, dx, dy, slope_x, slope_y, half = strokes[first : first + STROKE_NUMBERS]
        share = jnp.clip((u - x0) * slope_x + (v - y0) * slope_y, 0, 1)
        far = jnp.square(u - x0 - share * dx) + jnp.square(v - y0 - share * dy)
        ink = jnp.maximum(ink, jnp.clip(half + 0.5 - jnp.sqrt(far), 0, 1))
    return ink * written


@jax.jit
def _take(numbers: UInt32[Array, " n"], index: Int[Array, " m"]) -> UInt32[Array, " m"]:
    # take_along_axis keeps a batch dimension under vmap; a flat gather is ten times slower on CPU.
    return jnp.take_along_axis(numbers, index, axis=0)


def _level(four: UInt32[Array, "..."], shift: int) -> Float[Array, "..."]:
    return ((four >> shift) & 0xFF).astype(jnp.float32)
