"""Training as the published code did it: each system's own DataLoader, image by image.

Classifiers went through Pillow, in as many processes as their code asked for; the recognisers'
transforms ran on tensors, over sequences that were drawn once. The transforms are torchvision's,
line by line, as far as the published systems used them; so is where they take their random numbers
from. The last, smaller batch of an epoch is kept, where there is one.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample, pad
from torch.utils import data
from torch.utils.data import DataLoader

from jaxmnist.bench.interleave import Runner
from jaxmnist.bench.torch_baselines import device_meter, make_trainers, synchronise, torch_device
from jaxmnist.bench.workload import Workload
from jaxmnist.config import Augment
from jaxmnist.constants import BLANK, MEAN, SD, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.systems.published import SYSTEMS

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


def warp(image: Tensor, degrees: float, shift: tuple[int, int], scale: float) -> Tensor:
    """Rotates counter-clockwise, scales and shifts a tensor (1, 28, 28), filling with ground."""
    cos, sin = math.cos(math.radians(degrees)) / scale, math.sin(math.radians(degrees)) / scale
    # From places in the result to places in the image, both in pixels from the centre.
    x, y = -shift[0], -shift[1]
    theta = torch.tensor([[cos, -sin, cos * x - sin * y], [sin, cos, sin * x + cos * y]])
    half = SIDE / 2
    edge = torch.linspace(0.5 - half, half - 0.5, SIDE)
    rows, columns = torch.meshgrid(edge, edge, indexing="ij")
    grid = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1) @ theta.T / half
    # A second channel that says where there is no image: it is how torchvision fills.
    masked = torch.cat([image, torch.ones_like(image)])[None]
    warped, inside = grid_sample(
        masked, grid[None], mode="nearest", padding_mode="zeros", align_corners=False
    )[0].split(1)
    return torch.where(inside < 0.5, 0.0, warped)


@dataclass(frozen=True)
class Transforms:
    """How a system's code changes one digit: a picture, or a tensor (1, 28, 28) in [0, 1]."""

    rotate: Callable[[Any, float, float], Any]  # by degrees counter-clockwise, filling with
    invert: Callable[[Any], Any]
    affine: Callable[[Any, float, tuple[int, int], float], Any]  # degrees clockwise, shift, scale
    to_tensor: Callable[[Any], Tensor]


PICTURES = Transforms(rotate, invert, affine, to_tensor)
TENSORS = Transforms(
    rotate=lambda image, degrees, fill: warp(image, degrees, (0, 0), 1.0),
    invert=lambda image: 1 - image,
    affine=lambda image, degrees, shift, scale: warp(image, -degrees, shift, scale),
    to_tensor=lambda image: image,
)


def augmented(digit: Any, augment: Augment, transforms: Transforms = PICTURES) -> Tensor:
    """Changes one digit at random; the fields are those of `config.augment`."""
    if augment.crop_probability and torch.rand(1) < augment.crop_probability:
        digit = crop_centre(digit, augment.crop_size)  # of pictures only
    if limit := augment.rotation_degrees:
        digit = transforms.rotate(digit, uniform(-limit, limit), augment.rotation_fill)
    if augment.invert_probability and torch.rand(1) < augment.invert_probability:
        digit = transforms.invert(digit)
    limit, reach, scale = augment.affine_degrees, augment.translate * SIDE, augment.scale
    if limit or reach or scale != (1.0, 1.0):
        shift = round(uniform(-reach, reach)), round(uniform(-reach, reach))
        digit = transforms.affine(digit, uniform(-limit, limit), shift, uniform(*scale))
    image = transforms.to_tensor(digit)
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
    """Sequences of 1 to `heads` digits, drawn once, padded with black."""

    def __init__(self, digits: Dataset, augment: Augment, heads: int, length: int) -> None:
        self.digits, self.augment, self.heads = digits, augment, heads
        self.chosen = [
            torch.randint(len(digits), (int(torch.randint(1, heads + 1, ())),)).tolist()
            for _ in range(length)
        ]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        images, labels = [], []
        for chosen in self.chosen[number]:
            picture = Image.fromarray(np.asarray(self.digits.images[chosen]))
            images.append(normalise(augmented(to_tensor(picture), self.augment, TENSORS)))
            labels.append(int(self.digits.labels[chosen]))
        missing = self.heads - len(labels)
        canvas = pad(torch.cat(images, dim=2), (0, SIDE * missing), value=-MEAN / SD)
        return canvas, torch.tensor(labels + [BLANK] * missing)


def loader_workers(system: str) -> int:
    """Returns how many processes the published code of a system loads with."""
    published = SYSTEMS[system].published
    if published is None:  # one of ours: plainly
        return 0
    workers = published.loader_workers
    return (os.cpu_count() or 1) // 2 if workers is None else workers


def prepare_published(work: Workload) -> Runner:
    """Prepares training in the published way, one seed after the other."""
    device_bytes, device = device_meter(), torch_device()
    augment, heads = work.config.augment, work.experiment.task.max_length
    train = work.experiment.splits.train
    examples = work.experiment.spec.num_examples
    dataset: data.Dataset[Any] = (
        SequenceSet(train, augment, heads, examples) if heads > 1 else DigitSet(train, augment)
    )
    trainers = make_trainers(work)
    workers = loader_workers(work.system)
    loader = DataLoader(
        dataset,
        batch_size=work.config.batch_size,
        shuffle=True,
        num_workers=workers,
        # A fork of a process with JAX's threads may hang.
        multiprocessing_context="spawn" if workers else None,
    )

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
