"""The time to an accuracy, measured like a record: many whole trainings, one after the other.

Each training has all cores to itself. What is compiled is compiled once, and told apart; loading
the digits belongs to every training's time. Nothing is validated on the way, and no epoch chosen:
the weights of the last epoch are read against the test digits, once a training.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmnist.data.sources import load_digits
from jaxmnist.devices import make_mesh, split_cpu
from jaxmnist.evaluate import generated_blocks, score_seeds, to_device
from jaxmnist.generate.example import Bank
from jaxmnist.generate.suites import Suite
from jaxmnist.programs import Programs, compile_programs, make_generator, make_initial_state
from jaxmnist.recipe import Recipe, make_recipe
from jaxmnist.rng import Stream
from jaxmnist.run.environment import device, git_commit, versions
from jaxmnist.run.report import about_digits, spread
from jaxmnist.settings import check_settings
from jaxmnist.state import TrainState


def race(
    settings: dict[str, Any], runs: int, *, on_held_out: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Trains `runs` networks, seeds `seed`, `seed + 1`, ..., and times each.

    Args:
      settings: a resolved recipe that reads single digits.
      runs: how many.
      on_held_out: read the held-out digits instead of the test digits, for tuning a recipe.
      tell: is told how each run went.

    Returns:
      Accuracies and seconds with mean, sd and values, and what they were measured with.

    Raises:
      UserError: if settings or data cannot be used.
    """
    commit = git_commit()
    check_settings(settings)
    split_cpu(1, settings["batch_size"])
    began = time.perf_counter()
    digits = load_digits(**settings["data"])
    mesh = make_mesh(1, settings["batch_size"])
    bank = jax.block_until_ready(to_device(digits.train, mesh))
    loading = time.perf_counter() - began

    recipe = make_recipe(settings, len(digits.train))
    began = time.perf_counter()
    initialise = make_initial_state(recipe, num_seeds=1)
    programs = compile_programs(recipe, initialise(0), bank)
    compiling = time.perf_counter() - began
    read = digits.validation if on_held_out else digits.test
    times, accuracies = [], []
    for number in range(runs):
        began = time.perf_counter()
        state = initialise(settings["seed"] + number)
        state = jax.block_until_ready(train(recipe, programs, state, bank))
        times.append(loading + time.perf_counter() - began)
        accuracies.append(accuracy(recipe, programs, state, read))
        tell(f"run {number + 1}/{runs}: {accuracies[-1]:.2%} in {times[-1]:.2f} s")
    return {
        "name": settings["name"],
        "config": settings,
        "runs": runs,
        "measured_on": f"{len(read)} {'held-out' if on_held_out else 'test'} digits",
        "accuracy": spread(accuracies),
        "seconds": spread(times) | {"of_these_loading": loading},
        "compile_seconds": compiling,
        "data": about_digits(digits),
        "device": device(),
        "versions": versions(),
        "git_commit": commit,
    }


def train(recipe: Recipe, programs: Programs, state: TrainState, bank: Bank) -> TrainState:
    """Trains from beginning to end; nothing comes back from the device on the way."""
    for epoch in range(recipe.epochs):
        first, last = epoch * recipe.steps, (epoch + 1) * recipe.steps
        state = programs.run_steps(state, jnp.int32(first), jnp.int32(last), bank)
    return state


def accuracy(recipe: Recipe, programs: Programs, state: TrainState, digits: Any) -> float:
    """Reads every one of `digits` once."""
    streams = (Stream.TEST_DRAW, Stream.TEST_AUGMENT)
    generate = make_generator(recipe.task.example(Suite()), seed=0, streams=streams)
    blocks = generated_blocks(generate, len(digits), to_device(digits))
    (score,) = score_seeds(recipe.task, programs.predict, state.weights, blocks)
    return float(score[recipe.task.metric])


def words(report: dict[str, Any]) -> str:
    """Writes a race down."""
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
