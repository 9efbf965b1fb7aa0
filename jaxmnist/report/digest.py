"""What the page shows of one run, as JSON."""

import base64
import io
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxmnist.constants import BLANK
from jaxmnist.report.confusion import confusion
from jaxmnist.report.runs import Figure, Run, is_number
from jaxmnist.run.predictions import Answers

POINTS = 60  # of a curve, at most
CALIBRATION_BINS = 15
GREYS = 16  # of a picture: half as many bytes as with 256, and nobody sees it
METRICS = ("accuracy", "exact_sequence_accuracy")


def digest(run: Run) -> dict[str, Any]:
    """Returns the figures of a run; errors are in percent, None where they are not known yet."""
    outcome, answers, fields = run.outcome, run.answers, run.fields
    curves = make_curves(run)
    errors = [error for error in curves["validation_error"] if error is not None]
    test = _error(outcome.test) if outcome and outcome.test else [None, None]
    return {
        "name": str(fields.get("name", "")),
        "model": str(fields.get("model", "")),
        "data": _data(run),
        "params": outcome.params if outcome else None,
        "seeds": _count(fields.get("num_seeds", 1)),
        "epochs": run.history[-1]["epoch"] if run.history else 0,
        "planned": _count(fields.get("epochs")),
        "finished": outcome is not None,
        "error": test[0],
        "sd": test[1],
        "validation": errors[-1] if errors else None,
        "seconds": outcome and _short(outcome.seconds.train),
        "curves": curves,
        "suites": {name: _error(figure) for name, figure in outcome.suites.items()}
        if outcome
        else {},
        **(_answers(answers) if answers else {}),
    }


def _data(run: Run) -> str:
    if run.outcome is None:
        return str(run.fields.get("data.source", ""))
    return "mnist" if run.outcome.data.official else run.outcome.data.source


def _count(value: Any) -> int | None:
    return value if type(value) is int and is_number(value) else None


def make_curves(run: Run) -> dict[str, list[Any]]:
    """Returns the columns of `metrics.jsonl`, at no more than `POINTS` epochs.

    Of several seeds there are the lowest and the highest value, too.
    """
    rows = run.history
    last = max(len(rows) - 1, 0)
    kept = np.unique(np.linspace(0, last, min(len(rows), POINTS)).round().astype(int))
    rows = [rows[place] for place in kept]
    curves: dict[str, list[Any]] = {"epoch": [row["epoch"] for row in rows]}
    metric = next((m for m in METRICS if rows and f"validation_{m}" in rows[0]), METRICS[0])
    for name, column, is_accuracy in (
        ("validation_error", f"validation_{metric}", True),
        ("train_error", f"train_{metric}", True),
        ("validation_loss", "validation_loss", False),
        ("train_loss", "train_loss", False),
        ("learning_rate", "learning_rate", False),
    ):
        curves[name] = [_value(row.get(column), is_accuracy) for row in rows]
        of_seeds = [
            [_value(value, is_accuracy) for value in row.get("seeds", {}).get(column, [])]
            for row in rows
        ]
        known = [[value for value in values if value is not None] for values in of_seeds]
        if rows and all(known):
            curves[f"{name}_low"] = [min(values) for values in known]
            curves[f"{name}_high"] = [max(values) for values in known]
    return curves


def _value(value: Any, is_accuracy: bool) -> Any:
    if value is None or not np.isfinite(value):
        return None
    return _short(100 * (1 - value) if is_accuracy else value)


def _short(value: float) -> float:
    """Returns a number with the digits that a picture shows."""
    return float(f"{value:.5g}")


def _error(figure: Figure) -> list[float | None]:
    return [_short(100 * (1 - figure.mean)), None if figure.sd is None else _short(100 * figure.sd)]


def _answers(answers: Answers) -> dict[str, Any]:
    predicted, labels = answers.predicted, answers.labels
    members, n, length = predicted.shape
    right = (predicted == labels).all(-1)
    every = np.broadcast_to(labels, predicted.shape).reshape(-1, length)
    row = answers.members.index(answers.pictured)
    return {
        "examples": n,
        **calibration(answers.confidences.reshape(-1), right.reshape(-1)),
        "confusion": confusion(every, predicted.reshape(members * n, length)).tolist(),
        "mistakes": [
            [
                as_text(predicted[row, at]),
                as_text(labels[at]),
                _short(answers.confidences[row, at]),
                int(at),
            ]
            for at in answers.mistakes
        ],
        "pictures": {"width": answers.images.shape[2], "png": stack(answers.images)}
        if len(answers.images)
        else None,
    }


def calibration(
    confidences: Float[np.ndarray, " n"], right: np.ndarray[Any, np.dtype[np.bool_]]
) -> dict[str, Any]:
    """Returns confidence, accuracy and share of examples in each bin, and their mean difference."""
    confidences = confidences.astype(np.float64)
    bins = np.minimum((confidences * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    count, sure, good = (
        np.bincount(bins, weights, CALIBRATION_BINS) for weights in (None, confidences, right)
    )
    present = np.flatnonzero(count)
    gap = np.abs(sure - good).sum() / len(right)
    return {
        "calibration": [
            [_short(sure[b] / count[b]), _short(good[b] / count[b]), int(count[b])] for b in present
        ],
        "calibration_error": _short(100 * gap),
    }


def as_text(labels: UInt8[np.ndarray, " length"]) -> str:
    """Returns labels as text, a blank between digits as `_`."""
    text = "".join("_" if label == BLANK else str(label) for label in labels.tolist()).rstrip("_")
    return text or "nothing"


def stack(images: UInt8[np.ndarray, "m 28 width"]) -> str:
    """Returns images below each other as one PNG, ink black, in a data URI."""
    levels = np.round((255 - images.astype(np.float64)) / 255 * (GREYS - 1)).astype(np.uint8)
    sheet = Image.fromarray(levels.reshape(-1, images.shape[2])).convert("P")
    sheet.putpalette(np.repeat(np.arange(GREYS) * 255 // (GREYS - 1), 3).astype(np.uint8).tobytes())
    file = io.BytesIO()
    sheet.save(file, "PNG", bits=4, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
