"""How seeds and batches are spread over devices."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmnist.sharding import (
    batch_axis,
    divisors,
    even_batch,
    grid,
    local_shard,
    make_mesh,
    map_seeds,
    psum,
    replicate,
)


@given(count=st.integers(1, 10_000), most=st.integers(1, 64))
def test_divisors_are_all_there_are_and_the_largest_comes_first(count: int, most: int) -> None:
    found = divisors(count, most)
    assert found == sorted(found, reverse=True)
    assert set(found) == {parts for parts in range(1, most + 1) if count % parts == 0}


@given(
    num_seeds=st.integers(1, 1_000),
    batch_size=st.integers(1, 1_000),
    devices=st.integers(1, 64),
    least=st.integers(1, 100),
)
def test_a_grid_fits_its_devices(num_seeds: int, batch_size: int, devices: int, least: int) -> None:
    shape = grid(num_seeds, batch_size, devices, least)
    assert shape
    seeds, parts = shape
    assert seeds * parts <= devices
    assert num_seeds % seeds == batch_size % parts == 0
    assert seeds == divisors(num_seeds, devices)[0]
    assert parts == 1 or batch_size // parts >= least


@pytest.mark.parametrize(
    ("num_seeds", "batch_size", "devices", "processes", "shape"),
    [
        (1, 64, 4, 2, (1, 4)),
        (2, 64, 4, 2, (2, 2)),
        (3, 64, 4, 2, (1, 4)),  # three on three devices would leave the processes unequal
        (6, 64, 8, 4, (2, 4)),  # six on six likewise, and three on six
        (1, 8, 4, 2, (1, 2)),  # shards smaller than they are worth, but no process without one
        (1, 33, 4, 2, None),
    ],
)
def test_all_processes_have_as_much_to_do(
    num_seeds: int, batch_size: int, devices: int, processes: int, shape: tuple[int, int] | None
) -> None:
    assert grid(num_seeds, batch_size, devices, 16, processes) == shape


@pytest.mark.parametrize(("examples", "batch"), [(100, 100), (101, 100), (1, 2)])
def test_a_batch_for_evaluation_is_shared_evenly(examples: int, batch: int) -> None:
    mesh = make_mesh(1, 64)
    assert even_batch(mesh, examples) == batch
    assert batch_axis(mesh, batch)


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_every_seed_gets_its_own_result_wherever_it_runs(seeds: int) -> None:
    mesh = make_mesh(seeds, 1)
    own = np.arange(seeds, dtype=np.float32)
    shared = replicate(np.float32(10), mesh)
    result = jax.jit(map_seeds(lambda x, y: (x + y, x * y), mesh, shared=1))(own, shared)
    np.testing.assert_array_equal(result[0], own + 10)
    np.testing.assert_array_equal(result[1], own * 10)


@pytest.mark.parametrize(
    ("seeds", "batch_size", "shape"),
    [(2, 64, (2, 1)), (1, 64, (1, 2)), (3, 64, (1, 2)), (1, 30, (1, 1)), (1, 65, (1, 1))],
)
def test_two_cores_are_for_two_seeds_or_for_two_shards(
    seeds: int, batch_size: int, shape: tuple[int, int]
) -> None:
    assert jax.device_count() == 2, "tests/conftest.py makes two"
    mesh = make_mesh(seeds, batch_size)
    assert mesh.devices.shape == shape
    result = jax.jit(map_seeds(lambda x: x + 1, mesh))(np.zeros(seeds, np.float32))
    assert result.sharding.device_set == set(mesh.devices.flat)


@pytest.mark.parametrize("examples", [64, 65])
def test_shards_of_a_batch_are_all_of_it_once(examples: int) -> None:
    """Those that do not divide evenly are on every device, and are not added up."""
    mesh = make_mesh(1, 64)
    axis = batch_axis(mesh, examples)
    assert (axis is None) == (examples == 65)

    def add(seed: Any) -> Any:
        numbers = local_shard(jnp.arange(examples), axis)
        return seed + psum({"sum": numbers.sum(), "count": jnp.int32(len(numbers))}, axis)["sum"]

    (total,) = jax.jit(map_seeds(add, mesh))(np.zeros(1, np.int32))
    assert total == examples * (examples - 1) // 2


def test_a_sum_that_is_left_out_is_noticed() -> None:
    """Devices with the same seeds have to return the same (check_vma)."""
    mesh = make_mesh(1, 64)
    axis = batch_axis(mesh, 64)

    def count(seed: Any, add_up: Any) -> Any:
        return seed + add_up(local_shard(jnp.arange(64), axis).sum(), axis)

    seeds = np.zeros(1, np.int32)
    assert jax.jit(map_seeds(lambda seed: count(seed, psum), mesh))(seeds) == 64 * 63 // 2
    with pytest.raises(ValueError, match=r"replication|replicated|vary"):
        jax.jit(map_seeds(lambda seed: count(seed, lambda part, axis: part), mesh))(seeds)
