"""The comparison with PyTorch: turns, figures and bad input (what needs it: test_bench_torch)."""

import statistics
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import cli, recipes
from jaxmnist.bench import compare, machine
from jaxmnist.bench.interleave import Timed, calibrate, rotate
from jaxmnist.bench.options import GROUPS, OURS, Options
from jaxmnist.bench.report import contender_figures, geometric_means, ratios
from jaxmnist.bench.workload import make_workload, without_augmentation
from jaxmnist.errors import UserError
from jaxmnist.generate.augment import augmentation
from jaxmnist.models.summary import layer_rows
from jaxmnist.models.zoo import find_architecture
from jaxmnist.systems.published import SYSTEMS
from tests.helpers import recipe


def test_the_groups_are_all_systems() -> None:
    assert len(GROUPS["classifiers"]) == 14
    assert len(GROUPS["all"]) == 20
    assert all(recipes.load(system.config).system == name for name, system in SYSTEMS.items())


def test_ratios_are_taken_round_by_round() -> None:
    ours, theirs = [100.0, 40.0, 60.0], [50.0, 10.0, 60.0]
    assert ratios(ours, theirs) == [2.0, 4.0, 1.0]
    timed = {OURS: Timed(1.0, None, ours), "eager": Timed(2.0, 3_000_000, theirs)}
    figures = contender_figures(timed, train_flops=10, peak_flops=4000.0)
    eager = figures["eager"]
    assert eager["examples_per_second"] == {
        "median": 50.0, "min": 10.0, "max": 60.0, "values": theirs,
    }  # fmt: skip
    # The ratio of the medians, which may be of different rounds, would be 60 / 50.
    assert eager["ratio"] == statistics.median([2.0, 4.0, 1.0])
    assert eager["percent_of_peak"] == 100 * 50 * 10 / 4000
    assert figures[OURS]["ratio"] == 1.0


def test_geometric_means_are_over_rows() -> None:
    rows = [{"contenders": {OURS: {"ratio": 1.0}, "eager": {"ratio": r}}} for r in (2.0, 0.5, 8.0)]
    assert geometric_means(rows) == {"eager": pytest.approx(2.0)}


def test_the_faster_layout_is_told_row_by_row() -> None:
    rows = [
        {"contenders": {OURS: {"ratio": 1.0}, "eager": {"ratio": a}, "channels_last": {"ratio": b}}}
        for a, b in ((2.0, 3.0), (8.0, 2.0))
    ]
    means = geometric_means(rows)
    assert means["eager"] == pytest.approx(4.0)
    assert means["the faster of eager and channels_last"] == pytest.approx(2.0)


def test_every_contender_begins_a_round_in_turn() -> None:
    names = ["a", "b", "c"]
    orders = [rotate(names, number) for number in range(4)]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


@pytest.mark.parametrize("step_seconds", [1e-5, 0.013, 0.4, 7.0])
def test_a_turn_takes_the_seconds_that_were_asked_for(step_seconds: float) -> None:
    now, calls = 0.0, []

    def run(steps: int) -> None:
        nonlocal now
        calls.append(steps)
        now += steps * step_seconds

    steps = calibrate(run, 2.0, clock=lambda: now)
    assert steps == max(1, round(2.0 / step_seconds))
    assert calls[0] == 1
    assert now <= max(5.0, step_seconds)  # trying it out costs no more than a few turns


def test_train_flops_are_three_times_forward_less_an_input_gradient() -> None:
    work = make_workload("model_1", 8, Options(source="digits8x8", against=("published",)))
    rows = layer_rows(find_architecture("model_1"), 28, 28)
    first = 2 * 9 * 16 * 26 * 26  # one channel to sixteen, 3x3, on 26x26 pixels
    assert work.train_flops() == 3 * sum(row.flops for row in rows) - first
    assert work.ready is None
    assert work.experiment.spec.num_examples % 8 == 0


def test_peak_memory_sees_what_was_held_and_let_go() -> None:
    held = machine.start_peak()
    if held is None:
        assert machine.peak_above(held) is None
        pytest.skip("only Linux tells")
    blob = np.ones(100_000_000, np.uint8)
    del blob
    peak = machine.peak_above(held)
    assert peak is not None
    assert 95_000_000 < peak < 150_000_000
    assert machine.peak_above(machine.start_peak()) < 50_000_000  # forgotten


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--systems", "v_9"], "no system 'v_9'"),
        (["--systems", ","], "--systems names nothing"),
        (["--against", "tensorflow"], "no contender 'tensorflow'"),
        (["--batch", "0"], "--batch is '0'"),
        (["--batch", "64,many"], "--batch is 'many'"),
        (["--batch", "-3"], "--batch is '-3'"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--seconds", "0"], "--seconds is 0"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--out", "nowhere/bench.json"], "nowhere/bench.json cannot be written"),
        (["--threads", "0"], "--threads is 0"),
        (["--threads", "100000"], "--threads is 100000"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert cli.main(["bench", *arguments]) == 2
    answer = capsys.readouterr().err
    assert answer.startswith("error: ")
    assert sentence in answer
    assert answer.count("\n") == 1


def test_a_batch_larger_than_the_digits_is_answered_with_a_sentence() -> None:
    with pytest.raises(UserError, match="--batch is 4000, more than there are examples"):
        make_workload("v_1", 4000, Options(source="digits8x8", against=("published",)))


def test_without_pytorch_the_answer_is_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch_baselines", "torch_published"):
        monkeypatch.delitem(sys.modules, f"jaxmnist.bench.{name}", raising=False)
        monkeypatch.delattr(f"jaxmnist.bench.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch"):
        compare.start_baselines(threads=1)


@pytest.mark.parametrize("name", ["models:model_1", "seq:generalist"])
def test_without_augmentation_nothing_is_changed(name: str, digits: np.ndarray) -> None:
    change = augmentation(without_augmentation(recipe(name).augment))
    image = jnp.asarray(digits[0], jnp.float32)
    np.testing.assert_array_equal(change(jax.random.key(0), image), image)
