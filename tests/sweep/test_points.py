"""What --over says, and which points train together."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmnist.config import Config
from jaxmnist.errors import UserError
from jaxmnist.sweep.points import (
    Point,
    check_distinct,
    grid,
    group,
    parse_over,
    population,
    resolve,
    same_shapes,
)


def values(over: str) -> tuple[str, ...]:
    (axis,) = parse_over(over)
    return axis.values


@given(
    low=st.floats(1e-6, 1e3),
    factor=st.floats(1.5, 1e6),
    count=st.integers(2, 50),
    kind=st.sampled_from(["log", "linear"]),
)
def test_a_range_has_both_ends_and_even_steps(
    low: float, factor: float, count: int, kind: str
) -> None:
    high = low * factor
    found = [float(v) for v in values(f"schedule.learning_rate={kind}({low!r}, {high!r}, {count})")]
    assert len(found) == count
    assert (found[0], found[-1]) == (low, high)
    steps = [b / a if kind == "log" else b - a for a, b in pairwise(found)]
    exact = factor ** (1 / (count - 1)) if kind == "log" else (high - low) / (count - 1)
    # Six digits of each value, whose step may be a small part of it.
    slack = 2e-5 * (1 if kind == "log" else high)
    assert all(abs(step - exact) <= slack * exact + slack * (kind == "linear") for step in steps)


@given(low=st.integers(0, 1_000), more=st.integers(1, 100))
def test_both_ends_of_whole_numbers_belong_to_them(low: int, more: int) -> None:
    found = values(f"seed={low}..{low + more}")
    assert found == tuple(str(number) for number in range(low, low + more + 1))


@given(
    st.dictionaries(
        st.sampled_from(["seed", "epochs", "batch_size"]),
        st.lists(st.integers(1, 99).map(str), min_size=1, max_size=4, unique=True),
        min_size=1,
    )
)
def test_every_combination_comes_once(lists: dict[str, list[str]]) -> None:
    over = " ; ".join(f"{name} = {', '.join(each)}" for name, each in lists.items())
    points = [tuple(point.items()) for point in grid(parse_over(over))]
    count = 1
    for name, each in lists.items():
        count *= len(each)
        assert {dict(point)[name] for point in points} == set(each)
    assert len(points) == len(set(points)) == count


def test_whole_fields_get_whole_numbers_and_tuples_keep_their_commas() -> None:
    assert values("batch_size=log(16,128,4)") == ("16", "32", "64", "128")
    assert values("augment.scale=(0.9, 1.1),(0.8,1.2)") == ("(0.9, 1.1)", "(0.8,1.2)")


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (" ; ", "--over is empty"),
        ("seed", "'seed', which is no FIELD=VALUES"),
        ("seed=0;seed=1", "seed twice"),
        ("seed=0,1,0", "has 0 for seed twice"),
        ("epochs=linear(1,3,9)", "has 1 for epochs twice"),
        ("epochs=linear(1.2,1.8)", "give whole numbers as its ends"),
        ("seed=3..0", "lower number first"),
        ("schedule.learning_rate=log(0,1,3)", "lower number above 0 first"),
        ("schedule.learning_rate=linear(1,nan,3)", "'nan' for schedule.learning_rate"),
        ("schedule.learning_rate=log(1,2,1)", "number of values .* between 2 and"),
        ("optimizer.name=log(1,2,3)", "is no number: list its values"),
    ],
)
def test_what_cannot_be_read_is_said(over: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_over(over)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("schedule.learning_rate=log(1e-4,1e-2)", "without a number of values"),
        ("seed=0..999; batch_size=1..999", "999,000 points"),
        ("learning_rate=1,2", "no field 'learning_rate', perhaps schedule.learning_rate"),
        ("schedule.learning_rate=0.1,-1", r"learning_rate is -1\.0: it must be a number above 0"),
        ("num_seeds=1,2", "leave it at 1, and give the seeds as --over"),
        ("validation.metric=loss,accuracy", "points are compared by validation"),
    ],
)
def test_impossible_points_are_refused(over: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        [resolve("models:tiny", {}, texts) for texts in grid(parse_over(over))]


def test_nothing_is_chosen_on_test_digits() -> None:
    with pytest.raises(UserError, match=r"validation\.digits is 'test'"):
        resolve("models:model_3_as_run", {}, {"seed": "1"})


CHANGES = st.tuples(st.integers(0, 3), st.sampled_from([1e-3, 2e-3]), st.sampled_from([32, 64]))


def point(change: tuple[int, float, int]) -> Point:
    seed, rate, batch_size = change
    plain = Config(model="model_3", batch_size=batch_size, seed=seed)
    config = replace(plain, schedule=replace(plain.schedule, learning_rate=rate))
    return Point({"seed": seed}, config)


@given(st.lists(CHANGES, min_size=1, max_size=16, unique=True), st.integers(1, 6))
def test_points_that_share_shapes_train_together(changes: list[Any], at_once: int) -> None:
    points = [point(change) for change in changes]
    runs = group(points, at_once)
    assert sorted(map(id, points)) == sorted(id(each) for run in runs for each in run)
    sizes: dict[int, list[int]] = {}
    for run in runs:
        (shared,) = {same_shapes(each.config) for each in run}
        sizes.setdefault(shared.batch_size, []).append(len(run))
        config = population(run)
        assert config.seeds == tuple(each.config.seed for each in run)
        assert config.learning_rates == tuple(each.config.schedule.learning_rate for each in run)
        assert same_shapes(replace(config, num_seeds=1, population=None)) == shared
    for each in sizes.values():
        assert max(each) <= at_once
        assert max(each) - min(each) <= 1
        assert len(each) == -(-sum(each) // at_once)


@pytest.mark.parametrize("over", ["seed=0,00", "schedule.learning_rate=0.1,1e-1; seed=0..1"])
def test_one_value_in_two_spellings_is_no_two_points(over: str) -> None:
    points = [resolve("models:tiny", {}, texts) for texts in grid(parse_over(over))]
    with pytest.raises(UserError, match="twice: give each value once"):
        check_distinct(points)
    check_distinct(points[:1])
