"""Letters, and shapes of digits that MNIST's writers did not use, drawn from straight strokes.

A network that has seen digits alone takes everything for one of them, so it is shown letters and
signs that are none. Those that look like digits (B, D, G, I, O, Q, S, Y, Z and their small forms)
are left out.
"""

from functools import cache
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmnist.constants import BLANK, DIGITS, SIDE
from jaxmnist.rng import Seed, fast_randint, fast_uniform
from jaxmnist.strings.canvas import Strength
from jaxmnist.strings.placement import Digits

# Points "xy" of each stroke, x from 0 to 6 and y from 0 (top) to 9; "/" lifts the pen.
STROKES = {
    "A": "09 30 69 / 16 56",
    "C": "62 50 30 12 05 17 39 59 68",
    "E": "60 00 09 69 / 04 44",
    "F": "60 00 09 / 04 44",
    "H": "00 09 / 60 69 / 04 64",
    "J": "20 60 / 50 57 39 19 07",
    "K": "00 09 / 60 04 69",
    "L": "00 09 69",
    "M": "09 00 35 60 69",
    "N": "09 00 69 60",
    "P": "09 00 40 62 44 04",
    "R": "09 00 40 62 44 04 / 34 69",
    "T": "00 60 / 30 39",
    "U": "00 06 28 49 66 60",
    "V": "00 39 60",
    "W": "00 19 33 59 60",
    "X": "00 69 / 60 09",
    "+": "04 64 / 31 37",
    "=": "03 63 / 06 66",
    "<": "61 05 69",
    "#": "20 19 / 50 49 / 03 63 / 06 66",
    "->": "04 64 42 / 64 46",
    "Delta": "30 09 69 30",
    "Pi": "00 60 / 10 19 / 50 59",
    "star": "30 19 63 03 59 30",
}
# Digits as they are written in other countries, and on screens.
SHAPES = {
    1: (
        "13 40 49", "22 40 49", "23 40 49", "14 40 49", "05 40 49", "24 22 40 49",
        "13 40 49 / 19 69", "22 40 49 / 29 59",
    ),
    3: ("00 60 69 09 / 24 64", "00 60 33 55 67 49 09", "00 60 34 65 68 49 09"),
    4: ("10 05 65 / 43 49", "20 05 65 / 52 49", "40 06 66 / 40 49"),
    5: ("60 00 04 64 69 09", "60 10 04 44 66 68 49 09"),
    7: ("00 60 29", "00 60 29 / 14 54", "00 60 39", "02 00 60 29", "00 60 39 / 25 65"),
    9: ("63 44 14 02 10 40 63 59", "62 34 04 00 60 69", "62 34 04 00 60 69 19"),
}  # fmt: skip
HALF_WIDTHS = (0.8, 1.2, 1.8)  # of their strokes
HEIGHT, HALF_WIDTH = 20, 1.2  # of a letter and of its stroke, as MNIST's digits have them


def mix_in_letters(seed: Seed, digits: Digits, probability: Strength) -> Digits:
    """Puts letters in the place of any share of the digits, with this probability."""
    coin, share = fast_uniform(seed, (2,))
    count = len(digits.labels)
    letters = jnp.asarray(letter_images())
    drawn = letters[fast_randint(seed, (count,), len(letters), start=2)]
    swapped = (coin < probability) & (fast_uniform(seed, (count,), start=2 + count) < share)
    return Digits(
        jnp.where(swapped[:, None, None], drawn, digits.images),
        jnp.where(swapped, BLANK, digits.labels),
    )


def mix_in_shapes(seed: Seed, digits: Digits, probability: Strength) -> Digits:
    """Draws each digit of which there are other shapes in one of them, with this probability."""
    images, counts = shape_images()
    coin, which = fast_uniform(seed, (2, len(digits.labels)))
    number = (which * jnp.asarray(counts)[digits.labels]).astype(jnp.int32)
    drawn = jnp.asarray(images)[digits.labels, number]
    swapped = (coin < probability) & (jnp.asarray(counts)[digits.labels] > 0)
    return digits._replace(images=jnp.where(swapped[:, None, None], drawn, digits.images))


def close_gaps(labels: Int[Array, " n"]) -> Int[Array, " n"]:
    """Moves what is read to the front, in its order, and `BLANK` to the end."""
    return labels[jnp.argsort(labels == BLANK, stable=True)]


def letter_images() -> Float[np.ndarray, "letters 28 28"]:
    """Returns the letters as MNIST has digits: 0 = ground, 1 = ink, 20 pixels high."""
    return np.stack([_draw(strokes) for strokes in STROKES.values()]).astype(np.float32)


@cache
def shape_images() -> tuple[Float[np.ndarray, "10 shapes 28 28"], Int[np.ndarray, "10"]]:
    """Returns the shapes of each digit in all widths, then empty ones, and how many it has."""
    drawn = [
        [_draw(strokes, half) for strokes in SHAPES.get(digit, ()) for half in HALF_WIDTHS]
        for digit in range(DIGITS)
    ]
    counts = np.array([len(each) for each in drawn])
    images = np.zeros((DIGITS, counts.max(), SIDE, SIDE), np.float32)
    for digit, each in enumerate(drawn):
        images[digit, : len(each)] = np.stack(each) if each else 0
    return images, counts


def _draw(strokes: str, half: float = HALF_WIDTH) -> Float[np.ndarray, "28 28"]:
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1)
    far = np.full((SIDE, SIDE), np.inf)
    for stroke in strokes.split("/"):
        points = np.array([(int(at[0]) - 3, int(at[1]) - 4.5) for at in stroke.split()])
        points = points * HEIGHT / 9 + (SIDE - 1) / 2
        for start, end in pairwise(points):
            along = end - start
            share = np.clip((pixels - start) @ along / (along @ along), 0, 1)
            far = np.minimum(far, np.linalg.norm(pixels - start - share[..., None] * along, axis=2))
    return np.clip(half + 0.5 - far, 0, 1)
