"""A run from beginning to end; read it from top to bottom."""

import json
import os
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmnist import checkpoint
from jaxmnist.caches import keep_compiled_programs
from jaxmnist.data.sources import VARIABLE, Digits, in_cache, load_digits
from jaxmnist.errors import UserError
from jaxmnist.evaluate import (
    Scores,
    generated_blocks,
    predict_blocks,
    score_seeds,
    suite_generator,
    to_device,
)
from jaxmnist.generate.sequence import Bank
from jaxmnist.generate.suites import SUITES
from jaxmnist.models.table import count_parameters, layer_table
from jaxmnist.programs import Programs, compile_programs, initial_state, make_generator
from jaxmnist.recipe import Recipe, make_recipe
from jaxmnist.rng import Stream
from jaxmnist.run.board import open_board
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.plots import Panel, draw_curves, draw_predictions, pick
from jaxmnist.run.progress import Pacer, Progress, rates
from jaxmnist.run.report import METRIC, describe, epoch_line, epoch_row, summarise
from jaxmnist.run.stopwatch import Stopwatch
from jaxmnist.settings import check_settings
from jaxmnist.state import Metrics, TrainState
from jaxmnist.steps import has_stopped
from jaxmnist.weights import FILE_NAME, save_weights

PICTURED_BLOCKS = 10  # blocks of test sequences among which the picture finds its examples


class Run(NamedTuple):
    """What stays the same from the first step to the summary."""

    settings: dict[str, Any]
    recipe: Recipe
    folder: RunFolder
    digits: Digits
    bank: Bank  # the training digits, on the device
    programs: Programs


def train_and_evaluate(settings: dict[str, Any], workdir: Path) -> Path:
    """Trains the recipe in `settings`, evaluates it on test digits and writes a run folder.

    An unfinished run in `workdir` is resumed, a finished one is only reported.

    Args:
      settings: a resolved configuration with the fields of configs/common.py.
      workdir: the run folder.

    Returns:
      The path of `summary.json`.

    Raises:
      UserError: if settings, data or folder cannot be used.
    """
    watch = Stopwatch()
    keep_compiled_programs()
    check_settings(settings)
    recipe = make_recipe(settings)
    folder = RunFolder(workdir, settings)
    if finished := folder.summary():
        _refuse_stand_in(workdir, settings, finished)
        print(f"{workdir} holds a finished run: nothing is repeated.\n{describe(finished)}")
        return workdir / "summary.json"

    digits = load_digits(**settings["data"])
    folder.create()
    bank = to_device(digits.train)
    state = initial_state(recipe, settings["seed"], settings["num_seeds"])
    parameters = count_parameters(state.params) // settings["num_seeds"]
    folder.write("model.txt", layer_table(recipe.network, *recipe.image_size))
    print(
        f"{settings['name']}: {parameters:,} parameters, {settings['num_seeds']} seed(s), at most "
        f"{recipe.epochs} epochs of {recipe.examples:,} sequences of {digits.title}, "
        f"on {jax.default_backend()}\ncompiling ...",
        flush=True,
    )
    with watch.part("compile"):
        programs = compile_programs(recipe, state, bank)
    run = Run(settings, recipe, folder, digits, bank, programs)

    state, history = train(run, state, watch)

    # The only time that a run reads test digits.
    print("evaluating on test digits ...", flush=True)
    with watch.part("evaluate"):
        scores, panels = test(run, state)
        title = f"{settings['name']} on {digits.title}"
        draw_curves(workdir / "plots" / "curves.png", title, history)
        draw_predictions(workdir / "plots" / "predictions.png", f"{title}, test digits", panels)
        save_best(workdir / FILE_NAME, settings, state, digits)
    summary = summarise(settings, digits, parameters, history, scores, watch.seconds())
    print(describe(summary), flush=True)
    return folder.write("summary.json", json.dumps(summary, indent=2) + "\n")


def _refuse_stand_in(workdir: Path, settings: dict[str, Any], finished: dict[str, Any]) -> None:
    """Keeps a run on the stand-in from passing for one on MNIST, now that MNIST is at hand."""
    data = settings["data"]
    at_hand = data["dir"] or os.environ.get(VARIABLE) or in_cache()
    if data["source"] == "auto" and finished["data"]["source"] == "digits8x8" and at_hand:
        raise UserError(
            f"{workdir} holds a finished run on the stand-in, and MNIST is at hand now: "
            "give another --workdir."
        )


def train(run: Run, state: TrainState, watch: Stopwatch) -> tuple[TrainState, list[dict[str, Any]]]:
    """Trains until the last epoch, or until no seed improves; saves a checkpoint every epoch.

    Returns:
      The last state and the lines of `metrics.jsonl`.
    """
    recipe, settings, fingerprint = run.recipe, run.settings, run.digits.fingerprint()
    validate = make_generator(
        recipe.validation,
        settings["sequence"]["max_length"],
        seed=settings["data"]["split_seed"],
        streams=(Stream.VALIDATION_DRAW, Stream.VALIDATION_AUGMENT),
    )
    validation_bank = to_device(run.digits.validation)
    validation_sequences = settings["sequence"]["validation_sequences"]
    history: list[dict[str, Any]] = []
    with checkpoint.open_checkpoints(run.folder.path / "checkpoints") as checkpoints:
        if saved := checkpoint.restore_latest(checkpoints, state):
            state, record = saved
            if record["data"] != fingerprint:
                raise UserError(
                    f"{run.folder.path} was trained on other digits than {run.digits.title}: "
                    "give the same data, or another --workdir."
                )
            history = record["history"]
            watch.add(record["seconds"])
            print(f"resuming {run.folder.path} after epoch {len(history)}", flush=True)
        run.folder.write_lines("metrics.jsonl", history)

        progress = Progress(recipe.epochs, len(history), recipe.examples, len(state.step))
        with open_board(run.folder.path, len(history) + 1) as add_to_board, watch.part("train"):
            for epoch in range(len(history), recipe.epochs):
                if has_stopped(state, epoch, patience=recipe.patience).all():
                    print(f"no improvement in {recipe.patience} epochs: stopping early")
                    break
                state = run_epoch(run, state, epoch, progress)

                blocks = generated_blocks(validate, validation_sequences, validation_bank, epoch)
                scores = score_seeds(run.programs.predict, state.params, state.batch_stats, blocks)
                row = epoch_row(epoch + 1, state, scores, history[-1] if history else None)
                losses = jnp.array([score["loss"] for score in scores], jnp.float32)
                state = run.programs.end_epoch(state, losses, jnp.int32(epoch + 1))

                if not np.isfinite([row["train_loss"], row["validation_loss"]]).all():
                    raise UserError(
                        f"the loss was not a number in epoch {epoch + 1} (learning rate "
                        f"{row['learning_rate']:.3g}): lower schedule.learning_rate and give "
                        f"another --workdir; what {run.folder.path} holds is kept."
                    )
                history.append(row)
                record = {"data": fingerprint, "history": history, "seconds": watch.seconds()}
                checkpoint.save(checkpoints, epoch + 1, state, record, row["validation_loss"])
                run.folder.write_lines("metrics.jsonl", history)
                add_to_board(row)
                progress.end_epoch(epoch_line(row, recipe.epochs))
    return state, history


def run_epoch(run: Run, state: TrainState, epoch: int, progress: Progress) -> TrainState:
    """Runs one epoch in pieces that are sent ahead, so that the device never waits for a line."""
    pacer = Pacer()
    first, last = epoch * run.recipe.steps, (epoch + 1) * run.recipe.steps
    under_way: list[tuple[int, Metrics]] = []
    while first < last:
        piece = min(pacer.steps, last - first)
        state = run.programs.run_steps(state, jnp.int32(first), jnp.int32(first + piece), run.bank)
        first += piece
        # A copy, because the state itself is given away to the next piece.
        under_way.append((piece, jax.tree.map(jnp.copy, state.sums)))
        if len(under_way) > 1:
            ended, sums = under_way.pop(0)
            progress.show(int(np.max(sums.examples)), *rates(sums))
            pacer.finished(ended)
    return state


def test(run: Run, state: TrainState) -> tuple[dict[str, list[Scores]], dict[str, Panel]]:
    """Scores every seed's best weights in every suite, and picks the first seed's pictures."""
    bank = to_device(run.digits.test)
    best = (state.best.params, state.best.batch_stats)
    scores, panels = {}, {}
    for name in SUITES:
        generate = suite_generator(
            name, run.settings["sequence"]["max_length"], run.settings["eval"]["seed"]
        )
        blocks = generated_blocks(generate, run.settings["eval"]["sequences"], bank)
        scores[name] = score_seeds(run.programs.predict, *best, blocks)

        blocks = generated_blocks(generate, run.settings["eval"]["sequences"], bank)
        first = list(islice(blocks, PICTURED_BLOCKS))
        logits, labels = predict_blocks(run.programs.predict, *best, first)
        images = np.concatenate([np.asarray(images) for images, _ in first])
        panels[name] = pick(images, logits[0].argmax(-1), labels)
        print(f"  {name}: {np.mean([s[METRIC] for s in scores[name]]):.2%}", flush=True)
    return scores, panels


def save_best(path: Path, settings: dict[str, Any], state: TrainState, digits: Digits) -> None:
    """Writes the weights of the seed with the lowest validation loss."""
    seed = int(np.argmin(state.best.loss))
    params, batch_stats = jax.tree.map(
        lambda leaf: np.asarray(leaf[seed]), (state.best.params, state.best.batch_stats)
    )
    about = {
        "name": settings["name"],
        "model": settings["model"],
        "max_length": settings["sequence"]["max_length"],
        "seed": settings["seed"] + seed,
        "epoch": int(state.best.epoch[seed]),
        "digits": digits.title,
        "eval": settings["eval"],
    }
    save_weights(path, params, batch_stats, about)
