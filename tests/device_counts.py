"""Trains a hundred steps on 1, 2, 4 and 8 devices, and prints samples and losses as JSON.

tests/test_distributed.py runs it as a process that has eight devices.
"""

import hashlib
import json
import sys
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from jaxmnist.data.dataset import Dataset
from jaxmnist.experiment import prepare, with_axis
from jaxmnist.rng import Stream, permuted, stream_key
from jaxmnist.sharding import DATA, POPULATION, batch_axis, local_shard, map_seeds, to_host
from jaxmnist.state import TrainState
from jaxmnist.steps import TrainSpec, example_keys
from tests.helpers import short_run

STEPS, BATCH = 100, 16


def samples(
    state: TrainState, step: Int[Array, ""], dataset: Dataset, *, spec: TrainSpec
) -> Float[Array, "batch 28 28"]:
    """Returns the images of a step, made as a train step makes them: on each device its shard."""
    places = local_shard(step * BATCH + jnp.arange(BATCH), spec.axis_name)
    epoch = jnp.int32(0)
    index = permuted(stream_key(state.key, Stream.ORDER, epoch), places, spec.num_examples)
    keys = example_keys(state, epoch, index, spec)
    images, _ = jax.vmap(spec.example_fn, in_axes=(0, None))(keys, dataset)
    return lax.all_gather(images, spec.axis_name, tiled=True) if spec.axis_name else images


def train_on(devices: int, **changes: Any) -> dict[str, Any]:
    """Returns a hash of the images of an epoch, and the loss of every step."""
    experiment = prepare(short_run(batch_size=BATCH, **changes))
    mesh = Mesh(np.array(jax.devices()[:devices]).reshape(1, devices), (POPULATION, DATA))
    experiment = replace(experiment, mesh=mesh)
    state, data = experiment.init_state(experiment.config.seed), experiment.train_data()

    spec = with_axis(experiment.spec, batch_axis(mesh, BATCH))
    make = jax.jit(map_seeds(partial(samples, spec=spec), mesh, shared=2, check=False))
    hashes = hashlib.sha256()
    for step in range(experiment.spec.num_examples // BATCH):
        # To a millionth: how a loop is vectorised depends on the size of a shard.
        images = np.round(np.asarray(to_host(make(state, jnp.int32(step), data)), np.float64), 6)
        hashes.update((images + 0.0).tobytes())  # no zero has a sign

    fns, losses = experiment.compile(state), [0.0]
    for step in range(STEPS):
        state = fns.train_steps(state, step, step + 1, data)
        losses.append(float(to_host(state.sums.loss)[0]))
    return {"samples": hashes.hexdigest(), "losses": np.diff(losses).tolist()}


if __name__ == "__main__":
    runs = {devices: train_on(devices) for devices in (1, 2, 4, 8)}
    runs["other seed"] = train_on(2, seed=1)  # the negative controls
    runs["norm of shards"] = train_on(4, batch_norm="shard")
    json.dump(runs, sys.stdout)
