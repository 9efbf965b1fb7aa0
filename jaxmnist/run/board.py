"""TensorBoard event files of a run (written by tensorboardX, which needs no TensorFlow)."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def open_board(folder: Path, first_epoch: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Gives a function that adds one line of the metrics; without tensorboardX it does nothing.

    Events from `first_epoch` on that an interrupted run left behind are marked as void.
    """
    writer_class = _summary_writer()
    if writer_class is None:
        yield lambda row: None
        return
    with writer_class(str(folder), purge_step=first_epoch) as writer:

        def add(row: dict[str, Any]) -> None:
            for name, value in row.items():
                if isinstance(value, float):
                    writer.add_scalar(name, value, row["epoch"])
            writer.flush()

        yield add


def _summary_writer() -> Any:
    """Returns tensorboardX's writer, or None without it.

    It imports PyTorch where that is installed, for tensors that nobody gives it here: a second and
    180 MB of every run. So it is not to find it, unless it is there already.
    """
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    finally:
        if hide:
            del sys.modules["torch"]
    return SummaryWriter
