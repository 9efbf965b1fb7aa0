"""Connectionist temporal classification: strings from logits of columns (Graves et al., 2006).

Every column of a map says which digit it sees, or `BLANK`. Runs of the same digit are one digit,
and blanks are left out; a blank stands between two equal digits. All functions are of one batch.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxmnist.constants import BLANK, DIGITS

Logits = Float[Array, "batch columns classes"]
Labels = Int[Array, "batch length"]  # digits, then BLANK


def ctc_loss(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Returns minus the log probability of each string, over all ways to spread it on columns."""
    padding = jnp.zeros(logits.shape[:2])
    loss: Array = optax.ctc_loss(
        logits, padding, labels, (labels == BLANK).astype(jnp.float32), blank_id=BLANK
    )
    return loss


def greedy_decode(logits: Logits, length: int) -> Labels:
    """Returns the strings of the likeliest class of every column, cut after `length` digits."""
    best, starts = _runs(logits)
    place = jnp.where(starts, starts.cumsum(1) - 1, length)
    rows = jnp.arange(len(best))[:, None]
    empty = jnp.full((len(best), length), BLANK, jnp.int32)
    return empty.at[rows, place].set(best, mode="drop")


def _runs(
    logits: Logits,
) -> tuple[Int[Array, "batch columns"], Bool[Array, "batch columns"]]:
    """Returns the likeliest class of every column, and where a digit begins."""
    best = logits.argmax(-1)
    before = jnp.pad(best[:, :-1], ((0, 0), (1, 0)), constant_values=BLANK)
    return best, (best != BLANK) & (best != before)


class Spans(NamedTuple):
    """Where the digits of greedily decoded strings stand; zeros where there is no digit."""

    confidences: Float[Array, "batch length"]  # the largest probability among a digit's columns
    first: Int[Array, "batch length"]  # its first and its last column
    last: Int[Array, "batch length"]


def digit_spans(logits: Logits, length: int) -> Spans:
    """Returns confidence and place of each digit of `greedy_decode`."""
    best, starts = _runs(logits)
    place = jnp.where(best != BLANK, starts.cumsum(1) - 1, length)
    rows, columns = jnp.arange(len(best))[:, None], jnp.arange(best.shape[1])[None]
    empty = jnp.zeros((len(best), length))
    last = empty.astype(int).at[rows, place].max(columns, mode="drop")
    width = empty.astype(int).at[rows, place].add(1, mode="drop")
    largest = jax.nn.softmax(logits).max(-1)
    return Spans(
        confidences=empty.at[rows, place].max(largest, mode="drop"),
        first=jnp.where(width > 0, last - width + 1, 0),
        last=last,
    )


@partial(jax.jit, static_argnums=1)
def head_log_probs(logits: Logits, heads: int) -> Float[Array, "batch heads classes"]:
    """Returns the log probabilities of each place of the string: ten digits, or none (`BLANK`).

    So a network of columns looks like one with heads. The probabilities are those of the whole
    string's k-th digit: summed over all ways of all columns, by the forward recursion with the
    number of digits so far, and the class of the column before, as its state.
    """
    probs = jax.nn.softmax(logits)
    batch = len(logits)

    def step(state: tuple[Array, Array], now: Array) -> tuple[tuple[Array, Array], None]:
        # ahead: probability of `count` digits so far and the last column's class.
        # heads: probability mass of the k-th digit's class, whatever followed.
        ahead, found = state
        total = ahead.sum(-1, keepdims=True)
        stays = ahead[..., :DIGITS] * now[:, None, :DIGITS]  # the same digit goes on
        begins = (total - ahead[..., :DIGITS]) * now[:, None, :DIGITS]
        blank = total * now[:, None, DIGITS:]
        found = found + begins[:, :heads]
        moved = jnp.pad(begins[:, :-1], ((0, 0), (1, 0), (0, 0)))
        # The last count stands for all that are more than the heads.
        moved = moved.at[:, -1].add(begins[:, -1])
        return (jnp.concatenate([stays + moved, blank], axis=-1), found), None

    start = jnp.zeros((batch, heads + 1, DIGITS + 1)).at[:, 0, BLANK].set(1)
    (_, found), _ = lax.scan(
        step, (start, jnp.zeros((batch, heads, DIGITS))), jnp.moveaxis(probs, 1, 0)
    )
    none = jnp.maximum(1 - found.sum(-1, keepdims=True), 0)
    return jnp.log(jnp.maximum(jnp.concatenate([found, none], axis=-1), 1e-30))
