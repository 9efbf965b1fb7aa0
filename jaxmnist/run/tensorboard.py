"""TensorBoard event files of a run, written by tensorboardX, which needs no TensorFlow."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import PyTree
from PIL import Image

AddEpoch = Callable[[dict[str, Any], PyTree], None]
BINS = 30  # of a histogram: half a kilobyte a layer and epoch


@contextmanager
def open_tensorboard(
    folder: Path, first_epoch: int, fields: Mapping[str, Any]
) -> Iterator[AddEpoch]:
    """Opens an event file in a run folder; yields a function that adds an epoch.

    It takes a line of the metrics, and the parameters of all seeds, of which the first one's
    kernels become histograms. Without tensorboardX it does nothing.

    Args:
      folder: of the run.
      first_epoch: that is still to be trained; what an interrupted session left from there on is
        void.
      fields: of the configuration, by full name: the hyperparameters.
    """
    try:
        from tensorboardX import SummaryWriter
        from tensorboardX.summary import hparams
    except ImportError:
        yield lambda row, params: None
        return
    with SummaryWriter(str(folder), purge_step=first_epoch) as writer:
        # Only the values: TensorBoard finds by itself which fields and figures all runs have.
        _, values, _ = hparams({name: _plain(value) for name, value in fields.items()}, {})
        writer.file_writer.add_summary(values)

        def add(row: dict[str, Any], params: PyTree) -> None:
            for name, value in row.items():
                if isinstance(value, float):
                    writer.add_scalar(name, value, row["epoch"])
            for name, leaf in flatten_dict(params, sep=".").items():
                kernel = np.asarray(leaf)[0]
                if kernel.ndim > 1 and np.isfinite(kernel).all():
                    writer.add_histogram(f"weights/{name}", kernel, row["epoch"], bins=BINS)
            writer.flush()

        yield add


def write_outcome(folder: Path, epoch: int, suites: Mapping[str, float], picture: Path) -> None:
    """Writes an event file with what the test at the end of a run gave.

    Args:
      folder: of the run.
      epoch: after which it was.
      suites: the accuracy of each.
      picture: a PNG of predictions.
    """
    try:
        from tensorboardX import SummaryWriter
        from tensorboardX.proto.summary_pb2 import Summary
    except ImportError:
        return
    # Another name than that of a file that was begun in the same second.
    with SummaryWriter(str(folder), filename_suffix=".test") as writer:
        for suite, accuracy in suites.items():
            writer.add_scalar(f"test/{suite}", accuracy, epoch)
        with Image.open(picture) as image:
            width, height = image.size
        encoded = Summary.Image(
            encoded_image_string=picture.read_bytes(), width=width, height=height, colorspace=3
        )
        value = Summary.Value(tag="predictions", image=encoded)
        writer.file_writer.add_summary(Summary(value=[value]), epoch)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
