"""Which model a state dict belongs to: nothing in such a file says so, but names and shapes do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmnist.constants import PUBLISHED_LENGTH
from jaxmnist.errors import UserError
from jaxmnist.formats.original_names import ORIGINAL_NAMES
from jaxmnist.formats.state_dict import (
    AmbiguousOrderError,
    count_entries,
    from_state_dict,
    unused_entries,
)
from jaxmnist.models.zoo import MODELS, SEQUENCE_MODELS, find_architecture

LONGEST = 10  # digits that a recogniser of a state dict may read at most


@dataclass(frozen=True)
class Identified:
    """A state dict as the variables of a model."""

    model: str
    max_length: int  # digits in a sequence, 1 for single digits
    variables: Mapping[str, Any]
    unused: list[str]  # entries that the published module holds and never uses


def identify(state: Mapping[str, np.ndarray]) -> Identified:
    """Finds the model that a state dict fits.

    Iterations 5 to 7 differ by dropout alone, and are all found to be the first of them.

    Raises:
      UserError: if it fits none, or one whose layers it does not tell apart.
    """
    ambiguous: AmbiguousOrderError | None = None
    for model in MODELS:
        lengths = range(1, LONGEST + 1) if model in SEQUENCE_MODELS else [1]
        for length in sorted(lengths, key=lambda length: length != PUBLISHED_LENGTH):
            original = ORIGINAL_NAMES.get(model)
            architecture = find_architecture(model, length)
            unused = unused_entries(state, original)
            if len(state) - len(unused) != count_entries(architecture):  # most end here, at once
                continue
            try:
                variables = from_state_dict(architecture, state, original)
            except AmbiguousOrderError as error:
                ambiguous = ambiguous or error
            except UserError:
                continue
            else:
                return Identified(model, length, variables, unused)
    if ambiguous:
        raise ambiguous
    numbers = sum(array.size for array in state.values())
    first = next(iter(state), "none")
    raise UserError(
        f"it holds {len(state)} entries with {numbers:,} numbers, the first of them {first}, which "
        "are the weights of no model here: `jaxmnist models` lists those there are."
    )
