"""Which devices the seeds and the batches of a run are spread over: decided here, once.

The devices form a grid. Along one axis every device has seeds of its own; along the other all have
the same seeds, and each has its part of every batch.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int

from jaxmnist.errors import UserError

SEEDS = "seeds"  # the names of the axes
BATCH = "batch"

# The examples of a batch that are worth a device of their own. On a CPU two halves of a batch, on a
# core each, were as fast as the whole on two threads, or up to a third faster. On an accelerator a
# step on a few hundred examples is over before the devices have agreed on its gradients.
WORTH_A_CORE = 16
WORTH_AN_ACCELERATOR = 1024


def split_cpu(num_seeds: int, batch_size: int) -> None:
    """Makes devices of the cores, as many as the seeds and the parts of a batch can use.

    A small network gains less from a second thread than from a core for the other half of its
    batch, or for its neighbour.
    Does nothing where JAX has started already, or where there is an accelerator.
    """
    seeds, parts = grid(num_seeds, batch_size, cores(), WORTH_A_CORE)
    with contextlib.suppress(RuntimeError):  # JAX has started: its devices stay as they are
        jax.config.update("jax_num_cpu_devices", seeds * parts)


def check_devices() -> None:
    """Starts JAX.

    Raises:
      UserError: if it finds nothing to compute on.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        said = str(error).strip().splitlines() or ["it says no more"]
        raise UserError(
            f"JAX finds no device to compute on ({said[0]}): "
            + (f"unset JAX_PLATFORMS, which is {asked}." if asked else "install it anew.")
        ) from None


def cores() -> int:
    """Counts the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def even_split(count: int, most: int) -> int:
    """Returns the largest number of even parts, at most `most`, that `count` things go into."""
    return next(parts for parts in range(most, 0, -1) if count % parts == 0)


def grid(num_seeds: int, batch_size: int, devices: int, least: int) -> tuple[int, int]:
    """Returns into how many parts seeds and batch go, on at most so many devices.

    Seeds come first, as they need nothing of each other. A batch is parted into `least` examples or
    more.
    """
    seeds = even_split(num_seeds, devices)
    return seeds, even_split(batch_size, max(1, min(devices // seeds, batch_size // least)))


def make_mesh(num_seeds: int, batch_size: int) -> Mesh:
    """Returns the devices for so many seeds, and examples in a batch."""
    devices = jax.devices()
    least = WORTH_A_CORE if jax.default_backend() == "cpu" else WORTH_AN_ACCELERATOR
    shape = grid(num_seeds, batch_size, len(devices), least)
    return Mesh(np.array(devices[: shape[0] * shape[1]]).reshape(shape), (SEEDS, BATCH))


def put_everywhere(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays that all seeds share to every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def described(tree: Any, mesh: Mesh) -> Any:
    """Says what `put_everywhere` would return, and copies nothing."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, P())
        ),
        tree,
    )


def put_by_seed(tree: Any, mesh: Mesh) -> Any:
    """Copies arrays with a leading axis of seeds to the devices that have those seeds."""
    return jax.device_put(tree, NamedSharding(mesh, P(SEEDS)))


def batch_axis(mesh: Mesh, examples: int) -> str | None:
    """Names the axis over which so many examples are parted.

    None if they do not go into even parts, and every device is given all of them.
    """
    parts = mesh.shape[BATCH]
    return BATCH if parts > 1 and examples % parts == 0 else None


def count_parts(axis: str | None) -> int:
    """Counts the parts that a batch is in."""
    return 1 if axis is None else lax.axis_size(axis)


def own_part(numbers: Int[Array, " n"], axis: str | None) -> Int[Array, " part"]:
    """Returns what this device has of the numbers of a batch's examples."""
    if axis is None:
        return numbers
    return numbers.reshape(lax.axis_size(axis), -1)[lax.axis_index(axis)]


def sum_of_parts(tree: Any, axis: str | None) -> Any:
    """Adds up what every device has found on its part of a batch.

    Integers go through single precision, which is exact up to 2^24.
    """
    if axis is None:
        return tree
    flat, unflatten = ravel_pytree(tree)  # one vector, so that the devices meet once
    return unflatten(lax.psum(flat, axis))


def over_seeds(
    function: Callable[..., Any], mesh: Mesh, *, shared: int = 0, examples: str | None = None
) -> Callable[..., Any]:
    """Maps a function over the leading seed axis of its arguments, but for the last `shared`.

    The seeds are spread over the devices. On a CPU the seeds of a device run one after the other:
    batching small networks there costs more memory traffic than it saves. On an accelerator they
    run as one batch. Devices with the same seeds compute the same, except where the function itself
    asks for its `own_part`, or where `examples` names an axis over which the shared arguments and
    the results (behind their axis of seeds) are parted.
    """

    def mapped(*arguments: Any) -> Any:
        split = len(arguments) - shared
        parted = (examples,) if examples else ()

        def on_one_device(*arguments: Any) -> Any:
            seeded, common = arguments[:split], arguments[split:]
            if jax.default_backend() == "cpu":
                return lax.map(lambda one: function(*one, *common), seeded)
            return jax.vmap(lambda *one: function(*one, *common))(*seeded)

        return jax.shard_map(
            on_one_device,
            mesh=mesh,
            in_specs=(P(SEEDS),) * split + (P(*parted),) * shared,
            out_specs=P(SEEDS, *parted),
            check_vma=False,  # control flow over replicated values needs casts to pass the check
        )(*arguments)

    return mapped
