"""What a sweep tries: the text of --over, its points, and which of them train as one population."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxmnist import config, job
from jaxmnist.config import Config, Population
from jaxmnist.errors import UserError
from jaxmnist.fields import short_repr

MOST_POINTS = 10_000
RANGE = re.compile(r"(log|linear)\(([^,]*),([^,]*)(?:,([^,]*))?\)")
WHOLE = re.compile(r"(\d{1,10})\.\.(\d{1,10})", re.ASCII)
RATE = "schedule.learning_rate"

Texts = Mapping[str, str]  # the values of a point as people could type them, by field


@dataclass(frozen=True)
class Span:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False  # evenly spaced in their logarithms
    whole: bool = False

    def format(self, value: float) -> str:
        """Formats one of them, with six digits: what a table shows is what was trained."""
        if self.whole:
            return str(round(value))
        ends = {self.low, self.high}
        return repr(value if value in ends else float(f"{value:.6g}"))

    def values(self, count: int) -> list[str]:
        """Returns `count` of them, both ends included."""
        shares = [number / (count - 1) for number in range(1, count - 1)]
        if self.log:
            inner = [self.low * (self.high / self.low) ** share for share in shares]
        else:
            inner = [self.low + (self.high - self.low) * share for share in shares]
        return [self.format(value) for value in (self.low, *inner, self.high)]


@dataclass(frozen=True)
class Axis:
    """The values of one field."""

    field: str
    values: tuple[str, ...]  # empty for a range that does not say how many
    span: Span | None = None  # the range that they are from


@dataclass(frozen=True)
class Point:
    """One combination of values, and the configuration of a run with them."""

    values: dict[str, Any]
    config: Config


def parse_over(text: str) -> tuple[Axis, ...]:
    """Parses `FIELD=VALUES; ...`.

    VALUES are a list `a,b,c`, `log(low,high,n)`, `linear(low,high,n)`, or the whole numbers
    `low..high`; both ends always belong to them.

    Raises:
      UserError: if it cannot be read, or a field or a value comes twice.
    """
    axes: list[Axis] = []
    for part in filter(None, map(str.strip, split_outside(text, ";"))):
        name, _, values = (word.strip() for word in part.partition("="))
        if not name or not values:
            raise UserError(
                f"--over has '{part}', which is no FIELD=VALUES: see `jaxmnist sweep --help`."
            )
        axis = _parse_axis(job.renamed(name.removeprefix(job.OVERRIDE)), values)
        if axis.field in [other.field for other in axes]:
            raise UserError(f"--over has {axis.field} twice: give all its values at once.")
        axes.append(axis)
    if not axes:
        raise UserError("--over is empty: give a field and its values, such as 'seed=0..3'.")
    return tuple(axes)


def _parse_axis(name: str, text: str) -> Axis:
    field = dict(config.all_fields()).get(name)
    default = (
        field.default if field else 0.0
    )  # an unknown field is refused with the rest of its kind
    values: list[str]
    span: Span | None
    if found := RANGE.fullmatch(text):
        kind, low, high, count = found.groups()
        if type(default) not in (int, float):
            raise UserError(f"--over has {text} for {name}, which is no number: list its values.")
        span = Span(
            _number(name, low), _number(name, high), log=kind == "log", whole=type(default) is int
        )
        if span.whole and not (span.low.is_integer() and span.high.is_integer()):
            raise UserError(f"--over has {text} for {name}: give whole numbers as its ends.")
        if not span.low < span.high or (span.log and span.low <= 0):
            above = " above 0" if span.log else ""
            raise UserError(
                f"--over has {text} for {name}: give the lower number{above} first, then the "
                "higher one."
            )
        values = span.values(_count(name, count)) if count is not None else []
    elif found := WHOLE.fullmatch(text):
        low, high = map(int, found.groups())
        if not low < high or high - low >= MOST_POINTS:
            raise UserError(
                f"--over has {text} for {name}: give the lower number first, and at most "
                f"{MOST_POINTS:,} numbers."
            )
        span = Span(low, high, whole=True)
        values = [str(number) for number in range(low, high + 1)]
    else:
        span, values = None, [value.strip() for value in split_outside(text, ",")]
    if twice := next((value for value, times in Counter(values).items() if times > 1), None):
        raise UserError(f"--over has {twice} for {name} twice: give each value once.")
    return Axis(name, tuple(values), span)


def split_outside(text: str, separator: str) -> list[str]:
    """Splits a text at a separator that is in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == separator and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"--over has '{text.strip()}' for {name}: it must be a number.")
    return value


def _count(name: str, text: str) -> int:
    if not text.strip().isdecimal() or not 2 <= int(text) <= MOST_POINTS:
        raise UserError(
            f"--over has {short_repr(text.strip())} as the number of values for {name}: it must be "
            f"between 2 and {MOST_POINTS:,}."
        )
    return int(text)


def grid(axes: Sequence[Axis]) -> list[Texts]:
    """Returns all combinations, the last field changing fastest.

    Raises:
      UserError: if there are too many, or a range does not say how many values it has.
    """
    for axis in axes:
        if not axis.values:
            raise UserError(
                f"--over has a range for {axis.field} without a number of values: give it as the "
                "third one, or search with --guided."
            )
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_POINTS:
        raise UserError(f"--over has {count:,} points: give at most {MOST_POINTS:,}.")
    names = [axis.field for axis in axes]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(axis.values for axis in axes))
    ]


def corners(axes: Sequence[Axis]) -> list[Texts]:
    """Returns points with every value of a list and both ends of every range, one at a time."""
    ends = {
        axis.field: (
            axis.values
            if axis.span is None
            else tuple(map(axis.span.format, (axis.span.low, axis.span.high)))
        )
        for axis in axes
    }
    first = {field: values[0] for field, values in ends.items()}
    return [first | {field: value} for field, values in ends.items() for value in values]


def resolve(name: str, overrides: Mapping[str, str | None], texts: Texts) -> Point:
    """Returns the point of a recipe with these values.

    Raises:
      UserError: if the recipe, a field or a value cannot be used, or cannot be compared.
    """
    if compared := [field for field in texts if field.startswith("validation.")]:
        raise UserError(
            f"--over has {compared[0]}, and points are compared by validation: set it for all of "
            "them instead."
        )
    found = job.resolve(name, {**overrides, **texts})
    if found.num_seeds != 1:
        raise UserError(
            f"config.num_seeds is {found.num_seeds}: leave it at 1, and give the seeds as "
            "--over 'seed=0..2'."
        )
    if found.validation.digits == "test":
        raise UserError(
            "config.validation.digits is 'test', and points are compared by validation: choose "
            "'held_out' digits, or a recipe that does."
        )
    values = config.flatten(config.to_dict(found))
    return Point({field: values[field] for field in texts}, found)


def check_distinct(points: Sequence[Point]) -> None:
    """Refuses points that are one: a value may be written in two ways, as 0.1 and 1e-1.

    Raises:
      UserError: if there are such.
    """
    known: dict[Config, Point] = {}
    for point in points:
        if known.setdefault(point.config, point) is not point:
            raise UserError(
                f"--over has the point {point.values} twice: give each value once, in one way."
            )


def group(points: Sequence[Point], at_once: int) -> list[tuple[Point, ...]]:
    """Returns the points of every run: those that differ in seed and learning rate alone.

    Such points share all shapes, and so one program. Groups are in the order of their first points;
    one of more than `at_once` points becomes several runs of as equal sizes as can be.
    """
    groups: dict[Config, list[Point]] = {}
    for point in points:
        groups.setdefault(same_shapes(point.config), []).append(point)
    return [part for members in groups.values() for part in _split_evenly(members, at_once)]


def same_shapes(found: Config) -> Config:
    """Returns a configuration that all those share which may be members of one population."""
    any_rate = replace(found.schedule, learning_rate=config.Schedule.learning_rate)
    return replace(found, seed=0, schedule=any_rate)


def _split_evenly(members: Sequence[Point], most: int) -> Iterator[tuple[Point, ...]]:
    parts = -(-len(members) // most)
    for part in range(parts):
        first, last = (len(members) * edge // parts for edge in (part, part + 1))
        yield tuple(members[first:last])


def population(points: Sequence[Point]) -> Config:
    """Returns the configuration that trains the points of one group, a member each."""
    configs = [point.config for point in points]
    if len(configs) == 1:
        return configs[0]
    members = Population(
        seeds=tuple(each.seed for each in configs),
        learning_rates=tuple(each.schedule.learning_rate for each in configs),
    )
    return replace(configs[0], num_seeds=len(configs), population=members)
