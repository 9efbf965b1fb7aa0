"""The sixteen networks in plain PyTorch, written from the layer tables and from nothing of ours.

They are oracles for the equivalence tests. A sequence recogniser gives (batch, heads * classes).
"""

import torch
from torch import nn
from torch.nn import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
)


class Heads(nn.ModuleList):
    """Several linear layers on one vector, their outputs side by side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([head(x) for head in self], dim=1)


def sequence_published() -> nn.Sequential:
    return nn.Sequential(
        Conv2d(1, 32, 3, padding=1), ReLU(),
        Conv2d(32, 64, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(64, 128, 3, padding=1), ReLU(),
        Conv2d(128, 128, 3, padding=1), ReLU(), MaxPool2d(2),
        Flatten(), Linear(128 * 7 * 21, 512), ReLU(), Dropout(0.5),
        Heads(Linear(512, 11) for _ in range(3)),
    )  # fmt: skip


def model_1() -> nn.Sequential:
    return nn.Sequential(
        Conv2d(1, 16, 3), ReLU(), Conv2d(16, 8, 3), ReLU(), Conv2d(8, 16, 3), ReLU(), MaxPool2d(2),
        Conv2d(16, 8, 3), ReLU(), Conv2d(8, 16, 3), ReLU(), MaxPool2d(2),
        Conv2d(16, 8, 3, padding=1), ReLU(), Conv2d(8, 10, 3, padding=1), ReLU(),
        Flatten(), Linear(90, 10),
    )  # fmt: skip


def model_2() -> nn.Sequential:
    def block(inputs: int, outputs: int, padding: int = 0) -> list[nn.Module]:
        return [
            Conv2d(inputs, outputs, 3, padding=padding), BatchNorm2d(outputs), ReLU(), Dropout(0.1),
        ]  # fmt: skip

    return nn.Sequential(
        *block(1, 16), *block(16, 8), *block(8, 16), MaxPool2d(2),
        *block(16, 8), *block(8, 16), MaxPool2d(2),
        *block(16, 12, padding=1), Conv2d(12, 10, 3, padding=1),
        AdaptiveAvgPool2d(1), Flatten(),
    )  # fmt: skip


def model_3() -> nn.Sequential:
    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [Conv2d(inputs, outputs, 3), BatchNorm2d(outputs), ReLU()]

    return nn.Sequential(
        *block(1, 8), *block(8, 8), MaxPool2d(2),
        *block(8, 12), *block(12, 12), MaxPool2d(2),
        *block(12, 24), MaxPool2d(2),
        Conv2d(24, 10, 3, padding=1), AdaptiveAvgPool2d(1), Flatten(),
    )  # fmt: skip


def _v(dropout: float, middle: list[tuple[int, int, int]], end: list[nn.Module]) -> nn.Sequential:
    def block(inputs: int, outputs: int, padding: int = 0) -> list[nn.Module]:
        return [
            Conv2d(inputs, outputs, 3, padding=padding, bias=False),
            ReLU(), BatchNorm2d(outputs), Dropout(dropout),
        ]  # fmt: skip

    return nn.Sequential(
        *block(1, 8), *block(8, 16), Conv2d(16, 10, 1, bias=False), MaxPool2d(2),
        *(layer for sizes in middle for layer in block(*sizes)),
        *block(16, 16), *block(16, 10), *block(10, 10, padding=1), MaxPool2d(2), AvgPool2d(3),
        *end,
    )  # fmt: skip


def v_1() -> nn.Sequential:
    return _v(0.01, [(10, 16, 0)], [Conv2d(10, 10, 1, bias=False), Flatten()])


def v_2() -> nn.Sequential:
    return _v(0.025, [(10, 16, 0)], [Flatten(), Linear(10, 10)])


def v_3() -> nn.Sequential:
    return _v(0.025, [(10, 10, 0), (10, 16, 1)], [Flatten(), Linear(10, 10)])


def iteration_1() -> nn.Sequential:
    return nn.Sequential(
        Conv2d(1, 16, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(32, 16, 1), ReLU(), Conv2d(16, 32, 3, padding=1), ReLU(), Conv2d(32, 32, 1), ReLU(),
        Flatten(), Linear(32 * 49, 10),
    )  # fmt: skip


def iteration_2() -> nn.Sequential:
    return nn.Sequential(
        Conv2d(1, 8, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(8, 16, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(16, 8, 1), ReLU(), Conv2d(8, 16, 3, padding=1), ReLU(), Conv2d(16, 16, 1), ReLU(),
        Conv2d(16, 32, 3, padding=1), ReLU(), Conv2d(32, 32, 1), ReLU(),
        Flatten(), Linear(32 * 49, 10),
    )  # fmt: skip


def iteration_3() -> nn.Sequential:
    return nn.Sequential(
        Conv2d(1, 8, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(8, 16, 3, padding=1), ReLU(), MaxPool2d(2),
        Conv2d(16, 8, 1), ReLU(), Conv2d(8, 32, 3, padding=1), ReLU(), Conv2d(32, 28, 1), ReLU(),
        Flatten(), Linear(28 * 49, 10),
    )  # fmt: skip


def _normalised(last: int, dropouts: list[float | None]) -> nn.Sequential:
    first, second, third, fourth = ([Dropout(p)] if p else [] for p in dropouts)
    return nn.Sequential(
        Conv2d(1, 8, 3, padding=1), BatchNorm2d(8), ReLU(), MaxPool2d(2), *first,
        Conv2d(8, 16, 3, padding=1), BatchNorm2d(16), ReLU(), MaxPool2d(2), *second,
        Conv2d(16, 8, 1), ReLU(), Conv2d(8, 32, 3, padding=1), ReLU(), *third,
        Conv2d(32, last, 1), ReLU(),
        Flatten(), *fourth, Linear(last * 49, 10),
    )  # fmt: skip


def iteration_4() -> nn.Sequential:
    return _normalised(32, [None] * 4)


def iteration_5() -> nn.Sequential:
    return _normalised(28, [None] * 4)


def iteration_6() -> nn.Sequential:
    return _normalised(28, [None, None, None, 0.5])


def iteration_7() -> nn.Sequential:
    return _normalised(28, [0.1, 0.2, 0.3, 0.5])


def ds_cnn() -> nn.Sequential:
    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [Conv2d(inputs, outputs, 3), BatchNorm2d(outputs), ReLU()]

    return nn.Sequential(
        *block(1, 8), *block(8, 16), MaxPool2d(2), Dropout(0.1),
        *block(16, 24), *block(24, 24), MaxPool2d(2), Dropout(0.2),
        *block(24, 32), AdaptiveAvgPool2d(1), Flatten(), Linear(32, 10),
    )  # fmt: skip


REFERENCES = {
    builder.__name__: builder
    for builder in (
        sequence_published, model_1, model_2, model_3, v_1, v_2, v_3, iteration_1, iteration_2,
        iteration_3, iteration_4, iteration_5, iteration_6, iteration_7, ds_cnn,
    )
}  # fmt: skip
