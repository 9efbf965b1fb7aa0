"""The loss and the accuracy, for training and for evaluation."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int


class Metrics(NamedTuple):
    """Sums over examples; `merge` adds those of two sets of examples."""

    loss: Float[Array, "..."]  # sum over examples of the loss summed over heads
    correct: Int[Array, "..."]  # places of labels that were right
    exact: Int[Array, "..."]  # examples of which every place was right
    examples: Int[Array, "..."]

    @classmethod
    def zero(cls) -> "Metrics":
        """Returns the sums over no example."""
        return cls(jnp.float32(0), jnp.int32(0), jnp.int32(0), jnp.int32(0))

    def merge(self, other: "Metrics") -> "Metrics":
        """Returns the sums over the examples of both."""
        return Metrics(*(a + b for a, b in zip(self, other, strict=True)))


def cross_entropy(
    logits: Float[Array, "batch heads classes"], labels: Int[Array, "batch heads"]
) -> Float[Array, " batch"]:
    """Returns each example's cross-entropy, summed over heads; its batch mean is the loss."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).sum(-1)


def batch_metrics(
    losses: Float[Array, " batch"],
    predicted: Int[Array, "batch heads"],
    labels: Int[Array, "batch heads"],
) -> Metrics:
    """Returns the sums over a batch."""
    right = predicted == labels
    return Metrics(
        loss=losses.sum(),
        correct=right.sum(dtype=jnp.int32),
        exact=right.all(-1).sum(dtype=jnp.int32),
        examples=jnp.int32(len(labels)),
    )


def calibration_error(
    confidences: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], bins: int = 15
) -> float:
    """Returns the expected calibration error (Guo et al., 2017).

    It is the mean difference of confidence and accuracy, over bins of equal width in confidence.
    """
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidences - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def coverage(
    confidences: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], accuracy: float
) -> float:
    """Returns the largest share of answers, the surest ones, that are right with `accuracy`."""
    order = np.argsort(-confidences, kind="stable")
    enough = np.cumsum(right[order]) >= accuracy * np.arange(1, len(right) + 1) - 1e-9
    return float((np.flatnonzero(enough).max(initial=-1) + 1) / len(right))


def mean_of_batch_means(losses: Float[np.ndarray, " n"], batch_size: int) -> float:
    """Returns the mean of the means of batches in their order.

    So do loops that add up `loss.item()` and divide by the number of batches: the examples of a
    short last batch count for more than others.
    """
    starts = range(0, len(losses), batch_size)
    means = [losses[start : start + batch_size].mean(dtype=np.float64) for start in starts]
    return float(np.mean(means))
