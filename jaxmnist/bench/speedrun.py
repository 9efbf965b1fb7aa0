"""The time to an accuracy, measured like a record: many whole trainings, one after the other.

Each training has all cores to itself. What is compiled is compiled once, and reported apart;
loading the digits belongs to every training's time. Nothing is validated on the way, and no epoch
chosen: the weights of the last epoch are tested, once a training.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax

from jaxmnist.config import Config, to_dict
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import load_splits
from jaxmnist.evaluation import Evaluator, suite_list
from jaxmnist.experiment import CompiledFns, prepare
from jaxmnist.run.summary import describe_data, spread
from jaxmnist.runtime import device, git_commit, versions
from jaxmnist.state import TrainState


def time_to_accuracy(
    config: Config, runs: int, *, on_held_out: bool, log: Callable[[str], None]
) -> dict[str, Any]:
    """Trains `runs` networks, seeds `seed`, `seed + 1`, ..., and times each.

    Args:
      config: of a training on single digits.
      runs: how many.
      on_held_out: test on the held-out digits instead of the test digits, for tuning a recipe.
      log: is called with a line for each run.

    Returns:
      Accuracies and seconds with mean, sd and values, and what they were measured with.

    Raises:
      UserError: if configuration or data cannot be used.
    """
    commit, config = git_commit(), replace(config, num_seeds=1)
    began = time.perf_counter()
    experiment = prepare(config, load_splits(config.data))
    dataset = jax.block_until_ready(experiment.train_data())
    loading = time.perf_counter() - began

    began = time.perf_counter()
    init = experiment.init_fn()
    fns = experiment.compile(init(0))
    compiling = time.perf_counter() - began

    splits, task = experiment.splits, experiment.task
    read = splits.validation if on_held_out else splits.test
    examples = suite_list(task, read, examples=len(read), seed=0)
    evaluator = Evaluator(task, experiment.network, experiment.mesh)
    times, accuracies = [], []
    for number in range(runs):
        began = time.perf_counter()
        state = init(config.seed + number)
        state = jax.block_until_ready(run_epochs(fns, state, config.epochs, dataset))
        times.append(loading + time.perf_counter() - began)
        (scores,) = evaluator.score(state.weights, examples, "clean")
        accuracies.append(float(scores[task.metric]))
        log(f"run {number + 1}/{runs}: {accuracies[-1]:.2%} in {times[-1]:.2f} s")
    return {
        "name": config.name,
        "config": to_dict(config),
        "runs": runs,
        "measured_on": f"{len(read)} {'held-out' if on_held_out else 'test'} digits",
        "accuracy": spread(accuracies),
        "seconds": spread(times) | {"of_these_loading": loading},
        "compile_seconds": compiling,
        "data": describe_data(splits),
        "device": device(),
        "versions": versions(),
        "git_commit": commit,
    }


def run_epochs(fns: CompiledFns, state: TrainState, epochs: int, dataset: Dataset) -> TrainState:
    """Trains from beginning to end; nothing comes back from the device on the way."""
    for epoch in range(epochs):
        first = epoch * fns.steps_per_epoch
        state = fns.train_steps(state, first, first + fns.steps_per_epoch, dataset)
    return state


def format_report(report: dict[str, Any]) -> str:
    """Returns the report as a sentence."""
    accuracy, seconds = report["accuracy"], report["seconds"]
    return (
        f"{report['name']}: {_with_sd(accuracy, '.2%')} of {report['measured_on']} right after "
        f"{_with_sd(seconds, '.2f')} s (n = {report['runs']}, mean and sd), of which "
        f"{seconds['of_these_loading']:.2f} s load {report['data']['name']}; compiling, apart: "
        f"{report['compile_seconds']:.1f} s; {report['device']}"
    )


def _with_sd(figure: dict[str, Any], form: str) -> str:
    sd = "" if figure["sd"] is None else f" ± {figure['sd']:{form}}"
    return f"{figure['mean']:{form}}{sd}"
