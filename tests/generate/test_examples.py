"""Properties of the sequence generator, over examples."""

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmnist.config import Augment
from jaxmnist.constants import BLANK, MEAN, SD, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.generate.augment import Transform, augmentation
from jaxmnist.generate.examples import ExampleFn, ExampleKeys, sequence_example
from jaxmnist.generate.suites import NOTHING, SUITES
from tests.helpers import COMPILE_FAST

ROBUST = augmentation(
    Augment(
        rotation_degrees=45.0,
        invert_probability=0.5,
        affine_degrees=10.0,
        translate=0.1,
        scale=(0.9, 1.1),
        noise_probability=0.5,
        noise_sigma=0.15,
    )
)
BLACK = np.float32((np.float32(0) - np.float32(MEAN)) / np.float32(SD))


@pytest.fixture(autouse=True, scope="module")
def _no_key_is_used_twice() -> Iterator[None]:
    with jax.debug_key_reuse(True):
        yield


def keys_of(seeds: np.ndarray, augment_offset: int = 0) -> ExampleKeys:
    return ExampleKeys(
        jnp.asarray(seeds),
        jax.vmap(jax.random.key)(jnp.asarray(seeds)),
        jax.vmap(jax.random.key)(jnp.asarray(seeds) + 10_000 + augment_offset),
    )


@cache
def make(max_length: int, transform: Transform = ROBUST, canvas: Transform = NOTHING) -> ExampleFn:
    """Returns the compiled function for a batch."""
    example = partial(
        sequence_example,
        max_length=max_length,
        digit_transform=transform,
        canvas_transform=canvas,
    )
    return jax.jit(jax.vmap(example, in_axes=(0, None)), compiler_options=COMPILE_FAST)


ONE = jax.jit(
    partial(sequence_example, max_length=3, digit_transform=ROBUST, canvas_transform=NOTHING),
    compiler_options=COMPILE_FAST,
)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**30), max_length=st.sampled_from([1, 3, 5]))
def test_shapes_labels_and_background(dataset: Dataset, seed: int, max_length: int) -> None:
    images, labels = make(max_length)(keys_of(np.arange(seed, seed + 8)), dataset)
    assert images.shape == (8, SIDE, SIDE * max_length)
    assert images.dtype == jnp.float32
    assert labels.shape == (8, max_length)
    assert labels.dtype == jnp.int32
    for image, label in zip(np.asarray(images), np.asarray(labels), strict=True):
        length = int((label != BLANK).sum())
        assert length >= 1
        assert ((label[:length] >= 0) & (label[:length] <= 9)).all()
        assert (label[length:] == BLANK).all()
        assert (image[:, SIDE * length :] == BLACK).all()
        assert (image[:, : SIDE * length] != BLACK).any()


@settings(max_examples=10)
@given(seed=st.integers(0, 2**30))
def test_a_key_always_gives_the_same_example_alone_or_in_a_batch(
    dataset: Dataset, seed: int
) -> None:
    seeds = np.arange(seed, seed + 8)
    images, labels = make(3)(keys_of(seeds), dataset)
    again, _ = make(3)(keys_of(seeds), dataset)
    np.testing.assert_array_equal(images, again)
    image, label = ONE(jax.tree.map(lambda key: key[5], keys_of(seeds)), dataset)
    np.testing.assert_array_equal(label, labels[5])
    # Alone and in a batch the compiler may fuse the noise differently: one unit in the last place.
    np.testing.assert_allclose(image, images[5], rtol=2e-6, atol=1e-6)


def test_lengths_and_digits_are_uniform(dataset: Dataset) -> None:
    n = 9_000
    example = partial(
        sequence_example, max_length=3, digit_transform=NOTHING, canvas_transform=NOTHING
    )
    even = Dataset(dataset.images[:10], jnp.arange(10, dtype=jnp.int32))
    labels = np.asarray(
        jax.jit(jax.vmap(lambda keys: example(keys, even)[1]), compiler_options=COMPILE_FAST)(
            keys_of(np.arange(n))
        )
    )
    lengths = (labels != BLANK).sum(-1)
    written = labels[labels != BLANK]
    assert chi_square(np.bincount(lengths, minlength=4)[1:]) < 13.8  # p = 0.001 at 2 degrees
    assert chi_square(np.bincount(written, minlength=10)) < 27.9  # p = 0.001 at 9 degrees
    # The negative control: one sequence in twenty a digit longer, and the same test fails.
    biased = np.where(np.arange(n) % 20 == 0, np.minimum(lengths + 1, 3), lengths)
    assert chi_square(np.bincount(biased, minlength=4)[1:]) > 13.8


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_augmentation_is_fresh_where_only_its_key_changes(dataset: Dataset) -> None:
    seeds = np.arange(8)
    images, labels = make(3)(keys_of(seeds), dataset)
    others, same_labels = make(3)(keys_of(seeds, augment_offset=1), dataset)
    np.testing.assert_array_equal(labels, same_labels)
    assert (np.asarray(images) != np.asarray(others)).any(axis=(1, 2)).all()


@pytest.mark.parametrize("name", sorted(SUITES))
def test_suites_show_the_same_digits(dataset: Dataset, name: str) -> None:
    suite = SUITES[name]
    images, labels = make(3, suite.digit, suite.canvas)(keys_of(np.arange(16)), dataset)
    clean, clean_labels = make(3, NOTHING)(keys_of(np.arange(16)), dataset)
    np.testing.assert_array_equal(labels, clean_labels)
    padding_black = name not in ("inverted_canvas", "noise_canvas")
    for image, reference, label in zip(images, clean, labels, strict=True):
        edge = SIDE * int((label != BLANK).sum())
        assert bool((image[:, edge:] == BLACK).all()) == (padding_black or edge == 3 * SIDE)
        assert bool((image == reference).all()) == (name == "clean")
    if name == "inverted":
        pixels, original = images[:, :, :SIDE] * SD + MEAN, clean[:, :, :SIDE] * SD + MEAN
        np.testing.assert_allclose(pixels, 1 - original, atol=1e-6)


def test_suites_change_what_they_say() -> None:
    def said(change: Any) -> dict[str, float]:
        return getattr(change, "keywords", {})

    assert said(SUITES["rotation"].digit) == {"degrees": 45.0}
    assert said(SUITES["inverted"].digit) == said(SUITES["inverted_canvas"].canvas)
    assert said(SUITES["inverted"].digit) == {"probability": 1.0}
    assert said(SUITES["noise"].digit) == {"probability": 1.0, "sigma": 0.15}
    assert said(SUITES["noise_canvas"].canvas) == {"probability": 1.0, "sigma": 0.3}
