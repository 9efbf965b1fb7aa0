"""The published networks against their twins in PyTorch, with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.models.backend import BACKENDS
from jaxmnist.models.catalogue import sequence_published
from jaxmnist.models.classifiers import CLASSIFIERS
from jaxmnist.models.network import Architecture, Network
from jaxmnist.models.table import count_parameters, init_variables
from jaxmnist.models.torch_layout import from_state_dict

torch = pytest.importorskip("torch")
from tests.torch_reference import REFERENCES  # noqa: E402 - it needs torch

ARCHITECTURES = {"sequence_published": sequence_published(3)} | CLASSIFIERS
PARAMETERS = {
    "sequence_published": 9_891_489,
    "model_1": 7_616, "model_2": 7_798, "model_3": 7_762,
    "v_1": 7_720, "v_2": 7_730, "v_3": 8_650,
    "iteration_1": 26_714, "iteration_2": 24_210, "iteration_3": 18_374, "iteration_4": 20_514,
    "iteration_5": 18_422, "iteration_6": 18_422, "iteration_7": 18_422,
    "ds_cnn": 17_418,
}  # fmt: skip


def from_twin(architecture: Architecture, twin) -> dict:
    state = {name: tensor.numpy() for name, tensor in twin.state_dict().items()}
    return jax.tree.map(jnp.asarray, from_state_dict(architecture, state))


def test_every_published_network_has_its_exact_size_and_a_twin() -> None:
    assert ARCHITECTURES.keys() == PARAMETERS.keys() == REFERENCES.keys()
    for name, architecture in ARCHITECTURES.items():
        width = 28 * architecture.heads
        network = Network(architecture, BACKENDS["batch_minor"])
        shapes = jax.eval_shape(
            lambda key, n=network, w=width: init_variables(n, key, 28, w), jax.random.key(0)
        )
        assert count_parameters(shapes["params"]) == PARAMETERS[name]
        twin = REFERENCES[name]()
        assert sum(p.numel() for p in twin.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_logits_are_the_twins(name: str, backend: str) -> None:
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    twin = REFERENCES[name]()
    images = torch.randn(4, 1, 28, 28 * architecture.heads)
    with torch.no_grad():
        twin(images)  # in training mode, so that the running statistics are no longer 0 and 1
        theirs = twin.eval()(images).numpy().reshape(4, architecture.heads, -1)

    network = Network(architecture, BACKENDS[backend])
    variables = from_twin(architecture, twin)
    apply = jax.jit(lambda v: network.apply(v, jnp.asarray(images[:, 0].numpy()), train=False))
    # The scale is that of the logits; sums of up to 18,816 float32 terms run in another order.
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(apply(variables), theirs, rtol=0, atol=2e-6 * scale)
    # The negative twin: one weight of the first convolution changed by a hundredth of its sd.
    kernel = variables["params"]["conv1"]["kernel"]
    variables["params"]["conv1"]["kernel"] = kernel.at[1, 1, 0, 0].add(0.01 * kernel.std() + 0.01)
    assert np.abs(apply(variables) - theirs).max() > 2e-6 * scale
