"""The plain PyTorch model of an architecture, and its optimizer."""

from math import prod

import torch
from torch import Tensor, nn

from jaxmnist.config import Optimizer
from jaxmnist.models.layers import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    Relu,
    SplitColumns,
)
from jaxmnist.models.network import Architecture
from jaxmnist.models.summary import layer_rows


class Cells(nn.Module):
    """Cuts the width into cells and puts them, example by example, into the batch."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        cells = x.reshape(n, channels, height, self.count, width // self.count)
        return cells.permute(0, 3, 1, 2, 4).flatten(0, 1)


class Rows(nn.Module):
    """Reshapes logits to one row a head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.classes)


def build_torch_model(architecture: Architecture, height: int, width: int) -> nn.Sequential:
    """Builds the network for images (n, 1, height, width); it gives (n * heads, classes)."""
    modules: list[nn.Module] = []
    shape: tuple[int, ...] = (1, height, width)
    for layer, row in zip(
        architecture.layers, layer_rows(architecture, height, width), strict=True
    ):
        modules.append(_module(layer, shape))
        shape = row.shape
    if shape[0] != architecture.classes:
        modules.append(Rows(architecture.classes))
    return nn.Sequential(*modules)


def _module(layer: Layer, shape: tuple[int, ...]) -> nn.Module:
    """Returns PyTorch's module for a layer whose input has this shape, without the batch."""
    match layer:
        case Conv(features=features, size=size, padding=padding, bias=bias):
            return nn.Conv2d(shape[0], features, size, padding=padding, bias=bias)
        case Dense(features=features):
            return nn.Linear(prod(shape), features)
        case BatchNorm(momentum=momentum, epsilon=epsilon):
            norm = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
            return norm(shape[0], eps=epsilon, momentum=momentum)
        case Relu():
            return nn.ReLU(inplace=True)
        case Dropout(rate=rate):
            return nn.Dropout(rate)
        case MaxPool(window=window):
            return nn.MaxPool2d(window)
        case AvgPool(window=None):
            return nn.AdaptiveAvgPool2d(1)
        case AvgPool(window=int(window)):
            return nn.AvgPool2d(window)
        case Flatten():
            return nn.Flatten()
        case SplitColumns(count=count):
            return Cells(count)
    raise TypeError(f"{type(layer).__name__} has no PyTorch module yet: add it in torch_model.py")


def make_optimizer(
    model: nn.Module, fields: Optimizer, learning_rate: float, *, capturable: bool = False
) -> torch.optim.Optimizer:
    """Builds the recipe's optimizer, in PyTorch's fused form; `capturable` for CUDA graphs."""
    if fields.name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=learning_rate, momentum=fields.momentum, fused=True
        )
    return torch.optim.Adam(
        model.parameters(),
        lr=learning_rate,
        betas=(fields.b1, fields.b2),
        eps=fields.eps,
        fused=True,
        capturable=capturable,
    )
