"""How long a step takes and what it holds, from a few constants; docs/scaling.md explains them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Point:
    """A training on some devices: seeds and batches are spread evenly over them."""

    recipe: str
    cores: int  # that the devices share
    population: int  # devices that have seeds of their own
    data: int  # devices that share every batch
    seeds: int
    batch: int
    parameter_bytes: int  # of one network
    fitted: bool  # whether constants are taken from it
    seconds: float = 0.0  # of a step, measured
    state_bytes: int = 0  # of all that a device keeps, measured
    work_bytes: int = 0  # of what it needs for a step besides, measured

    @property
    def devices(self) -> int:
        """The devices that take part."""
        return self.population * self.data

    @property
    def own_seeds(self) -> int:
        """The seeds of one device, which a CPU trains one after the other."""
        return self.seeds // self.population

    @property
    def shard(self) -> int:
        """The examples of a batch that one device has."""
        return self.batch // self.data

    @property
    def lone(self) -> bool:
        """Whether it is one seed on one device."""
        return self.devices == self.seeds == 1


@dataclass(frozen=True)
class Constants:
    """What the model knows of a machine and of recipes on it."""

    batches: tuple[int, ...]  # whose steps were measured with one seed on one core, ascending
    step_seconds: Mapping[str, tuple[float, ...]]  # of a recipe's steps with these batches
    crowding: Mapping[str, float]  # share by which each further busy core makes all slower
    meeting_seconds: float  # of one sum over two devices, whatever its size
    byte_seconds: float  # of each byte of it
    data_bytes: Mapping[str, float] = field(default_factory=dict)  # digits, on every device
    seed_bytes: Mapping[str, float] = field(default_factory=dict)  # state of a seed
    example_bytes: Mapping[str, float] = field(default_factory=dict)  # activations of an example
    fixed_bytes: Mapping[str, float] = field(default_factory=dict)  # gradients and the like

    def compute(self, point: Point) -> float:
        """Returns the seconds of a step in which devices compute."""
        one = between(self.batches, self.step_seconds[point.recipe], point.shard)
        busy = min(point.devices, point.cores)
        turns = point.devices / busy  # devices that wait for a core
        return point.own_seeds * one * turns * (1 + self.crowding[point.recipe] * (busy - 1))

    def communicate(self, point: Point) -> float:
        """Returns the seconds of a step in which devices add up their gradients."""
        meetings = point.own_seeds * np.log2(point.data)
        return float(meetings * (self.meeting_seconds + self.byte_seconds * point.parameter_bytes))

    def seconds(self, point: Point) -> float:
        """Returns the seconds of a step."""
        return self.compute(point) + self.communicate(point)

    def bytes(self, point: Point) -> float:
        """Returns the bytes that a device needs."""
        recipe = point.recipe
        kept = self.data_bytes[recipe] + point.own_seeds * self.seed_bytes[recipe]
        return kept + self.fixed_bytes[recipe] + point.shard * self.example_bytes[recipe]


def fit(points: Sequence[Point]) -> Constants:
    """Takes the constants from the points that are marked for it.

    Each recipe needs some with one seed on one device, with different batches; one of a
    population on two devices; and one of a batch on two.
    """
    marked = [point for point in points if point.fitted]
    batches = sorted({point.batch for point in marked if point.lone})
    steps: dict[str, tuple[float, ...]] = {}
    crowding: dict[str, float] = {}
    data: dict[str, float] = {}
    seed: dict[str, float] = {}
    activations: dict[str, float] = {}
    fixed: dict[str, float] = {}
    for recipe in {point.recipe for point in marked}:
        lone = {point.batch: point for point in marked if point.recipe == recipe and point.lone}
        steps[recipe] = tuple(lone[batch].seconds for batch in batches)
        needed = [lone[batch].work_bytes for batch in batches]
        activations[recipe], fixed[recipe] = map(float, np.polyfit(batches, needed, 1))
        # One seed's share of what is kept is seen where a device has two.
        kept = {p.own_seeds: p.state_bytes for p in points if p.recipe == recipe}
        seed[recipe] = float(kept[2] - kept[1]) if 2 in kept else 0.0
        data[recipe] = kept[1] - seed[recipe]
        (pair,) = [p for p in marked if p.recipe == recipe and (p.population, p.data) == (2, 1)]
        crowding[recipe] = max(0.0, pair.seconds / lone[pair.batch].seconds / pair.own_seeds - 1)
    crowded = Constants(tuple(batches), steps, crowding, 0.0, 0.0)
    halves = [point for point in marked if point.data == 2]
    rows = [[1.0, point.parameter_bytes] for point in halves]
    rest = [max(0.0, point.seconds - crowded.compute(point)) for point in halves]
    scale = np.array([1.0, 1e-6])  # bytes are many
    (meeting, byte), _ = nnls(np.array(rows) * scale, np.array(rest))
    return Constants(
        tuple(batches), steps, crowding, float(meeting), float(byte * scale[1]), data, seed,
        activations, fixed,
    )  # fmt: skip


def between(sizes: Sequence[float], seconds: Sequence[float], size: float) -> float:
    """Returns the seconds of a step of another size than those measured.

    Between two that were measured time grows by a power of size; beyond the largest it grows as
    size does: there a device is taken to be full.
    """
    if size >= sizes[-1]:
        return seconds[-1] * size / sizes[-1]
    return float(np.exp(np.interp(np.log(size), np.log(sizes), np.log(seconds))))
