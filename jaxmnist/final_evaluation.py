"""The test at the end of a run: suites, pictures and the selected weights.

All processes measure; what is drawn and written is the writer's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxmnist.evaluation import (
    Evaluator,
    ExampleList,
    score_every_epoch,
    suite_list,
)
from jaxmnist.experiment import Experiment
from jaxmnist.models.network import Weights
from jaxmnist.rng import Stream
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.plots import Panel, draw_curves, draw_predictions, pick
from jaxmnist.run.predictions import (
    ANSWERS_FILE,
    Answers,
    as_pixels,
    save_answers,
    surest_mistakes,
)
from jaxmnist.run.summary_schema import TestResults
from jaxmnist.sharding import is_writer, put_on_device, to_host
from jaxmnist.state import TrainState, finite_seeds
from jaxmnist.tasks import Predictions, Scores
from jaxmnist.weights import FILE_NAME, Metadata, save_weights, with_temperature

DRAWN = 6  # training examples of each effect
TEMPERATURES = np.geomspace(0.5, 3, 37, dtype=np.float32)
PICTURED = 1_000  # test examples among which the picture of predictions picks its own


def test(
    experiment: Experiment,
    evaluator: Evaluator,
    validation: ExampleList,
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
    if experiment.network.architecture.heads is None:
        weights = calibrate(evaluator, weights, validation)
    examples = suite_list(task, splits.test, examples=config.eval.examples, seed=config.eval.seed)
    names = config.eval.suites or tuple(task.suites)
    results, panels, clean = score_suites(evaluator, weights, seeds, examples, names)
    every_epoch = None
    if state.every_epoch is not None:
        every_epoch = score_every_epoch(evaluator, state.every_epoch, len(history), examples)[seeds]
    best_epoch = to_host(state.best.epoch)[seeds]
    seed, epoch = select_seed(experiment, state, seeds)
    selected = rows(weights, seed)
    if is_writer():
        title = f"{config.name} on {splits.title}"
        plots = folder.path / "plots"
        draw_curves(plots / "curves.png", title, history, task, config.validation.digits)
        draw_predictions(plots / "predictions.png", f"{title}, test digits", panels)
        draw_effects(experiment, plots / "augmentations.png")
        save_selected(experiment, folder, selected, seed, epoch)
        save_clean(evaluator, folder, clean, examples, seeds, seed)
    return TestResults(seeds, results, best_epoch, every_epoch)


def score_suites(
    evaluator: Evaluator,
    weights: Weights,
    seeds: Int[np.ndarray, " n"],
    examples: ExampleList,
    names: Sequence[str],
) -> tuple[dict[str, list[Scores]], dict[str, Panel], list[Predictions]]:
    """Tests weights on suites.

    Returns:
      Each suite's scores of `seeds`, what the writer shows of the first one's predictions, and all
      their predictions of the clean suite.
    """
    task = evaluator.task
    results, panels, clean = {}, {}, []
    for name in names:
        every = evaluator.predict_list(weights, examples, name)
        predictions = [every[seed] for seed in seeds]
        if name == "clean":
            clean = predictions
        results[name] = [task.score(each) for each in predictions]
        first = predictions[0]
        if is_writer():
            images = examples.images(evaluator.batch_size, name, PICTURED)
            panels[name] = pick(images, first.predicted[: len(images)], first.labels[: len(images)])
        accuracy = np.mean([scores[task.metric] for scores in results[name]])
        print(f"  {name}: {accuracy:.2%}", flush=True)
    return results, panels, clean


def draw_effects(experiment: Experiment, path: Path) -> None:
    """Draws each effect on training strings, with what they say; other recipes have no picture."""
    config, task = experiment.config, experiment.task
    examples = ExampleList(
        dataset=put_on_device(experiment.splits.train),
        suites=task.effects(config),
        count=DRAWN,
        seed=config.seed,
        streams=(Stream.DRAW, Stream.AUGMENT),
    )
    panels = {}
    for name in examples.suites:
        ((images, labels),) = examples.batches(DRAWN, name)
        panels[name] = np.asarray(images), np.asarray(labels), np.asarray(labels)
    if panels:
        draw_predictions(path, f"{config.name}: what it is trained with, one by one", panels)


def select_seed(
    experiment: Experiment, state: TrainState, seeds: Int[np.ndarray, " n"]
) -> tuple[int, int]:
    """Returns that one of `seeds` which did best in validation, and the epoch of its weights.

    Where nothing is selected it is the first seed.
    """
    early_stopping = experiment.spec.early_stopping
    steps, metric, epochs = to_host((state.step, state.best.metric, state.best.epoch))
    if experiment.config.selection != "best":
        return int(seeds[0]), int(steps[seeds[0]]) // experiment.spec.steps_per_epoch
    metric = metric[seeds]
    seed = int(seeds[metric.argmin() if early_stopping.mode == "min" else metric.argmax()])
    return seed, int(epochs[seed])


def calibrate(evaluator: Evaluator, weights: Weights, validation: ExampleList) -> Weights:
    """Returns every seed's weights with confidences calibrated on clean validation examples.

    Logits are divided by the temperature that has the lowest loss (Guo et al., 2017).
    """
    batches = list(validation.batches(evaluator.batch_size, "clean", mesh=evaluator.mesh))
    labels = np.concatenate([to_host(labels) for _, labels in batches])[: validation.count]

    @jax.jit
    def losses(logits: Array) -> Array:
        def loss(temperature: Array) -> Array:
            losses = evaluator.architecture.losses(logits / temperature, jnp.asarray(labels))
            return losses.mean()

        return jax.lax.map(loss, jnp.asarray(TEMPERATURES))

    logits = evaluator.logits(weights, iter(batches), validation.count)
    temperatures = TEMPERATURES[[int(losses(jnp.asarray(each)).argmin()) for each in logits]]
    listed = ", ".join(f"{each:.2f}" for each in temperatures)
    print(f"confidences: temperature {listed}, by validation digits", flush=True)
    return with_temperature(evaluator.architecture, weights, temperatures)


def save_selected(
    experiment: Experiment, folder: RunFolder, weights: Weights, seed: int, epoch: int
) -> None:
    """Writes the weights of one seed."""
    config = experiment.config
    metadata = Metadata(
        name=config.name,
        model=config.model,
        max_length=experiment.task.max_length,
        seed=config.seeds[seed],
        epoch=epoch,
        data=experiment.splits.name,
        eval=config.eval,
    )
    save_weights(folder.path / FILE_NAME, weights, metadata)


def save_clean(
    evaluator: Evaluator,
    folder: RunFolder,
    predictions: Sequence[Predictions],
    examples: ExampleList,
    seeds: Int[np.ndarray, " n"],
    seed: int,
) -> None:
    """Writes what `seeds` answered on the clean suite, with pictures of what `seed` misread."""
    own = predictions[seeds.tolist().index(seed)]
    mistakes = surest_mistakes(own.predicted, own.labels, own.confidences)
    images = examples.images_of(mistakes, evaluator.batch_size, "clean")
    answers = Answers(
        labels=own.labels.astype(np.uint8),
        predicted=np.stack([each.predicted for each in predictions]).astype(np.uint8),
        confidences=np.stack([each.confidences for each in predictions]),
        mistakes=mistakes,
        images=as_pixels(images),
        members=tuple(seeds.tolist()),
        pictured=seed,
    )
    save_answers(folder.path / ANSWERS_FILE, answers)


def rows(weights: Weights, seeds: Any) -> Weights:
    """Returns the weights of some seeds, or of one, on the host."""
    chosen: Weights = jax.tree.map(lambda leaf: leaf[seeds], to_host(weights))
    return chosen
