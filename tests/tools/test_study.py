"""The study: every variant is a configuration, and heads that look along columns read strings."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.constants import BLANK
from jaxmnist.models.zoo import SEQUENCE_CLASSES, SEQUENCE_MODELS, find_architecture
from jaxmnist.tasks import ReadStrings, task_of
from tools.study.networks import NETWORKS, query_heads
from tools.study.variants import VARIANTS, variant_config

PLACES = 7


@pytest.fixture(autouse=True)
def _other_tests_see_no_network_of_the_study() -> Iterator[None]:
    before = dict(SEQUENCE_MODELS)
    yield
    SEQUENCE_MODELS.clear()
    SEQUENCE_MODELS.update(before)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_base(name: str) -> None:
    config = variant_config(name, seed=1)
    assert config.seed == 1
    assert (config == variant_config("base", seed=1)) == (name == "base")
    assert isinstance(task_of(find_architecture(config.model, 6), 6), ReadStrings)


def test_each_network_is_used() -> None:
    assert {fields.get("model") for fields in VARIANTS.values()} >= NETWORKS.keys()


def columns(labels: list[int]) -> np.ndarray:
    """Returns logits by which the k-th place looks at column 2k, and sees its digit there."""
    logits = np.zeros((1, 2 * PLACES, SEQUENCE_CLASSES + PLACES), np.float32)
    for place in range(PLACES):
        label = labels[place] if place < len(labels) else BLANK
        logits[0, 2 * place, label] = 30
        logits[0, 2 * place, SEQUENCE_CLASSES + place] = 30
    return logits


@pytest.mark.parametrize("labels", [[], [3], [4, 4, 0, 9]])
def test_heads_read_the_columns_that_they_look_at(labels: list[int]) -> None:
    heads = query_heads(PLACES - 1)
    wanted = np.array([labels + [BLANK] * (PLACES - len(labels))], np.int32)
    logits = jnp.asarray(columns(labels))
    for length in (PLACES, PLACES + 3):  # of lists of longer strings, too
        padded = np.pad(wanted, ((0, 0), (0, length - PLACES)), constant_values=BLANK)
        assert np.array_equal(heads.predict(logits, length), padded)
        assert heads.losses(logits, jnp.asarray(padded))[0] < 1e-3
    other = np.where(wanted == BLANK, 1, BLANK).astype(np.int32)
    assert heads.losses(logits, jnp.asarray(other))[0] > 10
