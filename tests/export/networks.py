"""What the tests of exported networks share: networks, images, and what ours answers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.data.images import COLUMN
from jaxmnist.generate.augment import normalise
from jaxmnist.models.layers import Conv, Layer
from jaxmnist.models.layout import LAYOUTS
from jaxmnist.models.network import Architecture, Network, Weights
from jaxmnist.models.zoo import find_architecture
from tests.helpers import COMPILE_FAST, SMALL_STRINGS

# Between them they have all kinds of layers; the others are of the same kinds.
QUICK = ("model_3", "iteration_1", "v_2", "sequence_compact", SMALL_STRINGS)
# Float32 sums run in another order, layer after layer: 3e-6 at most was seen.
TOLERANCE = 1e-5


def slow_unless_quick(names: set[str]) -> list:
    """The names as parameters of a test."""
    return [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in sorted(names)
    ]


def kinds(names: tuple[str, ...]) -> set[type[Layer]]:
    return {type(layer) for name in names for layer in find_architecture(name, 3).layers}


def widths_of(architecture: Architecture) -> tuple[int, ...]:
    """Widths below and above a window of local contrast, and one that is no whole column."""
    return (28, 85, 140) if architecture.heads is None else (28 * architecture.heads,)


def digit_images(digits: np.ndarray, width: int, count: int = 3) -> np.ndarray:
    """Images (count, 28, width), 0 = ground and 1 = ink, of digits side by side."""
    cells = -(-width // 28)
    rows = digits[: count * cells].reshape(count, cells, 28, 28)
    whole = rows.transpose(0, 2, 1, 3).reshape(count, 28, -1)
    return (whole[:, :, :width] / 255).astype(np.float32)


def our_logits(architecture: Architecture, weights: Weights, images: np.ndarray) -> np.ndarray:
    """What our network answers, which pads images to whole columns as the doors do."""
    if architecture.heads is None:
        missing = -images.shape[2] % COLUMN
        images = np.pad(images, ((0, 0), (0, 0), (0, missing)), mode="edge")
    network = Network(architecture, LAYOUTS["nhwc"])
    apply = jax.jit(partial(network.apply, train=False), compiler_options=COMPILE_FAST)
    return np.asarray(apply(weights._asdict(), normalise(jnp.asarray(images))))


def apart(theirs: np.ndarray, ours: np.ndarray) -> float:
    """The largest difference, by how far the outputs differ from image to image."""
    assert theirs.shape == ours.shape
    spread = np.ptp(ours, axis=0).max()
    assert spread > 0.02 * np.abs(ours).max(), "the outputs do not vary: nothing is compared"
    return float(np.abs(theirs - ours).max() / spread)


def perturbed(architecture: Architecture, weights: Weights) -> Weights:
    """The weights with one number of the last convolution changed."""
    name = [name for name, layer in architecture.named_layers() if isinstance(layer, Conv)][-1]
    changed = jax.tree.map(np.array, weights)
    kernel = changed.params[name]["kernel"]
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] += 0.01
    return changed
