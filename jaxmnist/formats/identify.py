"""Which model a state dict belongs to: nothing in such a file says so, but names and shapes do."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jax
import numpy as np

from jaxmnist.constants import PUBLISHED_LENGTH
from jaxmnist.errors import UserError
from jaxmnist.formats.original_names import ORIGINAL_NAMES
from jaxmnist.formats.state_dict import (
    AmbiguousOrderError,
    count_entries,
    entry_shapes,
    from_state_dict,
    unused_entries,
    with_batch_counts,
    without_prefix,
)
from jaxmnist.models.zoo import MODELS, SEQUENCE_MODELS, find_architecture

LONGEST = 10  # digits that a recogniser of a state dict may read at most
FEWEST = 8  # entries of a network: the smallest here has more
DEEPEST = 6  # names in a row before a network's own
NEAREST = [(model, PUBLISHED_LENGTH if model in SEQUENCE_MODELS else 1) for model in MODELS]


@dataclass(frozen=True)
class Identified:
    """A state dict as the variables of a model."""

    model: str
    max_length: int  # digits in a sequence, 1 for single digits
    variables: Mapping[str, Any]
    unused: list[str]  # entries that the published module holds and never uses
    prefix: str = ""  # of the names of its entries, such as `module.`
    others: list[str] = field(default_factory=list)  # what else there is


def identify(state: Mapping[str, np.ndarray]) -> Identified:
    """Finds the model that a state dict fits, or the entries of a file that begin alike.

    So a network is found in a checkpoint, too, beside other tensors, and behind `module.`.
    Iterations 5 to 7 differ by dropout alone, and are all found to be the first of them.

    Raises:
      UserError: if it fits none, or one whose layers it does not tell apart; or if there are
        several different networks.
    """
    found = list(_networks(state, "", DEEPEST))
    networks = [one for one in found if isinstance(one, Identified)]
    if not networks:
        problems = [one for one in found if isinstance(one, AmbiguousOrderError)]
        raise problems[0] if problems else _unknown(without_prefix(state)[0])
    first = networks[0]
    if different := [one for one in networks[1:] if not _same(one, first)]:
        names = [f"{one.prefix.rstrip('.')} ({one.model})" for one in (first, *different)]
        raise UserError(
            f"it holds several networks, {' and '.join(names)}: write the one that is meant into a "
            "file of its own, as torch.save(torch.load(FILE)[NAME], OTHER) does."
        )
    others = [name for name in state if not name.startswith(first.prefix)]
    return replace(first, others=others)


def _networks(
    state: Mapping[str, np.ndarray], outer: str, depth: int
) -> Iterator[Identified | AmbiguousOrderError]:
    """Yields what entries are: a network all together, or those whose names begin alike."""
    inner, prefix = without_prefix(state)
    found = _match(inner)
    if isinstance(found, Identified):
        yield replace(found, prefix=outer + prefix)
        return
    if found:
        yield found
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, array in inner.items():
        first, _, rest = name.partition(".")
        groups.setdefault(first, {})[rest] = array
    for first, group in groups.items():
        if depth and FEWEST <= len(group) < len(inner):
            yield from _networks(group, f"{outer}{prefix}{first}.", depth - 1)


def _match(state: Mapping[str, np.ndarray]) -> Identified | AmbiguousOrderError | None:
    """Returns the model that all entries together fit, or why they may fit one and may not."""
    ambiguous: AmbiguousOrderError | None = None
    state = with_batch_counts(state)
    for (model, length), count in _sizes().items():
        original = ORIGINAL_NAMES.get(model)
        unused = unused_entries(state, original)
        if len(state) - len(unused) != count:  # most end here, at once
            continue
        try:
            variables = from_state_dict(find_architecture(model, length), state, original)
        except AmbiguousOrderError as error:
            ambiguous = ambiguous or error
        except UserError:
            continue
        else:
            return Identified(model, length, variables, unused)
    return ambiguous


@cache
def _sizes() -> dict[tuple[str, int], int]:
    """Returns how many entries each model has at each length, in the order of trying them."""
    by_nearness = sorted(range(1, LONGEST + 1), key=lambda length: length != PUBLISHED_LENGTH)
    return {
        (model, length): count_entries(find_architecture(model, length))
        for model in MODELS
        for length in (by_nearness if model in SEQUENCE_MODELS else [1])
    }


def _same(one: Identified, other: Identified) -> bool:
    leaves = [jax.tree.leaves(each.variables) for each in (one, other)]
    return one.model == other.model and all(map(np.array_equal, *leaves))


def _unknown(state: Mapping[str, np.ndarray]) -> UserError:
    """Says what entries there are, and how they differ from the nearest model's."""
    numbers = sum(array.size for array in state.values())
    first = next((f"{name} of shape {array.shape}" for name, array in state.items()), "none")
    state = with_batch_counts(state)
    shapes = Counter(array.shape for array in state.values())
    models = {model: entry_shapes(find_architecture(model, length)) for model, length in NEAREST}
    distances = {}
    for model, entries in models.items():
        wanted = Counter(entries.values())
        distances[model] = (shapes - wanted).total() + (wanted - shapes).total()
    nearest = min(distances, key=distances.__getitem__)
    return UserError(
        f"it holds {len(state)} entries with {numbers:,} numbers, the first of them {first}, which "
        f"are the weights of no model here (the nearest is {nearest}, "
        f"{_difference(state, nearest, models[nearest])}): `jaxmnist models` lists those there are."
    )


def _difference(
    state: Mapping[str, np.ndarray], model: str, entries: Mapping[str, tuple[int, ...]]
) -> str:
    """Says what of a model is not among entries: by its names, if some are there, or by shapes."""
    missing = Counter(entries.values()) - Counter(array.shape for array in state.values())
    lacking = [name for name, shape in entries.items() if missing[shape]]
    for names in (entries, _original_shapes(model)):
        absent = [name for name in names if name not in state or state[name].shape != names[name]]
        if absent and len(absent) < len(names):
            entries, lacking = names, absent
    if not lacking:
        return "which has the same shapes, but other names or types of numbers"
    return f"whose {lacking[0]} of shape {entries[lacking[0]]} is not there"


def _original_shapes(model: str) -> dict[str, tuple[int, ...]]:
    original = ORIGINAL_NAMES.get(model)
    return entry_shapes(find_architecture(model, PUBLISHED_LENGTH), original) if original else {}
