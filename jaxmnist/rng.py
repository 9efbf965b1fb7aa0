"""Random keys are derived, never threaded.

A key is a pure function of (root key of the run, stream, counter): a resumed run draws what an
unbroken one would have drawn, and a new stream moves none of the others.
"""

from enum import IntEnum

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, UInt32


class Stream(IntEnum):
    """What randomness is used for. Append only: the numbers are part of every result."""

    INIT = 0
    ORDER = 1
    DRAW = 2
    AUGMENT = 3
    DROPOUT = 4
    VALIDATION_DRAW = 5
    VALIDATION_AUGMENT = 6
    TEST_DRAW = 7
    TEST_AUGMENT = 8


def stream_key(root: Key[Array, ""], stream: Stream, counter: int | Array = 0) -> Key[Array, ""]:
    """Returns the key of `stream` at `counter` (a step, an epoch or an example's number)."""
    return jax.random.fold_in(jax.random.fold_in(root, int(stream)), counter)


def stream_keys(
    root: Key[Array, ""], stream: Stream, counters: Int[Array, " n"]
) -> Key[Array, " n"]:
    """Returns one key for every counter."""
    return jax.vmap(lambda counter: stream_key(root, stream, counter))(counters)


def hashed_bits(key: Key[Array, ""], numbers: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Returns 32 random bits an element, as a hash of the element's number and a key.

    For dropout masks, which need millions of bits a step and little of them: on a CPU JAX's own
    generator takes a third of the whole step there, this one a thirtieth.
    """
    first, second = jax.random.key_data(key).astype(jnp.uint32)
    return _mix(_mix(numbers + first) ^ second)


def _mix(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """lowbias32, the least biased hash of its form (C. Wellons, hash-prospector, 2018)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
