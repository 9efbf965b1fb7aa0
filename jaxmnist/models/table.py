"""The layer table of a network: shapes, parameters and what each output pixel has seen."""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from jaxmnist.models.backend import ChannelsLast
from jaxmnist.models.layers import Conv, Layer, MaxPool, SplitColumns
from jaxmnist.models.network import Network


def init_variables(network: Network, key: jax.Array, height: int, width: int) -> dict[str, Any]:
    """Draws initial variables: `params` and `batch_stats` (empty without batch normalisation)."""
    variables = network.init(key, jnp.zeros((1, height, width)), train=False)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def count_parameters(params: Any) -> int:
    """Counts the numbers in a tree of parameters."""
    return sum(prod(leaf.shape) for leaf in jax.tree.leaves(params))


def layer_table(network: Network, height: int, width: int) -> str:
    """Lists every layer with output shape, parameters and receptive field."""
    rows: list[tuple[str, Layer, tuple[int, ...]]] = []
    watched = Network(network.architecture, ChannelsLast(), watch=lambda *row: rows.append(row))
    variables = jax.eval_shape(
        lambda key: init_variables(watched, key, height, width), jax.random.key(0)
    )
    lines = [
        "output: channels x height x width. field: side in input pixels of the square that one",
        "output value depends on ('all' of the image, or of its own 'cell' and what surrounds it).",
        "jump: input pixels between neighbouring outputs.",
        "",
    ]
    whole = "all"
    lines += [f"{'layer':<15}{'output':<14}{'parameters':>12}{'field':>8}{'jump':>6}"]
    field, jump = 1, 1
    seen = ""
    for name, layer, (_, *spatial_and_channels) in rows:
        if isinstance(layer, Conv):
            field += (layer.size - 1) * jump
        elif isinstance(layer, MaxPool):
            field += (layer.window - 1) * jump
            jump *= layer.window
        elif isinstance(layer, SplitColumns):
            whole = "cell"
        *spatial, channels = spatial_and_channels
        shape = " x ".join(map(str, (channels, *spatial)))
        seen = f"{field:>8}{jump:>6}" if spatial else f"{whole:>8}{'':>6}"
        parameters = count_parameters(variables["params"].get(name, {}))
        lines.append(f"{name:<15}{shape:<14}{parameters:>12,}{seen}")
    architecture = network.architecture
    lines.append(f"{'logits':<15}{architecture.heads} x {architecture.classes}")
    lines.append(f"{'total':<29}{count_parameters(variables['params']):>12,}")
    return "\n".join(lines) + "\n"
