"""The plain PyTorch model of an architecture, and its optimizer."""

from typing import Any

import torch
from torch import Tensor, nn

from jaxmnist.config import Optimizer
from jaxmnist.export import torch_layers
from jaxmnist.export.torch_source import Call, module_calls
from jaxmnist.models.network import Architecture


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
    modules = [_build(call) for call in module_calls(architecture, height, width)]
    if architecture.heads is not None:
        modules[-1] = Rows(architecture.classes)
    return nn.Sequential(*modules)


def _build(call: Call) -> nn.Module:
    """Returns the module; several heads are one matrix, which is faster."""
    if call.name == "Heads":
        heads, inputs, classes = call.arguments
        return nn.Linear(inputs, heads * classes)
    module: nn.Module = getattr(
        torch_layers if hasattr(torch_layers, call.name) else nn, call.name
    )(*call.arguments, **call.keywords)
    return module


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
    # PyTorch's Muon takes matrices alone: there AdamW, which costs less, is in its place.
    if fields.name in ("adamw", "muon"):  # kernels decay, as ours do
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
