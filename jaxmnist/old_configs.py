"""Configurations of older versions: what their fields were called, and those that came later."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxmnist.fields import Tree

# Fields and values that had other names until version 0.1: old -> (new, what becomes of the value).
RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "average": ("ema_decay", lambda value: value),
    "backend": (
        "layout",
        lambda value: {"batch_minor": "chwn", "channels_last": "nhwc"}.get(value, value),
    ),
    "sequence.fixed_list": (
        "sequence.resample_each_epoch",
        lambda value: not value if isinstance(value, bool) else value,
    ),
}
# Fields that came later, with the value that says what was done before there was a choice.
ADDED: dict[str, Any] = {
    "ema_decay": 0.0,
    "batch_norm": "global",
    "eval.suites": (),
    "init_from": "",
    "optimizer.weight_decay": 0.0,
    "strings.writing.own_slant_degrees": 0.0,
    "strings.writing.own_turn_degrees": 0.0,
    "strings.writing.shape_probability": 0.0,
    "validation.batch_means": False,
}


def upgrade(tree: Mapping[str, Any]) -> Tree:
    """Renames the fields of older configurations, and adds those that came later."""
    new = _copied(tree)
    for old, (name, convert) in RENAMED.items():
        group, field = _group_of(new, old)
        if field in group:
            group[name.rpartition(".")[2]] = convert(group.pop(field))
    for name, before in ADDED.items():
        group, field = _group_of(new, name)
        group.setdefault(field, before)
    return new


def _group_of(tree: Tree, name: str) -> tuple[Tree, str]:
    """Returns the group that a field belongs to, empty if there is none, and its own name."""
    *groups, field = name.split(".")
    group: Any = tree
    for each in groups:
        group = group.get(each) if isinstance(group, dict) else None
    return group if isinstance(group, dict) else {}, field


def _copied(tree: Mapping[str, Any]) -> Tree:
    return {k: _copied(v) if isinstance(v, Mapping) else v for k, v in tree.items()}
