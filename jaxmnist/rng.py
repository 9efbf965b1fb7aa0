"""Random keys are derived, never threaded.

A key is a pure function of (root key of the run, stream, counter): a resumed run draws what an
unbroken one would have drawn, and a new stream moves none of the others.
"""

from enum import IntEnum

import jax
from jaxtyping import Array, Int, Key


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
