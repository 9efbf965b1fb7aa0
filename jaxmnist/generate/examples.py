"""One example as a pure function of a data set, an index and two keys.

A classifier's example number `i` is digit `i`; a recogniser's is a sequence of digits that its
sample key chooses. Both are augmented by their augment key. A batch is the `vmap` of either.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.generate.augment import Transform, normalise
from jaxmnist.string_config import Strings
from jaxmnist.strings.camera import take_picture
from jaxmnist.strings.page import add_page
from jaxmnist.strings.writing import write


class ExampleKeys(NamedTuple):
    """An example's number in its list, and its keys (with a leading axis: of a batch)."""

    index: Int[Array, "..."]  # type: ignore[assignment]  # which digit, for single digits
    sample_key: Key[Array, "..."]  # of what is drawn
    augment_key: Key[Array, "..."]  # of how it is changed


Example = tuple[Float[Array, "28 width"], Int[Array, " heads"]]  # normalised image, label
ExampleFn = Callable[[ExampleKeys, Dataset], Example]


def digit_example(keys: ExampleKeys, dataset: Dataset, *, transform: Transform) -> Example:
    """Returns one normalised image, 28x28, and its label, one digit."""
    image = dataset.images[keys.index].astype(jnp.float32) / 255
    return normalise(transform(keys.augment_key, image)), dataset.labels[keys.index][None]


def sequence_example(
    keys: ExampleKeys,
    dataset: Dataset,
    *,
    max_length: int,
    digit_transform: Transform,
    canvas_transform: Transform,
    min_length: int = 1,
) -> Example:
    """Returns one canvas (normalised, width 28*max_length) and its label.

    `min_length` to `max_length` digits are joined from the left. The length is uniform, digits are
    uniform over the data set with replacement. Each digit is transformed on its own; everything to
    the right of the last digit is black and goes through `canvas_transform` only. The label holds
    the digits, then `BLANK`.
    """
    length_key, digits_key = jax.random.split(keys.sample_key)
    length = jax.random.randint(length_key, (), min_length, max_length + 1)
    chosen = jax.random.randint(digits_key, (max_length,), 0, len(dataset))
    written = jnp.arange(max_length) < length

    digit_keys = jax.random.split(jax.random.fold_in(keys.augment_key, 0), max_length)
    digits = dataset.images[chosen].astype(jnp.float32) / 255
    digits = jax.vmap(digit_transform)(digit_keys, digits)
    digits = jnp.where(written[:, None, None], digits, 0)
    canvas = jnp.moveaxis(digits, 0, 1).reshape(SIDE, SIDE * max_length)
    canvas = canvas_transform(jax.random.fold_in(keys.augment_key, 1), canvas)
    return normalise(canvas), jnp.where(written, dataset.labels[chosen], BLANK)


def string_example(
    keys: ExampleKeys, dataset: Dataset, *, longest: int, fields: Strings
) -> Example:
    """Returns one canvas (normalised) with a string of digits anywhere on it, and its label.

    The label ends with a `BLANK`: it has a place more than the longest string has digits.
    """
    write_key, page_key, camera_key = jax.random.split(keys.augment_key, 3)
    ink, labels = write(
        (keys.sample_key, write_key), dataset, fields.writing, longest=longest, width=fields.width
    )
    image = take_picture(camera_key, add_page(page_key, ink, fields.page), fields.camera)
    return normalise(image), with_end(labels)


def with_end(labels: Int[Array, " length"]) -> Int[Array, " length+1"]:
    """Returns a label with a `BLANK` at its end: a digit too many has a place to be wrong at."""
    return jnp.append(labels, BLANK)
