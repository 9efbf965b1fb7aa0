"""The layer table of a network: shapes, parameters, work, and what each output pixel has seen."""

from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmnist.models.layers import AvgPool, Conv, Dense, Dropout, Layer, MaxPool, SplitColumns
from jaxmnist.models.layout import NHWC
from jaxmnist.models.network import Architecture, Network


def init_variables(network: Network, key: jax.Array, height: int, width: int) -> dict[str, Any]:
    """Draws initial variables: `params` and `batch_stats` (empty without batch normalisation)."""
    variables = network.init(key, jnp.zeros((1, height, width)), train=False)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def count_parameters(params: Any) -> int:
    """Counts the numbers in a tree of parameters."""
    return sum(prod(leaf.shape) for leaf in jax.tree.leaves(params))


class ReceptiveField(NamedTuple):
    """The receptive field of an output pixel, in input pixels (Dumoulin & Visin, 2016, section 4).

    It is a square of side `size`; neighbouring outputs are `jump` apart; the centre of the first
    one's square is at `start`, where the first input pixel's centre is at 0.5.
    """

    size: int = 1
    jump: int = 1
    start: float = 0.5

    def through(self, window: int, stride: int = 1, padding: int = 0) -> "ReceptiveField":
        """Returns the field behind one more layer of windows."""
        return ReceptiveField(
            self.size + (window - 1) * self.jump,
            self.jump * stride,
            self.start + ((window - 1) / 2 - padding) * self.jump,
        )


class Row(NamedTuple):
    """One layer."""

    name: str
    about: str  # what else it takes to build it
    shape: tuple[int, ...]  # of its output: channels, height, width; or features alone
    parameters: int
    flops: int  # of one image, forward: two for each multiply-add of a convolution or dense layer
    field: ReceptiveField | None  # None where one output has seen everything


def layer_rows(architecture: Architecture, height: int, width: int) -> list[Row]:
    """Lists the layers of a model for images of `height` x `width` pixels."""
    seen: list[tuple[str, Layer, tuple[int, ...]]] = []
    network = Network(architecture, NHWC(), layer_hook=lambda *layer: seen.append(layer))
    variables = jax.eval_shape(
        lambda key: init_variables(network, key, height, width), jax.random.key(0)
    )
    rows: list[Row] = []
    field: ReceptiveField | None = ReceptiveField()
    cells = 1  # per image, that each go through the layers behind a split
    for name, layer, (_, *spatial, channels) in seen:
        params = variables["params"].get(name, {})
        flops = 0
        if isinstance(layer, Conv | Dense):
            flops = 2 * prod(params["kernel"].shape) * prod(spatial) * cells
        if isinstance(layer, SplitColumns):
            cells *= layer.count
        field = _field_behind(layer, field) if spatial else None
        shape = (channels, *spatial)
        rows.append(Row(name, about(layer), shape, count_parameters(params), flops, field))
    return rows


def about(layer: Layer) -> str:
    """Returns the arguments of a layer, beyond its kind and the shape of its output."""
    match layer:
        case Conv(size=size, padding=padding, bias=bias):
            padded = f", padding {padding}" if padding else ""
            return f"{size}x{size}{padded}{'' if bias else ', no bias'}"
        case Dropout(rate=rate):
            return f"rate {rate:g}"
        case MaxPool(window=window) | AvgPool(window=int(window)):
            return f"{window}x{window}"
        case AvgPool():
            return "whole map"
        case SplitColumns(count=count):
            return f"{count} cells"
    return ""


def _field_behind(layer: Layer, field: ReceptiveField | None) -> ReceptiveField | None:
    if field is None or (isinstance(layer, AvgPool) and layer.window is None):
        return None
    if isinstance(layer, Conv):
        return field.through(layer.size, padding=layer.padding)
    if isinstance(layer, MaxPool | AvgPool) and layer.window:
        return field.through(layer.window, stride=layer.window)
    return field


def layer_table(network: Network, height: int, width: int) -> str:
    """Writes the layers of a network down, as `model.txt` has them."""
    rows = layer_rows(network.architecture, height, width)
    lines = [
        "shape: channels x height x width of the output. FLOPs: of one image, forward, two for",
        "each multiply-add of a convolution or dense layer. field: side in input pixels of the",
        "square that one output has seen ('all' of the image, or of its own cell and around it).",
        "jump: input pixels between neighbouring outputs. start: centre of the first one's square.",
        "",
        f"{'layer':<15}{'':<25}{'shape':<14}{'parameters':>12}{'FLOPs':>14}"
        f"{'field':>7}{'jump':>6}{'start':>7}",
    ]
    for name, what, shape, parameters, flops, field in rows:
        seen = f"{field.size:>7}{field.jump:>6}{field.start:>7g}" if field else f"{'all':>7}"
        size = " x ".join(map(str, shape))
        lines.append(f"{name:<15}{what:<25}{size:<14}{parameters:>12,}{flops:>14,}{seen}")
    heads, classes = network.architecture.heads, network.architecture.classes
    parameters, flops = sum(row.parameters for row in rows), sum(row.flops for row in rows)
    lines.append(f"{'logits':<40}{heads} x {classes}")
    lines.append(f"{'total':<54}{parameters:>12,}{flops:>14,}")
    return "\n".join(lines) + "\n"
