"""A network as a PyTorch module: as a list of calls, and as a file that needs PyTorch alone."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from math import prod
from typing import Any

from jaxmnist import __version__
from jaxmnist.constants import MEAN, SD, SIDE
from jaxmnist.data.images import COLUMN
from jaxmnist.export.describe import describe
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
from jaxmnist.models.network import Architecture
from jaxmnist.models.summary import layer_inputs

FILE = '''\
"""{name} in PyTorch, written by jaxmnist {version}: it needs PyTorch alone.

{about}

    network = Network()
    network.load_state_dict(torch.load("{name}.pth", weights_only=True))
    logits = network.eval()(images)
"""

import torch
from torch import Tensor, nn


{helpers}class Network(nn.Sequential):
    """The layers, each under its number in the state dict."""

    def __init__(self) -> None:
        super().__init__(
{layers}
        )

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits {shape} of images (batch, {side}, {width})."""
        x = (images.unsqueeze(1) - {mean}) / {sd}
{padding}        return super().forward(x)
'''
PADDING = """\
        # The last pixels are repeated up to a whole column.
        x = nn.functional.pad(x, (0, -images.shape[2] % {column}, 0, 0), mode="replicate")
"""


@dataclass(frozen=True)
class Call:
    """A module as data: the class, of torch.nn or of torch_layers.py, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Returns the call as Python."""
        given = [*map(repr, self.arguments), *(f"{k}={v!r}" for k, v in self.keywords.items())]
        return f"{self.name}({', '.join(given)})"


def module_calls(architecture: Architecture, height: int, width: int) -> list[Call]:
    """Returns the modules of an nn.Sequential for images (batch, 1, height, width).

    It gives logits (batch, heads or columns, classes), and has the state dict of
    formats/state_dict.py. The last call shapes the logits and has no weights.
    """
    heads, classes = architecture.heads, architecture.classes
    calls = [_call(layer, shape) for _, layer, shape in layer_inputs(architecture, height, width)]
    if heads is None:
        return [*calls, Call("Columns", (classes,))]
    last = calls[-1]
    if heads > 1 and last.name == "Linear" and last.arguments[1] == heads * classes:
        calls[-1] = Call("Heads", (heads, last.arguments[0], classes))
    return [*calls, Call("Places", (heads, classes))]


def _call(layer: Layer, shape: tuple[int, ...]) -> Call:
    """Returns PyTorch's module for a layer whose input has this shape, without the batch."""
    match layer:
        case Conv(features=features, size=size, padding=padding, bias=bias):
            changed = ({"padding": padding} if padding else {}) | ({} if bias else {"bias": False})
            return Call("Conv2d", (shape[0], features, size), changed)
        case Dense(features=features):
            return Call("Linear", (prod(shape), features))
        case BatchNorm(momentum=momentum, epsilon=epsilon):
            norm = "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"
            return Call(norm, (shape[0],), {"eps": epsilon, "momentum": momentum})
        case Relu():
            return Call("ReLU", (), {"inplace": True})
        case Dropout(rate=rate):
            return Call("Dropout", (rate,))
        case MaxPool(window=window):
            return Call("MaxPool2d", (window,))
        case AvgPool(window=None):
            return Call("AdaptiveAvgPool2d", (1,))
        case AvgPool(window=int(window)):
            return Call("AvgPool2d", (window,))
        case Flatten():
            return Call("Flatten")
        case SplitColumns(count=count):
            return Call("SplitColumns", (count,))
        case SpaceToDepth():
            return Call("PixelUnshuffle", (2,))
        case LocalContrast():
            names = ("columns", "pixels", "least", "least_variance")
            return Call("LocalContrast", (), {name: getattr(layer, name) for name in names})
    raise TypeError(f"{type(layer).__name__} has no PyTorch module yet: add it in torch_source.py")


def torch_source(architecture: Architecture, name: str) -> str:
    """Returns a Python file with a class `Network`, whose state dict is the exported one.

    Args:
      architecture: of the network.
      name: of the model, for people.
    """
    heads, classes = architecture.heads, architecture.classes
    calls = module_calls(architecture, SIDE, SIDE * (heads or 1))
    helpers = _classes()
    used = dict.fromkeys(call.name for call in calls if call.name in helpers)
    layers = [call if call.name in helpers else f"nn.{call}" for call in calls]
    return FILE.format(
        name=name,
        version=__version__,
        about=describe(architecture),
        helpers="".join(f"{helpers[each]}\n\n\n" for each in used),
        layers="\n".join(f"            {layer},  # {i}" for i, layer in enumerate(layers)),
        shape=f"(batch, {heads or 'columns'}, {classes})",
        side=SIDE,
        width=SIDE * heads if heads else "width",
        mean=MEAN,
        sd=SD,
        padding="" if heads else PADDING.format(column=COLUMN),
    )


def _classes() -> dict[str, str]:
    """Returns the text of each class of torch_layers.py, which is not imported for that."""
    text = files("jaxmnist.export").joinpath("torch_layers.py").read_text(encoding="utf-8")
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in nodes}
