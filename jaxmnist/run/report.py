"""The words and numbers of a run: a line an epoch, and the summary."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmnist.data.sources import Digits
from jaxmnist.evaluate import Scores
from jaxmnist.published import published_for
from jaxmnist.run.environment import device, git_commit, versions
from jaxmnist.run.progress import duration
from jaxmnist.settings import flatten
from jaxmnist.state import TrainState

METRIC = "exact_sequence_accuracy"


def epoch_row(
    epoch: int, state: TrainState, validation: Sequence[Scores], previous: dict[str, Any] | None
) -> dict[str, Any]:
    """Makes one line of `metrics.jsonl` from a state read off the device.

    Values are means over seeds; with several seeds `seeds` holds each one's. A seed that has
    stopped early learns nothing more and repeats its last figures.
    """
    count = np.asarray(state.sums.examples)
    values = {
        "learning_rate": np.asarray(state.opt_state.hyperparams["learning_rate"]),
        "train_loss": np.asarray(state.sums.loss) / np.maximum(count, 1),
        f"train_{METRIC}": np.asarray(state.sums.exact) / np.maximum(count, 1),
        "validation_loss": np.array([scores["loss"] for scores in validation]),
        f"validation_{METRIC}": np.array([scores[METRIC] for scores in validation]),
        "validation_digit_accuracy": np.array([s["digit_accuracy"] for s in validation]),
    }
    each = {name: [float(v) for v in value] for name, value in values.items()}
    for seed in np.flatnonzero(count == 0).tolist():
        for name in each:
            if previous:
                each[name][seed] = previous["seeds"][name][seed]
    row: dict[str, Any] = {"epoch": epoch, "step": int(np.max(state.step))}
    row |= {name: float(np.mean(value)) for name, value in each.items()}
    if len(count) > 1:
        row["seeds"] = each
    return row


def epoch_line(row: dict[str, Any], epochs: int) -> str:
    """Says how an epoch went."""
    return (
        f"epoch {row['epoch']}/{epochs}  train loss {row['train_loss']:.4f}  "
        f"validation loss {row['validation_loss']:.4f}  "
        f"sequences right {row[f'validation_{METRIC}']:.2%}  "
        f"learning rate {row['learning_rate']:.3g}"
    )


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Returns mean, sample sd (None of a single value) and the values."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "values": list(values)}


def summarise(
    settings: dict[str, Any],
    digits: Digits,
    parameters: int,
    history: Sequence[dict[str, Any]],
    scores: Mapping[str, Sequence[Scores]],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Makes the content of `summary.json`; accuracies are fractions, durations seconds.

    Args:
      settings: the resolved configuration.
      digits: the data that was used.
      parameters: of one network.
      history: the lines of `metrics.jsonl`.
      scores: for each suite the test scores of every seed.
      seconds: `compile`, `train`, `evaluate` and `total`.
    """
    name = settings["name"]
    suites = {}
    for suite, of_seeds in scores.items():
        suites[suite] = spread([s[METRIC] for s in of_seeds])
        suites[suite]["digit_accuracy"] = spread([s["digit_accuracy"] for s in of_seeds])
        suites[suite]["by_length"] = {
            length: spread([s["by_length"][length] for s in of_seeds])
            for length in of_seeds[0]["by_length"]
        }
    trained = len(history) * settings["sequence"]["train_sequences"] * settings["num_seeds"]
    # A published figure never stands beside other digits or another recipe.
    published = published_for(name, flatten(settings)) if digits.official else None
    return {
        "name": name,
        "model": settings["model"],
        "params": parameters,
        "config": settings,
        "seed": settings["seed"],
        "num_seeds": settings["num_seeds"],
        "epochs": len(history),
        "data": {
            "source": digits.source,
            "name": digits.title,
            "official": digits.official,
            "fingerprint": digits.fingerprint(),
            "train_examples": len(digits.train),
            "validation_examples": len(digits.validation),
            "test_examples": len(digits.test),
        },
        "test": {
            "metric": METRIC,
            **spread([s[METRIC] for s in scores["clean"]]),
            "selection": "weights of the epoch with the lowest validation loss; "
            f"{settings['eval']['sequences']} sequences of test digits, read once",
        },
        "suites": suites,
        "published": published._asdict() if published else None,
        "seconds": seconds,
        "examples_per_second": trained / max(seconds["train"], 1e-9),
        "device": device(),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def describe(summary: dict[str, Any]) -> str:
    """Writes a summary as the table that ends a run."""
    data, published = summary["data"], summary["published"]
    lines = [
        f"{summary['name']}: {summary['params']:,} parameters, {summary['num_seeds']} seed(s), "
        f"{summary['epochs']} epochs, digits: {data['name']}",
        f"{'suite':<18}{'sequences right':>16}{'sd':>8}{'digits right':>14}"
        + (f"{'published':>11}" if published else ""),
    ]
    for suite, result in summary["suites"].items():
        sd = f"{result['sd']:.2%}" if result["sd"] is not None else "-"
        line = f"{suite:<18}{result['mean']:>16.2%}{sd:>8}{result['digit_accuracy']['mean']:>14.2%}"
        if published:
            claim = published["suites"].get(suite)
            line += f"{claim:>11.2%}" if claim is not None else f"{'-':>11}"
        lines.append(line)
    seconds = summary["seconds"]
    lines.append(
        f"compiling {duration(seconds['compile'])}, training {duration(seconds['train'])} "
        f"({summary['examples_per_second']:,.0f} examples/s), evaluating "
        f"{duration(seconds['evaluate'])}, in all {duration(seconds['total'])}"
    )
    if not data["official"]:
        lines.append("These digits are not MNIST: no figure here compares with a published one.")
    return "\n".join(lines)
