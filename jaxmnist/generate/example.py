"""What an example is made of: digits on the device, and the numbers and keys that choose."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float, Int, Key, UInt8


class Bank(NamedTuple):
    """Digits on the device."""

    images: UInt8[Array, "digits 28 28"]
    labels: Int[Array, " digits"]


class Draws(NamedTuple):
    """What decides about examples (with a leading axis, about a batch of them)."""

    position: Int[Array, "..."]  # in the list of an epoch
    draw: Key[Array, "..."]  # for what is drawn at random
    augment: Key[Array, "..."]  # for how it is changed


Example = tuple[Float[Array, "28 width"], Int[Array, " heads"]]  # normalised image, label
Generate = Callable[[Draws, Bank], Example]  # one example; batches are its vmap
