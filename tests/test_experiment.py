"""The compiled functions of a run: what is in them, how many there are, and their gradients."""

import itertools
import logging
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.config import Config
from jaxmnist.data.dataset import Dataset, Splits
from jaxmnist.data.sources import Source, load_splits
from jaxmnist.errors import UserError
from jaxmnist.experiment import Experiment, prepare, with_axis
from jaxmnist.generate.augment import normalise
from jaxmnist.generate.examples import Example
from jaxmnist.metrics import cross_entropy
from jaxmnist.models.layers import BatchNorm, Conv, Dropout
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.models.summary import init_variables
from jaxmnist.models.zoo import create_network
from jaxmnist.rng import Stream, permuted, stream_key
from jaxmnist.sharding import batch_axis, map_seeds, put_on_device
from jaxmnist.state import TrainState
from jaxmnist.steps import example_keys, train_steps
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.training import train
from jaxmnist.weights import FILE_NAME, load_weights
from tests.helpers import COMPILE_FAST, SHORT_PUBLISHED, SMALL, first_gradient, recipe

# A recipe for every system whose layers are no other's but for widths, dropout and normalisation
# (or V1's last one): a tiny one where there is one, as other tests compile its step, too. The
# published recognisers share one network.
RECIPES = {
    "ds_cnn": "ds_cnn:tiny",
    "iteration_1": "iterations:iteration_1",
    "iteration_7": "iterations:tiny",
    "model_1": "models:model_1",
    "model_2": "models:model_2",
    "model_3": "models:tiny",
    "reader": "reader:tiny",
    "seq-compact": "seq:compact-tiny",
    "seq": "seq:tiny",
    "seq-generalist": "seq:generalist",
    "swift": "speedrun:tiny",
    "v_3": "v:tiny",
}
SIBLINGS = {
    "v_1", "v_2", "iteration_2", "iteration_3", "iteration_4", "iteration_5", "iteration_6",
    "seq-specialist",
}  # fmt: skip


def on_real_digits(config: Config, source: Source) -> Experiment:
    """An experiment on MNIST if it is there, with as many digits as the fallback dataset has.

    Batches divide them: the step on a smaller last one would be compiled, and not be used.
    """
    count = len(load_splits(replace(config.data, source="digits8x8")).train)
    if config.sequence is None:
        count -= count % config.batch_size
    train = Dataset(source.train.images[:count], source.train.labels[:count])
    return prepare(config, Splits(train, train, source.test, source.source, source.official))


def gradients_of_the_compiled_step(experiment: Experiment, change: float = 0.0) -> Any:
    state = experiment.init_state(0)
    kernel = state.params["conv1"]["kernel"]
    state.params["conv1"]["kernel"] = kernel.at[0, 1, 1, 0, 0].add(change)
    fns = experiment.compile(state)
    after = fns.train_steps(state, 0, 1, experiment.train_data())
    return first_gradient(jax.tree.map(lambda leaf: np.asarray(leaf[0]), after.opt_state))


def gradients_in_double_precision(experiment: Experiment) -> Any:
    """The same step written out, in float64, on one device, with the platform's own convolution."""
    state: TrainState = jax.tree.map(lambda x: x[0], experiment.init_state(0))
    spec = experiment.spec

    @jax.jit
    def first_batch(state: TrainState, dataset: Dataset) -> Example:
        # In the order of the compiled step, as a dropout mask depends on the place in the batch.
        order = stream_key(state.key, Stream.ORDER, 0)
        index = permuted(order, jnp.arange(spec.batch_size), spec.num_examples)
        keys = example_keys(state, jnp.int32(0), index, spec)
        return jax.vmap(spec.example_fn, in_axes=(0, None))(keys, dataset)

    images, labels = first_batch(state, put_on_device(experiment.splits.train))
    network = spec.network.clone(layout=LAYOUTS["nhwc"])

    def loss(params: Any, images: Any) -> Any:
        logits, _ = network.apply(
            {"params": params, "batch_stats": stats},
            images,
            train=True,
            rngs={"dropout": stream_key(state.key, Stream.DROPOUT)},
            mutable=["batch_stats"],
        )
        return network.architecture.losses(logits, labels).mean()

    with jax.enable_x64(True):
        double = jax.tree.map(lambda x: np.asarray(x, np.float64), state.params)
        stats = jax.tree.map(lambda x: np.asarray(x, np.float64), state.batch_stats)
        arguments = double, np.asarray(images, np.float64)
        # Fused as little as can be, and to 1e-14 what one operation at a time gave: fusing is what
        # made this very reference 40 % wrong once, by a pool's gradient.
        compiled = jax.jit(jax.grad(loss)).lower(*arguments).compile(COMPILE_FAST)
        return jax.tree.map(np.asarray, compiled(*arguments))


def errors(experiment: Experiment, ours: Any, exact: Any) -> float:
    """The largest error, each leaf's in units of its largest entry.

    A bias before batch normalisation has no gradient: it is measured by its own kernel's.
    """
    layers = experiment.network.architecture.named_layers()
    no_gradient = {
        name
        for (name, layer), (_, following) in itertools.pairwise(layers)
        if isinstance(layer, Conv) and isinstance(following, BatchNorm)
    }
    return max(
        np.abs(ours[name][part] - exact[name][part]).max()
        / np.abs(exact[name]["kernel" if name in no_gradient else part]).max()
        for name in exact
        for part in exact[name]
    )


def test_every_system_has_its_step_compared_or_a_sibling_that_has() -> None:
    assert RECIPES.keys() | SIBLINGS == SYSTEMS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_gradients_of_the_whole_compiled_step(name: str, source: Source) -> None:
    """Generator, network, loss and optimizer in one step, against float64 and `lax.conv`.

    A gradient rule that is right by itself may go wrong where the compiler fuses it with its
    neighbours and computes again, rounded otherwise, what the rule compares.
    """
    changes = SHORT_PUBLISHED if name == "seq-generalist" else {}
    experiment = on_real_digits(recipe(RECIPES[name], changes), source)
    exact = gradients_in_double_precision(experiment)
    # Measured: 3e-4 and less, and 1e-2 where rounding decides otherwise about one value next to a
    # ReLU's zero or a pool's tie (v_3; more on the fallback dataset, whose blocky digits have many
    # equal values). A wrong rule was a third off.
    assert errors(experiment, gradients_of_the_compiled_step(experiment), exact) < 5e-2
    if name == "model_3":  # The negative control: one weight changed.
        changed = gradients_of_the_compiled_step(experiment, change=0.05)
        assert errors(experiment, changed, exact) > 2e-1


@pytest.mark.slow
def test_gradients_are_the_same_at_every_level_of_the_compiler(digits: np.ndarray) -> None:
    """The rule of a pool that compared with its result was a third off at level 1, right at 3.

    At level 0 tests/test_torch_training.py compares gradients with PyTorch's.
    """
    network = create_network("model_2", layout="chwn")
    variables = init_variables(network, jax.random.key(0), 28, 28)
    images = normalise(jnp.asarray(digits[:4], jnp.float32) / 255)

    def loss(params: Any) -> Any:
        logits, _ = network.apply(
            variables | {"params": params},
            images,
            train=True,
            rngs={"dropout": jax.random.key(1)},
            mutable=["batch_stats"],
        )
        return cross_entropy(logits, jnp.arange(4)[:, None]).mean()

    def gradients(level: str, change: float = 0.0) -> Any:
        params = jax.tree.map(jnp.copy, variables["params"])
        params["conv1"]["kernel"] = params["conv1"]["kernel"].at[0, 0, 0, 0].add(change)
        options = {"xla_backend_optimization_level": level}
        return jax.jit(jax.grad(loss)).lower(params).compile(options)(params)

    def difference(ours: Any, theirs: Any) -> float:
        each = jax.tree.map(lambda a, b: np.abs(a - b).max(), ours, theirs)
        return max(jax.tree.leaves(each)) / max(
            np.abs(leaf).max() for leaf in jax.tree.leaves(ours)
        )

    best = gradients("3")
    assert difference(gradients("1"), best) < 1e-3
    assert difference(gradients("3", change=0.1), best) > 1e-2  # the negative control


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sharded_batch_is_the_batch(layout: str, source: Source) -> None:
    """Statistics, gradients, masks, order and metrics are those of one device with all of it."""
    plain = {
        "model": SMALL, "optimizer.name": "sgd", "optimizer.momentum": 0.0,
        "schedule.name": "constant", "schedule.learning_rate": 1_000.0,  # all gradient
    }  # fmt: skip
    experiment = on_real_digits(recipe("iterations:tiny", plain), source)
    assert {BatchNorm, Dropout} <= set(map(type, experiment.network.architecture.layers))
    spec = replace(experiment.spec, network=experiment.network.clone(layout=LAYOUTS[layout]))
    state, mesh = experiment.init_state(0), experiment.mesh
    dataset = experiment.train_data()
    axis = batch_axis(mesh, 32)
    assert axis

    @partial(jax.jit, static_argnums=0)
    def after(axis_name: str | None, dataset: Dataset) -> TrainState:
        steps = partial(train_steps, spec=with_axis(spec, axis_name), batch_size=32)
        return map_seeds(steps, mesh, shared=3, check=False)(
            state, jnp.int32(0), jnp.int32(1), dataset
        )

    def largest(ours: Any, theirs: Any) -> float:
        return max(
            float(np.abs(np.asarray(a) - np.asarray(b)).max())
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
        )

    def difference(ours: TrainState, theirs: TrainState) -> float:
        """The largest difference by the largest change, of weights and of statistics."""
        return max(
            largest(new, old) / largest(old, start)
            for new, old, start in zip(
                *((each.params, each.batch_stats) for each in (ours, theirs, state)), strict=True
            )
        )

    sharded, whole = after(axis, dataset), after(None, dataset)
    assert difference(sharded, whole) < 1e-3
    np.testing.assert_allclose(sharded.sums.loss, whole.sums.loss, rtol=1e-5)
    assert sharded.sums.correct == whole.sums.correct
    assert sharded.sums.examples == whole.sums.examples == 32
    # The negative control: one pixel of every digit.
    changed = replace(dataset, images=dataset.images.at[:, 14, 14].add(100))
    assert difference(after(axis, changed), whole) > 1e-2


@pytest.mark.parametrize(("layout", "expected"), [("chwn", False), ("nhwc", True)])
def test_no_convolution_op_in_an_epoch_on_cpu(layout: str, expected: bool, source: Source) -> None:
    """XLA's convolution is ten times slower in a loop than outside: the layout avoids it."""
    experiment = on_real_digits(recipe("iterations:tiny"), source)  # its step is compiled anyway
    network = experiment.network.clone(layout=LAYOUTS[layout])
    experiment = replace(experiment, spec=replace(experiment.spec, network=network))
    text = experiment.compile(experiment.init_state(0)).full_batches.as_text()
    assert bool(re.search(r"\bconvolution\(|custom-call.*conv", text)) is expected
    # What enters a convolution is computed once: calls that are not inlined, which keep XLA from
    # fusing it into every shifted slice.
    assert bool(re.search(r"\bcall\(.*inlineable", text)) is not expected


@pytest.mark.slow
def test_a_run_compiles_the_same_functions_however_long_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing compiles again for an epoch or a suite: four epochs take what two take."""
    small = {
        "model": SMALL, "batch_size": 32, "data.source": "digits8x8", "data.train_examples": 100,
        "data.validation_examples": 100, "eval.examples": 150, "eval.every_epoch": False,
    }  # fmt: skip

    def compiled(epochs: int, seed: int = 0) -> Counter[str]:
        caplog.clear()
        config = recipe("iterations:iteration_5", {**small, "epochs": epochs, "seed": seed})
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            train(config, tmp_path / f"{epochs}-{seed}")
        names = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
        return Counter(names)

    jax.clear_caches()
    two = compiled(2)
    assert not compiled(2, seed=1)  # another run in this process finds all of it
    jax.clear_caches()
    assert compiled(4) == two
    # Initial state, steps, the step on the smaller last batch, end of an epoch, and one forward
    # pass for validation and all suites.
    assert two["_init_states"] == two["_end_epoch"] == two["_forward"] == 1
    assert two["_train_steps"] == 2
    assert two["_make_batch"] == 2  # the examples of validation, and those of all suites


def test_a_training_begins_with_given_weights(tiny_run: tuple[Path, str]) -> None:
    folder = tiny_run[0]
    config = recipe("seq:compact-tiny", {"num_seeds": 2, "init_from": str(folder)})
    state = prepare(config).with_initial_weights().init_state(0)
    given = load_weights(folder / FILE_NAME).weights
    for place in range(2):
        own = jax.tree.map(lambda leaf, place=place: leaf[place], (state.weights, state.best[2]))
        jax.tree.map(np.testing.assert_array_equal, own, (given, given))
    random = prepare(replace(config, init_from="")).with_initial_weights().init_state(0)
    assert not np.array_equal(random.params["conv1"]["kernel"], state.params["conv1"]["kernel"])


@pytest.mark.parametrize("name", ["seq", "nothing-there"])
def test_weights_to_begin_with_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        prepare(recipe("seq:compact-tiny", {"init_from": name})).with_initial_weights()
