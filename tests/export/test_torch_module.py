"""The written PyTorch module takes the exported state dict and gives our logits."""

from pathlib import Path

import numpy as np
import pytest

from jaxmnist.export.torch_source import torch_source
from jaxmnist.formats.pth import write_pth
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.models.network import Architecture, Weights
from jaxmnist.models.zoo import MODELS, find_architecture
from tests.export.networks import (
    TOLERANCE,
    apart,
    digit_images,
    our_logits,
    perturbed,
    widths_of,
)
from tests.helpers import run_python
from tools.samples import drawn_weights

torch = pytest.importorskip("torch")

# As somebody else's program: nothing of ours, nor of JAX, can be imported.
PROGRAM = """\
import sys
for name in ("jaxmnist", "jax", "flax"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
import numpy, torch
from seq import Network
network = Network()
network.load_state_dict(torch.load(f"{sys.argv[1]}/seq.pth", weights_only=True))
images = torch.from_numpy(numpy.load(f"{sys.argv[1]}/images.npy"))
with torch.no_grad():
    numpy.save(f"{sys.argv[1]}/logits.npy", network.eval()(images).numpy())
"""


def torch_logits(architecture: Architecture, weights: Weights, images: np.ndarray) -> np.ndarray:
    space: dict = {}
    exec(torch_source(architecture, "any"), space)
    network = space["Network"]().eval()
    state = to_state_dict(architecture, weights._asdict())
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_logits_are_ours(name: str, digits: np.ndarray) -> None:
    architecture = find_architecture(name, 3)
    weights = drawn_weights(architecture)
    for width in widths_of(architecture):
        images = digit_images(digits, width)
        ours = our_logits(architecture, weights, images)
        assert apart(torch_logits(architecture, weights, images), ours) <= TOLERANCE
    one = torch_logits(architecture, weights, images[:1])
    assert np.abs(one - ours[:1]).max() <= TOLERANCE * np.abs(ours).max()
    # The negative control: one number of the last convolution.
    changed = torch_logits(architecture, perturbed(architecture, weights), images)
    assert apart(changed, ours) > 10 * TOLERANCE


def test_the_file_needs_torch_alone(tmp_path: Path, digits: np.ndarray) -> None:
    architecture = find_architecture("seq")
    weights, images = drawn_weights(architecture), digit_images(digits, 140)
    (tmp_path / "seq.py").write_text(torch_source(architecture, "seq"), encoding="utf-8")
    write_pth(tmp_path / "seq.pth", to_state_dict(architecture, weights._asdict()))
    np.save(tmp_path / "images.npy", images)
    done = run_python("-I", "-c", PROGRAM, tmp_path)
    assert done.returncode == 0, done.stderr
    logits = np.load(tmp_path / "logits.npy")
    assert apart(logits, our_logits(architecture, weights, images)) <= TOLERANCE
