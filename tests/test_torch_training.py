"""A hundred steps of training beside PyTorch, in double precision: the same loss at every step.

Both sides start from the same weights and see the same batches of real digits, without dropout.
Ours is the step that every run makes, with the recipe of the published system.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from jaxmnist.config import Config, Optimizer
from jaxmnist.constants import MEAN, SD
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import Source
from jaxmnist.experiment import make_network, make_spec
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.generate.examples import Example, ExampleKeys
from jaxmnist.metrics import Metrics
from jaxmnist.models.network import Network, Weights
from jaxmnist.optim import Hyperparams
from jaxmnist.rng import Stream, permuted, stream_key
from jaxmnist.state import Best, TrainState
from jaxmnist.steps import TrainSpec, train_step
from tests.helpers import COMPILE_FAST, first_gradient, recipe

torch = pytest.importorskip("torch")

from tests.models.torch_comparison import (  # noqa: E402 - it needs torch
    ARCHITECTURES,
    TRAINED,
    Answer,
    as_type,
    batch_size_of,
    gradient_errors,
    logits_apart,
    real_batches,
    real_digits,
    torch_answers,
    torch_loss,
    torch_variables,
    without_dropout,
)

RECIPES = {
    "sequence_published": "seq:specialist",
    "ds_cnn": "ds_cnn",
    **{f"model_{n}": f"models:model_{n}" for n in (1, 2, 3)},
    **{f"v_{n}": f"v:v_{n}" for n in (1, 2, 3)},
    **{f"iteration_{n}": f"iterations:iteration_{n}" for n in range(1, 8)},
}
STEPS = 100
STEPS_LARGE = 20  # of the recogniser: ten million weights, at a constant rate
FRESH = 3  # batches whose gradients are compared from the initial weights


class RecordingNetwork(Network):
    """Leaves the logits of the last training batch among the running statistics."""

    def __call__(
        self, images: Float[Array, "batch height width"], *, train: bool
    ) -> Float[Array, "batch heads classes"]:
        logits = super().__call__(images, train=train)
        self.put_variable("batch_stats", "logits", logits)
        return logits


def side_by_side(keys: ExampleKeys, dataset: Dataset, *, heads: int) -> Example:
    """Example `n` is the digits from `n * heads` on."""
    numbers = keys.index * heads + jnp.arange(heads)
    canvas = jnp.moveaxis(dataset.images[numbers], 0, 1).reshape(28, -1).astype(jnp.float64)
    return (canvas / 255 - MEAN) / SD, dataset.labels[numbers]


def whole_course(config: Config, steps: int, batch_size: int) -> TrainSpec:
    """The spec of a recipe with epochs so short that its whole schedule fits into so many steps."""
    examples = -(-steps // config.epochs) * batch_size
    sequence = config.sequence and replace(config.sequence, train_sequences=examples)
    config = replace(config, batch_size=batch_size, sequence=sequence)
    return make_spec(config, make_network(config), examples)


def first_state(spec: TrainSpec, rate: float, weights: Weights) -> TrainState:
    """The state before training, in double precision."""
    return TrainState(
        key=jax.random.key(0),
        step=jnp.int32(0),
        params=weights.params,
        batch_stats=weights.batch_stats,
        opt_state=spec.optimizer.init(weights.params),
        schedule=spec.schedule.init(rate),
        best=Best(jnp.float32(0), jnp.int32(0), Weights({}, {})),
        sums=Metrics.zero()._replace(loss=jnp.float64(0)),
        diverged=jnp.int32(-1),
        average=None,
        every_epoch=None,
    )


def torch_losses(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: list[tuple[np.ndarray, np.ndarray]],
    hyperparams: list[Hyperparams],
) -> Iterator[float]:
    for (images, labels), values in zip(batches, hyperparams, strict=True):
        group = optimizer.param_groups[0]
        group["lr"] = values["learning_rate"]
        if "momentum" in values:
            group["momentum"] = values["momentum"]
        optimizer.zero_grad()
        loss, _ = torch_loss(model, images, labels)
        loss.backward()
        optimizer.step()
        yield loss.item()


def torch_optimizer(model: torch.nn.Module, fields: Optimizer) -> torch.optim.Optimizer:
    if fields.name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.0, momentum=fields.momentum)
    betas = (fields.b1, fields.b2)
    return torch.optim.Adam(model.parameters(), lr=0.0, betas=betas, eps=fields.eps)


def test_every_published_network_has_its_recipe_here() -> None:
    assert RECIPES.keys() == ARCHITECTURES.keys()
    assert all(recipe(RECIPES[name]).model == name for name in RECIPES)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_gradients_and_losses_of_training_are_the_torch_models(name: str, source: Source) -> None:
    config = recipe(RECIPES[name], {"layout": "chwn"})
    architecture, model = without_dropout(name)
    heads, batch_size = architecture.heads, batch_size_of(architecture)
    steps = STEPS if heads == 1 else STEPS_LARGE
    spec, rate = whole_course(config, steps, batch_size), config.schedule.learning_rate
    # One epoch of all the steps, whose order is known beforehand.
    spec = replace(
        spec,
        network=RecordingNetwork(architecture, spec.network.layout),
        example_fn=partial(side_by_side, heads=heads),
        num_examples=steps * batch_size,
    )
    digits = real_digits(source, steps * batch_size * heads)
    start = torch_variables(architecture, model)
    with jax.enable_x64(True):
        order_key = stream_key(jax.random.key(0), Stream.ORDER, 0)
        order = np.asarray(permuted(order_key, jnp.arange(spec.num_examples), spec.num_examples))
        batches = real_batches(digits, architecture, batch_size, order)
        step = jax.jit(
            partial(train_step, spec=spec, batch_size=batch_size), compiler_options=COMPILE_FAST
        )
        dataset = jax.device_put(digits)

        def changed_start(
            layer: str, leaf: str, index: tuple[int, ...], change: float
        ) -> TrainState:
            params = as_type(start["params"], "float64")
            params[layer][leaf] = params[layer][leaf].at[index].add(change)
            stats = as_type(start["batch_stats"], "float64")
            stats["logits"] = jnp.zeros((batch_size, heads, architecture.classes))
            return first_state(spec, rate, Weights(params, stats))

        def answers(state: TrainState) -> list[Answer]:
            """Logits and gradients of the first batches, all with the weights of `state`."""
            found = []
            for number in range(FRESH):
                after = step(state, jnp.int32(number), dataset)
                gradients = {"params": first_gradient(after.opt_state)}
                named = to_state_dict(architecture, gradients | {"batch_stats": after.batch_stats})
                assert after.batch_stats["logits"].dtype == "float64"
                found.append((np.asarray(after.batch_stats["logits"]), named))
            return found

        def train(state: TrainState, steps: int) -> tuple[TrainState, np.ndarray]:
            losses = []
            for number in range(steps):
                sums = state.sums
                state = step(state, jnp.int32(number), dataset)
                losses.append((state.sums.loss - sums.loss) / batch_size)
            assert losses[-1].dtype == "float64"
            return jax.device_get(state._replace(key=None)), np.array(losses)

        first_kernel = ("conv1", "kernel", (1, 1, 0, 0))
        unchanged = changed_start(*first_kernel, 0.0)
        ours, others = answers(unchanged), answers(changed_start(*first_kernel, 1e-6))
        state, losses = train(unchanged, steps)
        params = start["params"]
        last = [layer for layer, _ in architecture.named_layers() if layer in params][-1]
        leaf = min(params[last])  # the bias if there is one, else the kernel
        first = (0,) * params[last][leaf].ndim
        _, other_losses = train(changed_start(last, leaf, first, 1e-6), FRESH)
        # Both sides take the same numbers: a constant or stepped rate is a float32 here.
        values = jax.vmap(spec.schedule.hyperparams, in_axes=(None, 0))(
            spec.schedule.init(rate), jnp.arange(steps)
        )
        columns = {key: np.asarray(column).tolist() for key, column in values.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    # Logits and gradients. Thousands of roundings of 1e-16 each; PyTorch's own normalisation of a
    # batch is off by 2e-14 in double precision.
    theirs = torch_answers(model, batches[:FRESH], "float64")
    errors = gradient_errors(architecture, ours, theirs)
    print(f"{name}: logits {logits_apart(ours, theirs):.1e}, gradients {max(errors):.1e}")
    assert logits_apart(ours, theirs) <= 1e-11
    assert max(errors) <= 1e-10
    # The negative control: one weight of the first convolution.
    assert logits_apart(others, theirs) > 1e-11
    assert min(gradient_errors(architecture, others, theirs)) > 1e-10

    # Losses of all steps.
    optimizer = torch_optimizer(model, config.optimizer)
    wanted = np.array(list(torch_losses(model, optimizer, batches, rows)))
    apart = np.abs(losses - wanted) / wanted
    print(f"{name}, {steps} steps: {apart.max():.1e}, loss {wanted[0]:.3f} to {wanted[-1]:.3f}")
    # Roundings of 1e-16 grow as training goes on, by a factor of at most a million in 100 steps.
    assert apart.max() <= 1e-9
    # The negative control: one weight of the last layer a millionth larger.
    assert np.abs(other_losses - wanted[:FRESH]).max() > 1e-9 * wanted.max()
    # Weights and running statistics at the end, each by the largest of its array. A bias before
    # batch normalisation has no gradient but rounding, which Adam divides by no more than 1e-8:
    # such a bias and the running mean behind it wander, and the losses do not see it.
    end = to_state_dict(architecture, {"params": state.params, "batch_stats": state.batch_stats})
    for key, tensor in model.state_dict().items():
        expected = tensor.numpy()
        assert np.abs(end[key] - expected).max() <= 1e-5 * np.abs(expected).max(), key
