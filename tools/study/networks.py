"""Networks that are no system: what the base's parts are worth is seen without them."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmnist.constants import BLANK
from jaxmnist.metrics import cross_entropy
from jaxmnist.models.layers import Conv
from jaxmnist.models.network import Architecture
from jaxmnist.models.zoo import SEQUENCE_CLASSES, find_architecture, sequence_ctc

CERTAIN = 20.0  # logit of nothing, at places beyond the last


@dataclass(frozen=True)
class QueryHeads(Architecture):
    """A head for each place of a string, which looks for its digit along the columns.

    The logits of a head are a mean over columns, by weights of its own, which are further
    `classes` of each column. No string is longer than there are heads.
    """

    def losses(
        self, logits: Float[Array, "batch columns classes"], labels: Int[Array, "batch length"]
    ) -> Float[Array, " batch"]:
        """Returns the cross-entropy of each example, summed over places."""
        places = self._places(logits, labels.shape[1])
        missing = places.shape[1] - labels.shape[1]
        return cross_entropy(places, jnp.pad(labels, ((0, 0), (0, missing)), constant_values=BLANK))

    def predict(
        self, logits: Float[Array, "batch columns classes"], length: int
    ) -> Int[Array, "batch length"]:
        """Returns the likeliest class of each place."""
        return self._places(logits, length)[:, :length].argmax(-1)

    def _places(
        self, logits: Float[Array, "batch columns classes"], length: int
    ) -> Float[Array, "batch places 11"]:
        seen, asked = logits[..., :SEQUENCE_CLASSES], logits[..., SEQUENCE_CLASSES:]
        found = jnp.einsum("bcp,bck->bpk", jax.nn.softmax(asked, axis=1), seen)
        more = max(length - found.shape[1], 0)
        nothing = jnp.zeros((len(found), more, SEQUENCE_CLASSES)).at[..., BLANK].set(CERTAIN)
        return jnp.concatenate([found, nothing], axis=1)


def query_heads(max_length: int) -> Architecture:
    """Returns the base's network with a head for each place, in place of CTC."""
    base = find_architecture("seq", max_length)
    classes = SEQUENCE_CLASSES + max_length + 1
    return QueryHeads((*base.layers[:-1], Conv(2 * classes, 1)), heads=None, classes=classes)


def plain_images(max_length: int) -> Architecture:
    """Returns the base's network without the layer that makes polarity and light alike."""
    base = find_architecture("seq", max_length)
    return replace(base, layers=base.layers[1:])


def coarse_columns(max_length: int) -> Architecture:
    """Returns the base's network with logits for every fourth column instead of every other."""
    base = find_architecture("seq", max_length)
    return replace(base, layers=(*base.layers[:-1], Conv(base.classes, 1)))


def shallow_map(max_length: int) -> Architecture:
    """Returns a network with one wide layer on the map of seven rows, in place of two."""
    return sequence_ctc(half=(16,), quarter=(64,), column=192, line=(128, 128))


def short_line(max_length: int) -> Architecture:
    """Returns a network with one layer along the line, in place of two."""
    return sequence_ctc(half=(16,), quarter=(48, 48), column=192, line=(128,))


def half_as_wide(max_length: int) -> Architecture:
    """Returns the base's network with half the features."""
    return sequence_ctc(half=(8,), quarter=(24, 24), column=96, line=(64, 64))


NETWORKS = {
    network.__name__: network
    for network in (
        query_heads, plain_images, coarse_columns, shallow_map, short_line, half_as_wide,
    )
}  # fmt: skip
