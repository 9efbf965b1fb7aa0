"""Single digits: the example at position `i` is digit `i` of the bank, augmented."""

import jax.numpy as jnp

from jaxmnist.generate.example import Bank, Draws, Example
from jaxmnist.generate.transforms import Transform, normalise


def digit_example(draws: Draws, bank: Bank, *, transform: Transform) -> Example:
    """Makes one normalised image, 28x28, and its label, one digit."""
    image = bank.images[draws.position].astype(jnp.float32) / 255
    return normalise(transform(draws.augment, image)), bank.labels[draws.position][None]
