"""The plots of a run, legible on a slide at half size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

from jaxmnist.constants import BLANK, SIDE
from jaxmnist.run.predictions import as_pixels
from jaxmnist.tasks import Task, as_text

Panel = tuple[
    Float[np.ndarray, "_ 28 _"], Int[np.ndarray, "_ _"], Int[np.ndarray, "_ _"]
]  # images, predicted and true labels
RIGHT, WRONG = "#1a7f37", "#cf222e"
SCALE = 3  # pixels of a sheet for one of a canvas
STYLE: Any = {"font.size": 15, "axes.spines.top": False, "axes.spines.right": False}


def draw_curves(
    path: Path, title: str, history: Sequence[dict[str, Any]], task: Task, validation_split: str
) -> None:
    """Draws loss, error and learning rate over the epochs of a run.

    Args:
      path: where to write the PNG.
      title: stands above the curves.
      history: the lines of `metrics.jsonl`.
      task: of the run.
      validation_split: the digits evaluated after every epoch: `held_out`, `train` or `test`.
    """
    split = validation_split
    evaluated = "validation" if split == "held_out" else f"{split} digits, evaluated"
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

    epochs = [row["epoch"] for row in history]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(15, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        loss, error, rate = figure.subplots(1, 3)
        for axis, name, unit in (
            (loss, "loss", "loss (nats an example)"),
            (error, task.metric, f"{task.noun} read wrong (%)"),
        ):
            for part, label, colour in (
                ("train", "training", "#8250df"),
                ("validation", evaluated, "#0969da"),
            ):
                values = np.array([row[f"{part}_{name}"] for row in history])
                plotted = values if name == "loss" else 100 * (1 - values)
                axis.plot(epochs, plotted, "o-", color=colour, label=label, linewidth=2.5)
            shown = np.concatenate([np.asarray(line.get_ydata()) for line in axis.lines])
            if (shown > 0).all():
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
            else:  # a perfect epoch has its place, too, below the smallest other value
                smallest = shown[shown > 0].min(initial=1.0)
                axis.set_yscale("symlog", linthresh=smallest, linscale=0.3)
                axis.set_ylim(bottom=-0.02 * smallest)
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.yaxis.set_minor_formatter("")
            axis.set_ylabel(unit)
            axis.legend(frameon=False)
        rate.plot(epochs, [row["learning_rate"] for row in history], "o-", color="#57606a")
        rate.set_ylim(bottom=0)
        rate.set_ylabel("learning rate at the epoch's end")
        for axis in (loss, error, rate):
            axis.set_xlabel("epoch")
            axis.grid(alpha=0.3, which="both")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        figure.suptitle(title, parse_math=False)  # a $ is a $
        figure.savefig(path, dpi=110)


def draw_predictions(
    path: Path,
    title: str,
    panels: dict[str, Panel],
) -> None:
    """Draws a grid of canvases, one row a suite; the prediction above is green if right, else red.

    Args:
      path: where to write the PNG.
      title: stands above the grid.
      panels: for each suite the canvases, the predicted and the true labels, in display order.
    """
    widest = max(images.shape[2] for images, _, _ in panels.values())
    # In pixels of a canvas: a cell has room for the text above it, and the sheet for its own.
    across, down = max(widest + 6, 48), SIDE + 18
    names, head = 44, 16
    columns = max(len(images) for images, _, _ in panels.values())
    size = SCALE * (names + across * columns), SCALE * (head + down * len(panels))
    # Not by matplotlib: an image on its axes is resampled as floats, in half a gigabyte.
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    small, large = (ImageFont.load_default(points) for points in (20, 23))

    def write(x: float, y: float, text: str, anchor: str, colour: str = "black") -> None:
        font = large if colour != "black" else small
        draw.text((SCALE * x, SCALE * y), text, colour, font, anchor, align="right")

    write(size[0] / SCALE / 2, head / 2, title, "mm")
    for row, (suite, (images, predicted, labels)) in enumerate(panels.items()):
        top = head + row * down + down - SIDE
        write(names - 5, top + SIDE / 2, suite.replace("_", "\n"), "rm")
        for column, (image, guess, truth) in enumerate(zip(images, predicted, labels, strict=True)):
            width = image.shape[1]
            left = names + column * across + (across - width) // 2
            canvas = Image.fromarray(as_pixels(image)).resize(
                (SCALE * width, SCALE * SIDE), Image.Resampling.NEAREST
            )
            place = SCALE * left, SCALE * top
            sheet.paste(canvas, place)
            corner = place[0] + canvas.width, place[1] + canvas.height
            draw.rectangle((place[0] - 1, place[1] - 1, *corner), outline="#8c959f")
            right = (guess == truth).all()
            text = format_labels(guess) + ("" if right else f", not {format_labels(truth)}")
            write(left + width / 2, top - 3, text, "ms", RIGHT if right else WRONG)
    sheet.save(path)


def format_labels(labels: Int[np.ndarray, " k"]) -> str:
    """Formats labels as a title."""
    return as_text(labels) or "nothing"


def pick(
    images: Float[np.ndarray, "n 28 w"],
    predicted: Int[np.ndarray, "n k"],
    labels: Int[np.ndarray, "n k"],
    width: int = 5,
) -> Panel:
    """Picks about `width` examples over all lengths, and one more that was misread.

    Of each length the first examples are taken, right or wrong; with more lengths than `width`,
    lengths from short to long.
    """
    lengths = (labels != BLANK).sum(-1)
    present = np.array(sorted(set(lengths.tolist())))
    chosen_lengths = present[np.linspace(0, len(present) - 1, width).round().astype(int)]
    places = [np.flatnonzero(lengths == length) for length in chosen_lengths]
    chosen = [
        place[min(int((chosen_lengths[:i] == chosen_lengths[i]).sum()), len(place) - 1)]
        for i, place in enumerate(places)
    ]
    missed = np.flatnonzero((predicted != labels).any(-1)).tolist()
    wrong = [place for place in missed if place not in chosen][:1]
    return images[chosen + wrong], predicted[chosen + wrong], labels[chosen + wrong]
