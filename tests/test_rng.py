"""Cheap random orders, and bits of dropout: uniform, independent over elements, keys and steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.models.layers import Dropout
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.rng import Stream, hashed_bits, permuted, stream_key
from tests.helpers import COMPILE_FAST

SHAPE = (64, 64, 64)
KEYS = [
    stream_key(jax.random.key(seed), Stream.DROPOUT, step) for seed in (0, 1) for step in (0, 1)
]


def whole_order(key: jax.Array, count: int) -> jax.Array:
    return permuted(key, jnp.arange(count), count)


def bits(key: jax.Array) -> np.ndarray:
    return np.asarray(hashed_bits(key, jnp.arange(64**3, dtype=jnp.uint32).reshape(SHAPE)))


@pytest.mark.parametrize("key", KEYS)
def test_every_bit_is_a_fair_coin_and_every_byte_is_uniform(key: jax.Array) -> None:
    found = bits(key).ravel()
    for shift in range(32):
        share = ((found >> shift) & 1).mean()
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(found.size)
    for shift in (0, 8, 16, 24):
        counts = np.bincount((found >> shift) & 255, minlength=256)
        expected = found.size / 256
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of two masks that keep nine tenths, in standard errors of independent ones."""
    masks = [(x >= 0.1 * 2**32).astype(float).ravel() for x in (a, b)]
    return float(np.corrcoef(*masks)[0, 1] * np.sqrt(masks[0].size))


def test_masks_of_neighbours_steps_and_seeds_are_independent() -> None:
    found = [bits(key) for key in KEYS]
    pairs = [(found[i], found[j]) for i in range(4) for j in range(i)]
    for axis in range(3):
        for lag in (1, 2, 16):
            pairs.append((found[0], np.roll(found[0], lag, axis)))
    # Keys that are one apart, as they might be derived one day.
    near = [
        jax.random.wrap_key_data(jnp.array(data, jnp.uint32)) for data in ([0, 0], [1, 0], [0, 1])
    ]
    pairs += [(bits(near[0]), bits(near[1])), (bits(near[0]), bits(near[2]))]
    assert max(abs(correlation(a, b)) for a, b in pairs) < 5
    # The negative control: a tenth of one mask taken over from the other.
    mixed = np.where(np.arange(found[0].size).reshape(SHAPE) % 10 == 0, found[0], found[1])
    assert correlation(found[0], mixed) > 5


def test_dropout_keeps_its_share_and_the_mean() -> None:
    x = jnp.ones(SHAPE)
    for rate in (0.01, 0.1, 0.5):
        out = Dropout(rate).apply(
            {}, x, layout=LAYOUTS["chwn"], train=True, rngs={"dropout": KEYS[0]}
        )
        dropped = float((out == 0).mean())
        assert abs(dropped - rate) < 5 * np.sqrt(rate * (1 - rate) / x.size)
        assert float(out.max()) == pytest.approx(1 / (1 - rate))
        assert (Dropout(rate).apply({}, x, layout=LAYOUTS["chwn"], train=False) == x).all()


# At and around powers of two and of four, where the network gets a bit more; and MNIST's number.
@pytest.mark.parametrize("count", [1, 3, 1_000, 4_096, 4_097, 55_000])
def test_an_order_has_every_number_once(count: int) -> None:
    draw = jax.vmap(lambda seed: whole_order(jax.random.key(seed), count))
    seeds = np.random.RandomState(count).randint(2**31, size=10)
    orders = np.asarray(jax.jit(draw, compiler_options=COMPILE_FAST)(seeds))
    assert orders.dtype == np.int32
    assert (np.sort(orders) == np.arange(count)).all()


@pytest.mark.parametrize("count", [2, 7, 64, 100])
def test_every_number_is_as_often_in_every_place_and_beside_every_other(count: int) -> None:
    keys = jax.vmap(jax.random.key)(jnp.arange(20_000))
    orders = np.asarray(jax.jit(jax.vmap(lambda key: whole_order(key, count)))(keys))

    assert (np.sort(orders) == np.arange(count)).all()

    def surprise(rows: np.ndarray, columns: np.ndarray, where: np.ndarray, free: int) -> float:
        """Of pairs that should be equally many, by chi square, in standard deviations.

        So many of their numbers are `free`: in a table of places every row and column has its sum.
        """
        pairs = np.bincount((rows * count + columns).ravel(), minlength=count * count)[
            where.ravel()
        ]
        square = ((pairs - pairs.mean()) ** 2 / pairs.mean()).sum()
        return float((square - free) / np.sqrt(2 * free))

    everywhere, elsewhere = np.ones((count, count), bool), ~np.eye(count, dtype=bool)
    places = np.broadcast_to(np.arange(count), orders.shape)
    assert surprise(orders, places, everywhere, (count - 1) ** 2) < 5
    assert surprise(orders[:, :-1], orders[:, 1:], elsewhere, count * count - count - 1) < 5
    # The negative control: one order in twenty is as it began.
    mixed = np.where(np.arange(len(orders))[:, None] % 20 == 0, places, orders)
    assert surprise(mixed, places, everywhere, (count - 1) ** 2) > 5


def test_orders_of_two_epochs_have_nothing_in_common() -> None:
    count = 55_000
    keys = [stream_key(jax.random.key(0), Stream.ORDER, epoch) for epoch in (0, 1)]
    first, second = (np.asarray(whole_order(key, count)) for key in keys)
    batch = np.arange(640, 704)  # which computes its own places alone
    assert (permuted(keys[0], jnp.asarray(batch), count) == first[batch]).all()
    for one, other in ((first, second), (first, np.arange(count)), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) * np.sqrt(count) < 5
        assert (one == other).sum() < 10
