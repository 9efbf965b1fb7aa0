"""CTC against all paths of small maps, and against PyTorch."""

from collections import defaultdict
from itertools import groupby, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist.constants import BLANK
from jaxmnist.models.ctc import ctc_loss, digit_spans, greedy_decode, head_log_probs

COLUMNS = 4  # of 11 classes: 14,641 paths


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(digit for digit, _ in groupby(path) if digit != BLANK)


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return 2 * np.random.RandomState(0).randn(3, COLUMNS, BLANK + 1).astype(np.float32)


def strings_of(logits: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of every string, by going through all paths."""
    probs = np.exp(logits.astype(np.float64))
    probs /= probs.sum(-1, keepdims=True)
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(BLANK + 1), repeat=COLUMNS):
        found[collapse(path)] += float(np.prod([p[c] for p, c in zip(probs, path, strict=True)]))
    return found


def padded(string: tuple[int, ...], length: int) -> list[int]:
    return [*string, *[BLANK] * (length - len(string))]


def test_the_loss_is_the_probability_of_all_paths(logits: np.ndarray) -> None:
    strings = [(), (3,), (3, 3), (1, 2, 3)]
    for one in logits:
        expected = strings_of(one)
        labels = jnp.asarray([padded(string, 4) for string in strings])
        losses = ctc_loss(jnp.asarray(np.stack([one] * len(strings))), labels)
        for string, loss in zip(strings, losses, strict=True):
            assert np.exp(-loss) == pytest.approx(expected[string], rel=1e-4)
            assert np.exp(-loss) != pytest.approx(expected[(9,)], rel=1e-4)


def test_the_loss_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.RandomState(1)
    logits = random.randn(5, 20, BLANK + 1).astype(np.float32)
    lengths = np.array([0, 1, 2, 3, 6])
    labels = np.where(np.arange(7) < lengths[:, None], random.randint(0, 10, (5, 7)), BLANK)

    def theirs(logits: np.ndarray) -> np.ndarray:
        log_probs = torch.log_softmax(torch.from_numpy(logits), -1).transpose(0, 1)
        return torch.nn.functional.ctc_loss(
            log_probs, torch.from_numpy(labels), torch.full((5,), 20), torch.from_numpy(lengths),
            blank=BLANK, reduction="none",
        ).numpy()  # fmt: skip

    ours = np.asarray(ctc_loss(jnp.asarray(logits), jnp.asarray(labels)))
    np.testing.assert_allclose(ours, theirs(logits), rtol=1e-5)
    logits[:, 3, 4] += 0.1
    assert np.abs(ours - theirs(logits)).max() > 1e-3


def test_greedy_decoding_collapses_the_best_path() -> None:
    best = np.random.RandomState(2).randint(8, 11, (200, 9))  # full of repeats and blanks
    logits = jax.nn.one_hot(best, BLANK + 1)
    decoded = np.asarray(greedy_decode(logits, 5))
    for path, answer in zip(best, decoded, strict=True):
        assert answer.tolist() == padded(collapse(tuple(path.tolist()))[:5], 5)


def test_heads_are_the_marginals_of_all_strings(logits: np.ndarray) -> None:
    heads = np.exp(np.asarray(head_log_probs(jnp.asarray(logits), 3)))
    np.testing.assert_allclose(heads.sum(-1), 1, rtol=1e-5)
    for one, found in zip(logits, heads, strict=True):
        expected = np.zeros((3, BLANK + 1))
        for string, probability in strings_of(one).items():
            for place, digit in enumerate(padded(string, 3)[:3]):
                expected[place, digit] += probability
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(heads[0] - heads[1]).max() > 0.01


def test_spans_are_where_the_digits_stand() -> None:
    best = np.array([[10, 1, 1, 10, 1, 2, 2, 10], [10] * 8, [3, 3, 10, 10, 10, 10, 10, 4]])
    logits = 5 * np.asarray(jax.nn.one_hot(best, BLANK + 1))
    logits[0, 2] *= 2  # surer than the column before
    spans = digit_spans(jnp.asarray(logits), 4)
    sure = [float(jax.nn.softmax(jnp.asarray(x))[1]) for x in (logits[0, 1], logits[0, 2])]
    assert np.asarray(spans.first).tolist() == [[1, 4, 5, 0], [0] * 4, [0, 7, 0, 0]]
    assert np.asarray(spans.last).tolist() == [[2, 4, 6, 0], [0] * 4, [1, 7, 0, 0]]
    expected = [[sure[1], sure[0], sure[0], 0], [0] * 4, [sure[0], sure[0], 0, 0]]
    np.testing.assert_allclose(spans.confidences, expected, rtol=1e-5)
