"""The networks of any length in NumPy: the logits are those of Flax."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxmnist.constants import MEAN, SD
from jaxmnist.errors import UserError
from jaxmnist.models.summary import init_variables
from jaxmnist.models.zoo import create_network
from jaxmnist.reader import forward
from tests.helpers import COMPILE_FAST

# float32 sums of up to 1,344 products in another order, through nine layers: 1e-6 of the largest
# logit.
TOLERANCE = 1e-5


@cache
def weights(name: str) -> dict[str, np.ndarray]:
    """Random weights whose statistics are those that batches had, so that no layer is dull."""
    network = create_network(name)
    shapes = jax.eval_shape(lambda key: init_variables(network, key, 28, 28), jax.random.key(0))
    random = np.random.default_rng(0)
    found = {}
    for path, leaf in flatten_dict(shapes, sep=".").items():
        noise = np.asarray(random.normal(size=leaf.shape), np.float32)
        fan_in = max(int(np.prod(leaf.shape[:-1])), 1)
        found[path] = {
            "kernel": noise * np.float32(np.sqrt(2 / fan_in)),
            "scale": 1 + noise / 4,
            "var": np.exp(noise / 2),
        }.get(path.split(".")[-1], noise / 4)
        found[path] = np.asarray(found[path], np.float32)
    return found


def reference(name: str, canvases: np.ndarray) -> np.ndarray:
    network = create_network(name)
    tree: dict = {}
    for path, value in weights(name).items():
        *folders, leaf = path.split(".")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = jnp.asarray(value)
    images = jnp.asarray((canvases.astype(np.float32) / 255 - MEAN) / SD)
    apply = jax.jit(lambda tree, x: network.apply(tree, x, train=False))
    compiled = apply.lower(tree, images).compile(COMPILE_FAST)
    return np.asarray(compiled(tree, images))


def canvases(width: int) -> np.ndarray:
    """Noise on grounds of both polarities, and a blank one."""
    random = np.random.default_rng(width)
    drawn = random.integers(0, 256, (3, 28, width), np.uint8)
    drawn[0] = np.where(drawn[0] > 220, drawn[0], 0)
    drawn[1] = 255 - np.where(drawn[1] > 220, drawn[1], 0)
    drawn[2, :, width // 2 :] = 30
    return np.concatenate([drawn, np.zeros((1, 28, width), np.uint8)])


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", ["sequence_ctc", "sequence_ctc_small"])
@pytest.mark.parametrize("width", [28, 56, 84, 140])
def test_logits_are_those_of_flax(name: str, width: int) -> None:
    images = canvases(width)
    theirs = reference(name, images)
    assert theirs.shape == (4, width // 2, 11)
    assert np.ptp(theirs, axis=(0, 1)).min() > 0.5  # they vary, from column to column
    ours = forward.from_arrays(weights(name)).logits(images)
    assert difference(ours, theirs) < TOLERANCE


def test_one_changed_weight_is_seen() -> None:
    name, images = "sequence_ctc_small", canvases(28)
    theirs = reference(name, images)
    for path, value in weights(name).items():
        if path.endswith(".count"):
            continue  # of batches: it says how far to trust the statistics, in training
        seen = []
        for place in np.abs(value).reshape(-1).argsort()[-5:]:  # of which some feed dead units
            changed = value.copy()
            changed.reshape(-1)[place] *= 1.1
            ours = forward.from_arrays(weights(name) | {path: changed}).logits(images)
            seen.append(difference(ours, theirs))
        assert max(seen) > 2 * TOLERANCE, path


def test_canvases_do_not_know_of_each_other() -> None:
    network = forward.from_arrays(weights("sequence_ctc_small"))
    images = np.concatenate([canvases(28)] * 5)  # more than go through at once
    together = network.logits(images)
    alone = np.concatenate([network.logits(image[None]) for image in images])
    assert difference(together, alone) < TOLERANCE


@pytest.mark.parametrize("name", ["model_3", "swift", "sequence_compact"])
def test_weights_of_other_networks_are_refused(name: str) -> None:
    network = create_network(name)
    width = 84 if name == "sequence_compact" else 28
    shapes = jax.eval_shape(lambda key: init_variables(network, key, 28, width), jax.random.key(0))
    flat = flatten_dict(shapes, sep=".")
    arrays = {path: np.zeros(leaf.shape, leaf.dtype) for path, leaf in flat.items()}
    with pytest.raises(UserError, match="no weights of a network that reads strings of any length"):
        forward.from_arrays(arrays)


def test_weights_that_do_not_tell_where_the_pool_is_are_refused() -> None:
    arrays = dict(weights("sequence_ctc_small"))
    narrow = slice(0, 16)  # as many features in the second and the third layer as in the first
    for number, first in ((2, slice(None)), (3, narrow)):
        arrays[f"params.conv{number}.kernel"] = arrays[f"params.conv{number}.kernel"][
            :, :, first, narrow
        ]
        for part in ("params.batchnorm{}.scale", "params.batchnorm{}.bias",
                     "batch_stats.batchnorm{}.mean", "batch_stats.batchnorm{}.var"):  # fmt: skip
            arrays[part.format(number)] = arrays[part.format(number)][narrow]
    arrays["params.conv4.kernel"] = arrays["params.conv4.kernel"][:, :, narrow]
    with pytest.raises(UserError, match="strings of any length"):
        forward.from_arrays(arrays)


def test_weights_with_a_part_missing_are_refused() -> None:
    whole = weights("sequence_ctc_small")
    with pytest.raises(UserError, match="strings of any length"):
        forward.from_arrays({})
    for path in whole:
        with pytest.raises(UserError, match="strings of any length"):
            forward.from_arrays({name: value for name, value in whole.items() if name != path})


def test_weights_of_another_shape_or_not_finite_are_refused() -> None:
    whole = weights("sequence_ctc_small")
    for path, value in whole.items():
        if not path.endswith(".count"):
            with pytest.raises(UserError, match="strings of any length"):
                forward.from_arrays(whole | {path: value[..., 1:]})
            with pytest.raises(UserError, match="not finite"):
                forward.from_arrays(whole | {path: np.full_like(value, np.nan)})
