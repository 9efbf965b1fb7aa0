"""A run from beginning to end; read it from top to bottom."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxmnist.caches import keep_compiled_programs
from jaxmnist.data.sources import VARIABLE, Digits, in_cache, load_digits
from jaxmnist.devices import check_devices, described, make_mesh, split_cpu
from jaxmnist.errors import Interrupted, UserError
from jaxmnist.evaluate import (
    generated_blocks,
    predict_blocks,
    score_seeds,
    suite_generator,
    to_device,
)
from jaxmnist.generate.example import Bank
from jaxmnist.memory import give_back
from jaxmnist.models.network import Weights
from jaxmnist.models.table import count_parameters, layer_table
from jaxmnist.programs import Block, Programs, compile_programs, initial_state, make_generator
from jaxmnist.recipe import Recipe, make_recipe
from jaxmnist.rng import Stream
from jaxmnist.run.board import open_board
from jaxmnist.run.environment import git_commit
from jaxmnist.run.faults import faults_in_words
from jaxmnist.run.folder import REPEAT_THE_END, RunFolder, configuration_hash
from jaxmnist.run.interrupt import StopRequest, stop_on_signal
from jaxmnist.run.lock import locked
from jaxmnist.run.plots import Panel, draw_curves, draw_predictions, pick
from jaxmnist.run.progress import Pacer, Progress, rates
from jaxmnist.run.report import (
    Tested,
    describe,
    diverged_seeds,
    epoch_line,
    epoch_row,
    summarise,
    what_diverged,
)
from jaxmnist.run.stopwatch import Stopwatch
from jaxmnist.settings import check_settings
from jaxmnist.state import Metrics, TrainState, survivors
from jaxmnist.steps import has_diverged, has_stopped
from jaxmnist.storage import checkpoint
from jaxmnist.storage.weights import FILE_NAME, fingerprint, save_weights
from jaxmnist.tasks import Scores

PICTURED_BLOCKS = 10  # blocks of test examples among which the picture finds its own


class Run(NamedTuple):
    """What stays the same from the first step to the summary."""

    settings: dict[str, Any]
    recipe: Recipe
    folder: RunFolder
    digits: Digits
    bank: Bank  # the training digits, on the device
    programs: Programs
    asked_to_stop: StopRequest

    @property
    def checkpoints(self) -> Path:
        """Where the state is saved."""
        return self.folder.path / "checkpoints"

    @property
    def watched_metric(self) -> str:
        """What early stopping, a plateau and the choice of an epoch go by."""
        by_loss = self.settings["validation"]["metric"] == "loss"
        return "loss" if by_loss else self.recipe.task.metric


def train_and_evaluate(settings: dict[str, Any], workdir: Path) -> Path:
    """Trains the recipe in `settings`, evaluates it on test digits and writes a run folder.

    An unfinished run in `workdir` is resumed, a finished one is only reported.

    Args:
      settings: a resolved configuration with the fields of configs/common.py.
      workdir: the run folder.

    Returns:
      The path of `summary.json`.

    Raises:
      UserError: if settings, data or folder cannot be used, or if no seed's numbers stay finite.
      Interrupted: if Ctrl-C or SIGTERM asked for it; what was learnt until then is saved.
    """
    watch = Stopwatch()
    commit = git_commit()  # now, as the source tree may move on while the run goes on
    keep_compiled_programs()
    check_settings(settings)
    split_cpu(settings["num_seeds"], settings["batch_size"])
    folder = RunFolder(workdir, settings)
    if (finished := folder.summary()) is not None:
        return _report(folder, finished)

    check_devices()
    digits = load_digits(**settings["data"])
    recipe = make_recipe(settings, len(digits.train))
    folder.create()
    with faults_in_words(workdir), locked(workdir), stop_on_signal() as asked_to_stop:
        folder.refuse_others()  # another run may have come while the digits were loaded
        summary = _run(settings, folder, digits, recipe, watch, commit, asked_to_stop)
        print(describe(summary), flush=True)
        return folder.write("summary.json", json.dumps(summary, indent=2) + "\n")


def _run(
    settings: dict[str, Any],
    folder: RunFolder,
    digits: Digits,
    recipe: Recipe,
    watch: Stopwatch,
    commit: str | None,
    asked_to_stop: StopRequest,
) -> dict[str, Any]:
    """Does all the work of a run and returns its summary."""
    state = initial_state(recipe, settings["seed"], settings["num_seeds"])
    parameters = count_parameters(state.params) // settings["num_seeds"]
    folder.write("model.txt", layer_table(recipe.network, *recipe.task.image_size))
    print(
        f"{settings['name']}: {parameters:,} parameters, {settings['num_seeds']} seed(s), at most "
        f"{recipe.epochs} epochs of {recipe.examples:,} {recipe.task.noun}, {digits.title}, "
        f"on {jax.default_backend()}\ncompiling ...",
        flush=True,
    )
    with watch.part("compile"):
        # The digits are copied afterwards: memory is short while something is compiled.
        mesh = make_mesh(settings["num_seeds"], recipe.batch_size)
        arrays = digits.train.images, digits.train.labels.astype(np.int32)
        programs = compile_programs(recipe, state, Bank(*described(arrays, mesh)))
    bank = to_device(digits.train, mesh)
    run = Run(settings, recipe, folder, digits, bank, programs, asked_to_stop)

    state, history = train(run, state, watch)
    lost = diverged_seeds(state, recipe, settings["seed"])
    state, seeds = survivors(state)

    # The only time that a run reads test digits (but for published code that watched them).
    print("evaluating on test digits ...", flush=True)
    give_back()
    with watch.part("evaluate"):
        tested, panels = test(run, state, seeds, len(history))
        title = f"{settings['name']} on {digits.title}"
        watched = settings["validation"]["digits"]
        plots = folder.path / "plots"
        draw_curves(plots / "curves.png", title, history, recipe.task, watched)
        draw_predictions(plots / "predictions.png", f"{title}, test digits", panels)
        save_selected(run, state, seeds)
    return summarise(
        settings,
        recipe,
        digits,
        parameters,
        history,
        tested,
        lost,
        fingerprint(state.weights),
        watch.seconds(),
        commit,
    )


def _report(folder: RunFolder, finished: dict[str, Any]) -> Path:
    """Tells of a run that had ended before."""
    path = folder.path / "summary.json"
    try:
        _refuse_stand_in(folder, finished)
        told = describe(finished)
        another = configuration_hash(finished["config"]) != configuration_hash(folder.settings)
    except UserError:
        raise
    except Exception:  # anything may be missing in it, or in another's place
        raise UserError(f"{path} is damaged, or of another version: {REPEAT_THE_END}.") from None
    if another:
        raise UserError(f"{path} is of another configuration: {REPEAT_THE_END}.")
    if not (folder.path / FILE_NAME).exists():
        raise UserError(
            f"{folder.path} holds a finished run without its {FILE_NAME}: remove summary.json, and "
            "the same command writes both again from the last checkpoint."
        )
    print(f"{folder.path} holds a finished run: nothing is repeated.\n{told}")
    return path


def _refuse_stand_in(folder: RunFolder, finished: dict[str, Any]) -> None:
    """Keeps a run on the stand-in from passing for one on MNIST, now that MNIST is at hand."""
    data = folder.settings["data"]
    at_hand = data["dir"] or os.environ.get(VARIABLE) or in_cache()
    if data["source"] == "auto" and finished["data"]["source"] == "digits8x8" and at_hand:
        raise UserError(
            f"{folder.path} holds a finished run on the stand-in, and MNIST is at hand now: "
            "give another --workdir."
        )


def train(run: Run, state: TrainState, watch: Stopwatch) -> tuple[TrainState, list[dict[str, Any]]]:
    """Trains until the last epoch, or until no seed learns any more; saves every epoch.

    Asked to stop, it saves at once, in the middle of an epoch, too.

    Returns:
      The last state and the lines of `metrics.jsonl`.
    """
    recipe, fingerprint = run.recipe, run.digits.fingerprint()
    validation = validation_blocks(run)
    step, history = 0, []
    if saved := checkpoint.restore_latest(run.checkpoints, state, print):
        state, record = saved
        if record["config"] != configuration_hash(run.settings):
            raise UserError(
                f"{run.checkpoints} is of a run with another configuration: remove it to start "
                "again, or give another --workdir."
            )
        if record["data"] != fingerprint:
            raise UserError(
                f"{run.folder.path} was trained on other digits than {run.digits.title}: "
                "give the same data, or another --workdir."
            )
        step, history = record["step"], record["history"]
        watch.add(record["seconds"])
        print(f"resuming {run.folder.path} after {position(run, step)}", flush=True)
    run.folder.write_lines("metrics.jsonl", history)

    def save(error: float | None) -> None:
        record = {
            "step": step,
            "error": error,
            "data": fingerprint,
            "config": configuration_hash(run.settings),
            "history": history,
            "seconds": watch.seconds(),
        }
        checkpoint.save(run.checkpoints, state, record)

    progress = Progress(recipe.epochs, step / recipe.steps, recipe.examples, len(state.step))
    with (
        open_board(run.folder.path, len(history) + 1) as add_to_board,
        watch.part("train"),
        run.asked_to_stop.answered(),
    ):
        for epoch in range(len(history), recipe.epochs):
            if has_stopped(state, epoch, recipe.watch).all():
                break
            state, step = run_epoch(run, state, epoch, step, progress)
            scores = validate(run, state, validation(epoch))
            if scores is not None:
                row = epoch_row(epoch + 1, recipe.task, state, scores, history)
                metrics = jnp.float32([score[run.watched_metric] for score in scores])
                losses = jnp.float32([score["loss"] for score in scores])
                metrics = jnp.where(jnp.isfinite(losses), metrics, jnp.nan)
                state = run.programs.end_epoch(state, metrics, jnp.int32(epoch + 1))
            if scores is None or has_diverged(state).all():
                save(error=None)
                break
            history.append(row)
            error = row[f"validation_{run.watched_metric}"]
            save(error if recipe.watch.mode == "min" else 1 - error)
            run.folder.write_lines("metrics.jsonl", history)
            add_to_board(row)
            progress.end_epoch(epoch_line(row, recipe))
    lost = diverged_seeds(state, recipe, run.settings["seed"])
    if len(lost) == len(state.step):
        others = f", as were those of the {len(lost) - 1} other seeds" if len(lost) > 1 else ""
        raise UserError(
            f"{what_diverged(lost[0])}{others}: lower schedule.learning_rate and give another "
            f"--workdir; the state before that step is kept in {run.checkpoints}."
        )
    if run.asked_to_stop():
        raise Interrupted(
            f"interrupted, and saved after {position(run, step)}: the same command goes on there.",
            run.asked_to_stop.code,
        )
    for one in lost:
        print(f"warning: {what_diverged(one)}; it is left out of what follows", flush=True)
    if len(history) < recipe.epochs:
        print(f"no improvement in {recipe.watch.patience} epochs: stopped early")
    return state, history


def run_epoch(
    run: Run, state: TrainState, epoch: int, step: int, progress: Progress
) -> tuple[TrainState, int]:
    """Runs an epoch from `step` on, in pieces sent ahead: the device never waits for a line.

    Asked to stop, or once no seed's numbers are finite, it ends before the epoch does.

    Returns:
      The state, and the step that comes next.
    """
    pacer = Pacer()
    last = (epoch + 1) * run.recipe.steps
    under_way: list[tuple[int, Metrics, Array]] = []
    while step < last and not run.asked_to_stop():
        piece = min(pacer.steps, last - step)
        state = run.programs.run_steps(state, jnp.int32(step), jnp.int32(step + piece), run.bank)
        step += piece
        # A copy, because the state itself is given away to the next piece.
        under_way.append((piece, *jax.tree.map(jnp.copy, (state.sums, has_diverged(state)))))
        if len(under_way) > 1:
            ended, sums, diverged = under_way.pop(0)
            progress.show(int(np.max(sums.examples)), *rates(sums))
            pacer.finished(ended)
            if diverged.all():
                break
    return state, step


def validation_blocks(run: Run) -> Callable[[int], Iterator[Block]]:
    """Returns `epoch -> blocks` of the examples that are watched."""
    recipe, settings = run.recipe, run.settings
    generate = make_generator(
        recipe.task.example(recipe.validation),
        seed=settings["data"]["split_seed"],
        streams=(Stream.VALIDATION_DRAW, Stream.VALIDATION_AUGMENT),
    )
    digits = run.digits.part(settings["validation"]["digits"])
    count = recipe.task.list_length(settings["validation"]["examples"], len(digits))
    return partial(generated_blocks, generate, count, to_device(digits))


def validate(run: Run, state: TrainState, blocks: Iterator[Block]) -> list[Scores] | None:
    """Scores every seed on examples; None if there is no seed left, or no time."""

    def until_asked() -> Iterator[Block]:
        for block in blocks:
            if run.asked_to_stop():
                raise Interrupted("while validating", run.asked_to_stop.code)
            yield block

    if has_diverged(state).all():
        return None
    try:
        return score_seeds(run.recipe.task, run.programs.predict, state.weights, until_asked())
    except Interrupted:
        return None


def position(run: Run, step: int) -> str:
    """Says in words how far a run is after `step` steps."""
    epochs, steps = divmod(step, run.recipe.steps)
    return f"epoch {epochs}" if not steps else f"step {steps} of epoch {epochs + 1}"


def selected(run: Run, state: TrainState) -> Weights:
    """Returns the weights that a run ends with: of its best epoch, or of its last."""
    if run.settings["selection"] == "best":
        return state.best.weights
    return state.weights


def test(
    run: Run, state: TrainState, seeds: Int[np.ndarray, " n"], epochs: int
) -> tuple[Tested, dict[str, Panel]]:
    """Scores the selected weights of `seeds` in every suite, and picks the first one's pictures.

    Where the weights of all `epochs` epochs were kept, each is scored, too.
    """
    task, evaluation = run.recipe.task, run.settings["eval"]
    bank = to_device(run.digits.test)
    count = task.list_length(evaluation["examples"], len(run.digits.test))
    predict, weights = run.programs.predict, selected(run, state)
    suites, panels = {}, {}
    for name in task.suites:
        generate = suite_generator(task, name, evaluation["seed"])
        blocks = generated_blocks(generate, count, bank)
        suites[name] = score_seeds(task, predict, weights, blocks)

        first = list(islice(generated_blocks(generate, count, bank), PICTURED_BLOCKS))
        logits, labels = predict_blocks(predict, weights, first)
        images = np.concatenate([np.asarray(images) for images, _ in first])
        panels[name] = pick(images, logits[0].argmax(-1), labels)
        print(f"  {name}: {np.mean([s[task.metric] for s in suites[name]]):.2%}", flush=True)

    every_epoch = None
    if state.every_epoch is not None:
        # Every epoch of every seed is one network more on the axis of seeds.
        rows = jax.tree.map(
            lambda leaf: np.asarray(leaf)[:, :epochs].reshape(-1, *leaf.shape[2:]),
            state.every_epoch,
        )
        generate = suite_generator(task, "clean", evaluation["seed"])
        scores = score_seeds(task, predict, rows, generated_blocks(generate, count, bank))
        every_epoch = np.array([s[task.metric] for s in scores]).reshape(-1, epochs)
    return Tested(seeds, suites, np.asarray(state.best.epoch), every_epoch), panels


def save_selected(run: Run, state: TrainState, seeds: Int[np.ndarray, " n"]) -> None:
    """Writes the selected weights of that one of `seeds` which did best in validation.

    Where nothing is chosen it is the first seed.
    """
    settings, row, epoch = run.settings, 0, int(state.step[0]) // run.recipe.steps
    if settings["selection"] == "best":
        value = np.asarray(state.best.metric)
        row = int(value.argmin() if run.recipe.watch.mode == "min" else value.argmax())
        epoch = int(state.best.epoch[row])
    weights = jax.tree.map(lambda leaf: np.asarray(leaf)[row, ...], selected(run, state))
    about = {
        "name": settings["name"],
        "model": settings["model"],
        "max_length": run.recipe.network.architecture.heads,
        "seed": settings["seed"] + int(seeds[row]),
        "epoch": epoch,
        "digits": run.digits.title,
        "eval": settings["eval"],
    }
    save_weights(run.folder.path / FILE_NAME, weights, about)
