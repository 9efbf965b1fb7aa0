"""The model of docs/scaling.md: it finds the constants of times that follow it."""

from dataclasses import replace

import pytest

from tools.scaling.__main__ import plan, table, weak_scaling
from tools.scaling.model import Constants, Point, between, fit

TRUE = Constants(
    batches=(16, 32, 64, 128),
    step_seconds={"small": (2e-3, 3e-3, 5e-3, 12e-3), "large": (0.05, 0.08, 0.15, 0.28)},
    crowding={"small": 0.1, "large": 0.2},
    meeting_seconds=5e-4,
    byte_seconds=2e-9,
    data_bytes={"small": 4e7, "large": 4e7},
    seed_bytes={"small": 1e5, "large": 4e6},
    example_bytes={"small": 1e5, "large": 1e6},
    fixed_bytes={"small": 1e5, "large": 1e6},
)
PARAMETER_BYTES = {"small": 31_000, "large": 982_000}


def measured(point: Point) -> Point:
    """The point as a machine shows it that is as the model says."""
    point = replace(point, parameter_bytes=PARAMETER_BYTES[point.recipe])
    work = TRUE.fixed_bytes[point.recipe] + point.shard * TRUE.example_bytes[point.recipe]
    return replace(
        point,
        seconds=TRUE.seconds(point),
        work_bytes=round(work),
        state_bytes=round(TRUE.bytes(point) - work),
    )


def test_constants_are_found_from_the_points_that_give_them() -> None:
    points = [measured(point) for recipe in ("small", "large") for point in plan(recipe, 2)]
    found = fit(points)
    for recipe, seconds in TRUE.step_seconds.items():
        assert found.step_seconds[recipe] == pytest.approx(seconds)
    assert found.crowding == pytest.approx(TRUE.crowding)
    assert found.meeting_seconds == pytest.approx(TRUE.meeting_seconds)
    assert found.byte_seconds == pytest.approx(TRUE.byte_seconds)
    for point in points:
        assert found.seconds(point) == pytest.approx(point.seconds)
        assert found.bytes(point) == pytest.approx(point.state_bytes + point.work_bytes)
    assert table(points, found).count("+0%") + table(points, found).count("-0%") == 16
    assert weak_scaling(points, "small") == pytest.approx(2 / 1.1)
    # Of a machine that is otherwise the model is wrong, and says by how much.
    spoilt = [replace(p, seconds=2 * p.seconds) if p.devices == 4 else p for p in points]
    assert table(spoilt, fit(spoilt)).count("-50%") == 8


def test_four_devices_on_two_cores_take_turns() -> None:
    one, _, _, four = (
        Point("small", 2, population, 1, population, 64, 0, False) for population in (1, 2, 3, 4)
    )
    assert TRUE.compute(four) == pytest.approx(2 * 1.1 * TRUE.compute(one))
    assert TRUE.communicate(four) == 0


def test_a_full_device_takes_as_much_longer_as_it_is_given_more() -> None:
    sizes, seconds = (1, 100), (1.0, 10.0)
    assert between(sizes, seconds, 10) == pytest.approx(10**0.5)
    assert between(sizes, seconds, 100) == 10
    assert between(sizes, seconds, 1000) == 100
