"""TensorBoard event files of a run (written by tensorboardX, which needs no TensorFlow)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def open_board(folder: Path, first_epoch: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Gives a function that adds one line of the metrics; without tensorboardX it does nothing.

    Events from `first_epoch` on that an interrupted run left behind are marked as void.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        yield lambda row: None
        return
    with SummaryWriter(str(folder), purge_step=first_epoch) as writer:

        def add(row: dict[str, Any]) -> None:
            for name, value in row.items():
                if isinstance(value, float):
                    writer.add_scalar(name, value, row["epoch"])
            writer.flush()

        yield add
