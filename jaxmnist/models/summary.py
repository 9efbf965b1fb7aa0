"""The layer table of a network: shapes, parameters, work, and what each output pixel has seen."""

from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmnist.models.layers import (
    AvgPool,
    Conv,
    Dense,
    Dropout,
    Layer,
    MaxPool,
    SpaceToDepth,
    SplitColumns,
    pair,
)
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

    Along one axis it has `size` pixels; neighbouring outputs are `jump` apart; the centre of the
    first one's field is at `start`, where the first input pixel's centre is at 0.5.
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


Fields = tuple[ReceptiveField, ReceptiveField]


class Row(NamedTuple):
    """One layer."""

    name: str
    about: str  # what else it takes to build it
    shape: tuple[int, ...]  # of its output: channels, height, width; or features alone
    parameters: int
    flops: int  # of one image, forward: two for each multiply-add of a convolution or dense layer
    fields: Fields | None  # down and across; None where one output has seen everything


def layer_rows(architecture: Architecture, height: int, width: int) -> list[Row]:
    """Lists the layers of a model for images of `height` x `width` pixels."""
    seen: list[tuple[str, Layer, tuple[int, ...]]] = []
    network = Network(architecture, NHWC(), layer_hook=lambda *layer: seen.append(layer))
    variables = jax.eval_shape(
        lambda key: init_variables(network, key, height, width), jax.random.key(0)
    )
    rows: list[Row] = []
    fields: Fields | None = (ReceptiveField(), ReceptiveField())
    cells = 1  # per image, that each go through the layers behind a split
    for name, layer, (_, *spatial, channels) in seen:
        params = variables["params"].get(name, {})
        flops = 0
        if isinstance(layer, Conv | Dense):
            flops = 2 * prod(params["kernel"].shape) * prod(spatial) * cells
        if isinstance(layer, SplitColumns):
            cells *= layer.count
        fields = _fields_behind(layer, fields) if spatial else None
        shape = (channels, *spatial)
        rows.append(Row(name, about(layer), shape, count_parameters(params), flops, fields))
    return rows


def layer_inputs(
    architecture: Architecture, height: int, width: int
) -> list[tuple[str, Layer, tuple[int, ...]]]:
    """Returns each layer's name, the layer, and the shape of its input: channels, height, width."""
    shapes = [(1, height, width), *(row.shape for row in layer_rows(architecture, height, width))]
    named = architecture.named_layers()
    return [(name, layer, shape) for (name, layer), shape in zip(named, shapes, strict=False)]


def about(layer: Layer) -> str:
    """Returns the arguments of a layer, beyond its kind and the shape of its output."""
    match layer:
        case Conv(size=size, padding=padding, bias=bias):
            padded = f", padding {_both(*pair(padding))}" if padding else ""
            rows, columns = pair(size)
            return f"{rows}x{columns}{padded}{'' if bias else ', no bias'}"
        case Dropout(rate=rate):
            return f"rate {rate:g}"
        case MaxPool(window=window) | AvgPool(window=int(window)):
            return f"{window}x{window}"
        case AvgPool():
            return "whole map"
        case SplitColumns(count=count):
            return f"{count} cells"
    return ""


def _fields_behind(layer: Layer, fields: Fields | None) -> Fields | None:
    if fields is None or (isinstance(layer, AvgPool) and layer.window is None):
        return None
    down, across = fields
    if isinstance(layer, Conv):
        (rows, columns), (above, left) = layer.sizes, layer.paddings
        return down.through(rows, padding=above), across.through(columns, padding=left)
    window = 2 if isinstance(layer, SpaceToDepth) else getattr(layer, "window", None)
    if window is not None:
        return down.through(window, stride=window), across.through(window, stride=window)
    return fields


def _both(down: float, across: float) -> str:
    """Writes down what holds along both axes, once if it is the same."""
    return f"{down:g}" if down == across else f"{down:g}x{across:g}"


def layer_table(network: Network, height: int, width: int) -> str:
    """Writes the layers of a network down, as `model.txt` has them."""
    rows = layer_rows(network.architecture, height, width)
    lines = [
        "shape: channels x height x width of the output. FLOPs: of one image, forward, two for",
        "each multiply-add of a convolution or dense layer. field: input pixels, down x across,",
        "that one output has seen ('all' of the image, or of its own cell and around it). jump:",
        "input pixels between neighbouring outputs. start: centre of the first one's field.",
        "",
        f"{'layer':<15}{'':<25}{'shape':<14}{'parameters':>12}{'FLOPs':>14}"
        f"{'field':>9}{'jump':>6}{'start':>9}",
    ]
    for name, what, shape, parameters, flops, fields in rows:
        seen = f"{'all':>9}"
        if fields:
            sizes, jumps, starts = zip(*fields, strict=True)
            seen = f"{_both(*sizes):>9}{_both(*jumps):>6}{_both(*starts):>9}"
        size = " x ".join(map(str, shape))
        lines.append(f"{name:<15}{what:<25}{size:<14}{parameters:>12,}{flops:>14,}{seen}")
    heads, classes = network.architecture.heads, network.architecture.classes
    parameters, flops = sum(row.parameters for row in rows), sum(row.flops for row in rows)
    columns = "columns" if heads is None else heads
    lines.append(f"{'logits':<40}{columns} x {classes}")
    lines.append(f"{'total':<54}{parameters:>12,}{flops:>14,}")
    return "\n".join(lines) + "\n"
