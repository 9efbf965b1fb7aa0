"""Answers of `jaxmnist evaluate`: what is measured, as JSON has it and as people read it."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxmnist.api import Model
from jaxmnist.data.dataset import TITLES
from jaxmnist.outputs import write_output
from jaxmnist.tasks import Predictions, as_text

Answer = dict[str, Any]


def answer_file(model: Model, path: Path) -> tuple[Answer, Predictions]:
    """Measures a network on somebody's images; without labels, says what it reads."""
    scores, predictions, notes = model.score_file(path)
    if scores is None:
        read = [as_text(labels) for labels in predictions.predicted]
        scores = {"n": len(read), "predictions": read}
    return _head(model) | scores | ({"notes": notes} if notes else {}), predictions


def answer_suites(model: Model, suite: str | None) -> tuple[Answer, Predictions | None]:
    """Measures a network on all suites, or on one, whose predictions are returned, too."""
    names = [] if suite is None else [suite]
    found = model.score_suites(names)
    head = _head(model) | {"data": model.digits.name, "digits": TITLES[model.digits.name]}
    if suite is not None:
        scores, predictions = found[suite]
        return head | {"suite": suite} | scores, predictions
    return head | {"suites": {name: scores for name, (scores, _) in found.items()}}, None


def save_predictions(path: Path, labels: Int[np.ndarray, "n length"]) -> None:
    """Writes predicted labels as npy: (N,) of single digits, else (N, K).

    Raises:
      UserError: if the file cannot be written.
    """
    array = labels[:, 0] if labels.shape[1] == 1 else labels
    write_output(path, lambda file: np.save(file, array))


def format_answer(answer: Answer) -> str:
    """Formats an answer, with accuracies in percent: a line for each suite."""
    if "predictions" in answer:
        lines = [f"{number}: {text}" for number, text in enumerate(answer["predictions"])]
        return "\n".join([*lines, *answer["notes"]])
    if "suites" not in answer:
        return "\n".join(
            [_format_scores(answer, answer.get("suite", "")), *answer.get("notes", [])]
        )
    seed = "" if answer["seed"] is None else f", seed {answer['seed']}"
    head = f"{answer['weights']}{seed}, on test digits of {answer['digits']}"
    lines = [_format_scores(scores, name) for name, scores in answer["suites"].items()]
    return "\n".join([head, *lines])


def _head(model: Model) -> Answer:
    return {"weights": model.metadata.name, "seed": model.metadata.seed}


def _format_scores(scores: Answer, name: str) -> str:
    name = f"{name:<16} " if name else ""
    if "accuracy" in scores:
        return f"{name}n {scores['n']}  accuracy {scores['accuracy']:.2%}"
    lengths = "  ".join(f"{k}: {v:.2%}" for k, v in scores["by_length"].items())
    accuracy = scores["digit_accuracy"]
    digits = "-" if accuracy is None else f"{accuracy:.2%}"
    return (
        f"{name}n {scores['n']}  exact_sequence_accuracy {scores['exact_sequence_accuracy']:.2%}  "
        f"digit_accuracy {digits}  by_length {lengths}"
    )
