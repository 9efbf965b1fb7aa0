"""TensorBoard event files of a run, written by tensorboardX, which needs no TensorFlow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AddScalars = Callable[[dict[str, Any]], None]


@contextmanager
def open_tensorboard(folder: Path, first_epoch: int) -> Iterator[AddScalars]:
    """Opens an event file in a run folder; yields a function that adds a line of the metrics.

    Without tensorboardX the function does nothing.

    Args:
      folder: of the run.
      first_epoch: that is still to be trained; what an interrupted session left from there on is
        void.
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
