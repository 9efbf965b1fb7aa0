"""Typed dataclasses from JSON that others may have damaged: every value is checked, or refused."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def renamed(old: str, **options: Any) -> Any:
    """Declares a dataclass field that older files have under the name `old`."""
    return dataclasses.field(metadata={"old": old}, **options)


def from_json(kind: type[T], tree: Any) -> T:
    """Builds the dataclass `kind` from parsed JSON; fields that it lacks are left out.

    Raises:
      ValueError: naming the value that is missing or of another type.
    """
    built: T = _value(kind, tree, "")
    return built


def _value(kind: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in arguments:
            return None
        (kind,) = (each for each in arguments if each is not types.NoneType)  # X | None it is
        return _value(kind, value, place)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is list and isinstance(value, list):
        return [_value(arguments[0], item, f"{place}[{at}]") for at, item in enumerate(value)]
    if origin is tuple and isinstance(value, list):  # tuple[X, ...] it is
        return tuple(_value(list[arguments[0]], value, place))  # type: ignore[valid-type]
    if origin is dict and isinstance(value, dict):
        return {key: _value(arguments[1], item, f"{place}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        return _dataclass(kind, value, place)
    if kind is float and type(value) in (int, float):
        return _finite(value, place)
    if kind is int and type(value) is int and abs(value) >= 2**63:  # no float can hold some of them
        raise ValueError(f"{place.lstrip('.')} is too large")
    # `type`, because a bool is an instance of int.
    if kind in (int, str, bool, dict, list) and type(value) is kind:
        return value
    raise ValueError(f"{place.lstrip('.') or 'the whole'} is of another type")


def _dataclass(kind: Any, tree: Mapping[str, Any], place: str) -> Any:
    hints, values = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        name = field.name if field.name in tree else field.metadata.get("old", field.name)
        if name in tree:
            values[field.name] = _value(hints[field.name], tree[name], f"{place}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{place.lstrip('.')}.{name} is missing".lstrip("."))
    return kind(**values)


def _finite(value: float, place: str) -> float:
    try:
        if math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise ValueError(f"{place.lstrip('.')} is not a finite number")
