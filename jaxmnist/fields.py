"""Fields of a configuration: their kinds, and groups of them that are always valid.

A group is a frozen dataclass whose fields are declared by the functions here, each with default,
help and a rule for what it accepts. jaxmnist/config.py has the groups.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_type_hints

import numpy as np

from jaxmnist.errors import UserError

Tree = dict[str, Any]  # a nested dictionary, as JSON and ConfigDict have it
Field = dataclasses.Field[Any]


@dataclass(frozen=True)
class Rule:
    """What a field accepts: the test, and the same in words."""

    accepts: Callable[[Any], bool]
    wanted: str

    def holds(self, value: Any) -> bool:
        """Returns whether `value` passes; a value that cannot be compared does not."""
        try:
            return bool(self.accepts(value))
        except (TypeError, ValueError, OverflowError):
            return False


def declare(default: Any, help_text: str, rule: Rule) -> Any:
    """Declares a field with a rule of its own."""
    return dataclasses.field(default=default, metadata={"help": help_text, "rule": rule})


def text(default: str, help_text: str) -> Any:
    """Declares a string field."""
    return declare(default, help_text, Rule(lambda v: isinstance(v, str), "a text"))


def switch(default: bool, help_text: str) -> Any:
    """Declares a field that is on or off."""
    return declare(default, help_text, Rule(lambda v: type(v) is bool, "True or False"))


def choice(default: str, help_text: str, *choices: str) -> Any:
    """Declares a field that takes one of a few names."""
    rule = Rule(lambda v: v in choices, f"one of {', '.join(sorted(choices))}")
    return declare(default, help_text, rule)


def whole(default: int, help_text: str, low: int = 1, high: int = 10**9, unit: str = "") -> Any:
    """Declares an integer field with bounds."""
    wanted = f"between {low} and {high}{unit and f' {unit}'}, a whole number"
    return declare(default, help_text, Rule(lambda v: type(v) is int and low <= v <= high, wanted))


def number(default: float, help_text: str, low: float, high: float, wanted: str = "") -> Any:
    """Declares a real field with bounds, both included."""
    rule = Rule(
        lambda v: is_real(v) and low <= v <= high, wanted or f"between {low:.0f} and {high:.0f}"
    )
    return declare(default, help_text, rule)


def positive(default: float, help_text: str) -> Any:
    """Declares a field above zero, as far as single precision reaches."""
    return number(default, help_text, 1e-37, 1e37, "a number above 0, from 1e-37 to 1e37")


def angle(default: float, help_text: str) -> Any:
    """Declares a field in degrees."""
    return number(default, help_text, 0, 180, "between 0 and 180 degrees")


def fraction(default: float, help_text: str) -> Any:
    """Declares a field strictly between 0 and 1."""
    rule = Rule(lambda v: is_real(v) and 0 < v < 1, "between 0 and 1, without the ends")
    return declare(default, help_text, rule)


def probability(help_text: str) -> Any:
    """Declares how often an effect is drawn; it is off by default."""
    return number(0.0, help_text, 0, 1)


def span(default: tuple[float, float], help_text: str, low: float, high: float) -> Any:
    """Declares two real numbers with bounds, the smaller first, between which one is drawn."""
    rule = Rule(
        lambda v: (
            type(v) is tuple
            and len(v) == 2
            and all(map(is_real, v))
            and low <= v[0] <= v[1] <= high
        ),
        f"two numbers, the smaller first, from {low:g} to {high:g}",
    )
    return declare(default, f"{help_text}; between two", rule)


def decay(default: float, help_text: str) -> Any:
    """Declares a decay rate or momentum, in [0, 1) of single precision.

    One that rounds to 1 there would divide by 1 - 1, or never forget.
    """
    rule = Rule(
        lambda v: is_real(v) and 0 <= v < 1 and float(np.float32(v)) < 1,
        "at least 0 and below 1, at most 0.9999999",
    )
    return declare(default, help_text, rule)


def is_real(value: Any) -> bool:
    """Returns whether a value is one of Python's own real numbers, which JSON takes.

    A bool is none: it equals a number, and is another option to some of optax.
    """
    return type(value) in (int, float)


@dataclass(frozen=True)
class Group:
    """A frozen dataclass of fields that is always valid: building one checks every field."""

    prefix: ClassVar[str] = ""  # of its fields on the command line

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
          UserError: naming the first field whose value is impossible, and what it must be.
        """
        for field in dataclasses.fields(type(self)):
            value, rule = getattr(self, field.name), field.metadata.get("rule")
            if rule and not rule.holds(value):
                raise UserError(
                    f"config.{self.prefix}{field.name} is {short_repr(value)}: "
                    f"it must be {rule.wanted}."
                )
        for name, group in nested_groups(type(self)).items():
            value = getattr(self, name)
            if not isinstance(value, group) and (value is not None or name not in self._optional()):
                raise UserError(
                    f"config.{self.prefix}{name} is {short_repr(value)}: it must be a group of "
                    "fields."
                )

    @classmethod
    def _optional(cls) -> set[str]:
        return {field.name for field in dataclasses.fields(cls) if field.default is None}


def short_repr(value: Any) -> str:
    """Returns the `repr` of a value, cut if it is long."""
    try:
        shown = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def own_fields(group: type[Group]) -> list[Field]:
    """Returns the fields of a group, without those of the groups inside it."""
    return [field for field in dataclasses.fields(group) if "rule" in field.metadata]


def nested_groups(group: type[Group]) -> dict[str, type[Group]]:
    """Returns the groups inside a group, by field name; `Sequence | None` counts as `Sequence`."""
    found: dict[str, type[Group]] = {}
    for name, hint in get_type_hints(group).items():
        for kind in get_args(hint) or (hint,):
            if isinstance(kind, type) and issubclass(kind, Group):
                found[name] = kind
    return found


def walk(group: type[Group]) -> Iterator[type[Group]]:
    """Yields a group and all groups inside it."""
    yield group
    for nested in nested_groups(group).values():
        yield from walk(nested)


def build(group: type[Any], tree: Mapping[str, Any]) -> Any:
    """Builds a group from a nested dictionary that has all its fields.

    Raises:
      UserError: naming a field that is unknown, missing or impossible, and what to do.
    """
    fields, nested = (
        {field.name: field for field in dataclasses.fields(group)},
        nested_groups(group),
    )
    if unknown := sorted(str(name) for name in tree.keys() - fields.keys()):
        raise UserError(
            f"the configuration has a field {group.prefix}{unknown[0]}, which nothing uses: see "
            "docs/configuration.md for those that there are."
        )
    values: Tree = {}
    for name, field in fields.items():
        if name not in tree:
            if field.default is None:  # an optional group
                continue
            raise UserError(
                f"the configuration lacks the field {group.prefix}{name}: start from a function of "
                "jaxmnist.recipes, such as classifier() or sequences()."
            )
        value = tree[name]
        if name in nested:
            if not isinstance(value, Mapping):
                raise UserError(
                    f"config.{group.prefix}{name} is {short_repr(value)}: it must be a group of "
                    "fields."
                )
            value = build(nested[name], value)
        elif isinstance(value, list) and isinstance(field.default, tuple):  # from JSON
            value = tuple(value)
        values[name] = value
    return group(**values)
