"""A run from beginning to end; read it from top to bottom.

Every process of a job comes through here, and computes its share. One of them, the writer, also
writes the run folder; what it alone does waits for no other process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from jaxmnist import checkpoint
from jaxmnist.config import Config, config_hash, flatten, to_dict
from jaxmnist.data.dataset import Dataset
from jaxmnist.errors import AllDivergedError, Interrupted, UserError
from jaxmnist.evaluation import (
    Batch,
    Evaluator,
    ExampleList,
)
from jaxmnist.experiment import CompiledFns, Experiment, prepare
from jaxmnist.final_evaluation import rows, test
from jaxmnist.metrics import Metrics, mean_of_batch_means
from jaxmnist.models.summary import layer_table
from jaxmnist.rng import Stream
from jaxmnist.run.faults import as_user_error
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.lock import locked
from jaxmnist.run.progress import Pacer, Progress, rates
from jaxmnist.run.signals import StopRequest
from jaxmnist.run.store import Store
from jaxmnist.run.summary import (
    Summary,
    describe,
    diverged_seeds,
    epoch_line,
    epoch_row,
    finished_summary,
    format_divergence,
    summarise,
)
from jaxmnist.run.tensorboard import open_tensorboard, write_outcome
from jaxmnist.runtime import Timer, git_commit, trim_heap
from jaxmnist.sharding import (
    first_shard,
    is_writer,
    largest,
    put_on_device,
    same_for_all,
    snapshot,
    to_host,
    wait_for_all,
)
from jaxmnist.state import TrainState, finite_seeds
from jaxmnist.steps import has_diverged, has_stopped
from jaxmnist.tasks import Scores
from jaxmnist.weights import weights_sha256

CHECKPOINTS = "checkpoints"  # the folder in a run folder

History = list[dict[str, Any]]  # the lines of metrics.jsonl


class StoppedError(Exception):
    """Ends a validation in which the run was asked to stop; nobody outside sees it."""


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step to the summary."""

    experiment: Experiment
    fns: CompiledFns
    evaluator: Evaluator
    train_data: Dataset  # on the device
    validation: ExampleList
    folder: RunFolder
    store: Store | None  # of a copy of the folder
    stop: StopRequest
    timer: Timer

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.experiment.config

    @property
    def checkpoints(self) -> Path:
        """Where the state is saved."""
        return self.folder.path / CHECKPOINTS

    def stop_requested(self) -> bool:
        """Whether any process was asked to stop; a collective, so that all stop at one place."""
        (code,) = largest([self.stop.code])
        self.stop.code = code
        return self.stop.requested

    @property
    def monitor(self) -> str:
        """The validation metric that early stopping, plateau and the best epoch go by."""
        by_loss = self.config.validation.metric == "loss"
        return "loss" if by_loss else self.experiment.task.metric


def train(
    config: Config,
    workdir: str | Path,
    *,
    stop: StopRequest | None = None,
    store: Store | None = None,
) -> Summary:
    """Trains a configuration, tests it once and writes a run folder.

    An unfinished run in `workdir` is resumed, a finished one is only reported.

    Args:
      config: what to train.
      workdir: the run folder.
      stop: asks the run to save and leave, if somebody calls it; default: nobody does.
      store: of a copy of the run folder, which a folder that is behind it is brought up to.

    Returns:
      The content of `summary.json`.

    Raises:
      UserError: if configuration, data, folder or store cannot be used, or every seed diverges.
      Interrupted: if it was asked to stop; what was learnt until then is saved.
    """
    timer, commit = Timer(), git_commit()  # now, as the source tree may change during the run
    folder = RunFolder(Path(workdir), config)
    store = store if is_writer() else None  # the folder is one, however many processes see it
    if store and store.fetch(folder):
        print(f"{folder.path} was brought up to its copy in {store.url}", flush=True)
    wait_for_all("the folder is up to its copy")
    if (finished := finished_summary(folder)) is not None:
        if store:
            store.push(folder.path)
        print(f"{folder.path} holds a finished run: nothing is repeated.\n{describe(finished)}")
        return finished

    experiment = prepare(config)
    check_processes(experiment)
    if not checkpoint.exists(folder.path / CHECKPOINTS):
        experiment = experiment.with_initial_weights()
    wait_for_all("before the folder is made")
    if is_writer():
        folder.create()
    wait_for_all("the folder is made")
    if any(largest([not (folder.path / "config.json").exists()])):
        raise UserError(
            f"not all processes of this job see {folder.path}: give a workdir on a file system "
            "that all of them share."
        )
    with as_user_error(folder.path), locked(folder.path) if is_writer() else nullcontext():
        folder.refuse_others()  # another run may have come while the digits were loaded
        if before := folder.epochs_before():
            print(f"{folder.path} is trained longer: {config.epochs} epochs, not {before}")
        if store:  # now, rather than after an epoch, it says whether it can be written
            store.push(folder.path)
        run, state = set_up(experiment, folder, store, stop or StopRequest(), timer)
        state, history = fit(run, state)
        print("evaluating on test digits ...", flush=True)
        trim_heap()
        with timer.section("evaluate"):
            tested = test(experiment, run.evaluator, run.validation, folder, state, history)
        diverged = diverged_seeds(state, experiment)
        sha256 = weights_sha256(rows(state.weights, finite_seeds(state)))
        summary = summarise(experiment, history, tested, diverged, sha256, timer, commit)
        print(describe(summary), flush=True)
        if is_writer():
            accuracies = {name: suite.mean for name, suite in summary.suites.items()}
            write_outcome(
                folder.path, summary.epochs, accuracies, folder.path / "plots" / "predictions.png"
            )
            folder.write("summary.json", summary.to_json())
            if store:
                store.push(folder.path)
    wait_for_all("the summary is written")
    return summary


def check_processes(experiment: Experiment) -> None:
    """Checks that all processes have been given the same.

    Raises:
      UserError: if one has another configuration, or other digits.
    """
    if not same_for_all(config_hash(to_dict(experiment.config))):
        raise UserError(
            "the processes of this job have different configurations: start all with the same "
            "recipe and fields."
        )
    if not same_for_all(experiment.splits.fingerprint):
        raise UserError(
            "the processes of this job have found different digits: give all the same data."
        )


def set_up(
    experiment: Experiment,
    folder: RunFolder,
    store: Store | None,
    stop: StopRequest,
    timer: Timer,
) -> tuple[Run, TrainState]:
    """Compiles, and puts the state and the digits on the device."""
    config, task, splits = experiment.config, experiment.task, experiment.splits
    if is_writer():
        folder.write("model.txt", layer_table(experiment.network, *task.image_size))
    print(
        f"{config.name}: {experiment.num_params:,} parameters, {config.num_seeds} seed(s), at most "
        f"{config.epochs} epochs of {experiment.spec.num_examples:,} {task.noun}, {splits.title}, "
        f"on {jax.default_backend()}\ncompiling ...",
        flush=True,
    )
    state = experiment.init_state(config.seed)
    with timer.section("compile"):
        fns = experiment.compile(state)
    monitored = splits.split(config.validation.digits)
    validation = ExampleList(
        dataset=put_on_device(monitored),
        suites={
            "augmented": Partial(task.train_example_fn(config)),
            "clean": Partial(task.clean),
        },
        count=task.num_examples(config.validation.examples, len(monitored)),
        seed=config.data.split_seed,
        streams=(Stream.VALIDATION_DRAW, Stream.VALIDATION_AUGMENT),
    )
    evaluator = Evaluator(task, experiment.network, experiment.mesh)
    data = experiment.train_data()
    return Run(experiment, fns, evaluator, data, validation, folder, store, stop, timer), state


def fit(run: Run, state: TrainState) -> tuple[TrainState, History]:
    """Trains until the last epoch, or until every seed has stopped early; saves every epoch.

    Asked to stop, it saves at once, in the middle of an epoch, too.

    Returns:
      The last state and the lines of `metrics.jsonl`.
    """
    config, spec, task = run.config, run.experiment.spec, run.experiment.task

    # --- Resume from the latest checkpoint, if there is one. ---
    state, step, history = resume(run, state)
    progress = Progress(
        config.epochs, step / spec.steps_per_epoch, spec.num_examples, config.num_seeds
    )
    with (
        open_logs(run, history) as log_epoch,
        run.timer.section("train"),
        run.stop.graceful(),
    ):
        for epoch in range(len(history), config.epochs):
            if to_host(has_stopped(state, epoch, spec.early_stopping)).all():
                break

            # --- One epoch of steps, on the device. ---
            state, step = train_epoch(run, state, epoch, step, progress)

            # --- Validation; none if no seed is finite, or the run was asked to stop. ---
            scores = None if all_diverged(state) else validate(run, state, epoch)
            if scores is None:
                save(run, state, step, history)
                break

            # --- Learning rate schedule, best weights and early stopping. ---
            row = epoch_row(epoch + 1, task, state, scores, history)
            state = run.fns.end_epoch(state, monitored_metric(run, scores), epoch + 1)
            if all_diverged(state):
                save(run, state, step, history)
                break

            # --- Save and log. ---
            history.append(row)
            # The best checkpoint is that with the lowest error: a loss, or 1 - accuracy.
            value = row[f"validation_{run.monitor}"]
            error = value if spec.early_stopping.mode == "min" else 1 - value
            save(run, state, step, history, error)
            log_epoch(history, state)
            progress.end_epoch(epoch_line(row, task, config.epochs))

    check_outcome(run, state, step, history)
    return state, history


@contextmanager
def open_logs(run: Run, history: History) -> Iterator[Callable[[History, TrainState], None]]:
    """Opens what a run logs to; yields a function that adds the last epoch of a history.

    In processes that do not write it does nothing.
    """
    if not is_writer():
        yield lambda history, state: None
        return
    run.folder.write_lines("metrics.jsonl", history)
    fields = flatten(to_dict(run.config))
    with open_tensorboard(run.folder.path, len(history) + 1, fields) as add_epoch:

        def log_epoch(history: History, state: TrainState) -> None:
            run.folder.write_lines("metrics.jsonl", history)
            add_epoch(history[-1], first_shard(state.weights.params))

        yield log_epoch


def train_epoch(
    run: Run, state: TrainState, epoch: int, step: int, progress: Progress
) -> tuple[TrainState, int]:
    """Runs an epoch from `step` on, in pieces sent ahead: the device never waits for a line.

    Asked to stop, or once no seed is finite, it ends before the epoch does.

    Returns:
      The state, and the next step.
    """
    pacer = Pacer()
    last = (epoch + 1) * run.fns.steps_per_epoch
    in_flight: list[tuple[int, Metrics, Array]] = []
    while step < last and not run.stop_requested():
        (pace,) = largest([pacer.steps])
        piece = min(pace, last - step)
        state = run.fns.train_steps(state, step, step + piece, run.train_data)
        step += piece
        # A copy, because the state itself is donated to the next piece.
        copies = snapshot((state.sums, has_diverged(state)), run.experiment.mesh)
        in_flight.append((piece, *copies))
        if len(in_flight) > 1:
            ended, sums, diverged = jax.tree.map(np.asarray, in_flight.pop(0))
            if is_writer():
                progress.show(int(np.max(sums.examples)), *rates(sums))
            pacer.finished(ended)
            if diverged.all():
                break
    return state, step


def validate(run: Run, state: TrainState, epoch: int) -> list[Scores] | None:
    """Returns the scores of every seed; None if the run was asked to stop."""

    def until_stopped(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if run.stop_requested():
                raise StoppedError
            yield batch

    suite = "augmented" if run.config.validation.augmented else "clean"
    evaluator = run.evaluator
    batches = run.validation.batches(evaluator.batch_size, suite, epoch, evaluator.mesh)
    try:
        predictions = evaluator.predict(state.weights, until_stopped(batches), run.validation.count)
    except StoppedError:
        return None
    scores = [run.experiment.task.score(each) for each in predictions]
    if run.config.validation.batch_means:
        size = run.config.batch_size
        losses = [mean_of_batch_means(each.losses, size) for each in predictions]
        scores = [score | {"loss": loss} for score, loss in zip(scores, losses, strict=True)]
    return scores


def all_diverged(state: TrainState) -> bool:
    """Returns whether no seed is finite any more."""
    return bool(to_host(has_diverged(state)).all())


def monitored_metric(run: Run, scores: list[Scores]) -> Float[np.ndarray, " seeds"]:
    """Returns each seed's monitored metric; not a number where its loss is not finite."""
    metrics = np.array([score[run.monitor] for score in scores], np.float32)
    losses = np.array([score["loss"] for score in scores], np.float32)
    return np.where(np.isfinite(losses), metrics, np.float32(np.nan))


def resume(run: Run, state: TrainState) -> tuple[TrainState, int, History]:
    """Returns state, step and history of the latest checkpoint, or those of the beginning.

    Raises:
      UserError: if the checkpoints are of another configuration or other digits.
    """

    def epochs(record: checkpoint.Record) -> int | None:
        return run.folder.epochs_of(record.config, len(record.history))

    saved = checkpoint.restore_latest(run.checkpoints, state, print, epochs)
    if saved is None:
        return state, 0, []
    state, record = saved
    if epochs(record) is None:
        raise UserError(
            f"{run.checkpoints} is of a run with another configuration: remove it to start again, "
            "or give another workdir."
        )
    if record.data != run.experiment.splits.fingerprint:
        raise UserError(
            f"{run.folder.path} was trained on other digits than {run.experiment.splits.title}: "
            "give the same data, or another workdir."
        )
    run.timer.add(record.seconds)
    print(f"resuming {run.folder.path} after {format_position(run, record.step)}", flush=True)
    return state, record.step, record.history


def save(
    run: Run, state: TrainState, step: int, history: History, validation_error: float | None = None
) -> None:
    """Saves a checkpoint; within an epoch there is no validation error."""
    if is_writer():
        run.folder.note_epochs()  # not before: a run that was not trained longer stays as it was
    record = checkpoint.Record(
        step=step,
        error=validation_error,
        data=run.experiment.splits.fingerprint,
        config=run.folder.stored_config_hash(),
        history=history,
        seconds=run.timer.seconds(),
    )
    checkpoint.save(run.checkpoints, state, record)
    if run.store:
        try:
            run.store.push(run.folder.path)
        except UserError as error:  # the next save tries again
            print(f"warning: saved on this disk only: {error}", flush=True)


def check_outcome(run: Run, state: TrainState, step: int, history: History) -> None:
    """Prints why training ended before its last epoch, and which seeds diverged.

    Raises:
      AllDivergedError: if all did.
      Interrupted: if the run was asked to stop.
    """
    diverged = diverged_seeds(state, run.experiment)
    if len(diverged) == run.config.num_seeds:
        others = f", as were those of the {len(diverged) - 1} other seeds" if diverged[1:] else ""
        raise AllDivergedError(
            f"{format_divergence(diverged[0])}{others}: lower schedule.learning_rate and give "
            f"another workdir; the state before that step is kept in {run.checkpoints}."
        )
    if run.stop_requested():
        raise Interrupted(
            f"interrupted, and saved after {format_position(run, step)}: the same command goes on "
            "there.",
            run.stop.code,
        )
    for one in diverged:
        print(f"warning: {format_divergence(one)}; it is left out of what follows", flush=True)
    if len(history) < run.config.epochs:
        patience = run.config.early_stopping_patience
        print(f"no improvement in {patience} epochs: stopped early")


def format_position(run: Run, step: int) -> str:
    """Returns how far a run is after `step` steps."""
    epochs, steps = divmod(step, run.fns.steps_per_epoch)
    return f"epoch {epochs}" if not steps else f"step {steps} of epoch {epochs + 1}"
