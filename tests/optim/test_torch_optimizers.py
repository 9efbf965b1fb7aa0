"""Optimizers against torch.optim: the same parameters after a thousand given gradients."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmnist.config import Optimizer
from jaxmnist.optim import make_optimizer

torch = pytest.importorskip("torch")

STEPS, SIZE = 1_000, 64
TORCH = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.0, momentum=0.9),
    "adam": lambda params: torch.optim.Adam(params, lr=0.0),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.0, weight_decay=0.1),
}


def course() -> tuple[np.ndarray, np.ndarray]:
    """Gradients of sizes from 1e-8 to 1, some of them zero, and a rate that goes up and down."""
    random = np.random.RandomState(0)
    sizes = 10.0 ** np.linspace(-8, 0, SIZE)
    gradients = sizes * (random.randn(STEPS, SIZE) + random.randn(SIZE))
    gradients[random.rand(STEPS, SIZE) < 0.1] = 0
    rates = 0.01 * (1.1 - np.cos(np.arange(STEPS) * 2 * np.pi / STEPS))
    # What both sides are given is the same to the last bit in either precision.
    return gradients.astype(np.float32), rates.astype(np.float32)


@cache  # Adam is compared twice
def torch_path(name: str, dtype: str) -> np.ndarray:
    gradients, rates = course()
    weights = torch.nn.Parameter(torch.zeros(SIZE, dtype=getattr(torch, dtype)))
    optimizer = TORCH[name]([weights])
    path = []
    for gradient, rate in zip(gradients.astype(dtype), rates, strict=True):
        weights.grad = torch.from_numpy(gradient)
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.step()
        path.append(weights.detach().numpy().copy())
    return np.stack(path)


def our_path(name: str, dtype: str, **changes: float) -> np.ndarray:
    gradients, rates = course()
    with jax.enable_x64(dtype == "float64"):
        decays = {"weight_decay": 0.1} if name == "adamw" else {}
        optimizer = make_optimizer(Optimizer(name=name, **decays | changes))

        def step(carry, given):
            weights, state = carry
            gradient, rate = given
            # As the train step does it.
            hyperparams = {**state.hyperparams, "learning_rate": rate}
            state = state._replace(hyperparams=hyperparams)
            updates, state = optimizer.update(gradient, state, weights)
            weights = optax.apply_updates(weights, updates)
            return (weights, state), weights

        weights = jnp.zeros((1, SIZE), dtype)  # a kernel: a vector would not decay
        given = (jnp.asarray(gradients, dtype)[:, None], jnp.asarray(rates, dtype))
        walk = jax.jit(
            lambda w, g: jax.lax.scan(step, (w, optimizer.init(w)), g)[1],
            compiler_options={"xla_backend_optimization_level": 1},
        )
        path = walk(weights, given)
        assert path.dtype == dtype
        return np.asarray(path)[:, 0]


# Relative to how far a weight goes. float32: each of 1,000 steps rounds to 6e-8, up and down by
# chance. Adam's 1 - 0.999 keeps four digits in float32, where PyTorch's is a Python float: an error
# of 1e-5 that the correction for the first steps mostly takes away again. float64: 1,000 roundings
# of 1e-16.
TOLERANCES = {
    ("sgd", "float32"): 1e-6,
    ("adam", "float32"): 1e-5,
    ("adamw", "float32"): 1e-5,
    ("sgd", "float64"): 1e-14,
    ("adam", "float64"): 1e-14,
    ("adamw", "float64"): 1e-14,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sgd", {"momentum": 0.89}),
        ("adam", {"eps": 1e-7}),
        ("adam", {"b2": 0.9989}),
        ("adamw", {"weight_decay": 0.11}),
    ],
)
def test_parameters_are_pytorchs(name: str, changes: dict[str, float], dtype: str) -> None:
    theirs = torch_path(name, dtype)

    def apart(**changes: float) -> float:
        """The largest difference of any weight at any step, relative to that weight's reach."""
        ours = our_path(name, dtype, **changes)
        return float((np.abs(ours - theirs) / np.abs(theirs).max(0)).max())

    found = apart()
    print(f"{name}, {dtype}: {found:.1e}")
    assert found <= TOLERANCES[name, dtype]
    assert apart(**changes) > 20 * TOLERANCES[name, dtype]


def test_vectors_do_not_decay() -> None:
    optimizer = make_optimizer(Optimizer(name="adamw", weight_decay=0.1))
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    state = optimizer.init(params)
    state = state._replace(hyperparams={**state.hyperparams, "learning_rate": jnp.float32(1.0)})
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), state, params)
    assert np.asarray(updates["kernel"]) == pytest.approx(-0.1)
    assert not np.asarray(updates["bias"]).any()
