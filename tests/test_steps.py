"""What an epoch goes through: order, fresh augmentation, and what is the same after a stop."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.data.dataset import Dataset
from jaxmnist.experiment import make_spec
from jaxmnist.generate.examples import Example, ExampleKeys
from jaxmnist.models.layers import Dense, Flatten
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.models.network import Architecture, Network
from jaxmnist.state import TrainState, init_state
from jaxmnist.steps import TrainSpec, train_steps
from tests.helpers import recipe

EXAMPLES, BATCH = 12, 4
NETWORK = Network(Architecture((Flatten(), Dense(10)), heads=1, classes=10), LAYOUTS["chwn"])
SEEN: list[tuple[int, bytes, bytes]] = []  # index, sample key and augment key of each example


def note(index: np.ndarray, sample: np.ndarray, augment: np.ndarray) -> None:
    SEEN.append((int(index), sample.tobytes(), augment.tobytes()))


def first_state(spec: TrainSpec, *, average: bool) -> TrainState:
    return init_state(
        jnp.int32(0),
        network=NETWORK,
        image_size=(28, 28),
        optimizer=spec.optimizer,
        schedule=spec.schedule.init(1e-3),
        mode="max",
        average=average,
        keep_epochs=0,
    )


def example(keys: ExampleKeys, dataset: Dataset) -> Example:
    data = [jax.random.key_data(key) for key in (keys.sample_key, keys.augment_key)]
    jax.debug.callback(note, keys.index, *data)
    return jnp.zeros((28, 28)), dataset.labels[:1]


@cache
def compiled_steps(resample_each_epoch: bool) -> Callable[[int], list[tuple[int, bytes, bytes]]]:
    """Returns `epoch -> what its examples were made of`, in order, but for that within a batch."""
    spec: TrainSpec = replace(
        make_spec(recipe("models:model_1", {"batch_size": BATCH}), NETWORK, EXAMPLES),
        example_fn=example,
        resample_each_epoch=resample_each_epoch,
    )
    state = first_state(spec, average=False)
    dataset = Dataset(jnp.zeros((1, 28, 28), jnp.uint8), jnp.zeros(1, jnp.int32))
    steps = jax.jit(partial(train_steps, spec=spec, batch_size=BATCH))

    def run(epoch: int) -> list[tuple[int, bytes, bytes]]:
        SEEN.clear()
        batches = []
        for step in range(spec.steps_per_epoch * epoch, spec.steps_per_epoch * (epoch + 1)):
            jax.block_until_ready(steps(state, jnp.int32(step), jnp.int32(step + 1), dataset))
            jax.effects_barrier()
            batches.append(sorted(SEEN[-BATCH:]))
        return list(itertools.chain.from_iterable(batches))

    return run


@pytest.mark.parametrize("resample", [True, False])
def test_every_epoch_has_an_order_and_an_augmentation_of_its_own(resample: bool) -> None:
    epoch = compiled_steps(resample)
    first, second = epoch(0), epoch(1)
    assert first == epoch(0)
    order, other_order = ([index for index, _, _ in seen] for seen in (first, second))
    assert sorted(order) == sorted(other_order) == list(range(EXAMPLES))
    assert order != other_order
    pairs = list(zip(sorted(first), sorted(second), strict=True))
    assert not any(one[2] == other[2] for one, other in pairs)  # augment keys
    same = [one[1] == other[1] for one, other in pairs]  # sample keys
    assert not any(same) if resample else all(same)


def test_the_average_of_weights_follows_them() -> None:
    spec = make_spec(recipe("models:model_1", {"batch_size": BATCH}), NETWORK, EXAMPLES)
    state = first_state(spec, average=True)
    assert state.average is not None
    expected = np.asarray(state.params["dense1"]["bias"], np.float64)
    for step in range(1, 40):
        now = {"dense1": {**state.params["dense1"], "bias": jnp.full(10, float(step))}}
        state = state._replace(params=now, step=jnp.int32(step)).averaged(0.9)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    np.testing.assert_allclose(state.weights.params["dense1"]["bias"], expected, rtol=1e-5)
    assert np.asarray(state.params["dense1"]["bias"]) == pytest.approx(39)  # the trained ones
