"""A hundred steps of training beside PyTorch, in double precision: the same loss at every step.

Both sides start from the same weights and see the same batches of real digits, without dropout.
Ours is the step that every run makes, with the recipe of the published system.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import ds_cnn, iterations, models, seq, v
from jaxmnist.data.sources import Source
from jaxmnist.models.torch_layout import to_state_dict
from jaxmnist.optim.schedules import Hyperparameters
from jaxmnist.recipe import Recipe, make_recipe
from jaxmnist.state import TrainState
from jaxmnist.steps import update

torch = pytest.importorskip("torch")

from tests.test_torch_models import (  # noqa: E402 - it needs torch
    ARCHITECTURES,
    QUICK,
    TRAINED,
    as_type,
    from_twin,
    real_batches,
    twin_loss,
    without_dropout,
)

CONFIGS = {
    "sequence_published": seq.specialist,
    "ds_cnn": ds_cnn.ds_cnn,
    **{f"model_{n}": partial(models.get_config, f"model_{n}") for n in (1, 2, 3)},
    **{f"v_{n}": partial(v.get_config, f"v_{n}") for n in (1, 2, 3)},
    **{f"iteration_{n}": partial(iterations.get_config, f"iteration_{n}") for n in range(1, 8)},
}
LONG, SHORT = 100, 10
RUNS = [
    *((name, SHORT) for name in QUICK),
    *(pytest.param(name, LONG, marks=pytest.mark.slow) for name in TRAINED),
]


def whole_course(settings: dict, steps: int, batch_size: int) -> Recipe:
    """A recipe with epochs so short that its whole schedule fits into so many steps."""
    examples = -(-steps // settings["epochs"]) * batch_size
    if "sequence" in settings:
        settings["sequence"]["train_sequences"] = examples
    return make_recipe(settings | {"batch_size": batch_size}, examples)


def torch_losses(
    twin, optimizer, batches: tuple[np.ndarray, np.ndarray], hyperparameters: list[Hyperparameters]
) -> Iterator[float]:
    for images, labels, values in zip(*batches, hyperparameters, strict=True):
        group = optimizer.param_groups[0]
        group["lr"] = values["learning_rate"]
        if "momentum" in values:
            group["momentum"] = values["momentum"]
        optimizer.zero_grad()
        loss, _ = twin_loss(twin, images, labels)
        loss.backward()
        optimizer.step()
        yield loss.item()


def torch_optimizer(twin, settings: dict):
    if settings["name"] == "sgd":
        return torch.optim.SGD(twin.parameters(), lr=0.0, momentum=settings["momentum"])
    betas = (settings["b1"], settings["b2"])
    return torch.optim.Adam(twin.parameters(), lr=0.0, betas=betas, eps=settings["eps"])


def test_every_published_network_has_its_recipe_here() -> None:
    assert CONFIGS.keys() == ARCHITECTURES.keys()
    assert all(CONFIGS[name]().model == name for name in CONFIGS)


@pytest.mark.parametrize(("name", "steps"), RUNS)
def test_losses_of_training_are_the_twins(name: str, steps: int, source: Source) -> None:
    settings = CONFIGS[name]().to_dict()
    architecture, twin = without_dropout(name)
    batch_size = 8 if architecture.heads == 1 else 2
    recipe = whole_course(settings, steps, batch_size)
    batches = real_batches(source, architecture, steps, batch_size)
    start = from_twin(architecture, twin)
    with jax.enable_x64(True):
        step = jax.jit(
            partial(
                update,
                network=recipe.network.clone(architecture=architecture),
                optimizer=recipe.optimizer,
                schedule=recipe.schedule,
            )
        )

        def train(steps: int, change: float) -> tuple[TrainState, np.ndarray]:
            params, batch_stats = as_type((start["params"], start["batch_stats"]), "float64")
            last = [layer for layer, _ in architecture.named_layers() if layer in params][-1]
            leaf = min(params[last])  # the bias if there is one, else the kernel
            first = (0,) * params[last][leaf].ndim
            params[last][leaf] = params[last][leaf].at[first].add(change)
            state = TrainState(
                key=jax.random.key(0),
                step=jnp.int32(0),
                params=params,
                batch_stats=batch_stats,
                opt_state=recipe.optimizer.init(params),
                schedule=recipe.schedule.init(),
                best=None,
                sums=None,
                diverged=jnp.int32(-1),
                every_epoch=None,
            )
            losses = []
            for images, labels in zip(batches[0][:steps], batches[1][:steps], strict=True):
                state, metrics = step(state, images, labels)
                losses.append(metrics.loss / batch_size)
            assert losses[-1].dtype == "float64"
            return jax.device_get(state._replace(key=None)), np.array(losses)

        state, ours = train(steps, change=0.0)
        _, others = train(min(steps, SHORT), change=1e-6)
        # Both sides take the same numbers: a constant or stepped rate is a float32 here.
        values = jax.vmap(recipe.schedule.values, in_axes=(None, 0))(
            recipe.schedule.init(), jnp.arange(steps)
        )
        columns = {key: np.asarray(column).tolist() for key, column in values.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    optimizer = torch_optimizer(twin.double(), settings["optimizer"])
    theirs = np.array(list(torch_losses(twin, optimizer, batches, rows)))

    apart = np.abs(ours - theirs) / theirs
    print(f"{name}, {steps} steps: {apart.max():.1e}, loss {theirs[0]:.3f} to {theirs[-1]:.3f}")
    # Roundings of 1e-16 grow as training goes on, by a factor of at most a million in 100 steps.
    assert apart.max() <= 1e-9
    # The negative twin: one weight of the last layer a millionth larger.
    assert np.abs(others - theirs[: len(others)]).max() > 1e-9 * theirs.max()
    # Weights and running statistics at the end, each by the largest of its array. A bias before
    # batch normalisation has no gradient but rounding, which Adam divides by no more than 1e-8:
    # such a bias and the running mean behind it wander, and the losses do not see it.
    end = to_state_dict(architecture, {"params": state.params, "batch_stats": state.batch_stats})
    for key, tensor in twin.state_dict().items():
        expected = tensor.numpy()
        assert np.abs(end[key] - expected).max() <= 1e-5 * np.abs(expected).max(), key
