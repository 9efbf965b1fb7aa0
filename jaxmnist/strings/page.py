"""What else is on the page, and which of paper and ink is the darker: pure functions of a seed."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxmnist.rng import Seed, fast_uniform, seed_of
from jaxmnist.string_config import Page
from jaxmnist.strings.canvas import SCALARS, Ink, Strength, blur_little, is_on
from jaxmnist.xla import no_inline

LINES = 2  # ruled lines on one canvas
MARKS = 2  # full stops, commas, dashes


def add_page(key: Key[Array, ""], ink: Ink, fields: Page) -> Ink:
    """Adds lines, marks and dirt, and exchanges ink and ground."""
    seeds = seed_of(jax.random.split(key, 6))
    if is_on(fields.lines_probability):
        lines = no_inline(_draw_lines, seeds[0], fields.lines_probability, ink.shape)
        ink = no_inline(_add_lines, ink, lines)
    if is_on(fields.squares_probability):
        ink = no_inline(_add_squares, seeds[1], ink, fields.squares_probability)
    if is_on(fields.marks_probability):
        marks = no_inline(_draw_marks, seeds[2], fields.marks_probability, ink.shape)
        ink = no_inline(_add_marks, ink, marks)
    if is_on(fields.specks_probability):
        ink = no_inline(_add_specks, seeds[3], ink, fields.specks_probability)
    if is_on(fields.tiles_probability):
        ink = _invert_tiles(seeds[4], ink, fields.tiles_probability)
    if is_on(fields.invert_probability):
        ink = jnp.where(fast_uniform(seeds[5]) < fields.invert_probability, 1 - ink, ink)
    return ink


def _grid(ink: Ink) -> tuple[Float[Array, "28 1"], Float[Array, "1 width"]]:
    height, width = ink.shape
    return jnp.arange(height, dtype=jnp.float32)[:, None], jnp.arange(width, dtype=jnp.float32)[
        None
    ]


# What is drawn and what follows from it are calls of their own: XLA would compute cosines anew for
# every pixel.
@partial(jax.jit, static_argnums=2)
def _draw_lines(
    seed: Seed, probability: Strength, size: tuple[int, int]
) -> Float[Array, "lines numbers"]:
    """Draws up to two lines: nearly level, or at any angle; straight or bent; whole or dotted."""
    height, width = size
    place, side, turn, steep, bend, dots, grey, half = fast_uniform(seed, (8, LINES), start=2)
    coin, second = fast_uniform(seed, (2,))
    # Three of four lines are nearly level, the way paper is ruled.
    angle = (turn - 0.5) * jnp.where(steep < 0.75, 0.1, math.pi)
    drawn = (coin < probability) & jnp.array([True, True]).at[1].set(second < 0.5)
    return jnp.stack(
        [
            *(jnp.cos(angle), jnp.sin(angle), height * place, width * side),
            jnp.where(bend < 0.3, (bend - 0.15) / 100, 0),
            jnp.where(dots < 0.25, 3 + 20 * dots, 0),
            0.8 + 1.2 * half,
            jnp.where(drawn, 0.3 + 0.7 * grey, 0),
        ],
        axis=1,
    )


@jax.jit
def _add_lines(ink: Ink, lines: Float[Array, "lines numbers"]) -> Ink:
    y, x = _grid(ink)
    for cos, sin, row, column, bend, period, half, grey in lines:
        along = (x - column) * cos + (y - row) * sin
        aside = (y - row) * cos - (x - column) * sin + bend * jnp.square(along)
        line = jnp.clip(half - jnp.abs(aside), 0, 1)
        phase = along - period * jnp.floor(along / jnp.maximum(period, 1))
        line = jnp.where((period > 0) & (phase > 1.5), 0, line)
        ink = jnp.maximum(ink, line * grey)
    return ink


@jax.jit
def _add_squares(seed: Seed, ink: Ink, probability: Strength) -> Ink:
    """Draws squared paper, fainter than the ink."""
    y, x = _grid(ink)
    coin, period, row, column, grey, half = fast_uniform(seed, (6,))
    period = 8 + 20 * period

    def lines(at: Array, phase: Array) -> Array:
        off = jnp.abs((at + period * phase) % period - period / 2)
        return jnp.clip(0.6 + 0.5 * half - off, 0, 1)

    squares = jnp.maximum(lines(y, row), lines(x, column)) * (0.15 + 0.55 * grey)
    return jnp.maximum(ink, jnp.where(coin < probability, squares, 0))


@partial(jax.jit, static_argnums=2)
def _draw_marks(
    seed: Seed, probability: Strength, size: tuple[int, int]
) -> Float[Array, "marks numbers"]:
    """Draws full stops, commas and dashes; nothing upright, which would be a 1."""
    height, width = size
    left, low, long, tilt, half, kind = fast_uniform(seed, (6, MARKS), start=1)
    dash = kind < 0.4
    length = jnp.where(dash, 2 + 5 * long, 0.1 + 1.4 * long)
    angle = jnp.where(dash, tilt - 0.5, 2 + tilt)
    dx, dy = length * jnp.cos(angle), length * jnp.sin(angle)
    return jnp.stack(
        [
            width * left,
            height * jnp.where(dash, 0.35 + 0.3 * low, 0.7 + 0.25 * low),
            *(dx, dy, dx / length**2, dy / length**2),
            jnp.where(fast_uniform(seed) < probability, 1 + 1.2 * half, -height),
        ],
        axis=1,
    )


@jax.jit
def _add_marks(ink: Ink, marks: Float[Array, "marks numbers"]) -> Ink:
    y, x = _grid(ink)
    for column, row, dx, dy, slope_x, slope_y, half in marks:
        share = jnp.clip((x - column) * slope_x + (y - row) * slope_y, -1, 1)
        far = jnp.square(x - column - share * dx) + jnp.square(y - row - share * dy)
        # Where there is ink already it would be a part of a digit.
        free = jnp.where(far < 16, ink, 0).max() < 0.3
        ink = jnp.maximum(ink, jnp.where(free, jnp.clip(half - jnp.sqrt(far), 0, 1), 0))
    return ink


@jax.jit
def _add_specks(seed: Seed, ink: Ink, probability: Strength) -> Ink:
    """Draws dirt: single pixels and small spots of any grey."""
    coin, share, size, grey = fast_uniform(seed, (4,))
    pixels = fast_uniform(seed, ink.shape, start=SCALARS)
    specks = jnp.where(pixels < 0.02 * share, 1.0, 0.0)
    spots = jnp.clip(5 * no_inline(blur_little, specks), 0, 1)
    specks = jnp.where(size < 0.5, specks, spots) * (0.3 + 0.7 * grey)
    return jnp.maximum(ink, jnp.where(coin < probability, specks, 0))


def _invert_tiles(seed: Seed, ink: Ink, probability: Strength) -> Ink:
    """Exchanges ink and ground in stripes; half of the time their edges are those of cells."""
    _, x = _grid(ink)
    height, width = ink.shape
    coin, cells, *edges = fast_uniform(seed, (2 + 4,))
    inverted = jnp.zeros_like(x, bool)
    for edge in edges:
        place = jnp.where(cells < 0.5, jnp.round(edge * width / height) * height, edge * width)
        inverted ^= x >= place
    return jnp.where((coin < probability) & inverted, 1 - ink, ink)
