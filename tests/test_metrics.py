"""Losses of a list of examples."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmnist.metrics import calibration_error, coverage, mean_of_batch_means
from jaxmnist.training import train
from tests.helpers import SHORT_SEQUENCES, recipe


def test_a_short_last_batch_counts_in_full() -> None:
    assert mean_of_batch_means(np.array([0, 0, 0, 0, 4.0]), 4) == 2.0
    assert np.mean([0, 0, 0, 0, 4.0]) == 0.8  # the mean of examples, which it is not


@given(st.integers(1, 50), st.integers(1, 12))
def test_equal_batches_make_the_mean_of_examples(batches: int, size: int) -> None:
    losses = np.random.RandomState(batches).uniform(size=batches * size)
    assert mean_of_batch_means(losses, size) == pytest.approx(losses.mean())


def test_a_run_follows_the_mean_that_its_recipe_names(tmp_path: Path) -> None:
    changes = SHORT_SEQUENCES | {"epochs": 1}  # batches of 32 and 28 in validation
    metrics = {}
    for batch_means in (False, True):
        workdir = tmp_path / str(batch_means)
        train(
            recipe("seq:compact-tiny", changes | {"validation.batch_means": batch_means}), workdir
        )
        (metrics[batch_means],) = map(
            json.loads, (workdir / "metrics.jsonl").read_text().splitlines()
        )
    loss = {key: row.pop("validation_loss") for key, row in metrics.items()}
    assert metrics[True] == metrics[False]
    assert loss[True] != loss[False]
    assert recipe("seq:generalist").validation.batch_means
    assert not recipe("seq").validation.batch_means


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    random = np.random.RandomState(0)
    confidences = random.rand(20_000)
    right = random.rand(20_000) < confidences
    assert calibration_error(confidences, right) < 0.02
    assert calibration_error(confidences, random.rand(20_000) < confidences**2) > 0.1
    assert calibration_error(np.ones(10), np.arange(10) < 7) == pytest.approx(0.3)
    assert calibration_error(np.array([0.95, 0.05]), np.array([True, False])) == pytest.approx(0.05)


def test_coverage_is_the_share_of_the_surest_that_is_right_enough() -> None:
    confidences = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, True, False, True])
    assert coverage(confidences, right, 1.0) == 0.5
    assert coverage(confidences, right, 0.75) == 1.0  # more may come after a wrong one
    assert coverage(confidences, ~right, 1.0) == 0.0
    assert coverage(confidences, np.ones(4, bool), 0.998) == 1.0
