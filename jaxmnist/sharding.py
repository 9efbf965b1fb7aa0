"""The mesh of devices, and how seeds and batches are spread over it: the only file with axis names.

The devices form a grid. Along one axis every device has seeds of its own; along the other all have
the same seeds, and each has its shard of every batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int

from jaxmnist.data.dataset import Dataset
from jaxmnist.runtime import find_devices

SEEDS = "seeds"  # the names of the axes
BATCH = "batch"

# The examples of a batch that are worth a device of their own. On a CPU two halves of a batch, on a
# core each, were as fast as the whole on two threads, or up to a third faster. On an accelerator a
# step on a few hundred examples is over before the devices have agreed on its gradients.
WORTH_A_CORE = 16
WORTH_AN_ACCELERATOR = 1024


def make_mesh(num_seeds: int, batch_size: int) -> Mesh:
    """Returns the mesh for a number of seeds and of examples in a batch.

    Raises:
      UserError: if JAX finds no device.
    """
    devices = find_devices()
    least = WORTH_A_CORE if jax.default_backend() == "cpu" else WORTH_AN_ACCELERATOR
    shape = grid(num_seeds, batch_size, len(devices), least)
    return Mesh(np.array(devices[: shape[0] * shape[1]]).reshape(shape), (SEEDS, BATCH))


def grid(num_seeds: int, batch_size: int, devices: int, least: int) -> tuple[int, int]:
    """Returns the shape of the mesh: devices for seeds, and for shards of each batch.

    Seeds come first, as they need nothing of each other. A shard has `least` examples or more.
    """
    seeds = even_split(num_seeds, devices)
    return seeds, even_split(batch_size, max(1, min(devices // seeds, batch_size // least)))


def even_split(count: int, most: int) -> int:
    """Returns the largest number of equal parts, at most `most`, that `count` divides into."""
    return next(parts for parts in range(most, 0, -1) if count % parts == 0)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays that all seeds share to every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def put_on_device(dataset: Dataset, mesh: Mesh | None = None) -> Dataset:
    """Copies digits to the default device, or to every device of a mesh; labels become int32."""
    arrays = Dataset(dataset.images, np.asarray(dataset.labels, np.int32))
    on_device: Dataset = replicate(arrays, mesh) if mesh else jax.device_put(arrays)
    return on_device


def shard_by_seed(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays with a leading axis of seeds to the devices that have those seeds."""
    return jax.device_put(tree, NamedSharding(mesh, P(SEEDS)))


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
    shards = mesh.shape[BATCH]
    return BATCH if shards > 1 and examples % shards == 0 else None


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
            in_specs=(P(SEEDS),) * split + (P(*sharded),) * shared,
            out_specs=P(SEEDS, *sharded),
            check_vma=check,
        )(*arguments)

    return mapped
