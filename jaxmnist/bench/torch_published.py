"""Training as the published code did it: one image at a time through Pillow, in a DataLoader.

The transforms are torchvision's, line by line, as far as the published systems used them; so is
where they take their random numbers from.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils import data
from torch.utils.data import DataLoader

from jaxmnist.bench.interleave import Runner
from jaxmnist.bench.torch_baselines import device_meter, make_trainers, synchronise, torch_device
from jaxmnist.bench.workload import Workload
from jaxmnist.config import Augment
from jaxmnist.constants import BLANK, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.generate.augment import MEAN, SD

Picture = Image.Image


def uniform(low: float, high: float) -> float:
    """Draws a number between two."""
    return torch.empty(1).uniform_(low, high).item()


def crop_centre(picture: Picture, size: int) -> Picture:
    """Cuts out the middle and enlarges it again (CenterCrop, Resize)."""
    edge = round((SIDE - size) / 2)
    cut = picture.crop((edge, edge, edge + size, edge + size))
    return cut.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def rotate(picture: Picture, degrees: float, fill: float) -> Picture:
    """Rotates counter-clockwise; `fill` 1 is ink (RandomRotation)."""
    return picture.rotate(degrees, Image.Resampling.NEAREST, fillcolor=round(255 * fill))


def invert(picture: Picture) -> Picture:
    """Exchanges ink and ground (RandomInvert)."""
    return picture.point(lambda level: 255 - level)


def affine(picture: Picture, degrees: float, shift: tuple[int, int], scale: float) -> Picture:
    """Rotates clockwise, scales and shifts (RandomAffine)."""
    angle, centre = math.radians(degrees), SIDE / 2
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = -centre - shift[0], -centre - shift[1]
    matrix = (cos, sin, cos * x + sin * y + centre, -sin, cos, -sin * x + cos * y + centre)
    how = Image.Transform.AFFINE
    return picture.transform((SIDE, SIDE), how, matrix, Image.Resampling.NEAREST, fillcolor=0)


def to_tensor(picture: Picture) -> Tensor:
    """Converts to (1, 28, 28) in [0, 1] (ToTensor)."""
    return torch.from_numpy(np.array(picture)).unsqueeze(0).to(torch.float32).div(255)


def normalise(image: Tensor) -> Tensor:
    """Maps to the networks' input scale (Normalize)."""
    return image.clone().sub_(MEAN).div_(SD)


def augmented(picture: Picture, augment: Augment) -> Tensor:
    """Changes one digit at random; the fields are those of `config.augment`."""
    if augment.crop_probability and torch.rand(1) < augment.crop_probability:
        picture = crop_centre(picture, augment.crop_size)
    if limit := augment.rotation_degrees:
        picture = rotate(picture, uniform(-limit, limit), augment.rotation_fill)
    if augment.invert_probability and torch.rand(1) < augment.invert_probability:
        picture = invert(picture)
    limit, reach, scale = augment.affine_degrees, augment.translate * SIDE, augment.scale
    if limit or reach or scale != (1.0, 1.0):
        shift = round(uniform(-reach, reach)), round(uniform(-reach, reach))
        picture = affine(picture, uniform(-limit, limit), shift, uniform(*scale))
    image = to_tensor(picture)
    if augment.noise_probability and torch.rand(1) < augment.noise_probability:
        image = image + augment.noise_sigma * torch.randn_like(image)
    return image


class DigitSet(data.Dataset[tuple[Tensor, int]]):
    """Single digits."""

    def __init__(self, digits: Dataset, augment: Augment) -> None:
        self.digits, self.augment = digits, augment

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(np.asarray(self.digits.images[number]))
        return normalise(augmented(picture, self.augment)), int(self.digits.labels[number])


class SequenceSet(data.Dataset[tuple[Tensor, Tensor]]):
    """Sequences of 1 to `heads` digits, drawn when they are asked for, padded with black."""

    def __init__(self, digits: Dataset, augment: Augment, heads: int, length: int) -> None:
        self.digits, self.augment, self.heads, self.length = digits, augment, heads, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        canvas = torch.zeros(1, SIDE, SIDE * self.heads)
        labels = torch.full((self.heads,), BLANK)
        length = int(torch.randint(1, self.heads + 1, ()))
        for place, chosen in enumerate(torch.randint(len(self.digits), (length,)).tolist()):
            picture = Image.fromarray(np.asarray(self.digits.images[chosen]))
            canvas[:, :, SIDE * place : SIDE * (place + 1)] = augmented(picture, self.augment)
            labels[place] = int(self.digits.labels[chosen])
        return normalise(canvas), labels


def prepare_published(work: Workload) -> Runner:
    """Prepares training in the published way, one seed after the other."""
    device_bytes, device = device_meter(), torch_device()
    augment, heads = work.config.augment, work.experiment.network.architecture.heads
    train = work.experiment.splits.train
    examples = work.experiment.spec.num_examples
    dataset: data.Dataset[Any] = (
        SequenceSet(train, augment, heads, examples) if heads > 1 else DigitSet(train, augment)
    )
    trainers = make_trainers(work)
    loader = DataLoader(dataset, batch_size=work.config.batch_size, shuffle=True, drop_last=True)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    endless = batches()

    def run(steps: int) -> None:
        for trainer in trainers:
            for _ in range(steps):
                images, labels = next(endless)
                trainer.step(images.to(device), labels.to(device)).item()
        synchronise()

    return Runner(run, device_bytes)
