"""Dataclasses from JSON: every value is of its type, or is refused by name."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from jaxmnist.typed_json import from_json, renamed


@dataclass(frozen=True)
class Inner:
    value: float
    note: str = "none"


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner
    many: list[Inner]
    named: dict[str, Inner | None]
    kind: Literal["a", "b"]
    anything: Any
    new: bool = renamed("old", default=False)


SOUND = {
    "count": 3, "inner": {"value": 1}, "many": [{"value": 0.5, "note": "x"}], "named": {"k": None},
    "kind": "b", "anything": [{}], "old": True, "unknown": "is left out",
}  # fmt: skip


def test_a_sound_tree_is_built_and_old_names_are_understood() -> None:
    found = from_json(Outer, SOUND)
    assert found == Outer(3, Inner(1.0), [Inner(0.5, "x")], {"k": None}, "b", [{}], new=True)
    assert type(found.inner.value) is float


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"count": True}, "count is of another type"),
        ({"count": 2**63}, "count is too large"),
        ({"count": 1.0}, "count is of another type"),
        ({"inner": {}}, "inner.value is missing"),
        ({"inner": {"value": float("nan")}}, "inner.value is not a finite number"),
        ({"inner": {"value": 10**400}}, "inner.value is not a finite number"),
        ({"many": {}}, "many is of another type"),
        ({"many": [{"value": 1}, {"value": "x"}]}, r"many\[1\].value is of another type"),
        ({"named": {"k": 3}}, "named.k is of another type"),
        ({"kind": "c"}, "kind is of another type"),
        ({"old": 1}, "old is of another type"),
    ],
)
def test_what_is_wrong_is_refused_by_name(change: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=f"^{place}$"):
        from_json(Outer, SOUND | change)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="the whole is of another type"):
        from_json(Outer, [])
