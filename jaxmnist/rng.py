"""Random keys are derived, never threaded.

A key is a pure function of (root key of the run, stream, counter): a resumed run draws what an
unbroken one would have drawn, and a new stream moves none of the others.
"""

from enum import IntEnum
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key, UInt32

Seed = UInt32[Array, " 2"]  # of fast draws
FEISTEL_ROUNDS = 8  # with four, orders of a few dozen were not uniform


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


def permuted(key: Key[Array, ""], places: Int[Array, " batch"], count: int) -> Int[Array, " batch"]:
    """Returns what stands at `places` of a random order of the numbers 0 .. count - 1.

    A Feistel network (M. Luby & C. Rackoff, 1988) permutes the numbers of 2n bits; those that leave
    the range are permuted until they are back in it (J. Black & P. Rogaway, 2002: cycle walking).
    """
    # Random access: a batch computes its own 64 places of the 55,000, on whichever device it is,
    # where `jax.random.permutation` sorts all of them (23 ms on a CPU).
    half = (max(count - 1, 1).bit_length() + 1) // 2  # bits

    rounds = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(FEISTEL_ROUNDS))

    def permute(numbers: UInt32[Array, " batch"]) -> UInt32[Array, " batch"]:
        left, right = numbers >> half, numbers & ((1 << half) - 1)
        for turn in range(FEISTEL_ROUNDS):
            left, right = right, left ^ (hashed_bits(rounds[turn], right) >> (32 - half))
        return (left << half) | right

    return lax.while_loop(
        lambda numbers: (numbers >= count).any(),
        lambda numbers: jnp.where(numbers >= count, permute(numbers), numbers),
        permute(places.astype(jnp.uint32)),
    ).astype(jnp.int32)


def hashed_bits(key: Key[Array, ""], numbers: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Returns 32 random bits an element, as a hash of the element's number and a key.

    For orders, and for dropout masks, which need millions of bits a step and ask little of each: on
    a CPU JAX's own generator takes a third of the whole step there, this one a thirtieth.
    """
    return _hashed(seed_of(key), numbers)


def seed_of(key: Key[Array, "*n"]) -> UInt32[Array, "*n 2"]:
    """Returns the two words of a key, for the fast draws below.

    What draws from one seed several times does so from different places, by `start`.
    """
    return jax.random.key_data(key).astype(jnp.uint32)


def fast_uniform(seed: Seed, shape: tuple[int, ...] = (), *, start: int = 0) -> Float[Array, "..."]:
    """Draws from [0, 1) by the hash of `hashed_bits`, for augmentation.

    `start` is the place of the first number among all that the seed gives.
    """
    return (_bits(seed, shape, start) >> 8).astype(jnp.float32) * 2**-24


def fast_normal(seed: Seed, shape: tuple[int, ...] = (), *, start: int = 0) -> Float[Array, "..."]:
    """Draws from the standard normal distribution, as `fast_uniform` does."""
    # From (-1, 1), without the ends, where the inverse is infinite.
    return 2**0.5 * lax.erf_inv((2 * fast_uniform(seed, shape, start=start) - 1) * (1 - 2**-24))


def fast_randint(
    seed: Seed, shape: tuple[int, ...], end: int | Int[Array, "..."], *, start: int = 0
) -> Int[Array, "..."]:
    """Draws whole numbers below `end`, of which there are far fewer than 2^32, likewise."""
    return (_bits(seed, shape, start) % jnp.asarray(end, jnp.uint32)).astype(jnp.int32)


def _bits(seed: Seed, shape: tuple[int, ...], start: int) -> UInt32[Array, "..."]:
    return _hashed(seed, start + jnp.arange(prod(shape), dtype=jnp.uint32).reshape(shape))


def _hashed(seed: Seed, numbers: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    return _mix(_mix(numbers + seed[0]) ^ seed[1])


def _mix(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """lowbias32, the least biased hash of its form (C. Wellons, hash-prospector, 2018)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
