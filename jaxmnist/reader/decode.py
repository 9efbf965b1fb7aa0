"""Strings from the logits of columns, with what their confidences are: CTC in NumPy.

`jaxmnist.models.ctc` says what it means; tests hold both equal.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxmnist.constants import BLANK


class Digit(NamedTuple):
    """A digit of a string."""

    digit: int
    confidence: float  # the largest probability among its columns
    first: int  # its first and its last column
    last: int


def decode(logits: Float[np.ndarray, "columns 11"]) -> tuple[list[Digit], float]:
    """Returns the digits of the likeliest class of every column, and the string's probability."""
    shifted = logits - logits.max(1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    best = log_probs.argmax(1)
    confidences = np.exp(log_probs.max(1)).tolist()
    found: list[Digit] = []
    before = BLANK
    for column, (label, confidence) in enumerate(zip(best.tolist(), confidences, strict=True)):
        if label != BLANK and label == before:
            last = found[-1]
            found[-1] = last._replace(confidence=max(last.confidence, confidence), last=column)
        elif label != BLANK:
            found.append(Digit(label, confidence, column, column))
        before = label
    return found, _probability(log_probs, [digit.digit for digit in found])


def _probability(log_probs: Float[np.ndarray, "columns 11"], string: list[int]) -> float:
    """Returns the probability of a string, over all ways to spread it on the columns."""
    # Between the digits, and at both ends, stand blanks, which may be left out between two that
    # differ (Graves et al., 2006, section 4.1).
    states = np.full(2 * len(string) + 1, BLANK)
    states[1::2] = string
    no_skip = np.full(len(states), -np.inf)
    no_skip[3::2][states[3::2] != states[1:-2:2]] = 0
    framed = np.full(2 + len(states), -np.inf)  # with two states before the first
    ahead, one, two = framed[2:], framed[1:-1], framed[:-2]
    columns = log_probs[:, states].astype(np.float64)
    ahead[:2] = columns[0, :2]
    for column in columns[1:]:
        # What is added lies in memory of its own: `ahead` overlaps the two others.
        ahead[:] = np.logaddexp(np.logaddexp(ahead, one), two + no_skip) + column
    return float(np.exp(np.logaddexp.reduce(ahead[-2:])))
