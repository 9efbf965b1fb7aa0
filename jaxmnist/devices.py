"""Which devices the seeds of a run are spread over: decided here, once."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmnist.errors import UserError

SEEDS = "seeds"  # the name of the axis


def split_cpu(num_seeds: int) -> None:
    """Makes one device of every core, so that a population trains on all of them at once.

    A small network gains less from a second thread than its neighbour does from a core of its own.
    More devices than cores are slower than one after the other, so that the seeds of a population
    that cores do not divide evenly (three on two) go on sharing all threads.
    Does nothing where JAX has started already, or where there is an accelerator.
    """
    with contextlib.suppress(RuntimeError):  # JAX has started: its devices stay as they are
        jax.config.update("jax_num_cpu_devices", even_split(num_seeds, cores()))


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


def even_split(num_seeds: int, most: int) -> int:
    """Returns the largest number of devices, at most `most`, that share seeds out evenly."""
    return next(count for count in range(most, 0, -1) if num_seeds % count == 0)


def seed_mesh(num_seeds: int) -> Mesh:
    """Returns the devices for a leading axis of `num_seeds`."""
    devices = jax.devices()
    return Mesh(np.array(devices[: even_split(num_seeds, len(devices))]), (SEEDS,))


def for_all_seeds(tree: Any, num_seeds: int) -> Any:
    """Copies arrays that all seeds share to every device that has seeds."""
    return jax.device_put(tree, NamedSharding(seed_mesh(num_seeds), P()))


def described(tree: Any, num_seeds: int) -> Any:
    """Says what `for_all_seeds` would return, and copies nothing."""
    everywhere = NamedSharding(seed_mesh(num_seeds), P())
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), tree
    )


def over_seeds(function: Callable[..., Any], shared: int = 0) -> Callable[..., Any]:
    """Maps a function over the leading seed axis of its arguments, but for the last `shared`.

    The seeds are spread over the devices. On a CPU the seeds of a device run one after the other:
    batching small networks there costs more memory traffic than it saves. On an accelerator they
    run as one batch.
    """

    def mapped(*arguments: Any) -> Any:
        split = len(arguments) - shared
        num_seeds = len(jax.tree.leaves(arguments[0])[0])

        def on_one_device(*arguments: Any) -> Any:
            seeded, common = arguments[:split], arguments[split:]
            if jax.default_backend() == "cpu":
                return lax.map(lambda one: function(*one, *common), seeded)
            return jax.vmap(lambda *one: function(*one, *common))(*seeded)

        return jax.shard_map(
            on_one_device,
            mesh=seed_mesh(num_seeds),
            in_specs=(P(SEEDS),) * split + (P(),) * shared,
            out_specs=P(SEEDS),
            check_vma=False,  # control flow over replicated values needs casts to pass the check
        )(*arguments)

    return mapped
