"""A network as an ONNX graph: one node or a few for each layer, written by hand.

The graph takes images (batch, 28, width) as float32, 0 = ground and 1 = ink, and gives logits
(batch, heads or columns, classes). All that images go through before the first layer is in it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmnist import __version__
from jaxmnist.constants import SIDE
from jaxmnist.data.images import COLUMN
from jaxmnist.export.describe import describe
from jaxmnist.generate.augment import MEAN, SD
from jaxmnist.models.layers import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalContrast,
    MaxPool,
    Relu,
    SpaceToDepth,
    SplitColumns,
)
from jaxmnist.models.network import Architecture, Weights
from jaxmnist.models.summary import layer_inputs

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 17, 8  # of 2022: runtimes of then and since read them
INPUT, OUTPUT = "images", "logits"


def to_onnx(architecture: Architecture, weights: Weights) -> "onnx.ModelProto":
    """Returns a network as an ONNX model.

    The batch is dynamic, and so is the width of a network that reads any; one with heads takes
    images of 28 pixels a head.
    """
    from onnx import TensorProto, helper

    heads, classes = architecture.heads, architecture.classes
    graph = _Graph(weights)
    x = graph.add("Unsqueeze", INPUT, graph.constant("channel_axis", np.array([1])), name="channel")
    x = graph.add("Sub", x, graph.constant("mean", np.float32(MEAN)), name="centred")
    x = graph.add("Div", x, graph.constant("sd", np.float32(SD)), name="normalised")
    if heads is None:
        x = _pad_to_columns(graph, x)
    for name, layer, shape in layer_inputs(architecture, SIDE, SIDE * (heads or 1)):
        x = _layer(graph, name, layer, shape, x)
    if heads is None:
        x = graph.add("Transpose", x, name="columns", perm=[0, 2, 3, 1])
    sizes = np.array([0, -1, classes] if heads is None else [-1, heads, classes])
    graph.add("Reshape", x, graph.constant("logits_shape", sizes), name=OUTPUT)

    width: int | str = SIDE * heads if heads else "width"
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "jaxmnist",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", SIDE, width])],
            [
                helper.make_tensor_value_info(
                    OUTPUT, TensorProto.FLOAT, ["batch", heads or "columns", classes]
                )
            ],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="jaxmnist",
        producer_version=__version__,
        doc_string=describe(architecture),
    )


class _Graph:
    """Nodes and constants as they come; a value is known by its name."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Adds a node, and returns the name of what it computes."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        array = np.ascontiguousarray(value).reshape(np.shape(value))  # a number stays one
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def parameter(self, layer: str, name: str, axes: tuple[int, ...] | None = None) -> str:
        """Adds a parameter of a layer, or a running statistic, its axes in another order."""
        stats = self.weights.batch_stats.get(layer, {})
        value = np.asarray((self.weights.params.get(layer, {}) | stats)[name])
        return self.constant(f"{layer}.{name}", value if axes is None else value.transpose(axes))


def _pad_to_columns(graph: _Graph, x: str) -> str:
    """Repeats the last pixels of a map (batch, 1, height, width) up to a whole column."""
    zeros = graph.constant("no_padding", np.zeros(3, np.int64))
    width = graph.add("Shape", x, name="width", start=3)
    missing = graph.add(
        "Mod",
        graph.add("Neg", width, name="width_negated"),
        graph.constant("column", np.array([COLUMN])),
        name="missing",
    )
    pads = graph.add("Concat", zeros, graph.constant("none", np.array([0])), zeros, missing,
                     name="pads", axis=0)  # fmt: skip
    return graph.add("Pad", x, pads, name="padded", mode="edge")


def _layer(graph: _Graph, name: str, layer: Layer, shape: tuple[int, ...], x: str) -> str:
    """Adds a layer whose input `x` has this shape, without the batch; the width may be another."""
    match layer:
        case Conv():
            kernel = graph.parameter(name, "kernel", (3, 2, 0, 1))
            bias = [graph.parameter(name, "bias")] if layer.bias else []
            return graph.add("Conv", x, kernel, *bias, name=name, pads=[*layer.paddings] * 2)
        case Dense():
            kernel, bias = graph.parameter(name, "kernel"), [graph.parameter(name, "bias")]
            return graph.add("Gemm", x, kernel, *bias, name=name)
        case BatchNorm(epsilon=epsilon):
            values = [graph.parameter(name, each) for each in ("scale", "bias", "mean", "var")]
            return graph.add("BatchNormalization", x, *values, name=name, epsilon=epsilon)
        case Relu():
            return graph.add("Relu", x, name=name)
        case Dropout():
            return x
        case MaxPool(window=window):
            sides = [window, window]
            return graph.add("MaxPool", x, name=name, kernel_shape=sides, strides=sides)
        case AvgPool(window=None):
            return graph.add("GlobalAveragePool", x, name=name)
        case AvgPool(window=int(window)):
            sides = [window, window]
            return graph.add("AveragePool", x, name=name, kernel_shape=sides, strides=sides)
        case Flatten():
            return graph.add("Flatten", x, name=name)
        case SplitColumns(count=count):
            return _split_columns(graph, name, count, shape, x)
        case SpaceToDepth():
            return _space_to_depth(graph, name, shape, x)
        case LocalContrast():
            return _local_contrast(graph, name, layer, x)
    raise TypeError(f"{type(layer).__name__} has no ONNX nodes yet: add them in onnx_graph.py")


def _split_columns(graph: _Graph, name: str, count: int, shape: tuple[int, ...], x: str) -> str:
    channels, height, width = shape
    cut = graph.constant(f"{name}.cut", np.array([0, channels, height, count, width // count]))
    together = graph.constant(f"{name}.join", np.array([-1, channels, height, width // count]))
    x = graph.add("Reshape", x, cut, name=f"{name}.cells")
    x = graph.add("Transpose", x, name=f"{name}.first", perm=[0, 3, 1, 2, 4])
    return graph.add("Reshape", x, together, name=name)


def _space_to_depth(graph: _Graph, name: str, shape: tuple[int, ...], x: str) -> str:
    """ONNX has the pixels of a block outside of the channels, and ours has them inside."""
    channels = shape[0]
    order = np.arange(4 * channels).reshape(4, channels).T.reshape(-1)
    x = graph.add("SpaceToDepth", x, name=f"{name}.blocks", blocksize=2)
    return graph.add("Gather", x, graph.constant(f"{name}.order", order), name=name, axis=1)


def _local_contrast(graph: _Graph, name: str, layer: LocalContrast, x: str) -> str:
    def add(operator: str, *inputs: str, to: str, **attributes: Any) -> str:
        return graph.add(operator, *inputs, name=f"{name}.{to}", **attributes)

    def number(value: float, to: str) -> str:
        return graph.constant(f"{name}.{to}", np.float32(value))

    def mean(x: str, to: str, axes: tuple[int, ...] = (2, 3)) -> str:
        return add("ReduceMean", x, to=to, axes=[*axes], keepdims=1)

    def around(x: str, to: str, down: int, across: int) -> str:
        # An even window begins at half its size before the pixel; pixels that do not exist count
        # for nothing, neither in the sum nor in what it is divided by.
        pads = [down // 2, across // 2, max(down // 2 - 1, 0), max(across // 2 - 1, 0)]
        return add(
            "AveragePool", x, to=to, kernel_shape=[down, across], pads=pads, count_include_pad=0
        )

    x = add("Sub", x, mean(x, "mean"), to="centred")
    x_square = add("Mul", x, x, to="square")
    column_mean = around(mean(x, "column_mean", (2,)), "mean_around", 1, layer.columns)
    square = around(mean(x_square, "column_square", (2,)), "square_around", 1, layer.columns)
    of_mean = add("Mul", column_mean, column_mean, to="mean_square")
    variance = add("Sub", square, of_mean, to="difference")
    variance = add("Relu", variance, to="variance")
    least = add("Mul", mean(x_square, "whole"), number(layer.least**2, "share"), to="least")
    least = add("Add", least, number(layer.least_variance, "least_variance"), to="at_least")
    scale = add("Sqrt", add("Add", variance, least, to="sum"), to="scale")
    plain = add("Div", add("Sub", x, column_mean, to="less_mean"), scale, to="plain")
    near = around(around(x, "near_down", layer.pixels, 1), "near", 1, layer.pixels)
    flat = add("Div", add("Sub", x, near, to="less_near"), scale, to="flat")
    cube = add("Mul", add("Mul", flat, flat, to="flat_square"), flat, to="flat_cube")
    dark = add("Less", mean(cube, "skew"), number(0, "zero"), to="dark")
    sign = add("Where", dark, number(-1, "minus"), number(1, "plus"), to="sign")
    both = add("Concat", plain, flat, to="both", axis=1)
    return graph.add("Mul", both, sign, name=name)
