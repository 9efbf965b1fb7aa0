"""Strings of digits written on an empty canvas: pure functions of a seed."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.rng import Seed, fast_randint, fast_uniform, seed_of
from jaxmnist.string_config import Writing
from jaxmnist.strings.canvas import Ink, Strength, between, blur_little, is_on, smooth_noise
from jaxmnist.strings.glyphs import close_gaps, mix_in_letters, mix_in_shapes
from jaxmnist.strings.placement import CENTRE, INK, Digits, draw_digits, place_digits
from jaxmnist.strings.rendering import Segment, render
from jaxmnist.xla import no_inline

KNOTS = 8  # pixels between two knots of an elastic deformation


def write(
    keys: tuple[Key[Array, ""], Key[Array, ""]],
    dataset: Dataset,
    fields: Writing,
    *,
    longest: int,
    width: int,
) -> tuple[Ink, Int[Array, " n"]]:
    """Writes up to `longest` digits; those that have no room on the canvas are left out.

    Args:
      keys: of what is drawn (the digits and their number), and of how they are written.
      dataset: that digits are drawn from, uniformly and with replacement.
      fields: how they are written.
      longest: digits of the longest string.
      width: of the canvas in pixels.

    Returns:
      The ink, and the digits' labels, then `BLANK`.
    """
    if not longest:
        return jnp.zeros((SIDE, width)), jnp.zeros(0, jnp.int32)
    count, draw, letter, shape = seed_of(jax.random.split(keys[0], 4))
    place, serif, elastic, stroke = seed_of(jax.random.split(keys[1], 4))
    shortest = jnp.minimum(fields.shortest, longest)
    length = shortest + fast_randint(count, (), longest + 1 - shortest)
    if is_on(fields.full_probability):
        length = jnp.where(fast_uniform(count, start=1) < fields.full_probability, longest, length)
    digits = draw_digits(draw, dataset, longest, fields.repeat_probability)
    if is_on(fields.shape_probability):
        digits = mix_in_shapes(shape, digits, fields.shape_probability)
    if is_on(fields.letter_probability):
        digits = mix_in_letters(letter, digits, fields.letter_probability)
    placement = place_digits(place, digits, length, fields, width)
    serifs = ()
    if is_on(fields.serif_probability):
        serifs = no_inline(_serifs, serif, digits, fields.serif_probability)
    rows, columns = _elastic_grid(elastic, fields.elastic, width)
    ink = no_inline(render, digits.images, placement, serifs, rows, columns, width)
    ink = _strokes(stroke, ink, fields)
    labels = jnp.where(placement.written, digits.labels, BLANK)
    return ink, close_gaps(labels) if is_on(fields.letter_probability) else labels


@jax.jit
def _serifs(seed: Seed, digits: Digits, probability: Strength) -> tuple[Segment, ...]:
    """Returns what people add to digits and MNIST's writers did not.

    A 1 gets a flag at its top and a foot; a 7 a bar through its stem.
    """
    count = len(digits.labels)
    drawn = fast_uniform(seed, (6, count))
    rows = digits.images.max(2) > INK
    top = rows.argmax(1)
    bottom = SIDE - 1 - rows[:, ::-1].argmax(1)
    middle = (top + bottom) // 2

    def ink_at(row: Array) -> Array:
        pixels = jnp.take_along_axis(digits.images, row[:, None, None], axis=1)[:, 0]
        x = (pixels * jnp.arange(SIDE)[None]).sum(1) / jnp.maximum(pixels.sum(1), 1e-3)
        return jnp.stack([x, row], -1) - CENTRE

    def vector(x: Array, y: Array) -> Array:
        return jnp.stack([x, y], -1)

    one, seven = digits.labels == 1, digits.labels == 7
    # From 20 degrees below level, as people write, to 57; longer and more level, it would be a 7.
    descent = 0.35 + 0.65 * drawn[2]
    flag = 2 + (3 + 5 * drawn[2]) * drawn[0]
    bar = 2.5 + 3 * drawn[1]
    tilt = bar * (drawn[2] - 0.7)
    head, across, foot = ink_at(top), ink_at(middle), ink_at(bottom)
    start = jnp.where(one[:, None], head, across - vector(bar, -tilt))
    end = jnp.where(
        one[:, None],
        head + vector(-flag * jnp.cos(descent), flag * jnp.sin(descent)),
        across + vector(bar, -tilt),
    )
    # One pen writes all of a 1: its ink over its length is how wide the stem is.
    stem = digits.images.sum((1, 2)) / (jnp.linalg.norm(foot - head, axis=1) + 1)
    half = jnp.where(one, (0.3 + 0.25 * drawn[3]) * jnp.clip(stem, 1.5, 5), 0.6 + 0.7 * drawn[3])
    off = -SIDE
    first = jnp.where((one | seven) & (drawn[4] < probability), half, off)
    second = jnp.where(one & (drawn[5] < probability), half, off)
    length = 2 + 5 * drawn[1]
    nothing = jnp.zeros(count)
    return (
        Segment(start, end, first),
        Segment(foot - vector(length, nothing), foot + vector(length, nothing), second),
    )


def _elastic_grid(
    seed: Seed, most: Strength | None, width: int
) -> tuple[Float[Array, "28 width"], Float[Array, "28 width"]]:
    """Returns from where each pixel of the canvas is taken: its row and its column."""
    rows = jnp.broadcast_to(jnp.arange(SIDE, dtype=jnp.float32)[:, None], (SIDE, width))
    columns = jnp.broadcast_to(jnp.arange(width, dtype=jnp.float32), (SIDE, width))
    if not is_on(most):
        return rows, columns
    shift = smooth_noise(seed, (2, SIDE, width), KNOTS) * (most * fast_uniform(seed))
    return rows + shift[0], columns + shift[1]


def _strokes(seed: Seed, ink: Ink, fields: Writing) -> Ink:
    """Makes strokes thinner or thicker, or hollow.

    A stroke is what is above some level once the ink is blurred; a hollow one, what is near it.
    """
    coin, drawn, hollow = fast_uniform(seed, (3,))
    if is_on(fields.stroke_probability):
        blurred = no_inline(blur_little, ink)
        # In units of a stroke's own height, or thin ones would vanish; below a sixth the ground
        # would be ink.
        height = (blurred * ink).sum() / jnp.maximum(ink.sum(), 1)
        level = jnp.maximum(height * (1 - 0.73 * between(fields.stroke, drawn)), 0.17)
        changed = jnp.clip((blurred - level) * 3 + 0.5, 0, 1)
        ink = jnp.where(coin < fields.stroke_probability, changed, ink)
    if is_on(fields.hollow_probability):
        edge = jnp.abs(no_inline(blur_little, ink) - 0.5)
        ink = jnp.where(hollow < fields.hollow_probability, jnp.clip(1.8 - 6 * edge, 0, 1), ink)
    return ink
