"""Digit sequences: 1..max_length digits joined from the left on a 28 x 28*max_length canvas.

One example is a pure function of two keys, one that chooses length and digits and one that
augments, and the bank of digits. Batches are its `vmap`.
"""

import jax
import jax.numpy as jnp

from jaxmnist.alphabet import BLANK, SIDE
from jaxmnist.generate.example import Bank, Draws, Example
from jaxmnist.generate.transforms import Transform, normalise


def sequence_example(
    draws: Draws,
    bank: Bank,
    *,
    max_length: int,
    digit_transform: Transform,
    canvas_transform: Transform,
) -> Example:
    """Makes one canvas (normalised, width 28*max_length) and its label.

    The length is uniform on 1..max_length, digits are uniform over the bank with replacement.
    Each digit is transformed on its own; everything to the right of the last digit is black and
    goes through `canvas_transform` only. The label holds the digits, then `BLANK`.
    """
    length_key, digits_key = jax.random.split(draws.draw)
    length = jax.random.randint(length_key, (), 1, max_length + 1)
    chosen = jax.random.randint(digits_key, (max_length,), 0, bank.labels.size)
    written = jnp.arange(max_length) < length

    digit_keys = jax.random.split(jax.random.fold_in(draws.augment, 0), max_length)
    digits = bank.images[chosen].astype(jnp.float32) / 255
    digits = jax.vmap(digit_transform)(digit_keys, digits)
    digits = jnp.where(written[:, None, None], digits, 0)
    canvas = jnp.moveaxis(digits, 0, 1).reshape(SIDE, SIDE * max_length)
    canvas = canvas_transform(jax.random.fold_in(draws.augment, 1), canvas)
    return normalise(canvas), jnp.where(written, bank.labels[chosen], BLANK)
