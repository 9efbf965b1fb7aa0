"""CTC in NumPy: strings, spans and probabilities are those of `jaxmnist.models.ctc`."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmnist.constants import BLANK
from jaxmnist.models.ctc import ctc_loss, digit_spans, greedy_decode
from jaxmnist.reader.decode import decode

LENGTH = 42  # no string of as many columns is longer


@st.composite
def logits(draw: st.DrawFn) -> np.ndarray:
    """From undecided to sure, with many blanks or few, and runs of a class or none."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    drawn = random.normal(size=(draw(st.sampled_from([1, 14, LENGTH])), 11))
    drawn[:, BLANK] += draw(st.sampled_from([-2, 0, 2, 50]))
    drawn = np.repeat(drawn, draw(st.sampled_from([1, 3])), axis=0)[: len(drawn)]
    return (drawn * draw(st.sampled_from([0.1, 1, 4, 20]))).astype(np.float32)


@settings(max_examples=60)
@given(logits())
def test_strings_and_spans_are_those_of_training(each: np.ndarray) -> None:
    found, probability = decode(each)
    batch = jnp.asarray(each)[None]
    string = np.asarray(greedy_decode(batch, LENGTH))[0]
    assert [digit.digit for digit in found] == string[string != BLANK].tolist()
    spans = digit_spans(batch, LENGTH)
    count = len(found)
    assert [digit.first for digit in found] == spans.first[0, :count].tolist()
    assert [digit.last for digit in found] == spans.last[0, :count].tolist()
    confidences = [digit.confidence for digit in found]
    # float32 against float64 within a softmax of logits up to 80.
    np.testing.assert_allclose(confidences, spans.confidences[0, :count], rtol=1e-4)
    expected = float(np.exp(-ctc_loss(batch, jnp.asarray(string)[None])[0]))
    # Sums of logarithms up to some hundred in float32: 1e-7 of them are 1e-5 of the probability.
    np.testing.assert_allclose(probability, expected, rtol=1e-3, atol=1e-30)


def test_the_probability_of_all_strings_is_one() -> None:
    # Three columns, so that the strings can be counted: every path belongs to exactly one.
    each = np.random.default_rng(0).normal(size=(3, 11)).astype(np.float32)
    probs = np.exp(each) / np.exp(each).sum(1, keepdims=True)
    found, probability = decode(each)
    wanted = [digit.digit for digit in found]
    total = 0.0
    for path in np.ndindex(11, 11, 11):
        merged = [label for i, label in enumerate(path) if i == 0 or label != path[i - 1]]
        if [label for label in merged if label != BLANK] == wanted:
            total += float(np.prod(probs[np.arange(3), path]))
    assert probability == pytest.approx(total, rel=1e-5)


def test_equal_digits_need_a_blank_between_them() -> None:
    def sure(labels: list[int]) -> np.ndarray:
        return (np.eye(11)[labels] * 20).astype(np.float32)

    def string(labels: list[int]) -> list[int]:
        return [digit.digit for digit in decode(sure(labels))[0]]

    assert string([1, 1, BLANK, 1]) == [1, 1]
    assert string([1, 1, 1, 1]) == [1]
    assert string([1, 2, 1]) == [1, 2, 1]
    assert string([BLANK] * 4) == []
    assert decode(sure([BLANK] * 4))[1] == pytest.approx(1, abs=1e-6)
