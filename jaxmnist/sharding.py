"""The mesh of devices, and how a population and its batches are spread over it.

The devices of all processes form one grid; a single device is the grid of size 1. Along the axis
`population` every device has members of its own, seeds or points of a sweep; along `data` all have
the same members, and each its shard of every batch. No other file has these names. What is called a
collective here has to be called by every process, in the same order.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, Sharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int

from jaxmnist.data.dataset import Dataset
from jaxmnist.errors import UserError
from jaxmnist.runtime import find_devices

POPULATION = "population"  # the names of the axes
DATA = "data"

# The examples of a batch that are worth a device of their own. On a CPU two halves of a batch, on a
# core each, were as fast as the whole on two threads, or up to a third faster. On an accelerator a
# step on a few hundred examples is over before the devices have agreed on its gradients.
WORTH_A_CORE = 16
WORTH_AN_ACCELERATOR = 1024


def make_mesh(num_seeds: int, batch_size: int) -> Mesh:
    """Returns the mesh for a number of seeds and of examples in a batch.

    Every process has as many of its devices in it as any other.

    Raises:
      UserError: if JAX finds no device, or seeds and batches cannot be shared by all processes.
    """
    devices, processes = find_devices(), jax.process_count()
    least = WORTH_A_CORE if jax.default_backend() == "cpu" else WORTH_AN_ACCELERATOR
    of_each = [[d for d in devices if d.process_index == process] for process in range(processes)]
    if len(set(map(len, of_each))) > 1:
        raise UserError(
            f"the processes have {', '.join(map(str, map(len, of_each)))} devices, and each needs "
            "as many as any other: set JAX_NUM_CPU_DEVICES, or what hides accelerators."
        )
    shape = grid(num_seeds, batch_size, len(devices), least, processes)
    if shape is None:
        raise UserError(
            f"{num_seeds} seed(s) in batches of {batch_size} examples cannot be shared equally by "
            f"{processes} processes: start fewer, or change num_seeds or batch_size."
        )
    chosen = [d for own in of_each for d in own[: shape[0] * shape[1] // processes]]
    return Mesh(np.array(chosen).reshape(shape), (POPULATION, DATA))


def grid(
    num_seeds: int, batch_size: int, devices: int, least: int, processes: int = 1
) -> tuple[int, int] | None:
    """Returns the shape of the mesh: devices for seeds, and for shards of each batch.

    Seeds come first, as they need nothing of each other. A shard has `least` examples or more,
    unless some process would have none. None if not all processes can have as much to do.
    """
    for seeds in divisors(num_seeds, devices):
        most = devices // seeds
        worth = max(1, min(most, batch_size // least))
        small = [parts for parts in range(worth + 1, most + 1) if batch_size % parts == 0]
        for parts in (*divisors(batch_size, worth), *small):
            if seeds * parts % processes == 0:
                return seeds, parts
    return None


def divisors(count: int, most: int) -> list[int]:
    """Returns into how many equal parts `count` divides, `most` at most, the largest first."""
    return [parts for parts in range(min(count, most), 0, -1) if count % parts == 0]


def is_writer() -> bool:
    """Returns whether this process is the one that writes the run folder."""
    return jax.process_index() == 0


def largest(values: Sequence[int]) -> list[int]:
    """Returns the largest of what all processes give, place by place; a collective."""
    given = np.array(values, np.int32)
    return [int(value) for value in multihost_utils.process_allgather(given).max(0)]


def same_for_all(text: str) -> bool:
    """Returns whether all processes give the same text; a collective."""
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)
    return not np.ptp(multihost_utils.process_allgather(digest), axis=0).any()


def wait_for_all(point: str) -> None:
    """Waits until every process has come to a point that has a name; a collective."""
    multihost_utils.sync_global_devices(point)


def to_host(tree: Any) -> Any:
    """Returns arrays on the host, whole wherever their parts lie; a collective."""

    def whole(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            assert isinstance(leaf.sharding, NamedSharding)
            leaf = jax.device_put(leaf, NamedSharding(leaf.sharding.mesh, P()))
        return np.asarray(leaf)

    return jax.tree.map(whole, tree)


@partial(jax.jit, static_argnames="mesh")
def snapshot(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays to every device, for reading what is donated before it is computed."""
    return lax.with_sharding_constraint(jax.tree.map(jnp.copy, tree), NamedSharding(mesh, P()))


def first_shard(tree: Any) -> Any:
    """Returns what the first device of this process has; of the writer, the first seeds."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays that all seeds share to every device."""
    return place(tree, NamedSharding(mesh, P()))


def put_on_device(dataset: Dataset, mesh: Mesh | None = None) -> Dataset:
    """Copies digits to the default device, or to every device of a mesh; labels become int32."""
    arrays = Dataset(dataset.images, np.asarray(dataset.labels, np.int32))
    on_device: Dataset = replicate(arrays, mesh) if mesh else jax.device_put(arrays)
    return on_device


def shard_by_seed(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays with a leading axis of seeds to the devices that have those seeds."""
    return place(tree, NamedSharding(mesh, P(POPULATION)))


def place(tree: Any, sharding: Sharding) -> Any:
    """Puts on devices what every process has whole, or what lies on them in another way."""

    def put(leaf: Any) -> Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        return jax.make_array_from_process_local_data(sharding, leaf, np.shape(leaf))

    return jax.tree.map(put, tree)


def own_examples(mesh: Mesh, examples: int) -> slice:
    """Returns which examples of a batch lie on devices of this process."""
    sharding = NamedSharding(mesh, P(batch_axis(mesh, examples)))
    parts = sharding.addressable_devices_indices_map((examples,)).values()
    ranges = [part[0].indices(examples) for part in parts if part is not None]
    return slice(min(start for start, _, _ in ranges), max(stop for _, stop, _ in ranges))


def join_batch(tree: Any, mesh: Mesh, examples: int) -> Any:
    """Puts a batch on the devices, of which each process gives its `own_examples`."""
    sharding = NamedSharding(mesh, P(batch_axis(mesh, examples)))
    return jax.tree.map(
        lambda own: jax.make_array_from_process_local_data(
            sharding, own, (examples, *own.shape[1:])
        ),
        tree,
    )


def shape_structs(tree: Any, mesh: Mesh) -> Any:
    """Returns shapes, dtypes and shardings of what `replicate` would return; copies nothing."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, P())
        ),
        tree,
    )


def batch_axis(mesh: Mesh, examples: int) -> str | None:
    """Returns the name of the axis over which a batch is sharded.

    None if the examples do not divide evenly, and every device is given all of them.
    """
    shards = mesh.shape[DATA]
    return DATA if shards > 1 and examples % shards == 0 else None


def even_batch(mesh: Mesh, examples: int) -> int:
    """Returns a size of batches that all devices share: `examples`, or nearly so many."""
    shards = mesh.shape[DATA]
    return shards * max(1, examples // shards)


def axis_size(axis_name: str | None) -> int:
    """Returns the number of shards of a batch."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def local_shard(numbers: Int[Array, " n"], axis_name: str | None) -> Int[Array, " shard"]:
    """Returns this device's shard of an array with one number for each example."""
    if axis_name is None:
        return numbers
    return numbers.reshape(lax.axis_size(axis_name), -1)[lax.axis_index(axis_name)]


def psum(tree: Any, axis_name: str | None) -> Any:
    """Adds up what every device has found on its shard of a batch; exact for integers to 2^24."""
    if axis_name is None:
        return tree
    flat, unflatten = ravel_pytree(tree)  # one vector, so that the devices meet once a step
    return unflatten(lax.psum(flat, axis_name))


def map_seeds(
    function: Callable[..., Any],
    mesh: Mesh,
    *,
    shared: int = 0,
    examples: str | None = None,
    check: bool = True,
) -> Callable[..., Any]:
    """Maps a function over the leading seed axis of its arguments, but for the last `shared`.

    The seeds are spread over the devices. Devices with the same seeds compute the same, except
    where the function itself takes its `local_shard`, or where `examples` names an axis over which
    the shared arguments and the results (behind their axis of seeds) are sharded. With `check` a
    result that might differ between devices with the same seeds is an error when it is traced.
    """

    def mapped(*arguments: Any) -> Any:
        split = len(arguments) - shared
        sharded = (examples,) if examples else ()

        def on_one_device(*arguments: Any) -> Any:
            seeded, common = arguments[:split], arguments[split:]
            # On a CPU seeds run one after the other: batching small networks there costs more
            # memory traffic than it saves. On an accelerator they run as one batch.
            if jax.default_backend() == "cpu":
                return lax.map(lambda one: function(*one, *common), seeded)
            return jax.vmap(lambda *one: function(*one, *common))(*seeded)

        return jax.shard_map(
            on_one_device,
            mesh=mesh,
            in_specs=(P(POPULATION),) * split + (P(*sharded),) * shared,
            out_specs=P(POPULATION, *sharded),
            check_vma=check,
        )(*arguments)

    return mapped
