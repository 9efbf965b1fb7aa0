"""Each effect on strings alone, for people to look at."""

from dataclasses import fields, replace
from typing import Any

from jaxmnist.string_config import Camera, Page, Strings, Writing

SWITCH = "_probability"
# The switches that may be None: those of effects that are left out where they are known to be off.
OPTIONAL = {
    "elastic",
    *(f.name for group in (Writing, Page, Camera) for f in fields(group) if SWITCH in f.name),
}


def effects(strings: Strings) -> dict[str, Strings]:
    """Returns plain strings, each effect that is on alone and always drawn, and all together."""
    plain = Strings(strings.width, Writing(shortest=strings.writing.shortest))
    found = {"plain": plain}
    for group in ("writing", "page", "camera"):
        chosen, default = getattr(strings, group), getattr(plain, group)
        values: dict[str, Any] = {f.name: getattr(chosen, f.name) for f in fields(chosen)}
        switches = [name.removesuffix(SWITCH) for name in values if name.endswith(SWITCH)]
        for name, value in values.items():
            stem = name.removesuffix(SWITCH)
            if value == getattr(default, name) or (stem == name and _is_strength(name, switches)):
                continue
            alone = {name: value}
            if stem != name:
                alone = {n: v for n, v in values.items() if _is_strength(n, [stem])} | {name: 1.0}
            found[stem] = replace(plain, **{group: replace(default, **alone)})
    return found | {"all": strings}


def without_unused(strings: Strings, recipe: Strings) -> Strings:
    """Returns strings with None for the switch of every effect that a recipe has off.

    As a pytree it has no leaf there, so that a program for it leaves the effect out.
    """
    for group in ("writing", "page", "camera"):
        chosen, used = getattr(strings, group), getattr(recipe, group)
        alone = object.__new__(type(chosen))  # without its checks, which are of numbers
        for field in fields(chosen):
            name, value = field.name, getattr(chosen, field.name)
            off = name in OPTIONAL and not getattr(used, name)
            object.__setattr__(alone, name, None if off else value)
        strings = replace(strings, **{group: alone})
    return strings


def _is_strength(name: str, switches: list[str]) -> bool:
    """Returns whether a field says how strong an effect with a switch is."""
    return any(name in (stem, f"{stem}_degrees") for stem in switches)
