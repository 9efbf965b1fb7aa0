"""Sections d, e and f: time to an accuracy, the published recognisers, the default recipe."""

import json
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from jaxmnist.bench import speedrun
from jaxmnist.errors import Interrupted
from jaxmnist.run.signals import StopRequest
from jaxmnist.training import train
from tools.accelerator.plan import recipe
from tools.accelerator.section import Context, Item, Result

MARGIN = 5.0  # seconds that saving a run takes at most, before its section ends


def time_to_accuracy(context: Context) -> Iterator[Item]:
    """Whole trainings of the speedrun's recipes, one after the other, compiling apart."""
    for name in context.plan.speedruns:
        yield Item(name, partial(race, name, context))


def race(name: str, context: Context) -> Result:
    """Returns accuracies and seconds of all runs of one recipe."""
    return speedrun.time_to_accuracy(
        recipe(name, context.plan), context.plan.runs, on_held_out=False, log=lambda line: None
    )


def published(context: Context) -> Iterator[Item]:
    """The two published recognisers, whole recipes, with their accuracies on all suites."""
    for name in context.plan.published:
        yield Item(name, partial(whole_run, name, context))


def default(context: Context) -> Iterator[Item]:
    """The default recipe."""
    yield Item("seq", partial(whole_run, "seq", context))


def whole_run(name: str, context: Context, **changes: Any) -> Result:
    """Trains and tests a recipe; if time runs out it stops, and its epochs until then are told.

    Returns:
      The content of `summary.json`; or `cut`, and the lines of `metrics.jsonl`.
    """
    workdir = context.scratch / "-".join([name.replace(":", "-"), *map(str, changes.values())])
    stop = StopRequest()

    def request_stop() -> None:
        stop.code = 128 + signal.SIGTERM  # polled by the run, which saves and leaves

    timer = threading.Timer(max(context.seconds_left() - MARGIN, 0), request_stop)
    timer.daemon = True
    timer.start()
    try:
        summary = train(recipe(name, context.plan, **changes), workdir, stop=stop)
        content: Result = json.loads(summary.to_json())
        return content
    except Interrupted:
        metrics = workdir / "metrics.jsonl"
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        return {"cut": True, "epoch_lines": [json.loads(line) for line in lines]}
    finally:
        timer.cancel()
