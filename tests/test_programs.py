"""The compiled programs of a run: what is in them, how many there are, and their gradients."""

import itertools
import logging
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.data.sources import Source
from jaxmnist.devices import batch_axis, make_mesh, over_seeds, put_everywhere
from jaxmnist.evaluate import to_device
from jaxmnist.generate.example import Bank
from jaxmnist.generate.transforms import normalise
from jaxmnist.models.backend import BACKENDS
from jaxmnist.models.catalogue import create_network
from jaxmnist.models.layers import BatchNorm, Conv, Dropout
from jaxmnist.models.table import init_variables
from jaxmnist.programs import compile_programs, initial_state
from jaxmnist.recipe import Recipe, make_recipe
from jaxmnist.rng import Stream, permutation, stream_key
from jaxmnist.state import TrainState
from jaxmnist.steps import example_draws, loss_per_example, run_steps
from jaxmnist.systems.published import SYSTEMS
from jaxmnist.systems.recipes import find_recipe
from jaxmnist.train import train_and_evaluate

RATE = 1_000.0  # so large that a step is all gradient, and rounding of the weights nothing

# Another system's layers but for widths, dropout and normalisation (and V1's last one); the
# published recognisers share one network.
SIBLINGS = {
    "v_1", "v_2", "iteration_2", "iteration_3", "iteration_4", "iteration_6", "iteration_7",
    "seq-generalist",
}  # fmt: skip


def settings_of(name: str) -> dict[str, Any]:
    return find_recipe(SYSTEMS[name].config)


def one_batch(name: str, size: int | None = None) -> Recipe:
    """A recipe whose epoch is one batch, with plain SGD."""
    settings = settings_of(name)
    settings["optimizer"] = {"name": "sgd", "momentum": 0.0}
    settings["schedule"] |= {"name": "constant", "learning_rate": RATE}
    settings["batch_size"] = size or settings["batch_size"]
    if "sequence" in settings:
        settings["sequence"]["train_sequences"] = settings["batch_size"]
    return make_recipe(settings, settings["batch_size"])


def gradients_of_the_program(recipe: Recipe, bank: Any, change: float = 0.0) -> Any:
    state = initial_state(recipe, seed=0, num_seeds=1)
    kernel = state.params["conv1"]["kernel"]
    state.params["conv1"]["kernel"] = kernel.at[0, 1, 1, 0, 0].add(change)
    before = jax.tree.map(np.array, state.params)
    programs = compile_programs(recipe, state, bank)
    after = programs.run_steps(state, jnp.int32(0), jnp.int32(1), bank).params
    return jax.tree.map(lambda a, b: (a[0] - np.asarray(b[0])) / RATE, before, after)


def gradients_in_double_precision(recipe: Recipe, bank: Any) -> Any:
    """The same step written out, in float64, on one device, with the platform's own convolution."""
    state: TrainState = jax.tree.map(lambda x: x[0], initial_state(recipe, seed=0, num_seeds=1))
    # In the program's order, as a dropout mask depends on the place in the batch.
    order = stream_key(state.key, Stream.ORDER, 0)
    positions = permutation(order, recipe.batch_size)
    draws = example_draws(
        state, jnp.int32(0), positions, examples=recipe.examples, fixed_list=recipe.fixed_list
    )
    images, labels = jax.jit(jax.vmap(recipe.generate, in_axes=(0, None)))(draws, bank)
    network = recipe.network.clone(backend=BACKENDS["channels_last"])

    def loss(params: Any, images: Any) -> Any:
        logits, _ = network.apply(
            {"params": params, "batch_stats": stats},
            images,
            train=True,
            rngs={"dropout": stream_key(state.key, Stream.DROPOUT)},
            mutable=["batch_stats"],
        )
        return loss_per_example(logits, labels).mean()

    with jax.enable_x64(True):
        double = jax.tree.map(lambda x: np.asarray(x, np.float64), state.params)
        stats = jax.tree.map(lambda x: np.asarray(x, np.float64), state.batch_stats)
        arguments = double, np.asarray(images, np.float64)
        # Fused as little as can be, and to 1e-14 what one operation at a time gave: fusing is what
        # made this very reference 40 % wrong once, by a pool's gradient.
        as_written = {"xla_backend_optimization_level": 0}
        compiled = jax.jit(jax.grad(loss)).lower(*arguments).compile(as_written)
        return jax.tree.map(np.asarray, compiled(*arguments))


def errors(recipe: Recipe, ours: Any, exact: Any) -> float:
    """The largest error, each leaf's in units of its largest entry.

    A bias before batch normalisation has no gradient: it is measured by its own kernel's.
    """
    layers = recipe.network.architecture.named_layers()
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SYSTEMS.keys() - SIBLINGS))
def test_gradients_of_the_whole_compiled_step(name: str, source: Source) -> None:
    """Generator, network, loss and optimizer in one program, against float64 and `lax.conv`.

    A gradient rule that is right by itself may go wrong where the compiler fuses it with its
    neighbours and computes again, rounded otherwise, what the rule compares.
    """
    recipe = one_batch(name, 2 if "published" in settings_of(name)["model"] else None)
    bank = to_device(source.train)
    exact = gradients_in_double_precision(recipe, bank)
    # Measured: 3e-4 and less, and 1e-2 where rounding decides otherwise about one value next to a
    # ReLU's zero or a pool's tie (v_3; more on the stand-in, whose blocky digits have many equal
    # values). A wrong rule was a third off.
    assert errors(recipe, gradients_of_the_program(recipe, bank), exact) < 5e-2
    if name == "model_3":  # The negative twin: one weight changed.
        changed = gradients_of_the_program(recipe, bank, change=0.05)
        assert errors(recipe, changed, exact) > 2e-1


@pytest.mark.slow
def test_gradients_are_the_same_at_every_level_of_the_compiler(digits: np.ndarray) -> None:
    """The rule of a pool that compared with its result was a third off at level 1, right at 3."""
    network = create_network("model_2", backend="batch_minor")
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
        return loss_per_example(logits, jnp.arange(4)[:, None]).mean()

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
    assert difference(gradients("0"), best) < 1e-3
    assert difference(gradients("1"), best) < 1e-3
    assert difference(gradients("3", change=0.1), best) > 1e-2  # the negative twin


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_in_parts_is_the_batch(backend: str, bank: Bank) -> None:
    """Statistics, gradients, masks, order and metrics are those of one device with all of it."""
    recipe = one_batch("v_1", 64)
    assert {BatchNorm, Dropout} <= set(map(type, recipe.network.architecture.layers))
    recipe = recipe._replace(network=recipe.network.clone(backend=BACKENDS[backend]))
    state = initial_state(recipe, seed=0, num_seeds=1)
    steps = partial(
        run_steps,
        examples=recipe.examples,
        batch_size=recipe.batch_size,
        fixed_list=recipe.fixed_list,
        watch=recipe.watch,
        generate=recipe.generate,
        network=recipe.network,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
    )
    mesh = make_mesh(1, recipe.batch_size)
    axis = batch_axis(mesh, recipe.batch_size)
    assert axis

    def after(batch_axis: str | None, bank: Bank) -> TrainState:
        function = over_seeds(partial(steps, batch_axis=batch_axis), mesh, shared=3)
        return jax.jit(function)(state, jnp.int32(0), jnp.int32(1), put_everywhere(bank, mesh))

    def difference(ours: TrainState, theirs: TrainState) -> float:
        each = jax.tree.map(
            lambda new, old, start: jnp.abs(new - old).max() / jnp.abs(old - start).max(),
            *((each.params, each.batch_stats) for each in (ours, theirs, state)),
        )
        return max(float(leaf) for leaf in jax.tree.leaves(each))

    parts, whole = after(axis, bank), after(None, bank)
    assert difference(parts, whole) < 1e-3
    np.testing.assert_allclose(parts.sums.loss, whole.sums.loss, rtol=1e-5)
    assert parts.sums.correct == whole.sums.correct
    assert parts.sums.examples == whole.sums.examples == recipe.batch_size
    # The negative twin: one pixel of one digit.
    changed = bank._replace(images=bank.images.at[:, 14, 14].add(100))
    assert difference(after(axis, changed), whole) > 1e-2


@pytest.mark.parametrize(("backend", "expected"), [("batch_minor", False), ("channels_last", True)])
def test_no_convolution_op_in_an_epoch_on_cpu(backend: str, expected: bool, source: Source) -> None:
    """XLA's convolution is ten times slower in a loop than outside: the layout avoids it."""
    recipe = one_batch("iteration_5", 8)
    recipe = recipe._replace(network=recipe.network.clone(backend=BACKENDS[backend]))
    bank = to_device(source.train)
    programs = compile_programs(recipe, initial_state(recipe, 0, 1), bank)
    text = programs.run_steps.full.as_text()
    assert bool(re.search(r"\bconvolution\(|custom-call.*conv", text)) is expected
    # What enters a convolution is computed once: calls that are not inlined, which keep XLA from
    # fusing it into every shifted slice.
    assert bool(re.search(r"\bcall\(.*inlineable", text)) is not expected


@pytest.mark.slow
def test_a_run_compiles_the_same_programs_however_long_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing compiles again for an epoch: four epochs take the programs that two take."""

    def compiled(epochs: int) -> Counter[str]:
        jax.clear_caches()
        caplog.clear()
        settings = settings_of("iteration_5") | {"epochs": epochs, "batch_size": 32}
        settings["data"] |= {"source": "digits8x8", "train_examples": 100}
        settings["data"]["validation_examples"] = 100
        settings["eval"] |= {"examples": 100, "every_epoch": False}
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            train_and_evaluate(settings, tmp_path / str(epochs))
        names = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
        return Counter(names)

    two, four = compiled(2), compiled(4)
    assert two == four
    # Initial state, steps, the step on the smaller last batch, end of an epoch, predictions of a
    # full block and of a smaller last one.
    assert two["mapped"] == 6
