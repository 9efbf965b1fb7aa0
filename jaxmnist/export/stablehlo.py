"""A network as a StableHLO program, by `jax.export`, weights and all."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array, Float

from jaxmnist.constants import SIDE
from jaxmnist.data.images import COLUMN
from jaxmnist.generate.augment import normalise
from jaxmnist.models.layout import NHWC
from jaxmnist.models.network import Architecture, Network, Weights

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(architecture: Architecture, weights: Weights) -> export.Exported:
    """Returns a network as a program for `PLATFORMS`; `.serialize()` gives its bytes.

    The batch is symbolic, and so is the width of a network that reads any.
    """
    network = Network(architecture, NHWC())  # the layout of accelerators; it runs everywhere
    heads = architecture.heads
    shape = export.symbolic_shape(f"batch, {SIDE}, {SIDE * heads if heads else 'width'}")
    program = jax.jit(partial(_logits, network, jax.tree.map(jnp.asarray, weights)))
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return export.export(program, platforms=PLATFORMS)(images)


def _logits(
    network: Network, weights: Weights, images: Float[Array, "batch 28 width"]
) -> Float[Array, "batch places classes"]:
    if network.architecture.heads is None:
        width = images.shape[2]
        missing = (width + COLUMN - 1) // COLUMN * COLUMN - width
        images = jnp.pad(images, ((0, 0), (0, 0), (0, missing)), mode="edge")
    return jnp.asarray(network.apply(weights._asdict(), normalise(images), train=False))
