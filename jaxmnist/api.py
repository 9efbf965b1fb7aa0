"""What `import jaxmnist` offers: train a recipe; load a network, read with it, evaluate it.

Nothing here changes the process: `jaxmnist.runtime.configure_jax()` before JAX starts makes it
faster, by a cache of compiled programs and a device for every core.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Bool, Float, Int, PyTree
from PIL import Image

from jaxmnist import config as schema
from jaxmnist import hints, recipes
from jaxmnist.config import Config
from jaxmnist.constants import BLANK, DIGITS, SIDE
from jaxmnist.data.dataset import TITLES
from jaxmnist.data.images import COLUMN, Images, pad_images, pad_labels
from jaxmnist.data.labelled import read_labelled
from jaxmnist.data.sources import VARIABLE, Source, load_source
from jaxmnist.errors import UserError
from jaxmnist.evaluation import Evaluator, image_batches, one_network, suite_list, suite_scores
from jaxmnist.files import user_path
from jaxmnist.models.ctc import head_log_probs
from jaxmnist.reader.forward import StringNetwork, from_arrays
from jaxmnist.reader.read import AnyPicture, Reading, read_pictures
from jaxmnist.run.folder import read_json
from jaxmnist.shipped import find_weights
from jaxmnist.tasks import Predictions, Scores
from jaxmnist.weights import FILE_NAME, Loaded, Metadata, load_weights

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxmnist.run.summary import Summary

Canvases = Images | Bool[np.ndarray, "n 28 width"] | Int[np.ndarray, "n 28 width"]


def train(
    config: "str | Path | ConfigDict | Mapping[str, Any] | Config", workdir: str | Path
) -> "Summary":
    """Trains a configuration, tests it and writes a run folder; resumes an unfinished one.

    >>> import jaxmnist
    >>> summary = jaxmnist.train("models:tiny", "runs/models-tiny")  # doctest: +ELLIPSIS
    model_3-tiny: 7,762 parameters, ...
    >>> summary.test.metric, summary.data.source
    ('accuracy', 'digits8x8')

    Args:
      config: the name or file of a recipe, such as `"seq:tiny"`; or what a recipe returns, as it is
        or as a dictionary; or a `Config`.
      workdir: the run folder.

    Returns:
      The content of `summary.json`.

    Raises:
      UserError: if configuration, data or folder cannot be used.
    """
    from jaxmnist.training import train as run

    if isinstance(config, str | Path):
        config = recipes.load(str(config))
    if not isinstance(config, Config | Mapping):
        config = config.to_dict()
    return run(config if isinstance(config, Config) else schema.from_dict(config), workdir)


@dataclass(frozen=True)
class Model:
    """A trained network."""

    loaded: Loaded
    run: Path | None = None  # the folder that it comes from

    @property
    def params(self) -> PyTree[Array]:
        """The trained parameters."""
        params: PyTree[Array] = self.loaded.weights.params
        return params

    @property
    def metadata(self) -> Metadata:
        """Which network it is, how it was trained, and what it is tested on."""
        return self.loaded.metadata

    def logits(self, canvases: Canvases) -> Float[np.ndarray, "n heads classes"]:
        """Returns the raw outputs for images of digits.

        Of a network that reads any length they are the log probabilities of each place of the
        string, of as many places as cells of 28 pixels.

        Args:
          canvases: whole numbers, 255 being ink, or floats or bools, 1 being ink; of any width that
            the network reads, and padded with ground on the right.

        Raises:
          UserError: if they are of another form.
        """
        heads = self.loaded.network.architecture.heads
        images = pad_images("the argument:", np.asarray(canvases), heads)
        batches = image_batches(images, self._no_labels(images), self._evaluator.batch_size)
        weights = one_network(self.loaded.weights)
        (logits,) = self._evaluator.logits(weights, batches, len(images))
        if heads is None:
            return np.asarray(head_log_probs(jnp.asarray(logits), -(-images.shape[2] // SIDE)))
        return logits

    def read(self, images: AnyPicture | Sequence[AnyPicture]) -> list[Reading]:
        """Reads pictures of handwritten digits, one reading each.

        Args:
          images: paths, Pillow images, or arrays (height, width[, channels]) of any usual type; one
            of them, a list, or an array (n, height, width[, channels]).

        Raises:
          UserError: if one cannot be opened, or the network does not read strings of any length.
        """
        if isinstance(images, str | Path | Image.Image) or not isinstance(images, Iterable):
            images = [images]
        elif hasattr(images, "__array__"):  # of NumPy, JAX, PyTorch, ...
            array = np.asarray(images)
            is_one = array.ndim < 3 or (array.ndim == 3 and array.shape[2] <= 4)
            images = [array] if is_one else list(array)
        return read_pictures(self._string_network, images)

    @cached_property
    def _string_network(self) -> StringNetwork:
        flat = flatten_dict(self.loaded.weights._asdict(), sep=".")
        return from_arrays({name: np.asarray(value) for name, value in flat.items()})

    def score_file(self, path: Path) -> tuple[Scores | None, Predictions, list[str]]:
        """Scores the images of an npz or CSV file, or of a folder of idx files.

        Returns:
          Scores (None if there are no labels), predictions, and notes: what was taken for what,
          and which change of the images would make them read better by far.

        Raises:
          UserError: if the file cannot be read, or does not fit the network.
        """
        architecture = self.loaded.network.architecture
        found = read_labelled(path, architecture.heads, has_blank=architecture.classes > DIGITS)
        labels = found.labels
        if labels is None:
            labels = self._no_labels(found.images)
        predictions, task = self._predict(found.images, labels), self.loaded.task

        def measure(answers: Predictions) -> float:
            if found.labels is None:
                return float(answers.confidences.mean())
            accuracy: float = task.score(answers)[task.metric]
            return accuracy

        notes = found.notes + hints.find_hints(
            found.images,
            measure(Predictions(*(each[: hints.TRIED] for each in predictions))),
            lambda images: measure(self._predict(images, labels[: len(images)])),
            labelled=found.labels is not None,
        )
        return None if found.labels is None else task.score(predictions), predictions, notes

    def score_arrays(
        self, images: Canvases, labels: Int[np.ndarray, " n"] | Int[np.ndarray, "n k"]
    ) -> tuple[Scores, Predictions]:
        """Scores labelled images; labels are padded with 10 (nothing).

        Raises:
          UserError: if they do not fit each other, or the network.
        """
        x, y = np.asarray(images), np.asarray(labels)
        architecture = self.loaded.network.architecture
        padded = pad_images("the arrays:", x, architecture.heads)
        has_blank = architecture.classes > DIGITS
        return self._score(
            padded, pad_labels("the arrays:", y, len(x), architecture.heads, has_blank=has_blank)
        )

    def score_suites(self, names: Sequence[str] = ()) -> dict[str, tuple[Scores, Predictions]]:
        """Scores evaluation suites, on the test examples of the network's own run.

        Args:
          names: of the suites; default: all.

        Raises:
          UserError: if a suite is unknown, or the digits are others than in the run.
        """
        suites, metadata = self.loaded.task.suites, self.metadata
        for name in names:
            if name not in suites:
                raise UserError(f"there is no suite '{name}': choose one of {', '.join(suites)}.")
        source = self.digits
        if source.name != metadata.data:
            raise UserError(
                f"this network was trained on {TITLES[metadata.data]}, but here is "
                f"{TITLES[source.name]}: set {VARIABLE} to the folder of those digits, or "
                "evaluate images of your own."
            )
        examples = suite_list(
            self.loaded.task,
            source.test,
            examples=metadata.eval.examples,
            seed=metadata.eval.seed,
        )
        return suite_scores(self._evaluator, self.loaded.weights, examples, list(names or suites))

    @cached_property
    def digits(self) -> Source:
        """The digits of the run, found again; a file alone says only which data set they were."""
        if self.metadata.data == "digits8x8":
            return load_source("digits8x8")
        if self.run is None:
            return load_source("auto")
        path = self.run / "config.json"
        match read_json(path):
            case {"data": {"source": str(name), "dir": str(folder), "verify": bool(verify)}}:
                if folder and not user_path(folder).exists():  # they have moved
                    if not os.environ.get(VARIABLE):
                        raise UserError(
                            f"{folder}, where the digits of this run lay, is no folder: set "
                            f"{VARIABLE} to where they are now, or evaluate images of your own."
                        )
                    folder = ""
                return load_source(name, folder, verify=verify)
        raise UserError(
            f"{path} does not say where the digits come from: evaluate {FILE_NAME}, the weights "
            "alone."
        )

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.loaded.task, self.loaded.network)

    def _no_labels(self, images: Images) -> Int[np.ndarray, "n length"]:
        """Returns labels of the length that answers may have, of images that have none."""
        heads = self.loaded.network.architecture.heads
        return np.full((len(images), heads or images.shape[2] // COLUMN), BLANK, np.int32)

    def _score(self, images: np.ndarray, labels: np.ndarray) -> tuple[Scores, Predictions]:
        predictions = self._predict(images, labels)
        return self.loaded.task.score(predictions), predictions

    def _predict(self, images: np.ndarray, labels: np.ndarray) -> Predictions:
        batches = image_batches(images, labels, self._evaluator.batch_size)
        weights = one_network(self.loaded.weights)
        (predictions,) = self._evaluator.predict(weights, batches, len(images))
        return predictions


def load(name: str | Path) -> Model:
    """Loads a trained network.

    >>> import jaxmnist, numpy
    >>> model = jaxmnist.load("runs/models-tiny")
    >>> model.logits(numpy.zeros((5, 28, 28), numpy.uint8)).shape  # images, heads, classes
    (5, 1, 10)
    >>> model.metadata.model
    'model_3'

    Args:
      name: shipped weights, a run folder, or a weights file.

    Raises:
      UserError: if there is none, or it is damaged.
    """
    path = user_path(name)
    return load_run(path) if path.is_dir() else load_file(find_weights(name))


def load_run(folder: Path) -> Model:
    """Loads the network of a finished run."""
    return Model(load_weights(folder / FILE_NAME), folder)


def load_file(path: Path) -> Model:
    """Loads a weights file."""
    return Model(load_weights(path))


def evaluate(weights: Model | str | Path, data: Any) -> Scores:
    """Scores a trained network.

    >>> import jaxmnist, numpy
    >>> scores = jaxmnist.evaluate("runs/models-tiny", "clean")  # an evaluation suite
    >>> sorted(scores)
    ['accuracy', 'loss', 'n']
    >>> x, y = numpy.zeros((3, 28, 28), numpy.uint8), numpy.array([0, 1, 2])
    >>> jaxmnist.evaluate("runs/models-tiny", (x, y))["n"]
    3

    Args:
      weights: what `load` returns or takes.
      data: the name of an evaluation suite; the path of an npz or CSV file, or of a folder of idx
        files or pictures (docs/your_data.md); or images and labels (x, y).

    Returns:
      `n`, `loss`, and `accuracy`, or `exact_sequence_accuracy`, `digit_accuracy` and `by_length`.

    Raises:
      UserError: if weights or data cannot be used.
    """
    model = weights if isinstance(weights, Model) else load(weights)
    if isinstance(data, tuple | list):
        images, labels = data
        return model.score_arrays(images, labels)[0]
    if data in model.loaded.task.suites:
        return model.score_suites([data])[data][0]
    scores, _, _ = model.score_file(user_path(data))
    if scores is None:
        raise UserError(f"{data} has no labels to score by: `load` a network for its logits.")
    return scores
