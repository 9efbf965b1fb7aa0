"""The plain PyTorch model of an architecture, and its optimizer."""

from math import prod
from typing import Any

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
    LocalContrast,
    MaxPool,
    Relu,
    SpaceToDepth,
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


class TorchLocalContrast(nn.Module):
    """Our `LocalContrast` with pools."""

    def __init__(self, ours: LocalContrast) -> None:
        super().__init__()
        self.columns, self.pixels = ours.columns, ours.pixels
        self.least, self.least_variance = ours.least, ours.least_variance

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean((2, 3), keepdim=True)
        mean = _mean_around(x.mean(2, keepdim=True), (1, self.columns))
        square = _mean_around(x.square().mean(2, keepdim=True), (1, self.columns))
        whole = x.square().mean((2, 3), keepdim=True)
        variance = (square - mean.square()).clamp_min(0)
        scale = torch.rsqrt(variance + self.least**2 * whole + self.least_variance)
        flat = (x - _mean_around(x, (self.pixels, self.pixels))) * scale
        sign = torch.where((flat**3).mean((2, 3), keepdim=True) < 0, -1.0, 1.0)
        return torch.cat([(x - mean) * scale * sign, flat * sign], dim=1)


def _mean_around(x: Tensor, window: tuple[int, int]) -> Tensor:
    """Returns the mean over the pixels of a window that exist; the window has even sides, or 1."""
    down, across = (size // 2 for size in window)
    frame = (across, max(across - 1, 0), down, max(down - 1, 0))
    total = nn.functional.avg_pool2d(nn.functional.pad(x, frame), window, stride=1)
    count = nn.functional.avg_pool2d(nn.functional.pad(torch.ones_like(x), frame), window, stride=1)
    return total / count


class Columns(nn.Module):
    """Turns a map of height 1 into logits of columns, of which each pixel may hold several."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2).reshape(len(x), -1, self.classes)


class Rows(nn.Module):
    """Reshapes logits to one row a head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.classes)


def build_torch_model(architecture: Architecture, height: int, width: int) -> nn.Sequential:
    """Builds the network for images (n, 1, height, width).

    It gives (n * heads, classes), or (n, columns, classes) where it reads any width.
    """
    modules: list[nn.Module] = []
    shape: tuple[int, ...] = (1, height, width)
    for layer, row in zip(
        architecture.layers, layer_rows(architecture, height, width), strict=True
    ):
        modules.append(_module(layer, shape))
        shape = row.shape
    if architecture.heads is None:
        modules.append(Columns(architecture.classes))
    elif shape[0] != architecture.classes:
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
        case SpaceToDepth():
            return nn.PixelUnshuffle(2)
        case LocalContrast():
            return TorchLocalContrast(layer)
    raise TypeError(f"{type(layer).__name__} has no PyTorch module yet: add it in torch_model.py")


def make_optimizer(
    model: nn.Module, fields: Optimizer, learning_rate: float, *, capturable: bool = False
) -> torch.optim.Optimizer:
    """Builds the recipe's optimizer, in PyTorch's fused form; `capturable` for CUDA graphs."""
    if fields.name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=learning_rate, momentum=fields.momentum, fused=True
        )
    kind: type[torch.optim.Adam] = torch.optim.Adam
    parameters: list[dict[str, Any]] = [{"params": [*model.parameters()]}]
    if fields.name == "adamw":  # kernels decay, as ours do
        kind, decay = torch.optim.AdamW, fields.weight_decay
        parameters = [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
    return kind(
        parameters,
        lr=learning_rate,
        betas=(fields.b1, fields.b2),
        eps=fields.eps,
        fused=True,
        capturable=capturable,
    )
