"""The words and numbers of a run: a line an epoch, and the summary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxmnist.data.sources import Digits
from jaxmnist.memory import peak_memory_bytes
from jaxmnist.recipe import Recipe
from jaxmnist.run.environment import device, versions
from jaxmnist.run.progress import duration
from jaxmnist.state import TrainState
from jaxmnist.steps import has_diverged
from jaxmnist.systems.published import Published, published_figure
from jaxmnist.tasks import Scores, Task


class Tested(NamedTuple):
    """What was measured on test digits."""

    seeds: Int[np.ndarray, " seeds"]  # which of the run's seeds: those that have not diverged
    suites: Mapping[str, Sequence[Scores]]  # the selected weights of every seed
    best_epoch: Int[np.ndarray, " seeds"]  # chosen in validation, counted from 1
    every_epoch: Float[np.ndarray, "seeds epochs"] | None  # accuracies of every epoch's weights


def epoch_row(
    epoch: int,
    task: Task,
    state: TrainState,
    validation: Sequence[Scores],
    history: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Makes one line of `metrics.jsonl` from a state read off the device.

    Values are means over seeds; with several seeds `seeds` holds each one's. A seed that has
    stopped early learns nothing more and repeats its last figures; one that has diverged has none.
    """
    lost = np.asarray(has_diverged(state)) | ~np.isfinite([scores["loss"] for scores in validation])
    count = np.asarray(state.sums.examples)
    values = {
        "learning_rate": np.array(state.opt_state.hyperparams["learning_rate"]),
        "train_loss": np.asarray(state.sums.loss) / np.maximum(count, 1),
        f"train_{task.metric}": np.asarray(state.sums.exact) / np.maximum(count, 1),
    }
    for name, value in validation[0].items():
        if isinstance(value, float):
            values[f"validation_{name}"] = np.array([scores[name] for scores in validation])
    for seed in np.flatnonzero((count == 0) & ~lost):
        for name, value in values.items():
            value[seed] = history[-1]["seeds"][name][seed]
    each = {
        name: [None if gone else float(v) for v, gone in zip(value, lost, strict=True)]
        for name, value in values.items()
    }
    row: dict[str, Any] = {"epoch": epoch, "step": int(np.max(state.step))}
    left = ~lost if not lost.all() else lost
    row |= {name: float(np.mean(value[left])) for name, value in values.items()}
    if len(count) > 1:
        row["seeds"] = each
    return row


def epoch_line(row: dict[str, Any], recipe: Recipe) -> str:
    """Says how an epoch went."""
    task = recipe.task
    return (
        f"epoch {row['epoch']}/{recipe.epochs}  train loss {row['train_loss']:.4f}  "
        f"validation loss {row['validation_loss']:.4f}  "
        f"{task.noun} right {row[f'validation_{task.metric}']:.2%}  "
        f"learning rate {row['learning_rate']:.3g}"
    )


def diverged_seeds(state: TrainState, recipe: Recipe, first_seed: int) -> list[dict[str, Any]]:
    """Says of every seed whose numbers went wrong where it was then, counted from 1."""
    found = []
    for row, step in enumerate(np.asarray(state.diverged).tolist()):
        if step >= 0:
            schedule = jax.tree.map(lambda leaf, row=row: leaf[row], state.schedule)
            rate = float(recipe.schedule.values(schedule, jnp.int32(step))["learning_rate"])
            epoch = step // recipe.steps + 1
            place = {"epoch": epoch, "step": step + 1, "learning_rate": rate}
            found.append({"seed": first_seed + row, **place})
    return found


def what_diverged(one: dict[str, Any]) -> str:
    """Puts an entry of `diverged_seeds` into words."""
    return (
        f"loss or gradients of seed {one['seed']} were not finite in epoch {one['epoch']}, step "
        f"{one['step']} (learning rate {one['learning_rate']:.3g})"
    )


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Returns mean, sample sd (None of a single value) and the values."""
    each = [float(value) for value in values]
    sd = float(np.std(each, ddof=1)) if len(each) > 1 else None
    return {"mean": float(np.mean(each)), "sd": sd, "values": each}


def summarise(
    settings: dict[str, Any],
    recipe: Recipe,
    digits: Digits,
    parameters: int,
    history: Sequence[dict[str, Any]],
    tested: Tested,
    diverged: Sequence[dict[str, Any]],
    weights_hash: str,
    seconds: dict[str, float],
    commit: str | None,
) -> dict[str, Any]:
    """Makes the content of `summary.json`; accuracies are fractions, durations seconds.

    Args:
      settings: the resolved configuration.
      recipe: made of it.
      digits: that the run trained and was tested on.
      parameters: of one network.
      history: the lines of `metrics.jsonl`.
      tested: what was measured on test digits.
      diverged: the seeds that are left out of all figures, and where they went wrong.
      weights_hash: of the last epoch's weights, of all seeds.
      seconds: what each part of the run took.
      commit: of the source tree that ran.
    """
    task, count = recipe.task, settings["num_seeds"]
    selection = (
        "weights of the epoch that was best in validation"
        if settings["selection"] == "best"
        else "weights of the last epoch"
    )
    looked = settings["validation"]["digits"] == "test"
    reading = "and after every epoch, as published" if looked else "read after training"
    examples = len(history) * recipe.examples * count
    published = published_figure(settings["system"])
    return {
        "name": settings["name"],
        "model": settings["model"],
        "params": parameters,
        "config": settings,
        "seed": settings["seed"],
        "num_seeds": count,
        "diverged": list(diverged),
        "epochs": len(history),
        "data": about_digits(digits),
        "test": {
            "metric": task.metric,
            **spread([s[task.metric] for s in tested.suites["clean"]]),
            "selection": f"{selection}; {tested.suites['clean'][0]['n']} {task.noun} of test "
            f"digits, {reading}",
        },
        "suites": {name: _suite(task, of_seeds) for name, of_seeds in tested.suites.items()},
        "protocol": _protocol(settings, task, history, tested, published),
        # A published figure never stands beside other digits.
        "published": published._asdict() if published and digits.official else None,
        "weights_sha256": weights_hash,  # the same where recipe, machine and versions are
        "seconds": seconds,
        "examples_per_second": examples / max(seconds["train"], 1e-9),
        "peak_memory_bytes": peak_memory_bytes(),  # of this process: the last sitting
        "device": device(),
        "versions": versions(),
        "git_commit": commit,
    }


def about_digits(digits: Digits) -> dict[str, Any]:
    """Says which digits a figure was measured with."""
    return {
        "source": digits.source,
        "name": digits.title,
        "official": digits.official,
        "fingerprint": digits.fingerprint(),
        "train_examples": len(digits.train),
        "validation_examples": len(digits.validation),
        "test_examples": len(digits.test),
    }


def _suite(task: Task, of_seeds: Sequence[Scores]) -> dict[str, Any]:
    result = spread([s[task.metric] for s in of_seeds])
    if "digit_accuracy" in of_seeds[0]:
        result["digit_accuracy"] = spread([s["digit_accuracy"] for s in of_seeds])
        result["by_length"] = {
            length: spread([s["by_length"][length] for s in of_seeds])
            for length in of_seeds[0]["by_length"]
        }
    return result


def _protocol(
    settings: dict[str, Any],
    task: Task,
    history: Sequence[dict[str, Any]],
    tested: Tested,
    published: Published | None,
) -> dict[str, Any] | None:
    """Says what the same training is worth by different ways of measuring it.

    `as_published` is the figure the published code would have printed, where the run watched what
    that code watched; `last_epoch`, `chosen_epoch` and `picked_on_test` are test accuracies of the
    last epoch, of the one chosen in validation, and of the one that looked best on test digits.
    `inflation` is what picking on the test digits adds to the honest one of the two.
    """
    if tested.every_epoch is None:
        return None
    test = tested.every_epoch
    last, picked = test[:, -1], test.max(1)
    watched = settings["validation"]["digits"]
    honest, chosen = last, None
    if watched == "held_out":
        honest = test[np.arange(len(test)), tested.best_epoch - 1]
        chosen = {**spread(honest), "epochs": tested.best_epoch.tolist()}
    as_published = None
    if published and watched != "held_out":
        name = f"validation_{task.metric}"
        rows = [row.get("seeds", {name: [row[name]]})[name] for row in history]
        of_seeds = np.array([[row[seed] for seed in tested.seeds] for row in rows]).T
        as_published = {
            **spread(of_seeds[:, -1] if published.quoted == "last" else of_seeds.max(1)),
            "epoch": published.quoted,
            "measured_on": published.measured_on,
        }
    return {
        "as_published": as_published,
        "last_epoch": spread(last),
        "chosen_epoch": chosen,
        "picked_on_test": spread(picked),
        "inflation": spread(picked - honest),
        "every_epoch": test.tolist(),
    }


def describe(summary: dict[str, Any]) -> str:
    """Writes a summary as the table that ends a run."""
    data, published, metric = summary["data"], summary["published"], summary["test"]["metric"]
    noun = "digits" if metric == "accuracy" else "sequences"
    lines = [
        f"{summary['name']}: {summary['params']:,} parameters, {summary['num_seeds']} seed(s), "
        f"{summary['epochs']} epochs, digits: {data['name']}",
        f"{'suite':<18}{noun + ' right':>16}{'sd':>8}"
        + (f"{'published':>11}" if published else ""),
    ]
    claims = {} if published is None else published["suites"]
    for suite, result in summary["suites"].items():
        line = f"{suite:<18}{result['mean']:>16.2%}{_sd(result):>8}"
        if published:
            line += f"{claims[suite]:>11.2%}" if suite in claims else f"{'-':>11}"
        lines.append(line)
    if protocol := summary["protocol"]:
        names = ("as_published", "last_epoch", "chosen_epoch", "picked_on_test", "inflation")
        for name in names:
            if result := protocol[name]:
                title = "picking adds" if name == "inflation" else name.replace("_", " ")
                line = f"{title:<18}{result['mean']:>16.2%}{_sd(result):>8}"
                if name == "as_published" and published:
                    line += f"{published['value']:>11.2%}"
                if name == "chosen_epoch":
                    epochs = ", ".join(map(str, result["epochs"]))
                    by = summary["config"]["validation"]["metric"]
                    line += f"   epoch {epochs}, by validation {by}"
                lines.append(line)
    seconds = summary["seconds"]
    lines.append(
        f"compiling {duration(seconds['compile'])}, training {duration(seconds['train'])} "
        f"({summary['examples_per_second']:,.0f} examples/s), evaluating "
        f"{duration(seconds['evaluate'])}, in all {duration(seconds['total'])}"
    )
    if peak := summary.get("peak_memory_bytes"):  # older runs did not note it
        lines[-1] += f", {peak / 1e6:,.0f} MB at most"
    lines += [f"{what_diverged(one)}: left out" for one in summary["diverged"]]
    if not data["official"]:
        lines.append("These digits are not MNIST: no figure here compares with a published one.")
    return "\n".join(lines)


def _sd(result: dict[str, Any]) -> str:
    return "-" if result["sd"] is None else f"{result['sd']:.2%}"
