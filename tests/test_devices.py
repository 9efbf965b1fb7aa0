"""How seeds are shared out over devices."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmnist.devices import even_split, for_all_seeds, over_seeds, seed_mesh


@given(seeds=st.integers(1, 10_000), most=st.integers(1, 64))
def test_an_even_split_uses_as_many_devices_as_it_can(seeds: int, most: int) -> None:
    count = even_split(seeds, most)
    assert 1 <= count <= most
    assert seeds % count == 0
    assert all(seeds % more for more in range(count + 1, most + 1))


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_every_seed_gets_its_own_result_wherever_it_runs(seeds: int) -> None:
    own = np.arange(seeds, dtype=np.float32)
    shared = for_all_seeds(np.float32(10), seeds)
    result = jax.jit(over_seeds(lambda x, y: (x + y, x * y), shared=1))(own, shared)
    np.testing.assert_array_equal(result[0], own + 10)
    np.testing.assert_array_equal(result[1], own * 10)


def test_two_seeds_are_on_two_devices() -> None:
    assert jax.device_count() == 2, "tests/conftest.py makes two"
    result = jax.jit(over_seeds(lambda x: x + 1))(np.zeros(2, np.float32))
    assert len(result.sharding.device_set) == 2
    assert seed_mesh(3).devices.size == 1
