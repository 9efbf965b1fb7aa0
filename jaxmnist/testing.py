"""The test at the end of a run: suites, pictures and the selected weights."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from jaxmnist.evaluation import Evaluator, ExampleList, score_every_epoch, suite_list
from jaxmnist.experiment import Experiment
from jaxmnist.models.network import Weights
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.plots import Panel, draw_curves, draw_predictions, pick
from jaxmnist.run.summary_schema import TestResults
from jaxmnist.state import TrainState, finite_seeds
from jaxmnist.tasks import Scores
from jaxmnist.weights import FILE_NAME, Metadata, save_weights

PICTURED = 1_000  # test examples among which the picture of predictions picks its own


def test(
    experiment: Experiment,
    evaluator: Evaluator,
    folder: RunFolder,
    state: TrainState,
    history: Sequence[dict[str, Any]],
) -> TestResults:
    """Tests the selected weights of every finite seed, and writes pictures and weights.

    It is the only time that a run reads test digits (but for published code that monitored them).
    """
    config, splits, task = experiment.config, experiment.splits, experiment.task
    weights = state.best.weights if config.selection == "best" else state.weights
    seeds = finite_seeds(state)
    examples = suite_list(task, splits.test, examples=config.eval.examples, seed=config.eval.seed)
    results, panels = score_suites(evaluator, weights, seeds, examples)
    every_epoch = None
    if state.every_epoch is not None:
        every_epoch = score_every_epoch(evaluator, state.every_epoch, len(history), examples)[seeds]
    title = f"{config.name} on {splits.title}"
    plots = folder.path / "plots"
    draw_curves(plots / "curves.png", title, history, task, config.validation.digits)
    draw_predictions(plots / "predictions.png", f"{title}, test digits", panels)
    save_selected(experiment, folder, state, weights, seeds)
    return TestResults(seeds, results, np.asarray(state.best.epoch)[seeds], every_epoch)


def score_suites(
    evaluator: Evaluator, weights: Weights, seeds: Int[np.ndarray, " n"], examples: ExampleList
) -> tuple[dict[str, list[Scores]], dict[str, Panel]]:
    """Returns each suite's scores of `seeds`, and what to show of the first one's predictions."""
    task = evaluator.task
    results, panels = {}, {}
    for suite, name in enumerate(task.suites):
        predictions = evaluator.predict_list(weights, examples, suite)
        results[name] = [task.score(predictions[seed]) for seed in seeds]
        first = predictions[seeds[0]]
        images = examples.images(evaluator.batch_size, suite, PICTURED)
        panels[name] = pick(images, first.predicted[: len(images)], first.labels[: len(images)])
        accuracy = np.mean([scores[task.metric] for scores in results[name]])
        print(f"  {name}: {accuracy:.2%}", flush=True)
    return results, panels


def save_selected(
    experiment: Experiment,
    folder: RunFolder,
    state: TrainState,
    weights: Weights,
    seeds: Int[np.ndarray, " n"],
) -> None:
    """Writes the selected weights of that one of `seeds` which did best in validation.

    Where nothing is selected it is the first seed.
    """
    config, early_stopping = experiment.config, experiment.spec.early_stopping
    seed, epoch = seeds[0], int(state.step[seeds[0]]) // experiment.spec.steps_per_epoch
    if config.selection == "best":
        metric = np.asarray(state.best.metric)[seeds]
        seed = seeds[metric.argmin() if early_stopping.mode == "min" else metric.argmax()]
        epoch = int(state.best.epoch[seed])
    metadata = Metadata(
        name=config.name,
        model=config.model,
        max_length=experiment.network.architecture.heads,
        seed=config.seed + int(seed),
        epoch=epoch,
        data=experiment.splits.name,
        eval=config.eval,
    )
    save_weights(folder.path / FILE_NAME, rows(weights, seed), metadata)


def rows(weights: Weights, seeds: Any) -> Weights:
    """Returns the weights of some seeds, or of one, on the host."""
    chosen: Weights = jax.tree.map(lambda leaf: np.asarray(leaf)[seeds], weights)
    return chosen
