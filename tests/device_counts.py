"""Trains a hundred steps on 1, 2, 4 and 8 devices, and prints samples and losses as JSON.

tests/test_distributed.py runs it as a process that has eight devices.
"""

import hashlib
import json
import sys
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from jaxmnist.data.dataset import Dataset
from jaxmnist.experiment import prepare
from jaxmnist.generate.examples import Example, ExampleKeys
from jaxmnist.sharding import DATA, POPULATION, to_host
from tests.helpers import short_run

STEPS, BATCH = 100, 16
Seen = list[tuple[int, bytes]]


def train_on(devices: int, **changes: Any) -> dict[str, Any]:
    """Returns a hash of all examples in the order of their numbers, and the loss of every step."""
    seen: Seen = []

    def note(index: Array, image: Array) -> None:
        # To a millionth: how a loop is vectorised depends on the size of a shard.
        seen.append((int(index), np.round(np.asarray(image, np.float64), 6).tobytes()))

    experiment = prepare(short_run(batch_size=BATCH, **changes))
    make = experiment.spec.example_fn

    def noted(keys: ExampleKeys, dataset: Dataset) -> Example:
        example = make(keys, dataset)
        jax.debug.callback(note, keys.index, example[0])
        return example

    mesh = Mesh(np.array(jax.devices()[:devices]).reshape(1, devices), (POPULATION, DATA))
    spec = replace(experiment.spec, example_fn=noted)
    experiment = replace(experiment, mesh=mesh, spec=spec)
    state, data = experiment.init_state(0), experiment.train_data()
    fns = experiment.compile(state)
    assert fns.steps_per_epoch > STEPS // 2
    hashes, losses = hashlib.sha256(), [0.0]
    for step in range(STEPS):
        state = fns.train_steps(state, step, step + 1, data)
        losses.append(float(to_host(state.sums.loss)[0]))
        jax.effects_barrier()
        assert len(seen) >= BATCH
        for index, image in sorted(set(seen)):
            hashes.update(f"{index}".encode() + image)
        seen.clear()
    return {"samples": hashes.hexdigest(), "losses": np.diff(losses).tolist()}


if __name__ == "__main__":
    runs = {devices: train_on(devices) for devices in (1, 2, 4, 8)}
    runs["other seed"] = train_on(2, seed=1)  # the negative controls
    runs["norm of shards"] = train_on(4, batch_norm="shard")
    json.dump(runs, sys.stdout)
