"""Architectures: exact sizes, PyTorch's initial distributions, and layouts that agree."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.errors import UserError
from jaxmnist.generate.augment import normalise
from jaxmnist.metrics import cross_entropy
from jaxmnist.models.classifiers import CLASSIFIERS
from jaxmnist.models.layers import LocalContrast
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.models.summary import count_parameters, init_variables, layer_table
from jaxmnist.models.zoo import DIGIT_MODELS, SEQUENCE_MODELS, create_network
from jaxmnist.tasks import task_of
from tests.helpers import COMPILE_FAST, SMALL_SEQUENCES, SMALL_STRINGS

PARAMETERS = {
    "sequence_published": 9_891_489, "sequence_compact": 245_423, "sequence_ctc": 354_486,
    "sequence_ctc_small": 220_150,
}  # fmt: skip
ANY_WIDTH = {"sequence_ctc", "sequence_ctc_small", SMALL_STRINGS}
KEY = jax.eval_shape(lambda: jax.random.key(0))


def test_every_model_has_its_exact_number_of_parameters() -> None:
    counted = {}
    for name in SEQUENCE_MODELS.keys() - {SMALL_SEQUENCES, SMALL_STRINGS}:  # which are the tests'
        network = create_network(name, max_length=3)
        shapes = jax.eval_shape(lambda key, n=network: init_variables(n, key, 28, 84), KEY)
        counted[name] = count_parameters(shapes["params"])
        assert f"{counted[name]:,}" in layer_table(network, 28, 84)
    assert counted == PARAMETERS


@pytest.mark.parametrize(
    ("name", "max_length"),
    [
        *((name, n) for name in sorted(SEQUENCE_MODELS.keys() - ANY_WIDTH) for n in (1, 3, 5)),
        *((name, 3) for name in DIGIT_MODELS),  # whose one head it does not concern
    ],
)
def test_logits_have_one_row_a_head(name: str, max_length: int) -> None:
    network = create_network(name, max_length=max_length)
    height, width = task_of(network.architecture).image_size

    def run(key: jax.Array) -> jax.Array:
        variables = init_variables(network, key, height, width)
        return network.apply(variables, jnp.zeros((2, height, width)), train=False)

    reads_sequences = name in SEQUENCE_MODELS
    assert width == 28 * (max_length if reads_sequences else 1)
    heads = (2, max_length, 11) if reads_sequences else (2, 1, 10)
    assert jax.eval_shape(run, KEY).shape == heads


@pytest.mark.parametrize("width", [28, 84, 140, 1_000])
def test_a_network_of_columns_reads_any_width(width: int) -> None:
    network = create_network("sequence_ctc")

    def run(key: jax.Array) -> jax.Array:
        variables = init_variables(network, key, 28, 84)
        return network.apply(variables, jnp.zeros((2, 28, width)), train=False)

    assert jax.eval_shape(run, KEY).shape == (2, width // 2, 11)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_local_contrast_is_free_of_polarity_brightness_and_contrast(layout: str) -> None:
    ops = LAYOUTS[layout]
    random = np.random.RandomState(0)
    ink = np.clip(random.rand(28, 84) * 8 - 7, 0, 1).astype(np.float32)
    ink[8:20, 30:33] = 1

    def run(*images: np.ndarray) -> np.ndarray:
        x = ops.from_images(normalise(jnp.asarray(np.stack(images))))
        x = LocalContrast()(x, layout=ops, train=False)
        return np.asarray(jnp.moveaxis(x, (ops.batch_axis, ops.feature_axis), (0, 1)))

    plain, inverted, faint, other = run(ink, 1 - ink, 0.4 + 0.3 * ink, ink**2 + np.eye(28, 84))
    assert plain.shape == (2, 28, 84)
    scale = np.abs(plain).max()
    assert np.abs(plain - inverted).max() < 1e-4 * scale
    # The least variance is a part of 0.02 of so faint a one.
    assert np.abs(plain - faint).max() < 2e-2 * scale
    assert np.abs(plain - other).max() > 0.1 * scale
    # One grey level on an empty page is no stroke.
    rounded = run(np.full((28, 84), 0.5, np.float32) + np.eye(28, 84, dtype=np.float32) / 255)
    assert np.abs(rounded).max() < 0.2 * scale


def test_local_contrast_sees_no_farther_than_its_window() -> None:
    """But for the sign and the least contrast, so that a long canvas is read as its parts are."""
    ops = LAYOUTS["nhwc"]
    random = np.random.RandomState(1)
    image = random.rand(1, 28, 300).astype(np.float32)
    moved = image.copy()
    moved[:, :, 250:] = image[:, ::-1, 250:]  # the same numbers elsewhere
    run = partial(LocalContrast(), layout=ops, train=False)
    before, after = (np.asarray(run(ops.from_images(jnp.asarray(x)))) for x in (image, moved))
    near, far = slice(0, 250 - 32), slice(250, 300)
    np.testing.assert_allclose(before[:, :, near], after[:, :, near], atol=1e-4)
    assert np.abs(before[:, :, far] - after[:, :, far]).max() > 0.1


def test_layouts_agree_on_logits_gradients_and_statistics() -> None:
    """Same weights, batch and dropout masks: the layouts differ by rounding alone."""
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], (4, 28, 84))
    labels = jax.random.randint(keys[1], (4, 3), 0, 11)
    network = create_network("sequence_compact", max_length=3, layout="nhwc")
    init = jax.jit(lambda key: init_variables(network, key, 28, 84), compiler_options=COMPILE_FAST)
    variables = init(keys[2])

    @partial(jax.jit, static_argnums=0)  # the negative control shares a compiled function
    def step(layout: str, params):
        network = create_network("sequence_compact", max_length=3, layout=layout)

        def loss(params):
            logits, changed = network.apply(
                variables | {"params": params},
                images,
                train=True,
                rngs={"dropout": jax.random.key(1)},
                mutable=["batch_stats"],
            )
            return cross_entropy(logits, labels).mean(), (logits, changed["batch_stats"])

        return jax.grad(loss, has_aux=True)(params)

    def difference(ours, theirs) -> float:
        each = jax.tree.map(lambda a, b: jnp.abs(a - b).max() / jnp.abs(b).max(), ours, theirs)
        return max(float(leaf) for leaf in jax.tree.leaves(each))

    theirs = step("nhwc", variables["params"])
    # Sums of up to 60,000 float32 terms in another order: 1e-4 of each leaf's largest value.
    assert difference(step("chwn", variables["params"]), theirs) < 1e-4
    # The negative control: one weight of the last layer changed by a hundredth.
    changed = jax.tree.map(jnp.copy, variables["params"])
    changed["dense2"]["kernel"] = changed["dense2"]["kernel"].at[0, 0].add(0.01)
    assert difference(step("chwn", changed), theirs) > 1e-4


def is_uniform(values: np.ndarray, bound: float) -> bool:
    """Whether bounds, mean and variance are those of +-bound, within five standard errors."""
    mean, var = values.mean(dtype=np.float64), values.var(dtype=np.float64)
    return bool(
        np.abs(values).max() <= bound
        and abs(mean) < 5 * bound / np.sqrt(3 * values.size)
        and abs(var / (bound**2 / 3) - 1) < 5 * np.sqrt(0.8 / values.size)
    )


@pytest.mark.parametrize(
    "name",  # with all kinds of layers that have weights, of all sizes
    [
        *("model_2", "v_2"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("ds_cnn", "iteration_7", "sequence_published")
        ),
    ],
)
def test_initial_weights_are_distributed_as_pytorchs(name: str) -> None:
    network = create_network(name, max_length=3)
    architecture = network.architecture
    # Over a hundred seeds a bias of 8 numbers has a distribution, too; the large network needs one.
    # This generator compiles faster than the runs' own, and is uniform as well.
    key = jax.random.key(0, impl="rbg")
    keys = jax.random.split(key, 100 if name in CLASSIFIERS else 1)
    draw = jax.jit(
        jax.vmap(lambda key: init_variables(network, key, 28, 28 * architecture.heads)),
        compiler_options=COMPILE_FAST,
    )
    params = jax.tree.map(np.asarray, draw(keys)["params"])
    if name == "sequence_published":
        fan_in = {layer: leaves["kernel"][0, ..., 0].size for layer, leaves in params.items()}
        assert fan_in == {
            "conv1": 9,
            "conv2": 288,
            "conv3": 576,
            "conv4": 1152,
            "dense1": 18_816,
            "dense2": 512,
        }
    for layer, leaves in params.items():
        if layer.startswith("batchnorm"):
            assert (leaves["scale"] == 1).all()
            assert (leaves["bias"] == 0).all()
            continue
        inputs = leaves["kernel"][0, ..., 0].size  # all that one output is made of
        for leaf in leaves.values():
            assert is_uniform(leaf, inputs**-0.5)
        # The negative controls: a fan-in half or twice as large.
        assert not is_uniform(leaves["kernel"], (inputs / 2) ** -0.5)
        assert not is_uniform(leaves["kernel"], (inputs * 2) ** -0.5)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UserError, match="sequence_compact, sequence_ctc, sequence_ctc_small, sequence_pub"
    ):
        create_network("resnet", max_length=3)
