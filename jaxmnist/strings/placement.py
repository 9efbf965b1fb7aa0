"""Which digits are written, and where they stand: pure functions of a seed.

Digits are placed by the extents of their ink, so that a gap is what people see as one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxmnist.constants import SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.rng import Seed, fast_randint, fast_uniform
from jaxmnist.string_config import Writing
from jaxmnist.strings.canvas import Strength, between, is_on
from jaxmnist.xla import no_inline

CENTRE = (SIDE - 1) / 2  # of a digit's image
INK = 0.25  # from which on a pixel counts as ink where a digit's extent is measured
REPEAT_CANDIDATES = 64  # digits among which one of the wanted class is looked for


class Digits(NamedTuple):
    """The digits of a string, whether or not they have room on the canvas."""

    images: Float[Array, "n 28 28"]
    labels: Int[Array, " n"]  # that of a letter is `BLANK`


class Placement(NamedTuple):
    """Where digits stand: canvas = matrix @ (pixel of the image - CENTRE) + centre."""

    matrix: Float[Array, "n 2 2"]
    centre: Float[Array, "n 2"]
    left: Float[Array, " n"]  # the extent of the ink on the canvas
    right: Float[Array, " n"]
    written: Bool[Array, " n"]


def draw_digits(
    seed: Seed, dataset: Dataset, count: int, repeat_probability: Strength | None
) -> Digits:
    """Draws digits; with `repeat_probability` all are of the first one's class."""
    chosen = fast_randint(seed, (count,), len(dataset), start=2)
    if is_on(repeat_probability):
        others = fast_randint(seed, (count, REPEAT_CANDIDATES), len(dataset), start=2 + count)
        same = dataset.labels[others] == dataset.labels[chosen[0]]
        first = jnp.take_along_axis(others, same.argmax(1)[:, None], axis=1)[:, 0]
        alike = jnp.where(same.any(1), first, chosen[0])
        chosen = jnp.where(fast_uniform(seed, start=1) < repeat_probability, alike, chosen)
    return Digits(
        dataset.images[chosen].astype(jnp.float32) / 255, dataset.labels[chosen].astype(jnp.int32)
    )


def place_digits(
    seed: Seed, digits: Digits, length: Int[Array, ""], fields: Writing, width: int
) -> Placement:
    """Turns, scales and places digits, from the left to the right."""
    count = len(digits.labels)
    common = fast_uniform(seed, (8,))
    own = 2 * fast_uniform(seed, (7, count), start=8) - 1
    cells = _is_drawn(common[0], fields.cells_probability)

    # --- Their shapes. ---
    scale = between(fields.scale, common[1])
    size = scale * (1 + fields.own_scale * own[0])
    stretch = jnp.sqrt(1 + fields.aspect * own[1])
    slant = jnp.radians(fields.slant_degrees) * jnp.where(cells, 0, 2 * common[2] - 1)
    slant = jnp.tan(slant + jnp.radians(fields.own_slant_degrees) * own[5])
    slope = jnp.where(cells, 0, jnp.radians(fields.slope_degrees) * (2 * common[3] - 1))
    turned = _is_drawn(common[4], fields.turn_probability)
    angle = slope + jnp.where(turned, jnp.radians(fields.turn_degrees) * own[2], 0)
    angle += jnp.radians(fields.own_turn_degrees) * own[6]
    across, down = jnp.where(cells, 1, size * stretch), jnp.where(cells, 1, size / stretch)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    matrix = jnp.stack(
        [
            jnp.stack([cos * across, (cos * slant - sin) * down], -1),
            jnp.stack([sin * across, (sin * slant + cos) * down], -1),
        ],
        axis=-2,
    )
    (left, right), (top, bottom) = no_inline(_extents, digits.images, matrix)
    left, right = jnp.where(cells, -SIDE / 2, left), jnp.where(cells, SIDE / 2, right)

    # --- Their places along the line; those of the published format are left-justified cells. ---
    gap = scale * (between(fields.gap, common[5]) + fields.own_gap * own[3])
    # Every other digit is in one layer: they must not overlap there.
    narrow = jnp.minimum(right - left, jnp.roll(right - left, 1))
    gap = jnp.where(cells, 0, jnp.maximum(gap, -0.4 * narrow))
    step = jnp.roll(right, 1) + gap - left
    x = jnp.cumsum(step.at[0].set(-left[0]))
    has_room = (jnp.arange(count) < length) & (x + right <= width)
    written = jnp.cumprod(has_room).astype(bool)
    used = jnp.where(written, x + right, 0).max()
    x = x - 0.5 + jnp.where(cells, 0, common[6] * (width - used))

    # --- Above or below it, but not off the canvas. ---
    line = fields.jitter * (2 * common[7] - 1) + jnp.tan(slope) * (x - width / 2)
    y = CENTRE + jnp.where(cells, 0, line + fields.jitter * own[4])
    y = jnp.clip(y, jnp.minimum(-top, CENTRE), jnp.maximum(SIDE - 1 - bottom, CENTRE))
    return Placement(matrix, jnp.stack([x, y], -1), x + left, x + right, written)


def _is_drawn(coin: Float[Array, ""], probability: Strength | None) -> Bool[Array, ""]:
    return coin < probability if is_on(probability) else jnp.bool_(False)


@jax.jit
def _extents(
    images: Float[Array, "n 28 28"], matrix: Float[Array, "n 2 2"]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Returns how far the ink of digits reaches from their centres: along x, and along y."""
    places = jnp.arange(SIDE) - CENTRE
    # The ink of a column lies between its first and its last pixel, and so does what becomes of it.
    ink, far = images > INK, 1e3
    first = jnp.where(ink, places[None, :, None], far).min(1)
    last = jnp.where(ink, places[None, :, None], -far).max(1)

    def reach(across: Array, down: Array) -> tuple[Array, Array]:
        ends = [across[:, None] * places[None] + down[:, None] * end for end in (first, last)]
        empty = first > last
        low = jnp.where(empty, far, jnp.minimum(*ends)).min(1)
        high = jnp.where(empty, -far, jnp.maximum(*ends)).max(1)
        return jnp.minimum(low, 0), jnp.maximum(high, 0)

    return reach(*matrix[:, 0].T), reach(*matrix[:, 1].T)
