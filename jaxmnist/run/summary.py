"""The summary of a run: its figures, and how they are printed."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmnist.config import Config, to_dict
from jaxmnist.data.dataset import Splits
from jaxmnist.data.sources import VARIABLE, in_cache
from jaxmnist.errors import UserError
from jaxmnist.run.folder import RunFolder
from jaxmnist.run.progress import format_duration
from jaxmnist.run.summary_schema import (
    AsPublished,
    ChosenEpoch,
    DataSummary,
    Diverged,
    Protocol,
    PublishedFigure,
    Seconds,
    Spread,
    SuiteFigure,
    Summary,
    TestFigure,
    TestResults,
)
from jaxmnist.runtime import Timer, device, peak_memory_bytes, versions
from jaxmnist.sharding import to_host
from jaxmnist.state import TrainState
from jaxmnist.steps import has_diverged
from jaxmnist.systems.published import Published, fraction, published_figure
from jaxmnist.tasks import Scores, Task
from jaxmnist.weights import FILE_NAME

if TYPE_CHECKING:
    from jaxmnist.experiment import Experiment


def epoch_row(
    epoch: int,
    task: Task,
    state: TrainState,
    validation: Sequence[Scores],
    history: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Returns one line of `metrics.jsonl`.

    Values are means over seeds; with several seeds `seeds` holds each one's. A seed that has
    stopped early repeats its last figures; one that has diverged has none.

    Args:
      epoch: that has ended, counted from 1.
      task: of the run.
      state: after the epoch.
      validation: scores of every seed.
      history: the lines of the epochs before.
    """
    sums, step, learning_rate, diverged = to_host(
        (
            state.sums,
            state.step,
            state.opt_state.hyperparams["learning_rate"],
            has_diverged(state),
        )
    )
    count = sums.examples
    losses = np.array([scores["loss"] for scores in validation])
    diverged = diverged | ~np.isfinite(losses)
    values = {
        "learning_rate": np.array(learning_rate),
        "train_loss": sums.loss / np.maximum(count, 1),
        f"train_{task.metric}": sums.exact / np.maximum(count, 1),
    }
    for name, value in validation[0].items():
        if isinstance(value, float):
            values[f"validation_{name}"] = np.array([scores[name] for scores in validation])
    for seed in np.flatnonzero((count == 0) & ~diverged):
        for name, value in values.items():
            value[seed] = history[-1]["seeds"][name][seed]
    row: dict[str, Any] = {"epoch": epoch, "step": int(step.max())}
    counted = ~diverged if not diverged.all() else diverged
    row |= {name: float(np.mean(value[counted])) for name, value in values.items()}
    if len(count) > 1:
        row["seeds"] = {
            name: [None if bad else float(v) for v, bad in zip(value, diverged, strict=True)]
            for name, value in values.items()
        }
    return row


def diverged_seeds(state: TrainState, experiment: "Experiment") -> list[Diverged]:
    """Returns the seeds that have diverged, and where."""
    spec, found = experiment.spec, []
    steps, schedules = to_host((state.diverged, state.schedule))
    for row, step in enumerate(steps.tolist()):
        if step >= 0:
            schedule = jax.tree.map(lambda leaf, row=row: leaf[row], schedules)
            rate = float(spec.schedule.hyperparams(schedule, jnp.int32(step))["learning_rate"])
            epoch = step // spec.steps_per_epoch + 1
            found.append(Diverged(experiment.config.seeds[row], epoch, step + 1, rate))
    return found


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Returns the fields of a `Spread`."""
    each = [float(value) for value in values]
    sd = float(np.std(each, ddof=1)) if len(each) > 1 else None
    return {"mean": float(np.mean(each)), "sd": sd, "values": each}


def summarise(
    experiment: "Experiment",
    history: Sequence[dict[str, Any]],
    tested: TestResults,
    diverged: Sequence[Diverged],
    weights_sha256: str,
    timer: Timer,
    commit: str | None,
) -> Summary:
    """Returns the summary of a run.

    Args:
      experiment: that was run.
      history: the lines of `metrics.jsonl`.
      tested: what was measured on test digits.
      diverged: the seeds that are left out.
      weights_sha256: of the last epoch's weights, of all seeds.
      timer: of the run.
      commit: of the source tree that ran.
    """
    config, task, splits = experiment.config, experiment.task, experiment.splits
    seconds = timer.seconds()
    published = published_figure(config.system)
    examples = len(history) * experiment.spec.num_examples * config.num_seeds
    return Summary(
        name=config.name,
        model=config.model,
        params=experiment.num_params,
        config=to_dict(config),
        seed=config.seed,
        num_seeds=config.num_seeds,
        epochs=len(history),
        data=DataSummary(**describe_data(splits)),
        test=TestFigure(
            **spread(scores[task.metric] for scores in tested.suites["clean"]),
            metric=task.metric,
            selection=_selection(config, task, tested),
        ),
        suites={name: _suite(task, scores) for name, scores in tested.suites.items()},
        # A published figure never stands beside other digits.
        published=published_summary(published) if published and splits.official else None,
        seconds=Seconds(**{part.name: seconds[part.name] for part in dataclasses.fields(Seconds)}),
        examples_per_second=examples / max(seconds["train"], 1e-9),
        device=device(),
        versions=versions(),
        git_commit=commit,
        diverged=list(diverged),
        protocol=_protocol(config, task, history, tested, published),
        weights_sha256=weights_sha256,
        peak_memory_bytes=peak_memory_bytes(),
    )


def describe_data(splits: Splits) -> dict[str, Any]:
    """Returns the fields of a `DataSummary`."""
    return {
        "source": splits.source,
        "name": splits.title,
        "official": splits.official,
        "fingerprint": splits.fingerprint,
        "train_examples": len(splits.train),
        "validation_examples": len(splits.validation),
        "test_examples": len(splits.test),
    }


def _selection(config: Config, task: Task, tested: TestResults) -> str:
    best = "weights of the epoch that was best in validation"
    weights = best if config.selection == "best" else "weights of the last epoch"
    by_test = config.validation.digits == "test"
    when = "and after every epoch, as published" if by_test else "read after training"
    return f"{weights}; {tested.suites['clean'][0]['n']} {task.noun} of test digits, {when}"


def _suite(task: Task, of_seeds: Sequence[Scores]) -> SuiteFigure:
    figure = SuiteFigure(**spread(scores[task.metric] for scores in of_seeds))
    if "by_length" not in of_seeds[0]:
        return figure
    digits = None
    if of_seeds[0]["digit_accuracy"] is not None:  # there may be none on any image
        digits = Spread(**spread(scores["digit_accuracy"] for scores in of_seeds))
    by_length = {
        length: Spread(**spread(scores["by_length"][length] for scores in of_seeds))
        for length in of_seeds[0]["by_length"]
    }
    return dataclasses.replace(figure, digit_accuracy=digits, by_length=by_length)


def _protocol(
    config: Config,
    task: Task,
    history: Sequence[dict[str, Any]],
    tested: TestResults,
    published: Published | None,
) -> Protocol | None:
    if tested.every_epoch is None:
        return None
    test = tested.every_epoch
    last, picked = test[:, -1], test.max(1)
    honest, chosen = last, None
    if config.validation.digits == "held_out":
        honest = test[np.arange(len(test)), tested.best_epoch - 1]
        chosen = ChosenEpoch(**spread(honest), epochs=tested.best_epoch.tolist())
    as_published = None
    if published and config.validation.digits != "held_out":
        name = f"validation_{task.metric}"
        rows = [row.get("seeds", {name: [row[name]]})[name] for row in history]
        of_seeds = np.array([[row[seed] for seed in tested.seeds] for row in rows]).T
        as_published = AsPublished(
            **spread(of_seeds[:, -1] if published.quoted == "last" else of_seeds.max(1)),
            epoch=published.quoted,
            measured_on=published.measured_on,
        )
    return Protocol(
        as_published=as_published,
        last_epoch=Spread(**spread(last)),
        chosen_epoch=chosen,
        picked_on_test=Spread(**spread(picked)),
        test_selection_bias=Spread(**spread(picked - honest)),
        every_epoch=test.tolist(),
    )


def finished_summary(folder: RunFolder) -> Summary | None:
    """Returns the summary of a finished run, None of an unfinished one.

    Raises:
      UserError: if it is damaged, incomplete, of another configuration, or on the fallback dataset
        while MNIST is at hand.
    """
    summary, data = folder.summary(), folder.config.data
    if summary is None:
        return None
    at_hand = data.dir or os.environ.get(VARIABLE) or in_cache()
    if data.source == "auto" and summary.data.source == "digits8x8" and at_hand:
        raise UserError(
            f"{folder.path} holds a finished run on the fallback dataset, and MNIST is at hand "
            "now: give another workdir."
        )
    if not (folder.path / FILE_NAME).exists():
        raise UserError(
            f"{folder.path} holds a finished run without its {FILE_NAME}: remove summary.json, and "
            "rerun to write both again from the last checkpoint."
        )
    return summary


# ---- Text. ----


def epoch_line(row: dict[str, Any], task: Task, epochs: int) -> str:
    """Formats a line of `metrics.jsonl` of a run of at most `epochs` epochs."""
    return (
        f"epoch {row['epoch']}/{epochs}  train loss {row['train_loss']:.4f}  "
        f"validation loss {row['validation_loss']:.4f}  "
        f"{task.noun} right {row[f'validation_{task.metric}']:.2%}  "
        f"learning rate {row['learning_rate']:.3g}"
    )


def format_divergence(one: Diverged) -> str:
    """Formats where a seed has diverged."""
    return (
        f"loss or gradients of seed {one.seed} were not finite in epoch {one.epoch}, step "
        f"{one.step} (learning rate {one.learning_rate:.3g})"
    )


def describe(summary: Summary) -> str:
    """Formats a summary as the table that ends a run."""
    noun = "digits" if summary.test.metric == "accuracy" else "sequences"
    published, seconds = summary.published, summary.seconds
    lines = [
        f"{summary.name}: {summary.params:,} parameters, {summary.num_seeds} seed(s), "
        f"{summary.epochs} epochs, digits: {summary.data.name}",
        f"{'suite':<20}{noun + ' right':>15}{'sd':>8}"
        + (f"{'published':>11}" if published else ""),
    ]
    for suite, figure in summary.suites.items():
        line = _figure_line(suite, figure)
        if published:
            line += f"{_claim(published, suite):>11}"
        lines.append(line)
    lines += _protocol_lines(summary)
    population = summary.config.get("population") or {}  # None without, and not there in old ones
    if len(set(population.get("learning_rates", ()))) > 1:
        lines.append("These are means over different learning rates: the sweep's table has each.")
    line = (
        f"compiling {format_duration(seconds.compile)}, training {format_duration(seconds.train)} "
        f"({summary.examples_per_second:,.0f} examples/s), evaluating "
        f"{format_duration(seconds.evaluate)}, in all {format_duration(seconds.total)}"
    )
    if summary.peak_memory_bytes:
        line += f", {summary.peak_memory_bytes / 1e6:,.0f} MB at most"
    lines.append(line)
    lines += [f"{format_divergence(one)}: left out" for one in summary.diverged]
    if not summary.data.official:
        lines.append("These digits are not MNIST: no figure here compares with a published one.")
    return "\n".join(lines)


def published_summary(published: Published) -> PublishedFigure:
    """Returns a published figure as a summary holds it."""
    return PublishedFigure(
        value=published.value,
        metric=published.metric,
        measured_on=published.measured_on,
        quoted=published.quoted,
        examples=published.examples,
        note=published.note,
        suites={suite: fraction(claim) for suite, claim in published.claims.items()},
        claim=published.claim,
        claims=published.claims,
    )


def _claim(published: PublishedFigure, suite: str) -> str:
    """Formats what was claimed of a suite, as it was written, or its value in old summaries."""
    if suite in published.claims:
        return f"{published.claims[suite]}%"
    return f"{published.suites[suite]:.2%}" if suite in published.suites else "-"


def _protocol_lines(summary: Summary) -> list[str]:
    protocol, lines = summary.protocol, []
    if protocol is None:
        return []
    if protocol.as_published:
        line = _figure_line("as published", protocol.as_published)
        lines.append(line + (f"{summary.published.value:>11.2%}" if summary.published else ""))
    lines.append(_figure_line("last epoch", protocol.last_epoch))
    if protocol.chosen_epoch:
        epochs = ", ".join(map(str, protocol.chosen_epoch.epochs))
        line = _figure_line("chosen epoch", protocol.chosen_epoch)
        # An older configuration may lack any field.
        metric = summary.config.get("validation", {}).get("metric", "")
        lines.append(f"{line}   epoch {epochs}, by validation {metric}")
    lines.append(_figure_line("picked on test", protocol.picked_on_test))
    lines.append(_figure_line("test selection bias", protocol.test_selection_bias))
    return lines


def _figure_line(name: str, figure: Spread) -> str:
    sd = "-" if figure.sd is None else f"{figure.sd:.2%}"
    return f"{name:<20}{figure.mean:>15.2%}{sd:>8}"
