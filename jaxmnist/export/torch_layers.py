"""The modules that PyTorch lacks; a file that torch_source.py writes carries copies of them."""

import torch
from torch import Tensor, nn


class LocalContrast(nn.Module):
    """Makes an image independent of polarity, brightness and contrast: one channel becomes two.

    They are the image less the mean of the columns around, and less that of the pixels around, both
    divided by the standard deviation in the columns around; strokes, the thin ones, are positive.
    """

    def __init__(self, columns: int, pixels: int, least: float, least_variance: float) -> None:
        super().__init__()
        self.columns, self.pixels = columns, pixels
        self.least, self.least_variance = least, least_variance

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean((2, 3), keepdim=True)
        mean = self.mean_around(x.mean(2, keepdim=True), 1, self.columns)
        square = self.mean_around(x.square().mean(2, keepdim=True), 1, self.columns)
        whole = x.square().mean((2, 3), keepdim=True)
        variance = (square - mean.square()).clamp_min(0)
        scale = torch.rsqrt(variance + self.least**2 * whole + self.least_variance)
        near = self.mean_around(self.mean_around(x, self.pixels, 1), 1, self.pixels)
        plain, flat = (x - mean) * scale, (x - near) * scale
        sign = torch.where((flat**3).mean((2, 3), keepdim=True) < 0, -1.0, 1.0)
        return torch.cat([plain * sign, flat * sign], dim=1)

    @staticmethod
    def mean_around(x: Tensor, down: int, across: int) -> Tensor:
        """Returns the mean over the pixels of a window that exist; its sides are even, or 1."""
        frame = (across // 2, max(across // 2 - 1, 0), down // 2, max(down // 2 - 1, 0))
        total, count = (
            nn.functional.avg_pool2d(nn.functional.pad(each, frame), (down, across), stride=1)
            for each in (x, torch.ones_like(x[:1]))
        )
        return total / count


class SplitColumns(nn.Module):
    """Cuts the width into cells and puts them, example by example, into the batch."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        cells = x.reshape(n, channels, height, self.count, width // self.count)
        return cells.permute(0, 3, 1, 2, 4).flatten(0, 1)


class Heads(nn.ModuleList):
    """Several linear layers on one vector, their outputs side by side."""

    def __init__(self, heads: int, inputs: int, classes: int) -> None:
        super().__init__(nn.Linear(inputs, classes) for _ in range(heads))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([head(x) for head in self], dim=1)


class Columns(nn.Module):
    """Turns a map of height 1 into logits of columns, of which each pixel may hold several."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2).reshape(len(x), -1, self.classes)


class Places(nn.Module):
    """Turns vectors, one an example or one a place, into logits of places."""

    def __init__(self, heads: int, classes: int) -> None:
        super().__init__()
        self.heads, self.classes = heads, classes

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.heads, self.classes)
