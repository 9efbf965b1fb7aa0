"""Muon against torch.optim.Muon, which takes matrices alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmnist.config import Optimizer
from jaxmnist.optim import make_optimizer
from tests.helpers import COMPILE_FAST

torch = pytest.importorskip("torch")

# PyTorch's momentum starts at zero, optax's is corrected for that: after so many steps without a
# rate both are the same to 1e-7.
STILL, STEPS, RATE, DECAY = 320, 100, 0.02, 0.1
SHAPE = (3, 3, 2, 6)  # a kernel, which is a matrix of 18 x 6


def course() -> tuple[np.ndarray, np.ndarray]:
    """Returns gradients that share a direction, and the rate of each step."""
    random = np.random.RandomState(0)
    gradients = random.randn(STILL + STEPS, *SHAPE) + random.randn(*SHAPE)
    rates = np.where(np.arange(STILL + STEPS) < STILL, 0, RATE)
    return gradients.astype(np.float32), rates.astype(np.float32)


def torch_end() -> np.ndarray:
    gradients, rates = course()
    matrix = torch.nn.Parameter(torch.ones(18, 6))
    optimizer = torch.optim.Muon(
        [matrix], lr=0.0, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for gradient, rate in zip(gradients, rates, strict=True):
        matrix.grad = torch.from_numpy(gradient.reshape(18, 6))
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.step()
    return matrix.detach().numpy().reshape(SHAPE)


def our_end(momentum: float = 0.95, decay: float = DECAY) -> np.ndarray:
    gradients, rates = course()
    optimizer = make_optimizer(Optimizer(name="muon", weight_decay=decay, momentum=momentum))

    def step(carry, given):
        weights, state = carry
        gradient, rate = given
        state = state._replace(hyperparams={**state.hyperparams, "learning_rate": rate})
        updates, state = optimizer.update({"kernel": gradient}, state, weights)
        return (optax.apply_updates(weights, updates), state), None

    weights = {"kernel": jnp.ones(SHAPE)}
    walk = jax.jit(
        lambda w, g: jax.lax.scan(step, (w, optimizer.init(w)), g)[0],
        compiler_options=COMPILE_FAST,
    )
    weights, _ = walk(weights, (gradients, rates))
    return np.asarray(weights["kernel"])


def test_kernels_are_pytorchs() -> None:
    theirs = torch_end()

    def apart(ours: np.ndarray) -> float:
        return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs - 1))

    # PyTorch makes matrices orthogonal in bfloat16, which keeps two to three digits.
    assert apart(our_end()) < 0.01
    assert apart(our_end(momentum=0.9)) > 0.02
    assert apart(our_end(decay=0.11)) > 0.01


def test_vectors_go_by_adam_and_do_not_decay() -> None:
    optimizer = make_optimizer(Optimizer(name="muon", weight_decay=0.1))
    params = {"kernel": jnp.ones((4, 2)), "scale": jnp.ones(2), "bias": jnp.zeros(2)}
    gradients = {"kernel": jnp.zeros((4, 2)), "scale": jnp.zeros(2), "bias": jnp.float32([3, -5])}
    state = optimizer.init(params)
    state = state._replace(hyperparams={**state.hyperparams, "learning_rate": jnp.float32(1.0)})
    updates, _ = optimizer.update(gradients, state, params)
    assert np.asarray(updates["kernel"]) == pytest.approx(-0.1)
    assert not np.asarray(updates["scale"]).any()
    assert np.asarray(updates["bias"] * jnp.float32([-1, 1])) == pytest.approx([1.5, 1.5], rel=0.1)
