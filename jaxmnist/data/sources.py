"""Sources of digits: a folder, a download through tensorflow-datasets, or the fallback dataset.

`load_splits` reads and splits one; every source gives the official order of examples.
"""

import os
import shutil
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxmnist.config import Data
from jaxmnist.constants import SIDE
from jaxmnist.data import idx
from jaxmnist.data.dataset import Dataset, Splits, dataset_name
from jaxmnist.data.found import PARTS
from jaxmnist.data.images import pad_images, pad_labels
from jaxmnist.data.labelled import has_part, read_part
from jaxmnist.errors import UserError
from jaxmnist.files import user_path
from jaxmnist.runtime import cache_folder

# sha256 of the unpacked official files.
OFFICIAL = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
VARIABLE = "JAXMNIST_DATA"
ALIGNMENT = 64  # bytes: JAX copies an array that starts elsewhere
PROBE_SECONDS = 5.0  # within which a machine without a network is recognised


@dataclass(frozen=True)
class Source:
    """A data set in its published order."""

    train: Dataset
    test: Dataset
    source: str  # "dir", "tfds" or "digits8x8"
    official: bool  # byte for byte MNIST, so that published figures may stand beside a result

    @property
    def name(self) -> str:
        """Identifies the data set: `mnist`, `own` or `digits8x8`."""
        return dataset_name(self.source, official=self.official)


def load_splits(data: Data) -> Splits:
    """Loads a data set and splits validation digits from training digits.

    Args:
      data: the fields `data.*` of a configuration. A fallback dataset keeps only the proportion of
        training to validation digits.

    Raises:
      UserError: if the source is unreachable or damaged, or has too few digits.
    """
    found = load_source(data.source, data.dir, verify=data.verify)
    order = np.arange(len(found.train))
    if data.shuffle:
        # RandomState, as its stream is one that NumPy keeps for ever.
        order = np.random.RandomState(data.split_seed).permutation(len(found.train))
    train, validation = _split(found, data.train_examples, data.validation_examples, order)
    return Splits(train, validation, found.test, found.source, found.official)


def load_source(source: str, folder: str = "", *, verify: bool = True) -> Source:
    """Loads a data set in its official order; fields and errors are those of `load_splits`."""
    choices = {
        "auto": lambda: _auto(folder, verify),
        "dir": lambda: _from_folder(folder, verify),
        "tfds": _from_tfds,
        "digits8x8": _from_sklearn,
    }
    if source not in choices:
        known = ", ".join(sorted(choices))
        raise UserError(f"there is no source of digits '{source}': choose one of {known}.")
    if folder and source not in ("auto", "dir"):
        raise UserError(
            f"data.dir is {folder}, which data.source '{source}' does not read: set data.source to "
            "dir, or leave data.dir out."
        )
    return choices[source]()


def _auto(folder: str, verify: bool) -> Source:
    if folder or os.environ.get(VARIABLE):
        return _from_folder(folder, verify)
    try:
        return _from_tfds()
    except UserError as error:
        print(
            f"WARNING: no MNIST here. {error}\n"
            "WARNING: using the fallback dataset instead: 1,797 real 8x8 digits, upsampled. "
            "Its figures are NOT MNIST figures.\n"
            f"WARNING: for MNIST, set {VARIABLE} to a folder with its four files, or go online.",
            file=sys.stderr,
            flush=True,
        )
        return _from_sklearn()


def _from_folder(folder: str, verify: bool) -> Source:
    given = folder or os.environ.get(VARIABLE, "")
    if not given:
        raise UserError(
            f"the source of digits is 'dir': set {VARIABLE} to MNIST's folder (a configuration may "
            "name it in data.dir)."
        )
    path = user_path(given)
    if not os.path.exists(path):  # False, too, where a name is too long
        place = "config.data.dir" if folder else VARIABLE
        raise UserError(f"{given} is not a folder: set {place} to MNIST's folder.")
    if has_part(path, "train"):
        return _read_parts(path, verify=verify)
    if not path.is_dir():
        raise UserError(
            f"{path} has no parts to train on and to test with: give a folder with both, or an npz "
            "file of x_train, y_train, x_test and y_test."
        )
    return read_folder(path, source="dir", verify=verify)


def read_folder(folder: Path, *, source: str, verify: bool) -> Source:
    """Reads the four idx files of a folder (`.gz` or not) and checks them.

    Raises:
      UserError: if a file is missing, damaged, swapped, or (with `verify`) not MNIST's own.
    """
    arrays, official = {}, True
    for file, expected in OFFICIAL.items():
        path = idx.find_file(folder, file)
        read = idx.read_images if "images" in file else idx.read_labels
        arrays[file], digest = read(path)
        official &= _is_official(path, digest, expected, verify=verify)
    return _as_source(folder, list(arrays.values()), source, official=official)


def _read_parts(path: Path, *, verify: bool) -> Source:
    """Reads training and test digits of any other form that `read_part` reads, and checks them.

    Raises:
      UserError: if one is missing or damaged, or (with `verify`) not MNIST's own.
    """
    arrays: list[np.ndarray] = []
    for split in PARTS:
        found = read_part(path, split, square=True)
        for note in found.notes:
            print(note, file=sys.stderr, flush=True)
        if found.labels is None:
            raise UserError(f"{path} has no labels of its {split} digits: give them.")
        images = pad_images(f"{path} ({split}):", found.images, 1)
        if images.dtype != np.uint8:
            images = np.rint(images).astype(np.uint8)
        labels = pad_labels(f"{path} ({split}):", found.labels, len(images), 1, has_blank=False)
        arrays += [images, labels[:, 0].astype(np.uint8)]
    checked = zip(arrays, OFFICIAL.values(), strict=True)
    official = [
        _is_official(path, idx.digest(array), expected, verify=verify)
        for array, expected in checked
    ]
    return _as_source(path, arrays, "dir", official=all(official))


def _is_official(path: Path, digest: str, expected: str, *, verify: bool) -> bool:
    if digest != expected and verify:
        raise UserError(_not_official(path, digest))
    return digest == expected


def _as_source(place: Path, arrays: list[np.ndarray], source: str, *, official: bool) -> Source:
    train, test = idx.pair(place, "train", *arrays[:2]), idx.pair(place, "test", *arrays[2:])
    return Source(train, test, source, official)


def _not_official(path: Path, digest: str) -> str:
    for name, known in OFFICIAL.items():
        if known == digest:
            return f"{path} holds what belongs in {name}: the files are swapped, rename them."
    return (
        f"{path} is not MNIST's own file (sha256 {digest[:12]}...): fetch it again, "
        "or train with config.data.verify=False if these digits are meant."
    )


def in_cache() -> bool:
    """Returns whether MNIST has been downloaded before."""
    return all((cache_folder() / "mnist" / f"{name}.gz").exists() for name in OFFICIAL)


def _from_tfds() -> Source:
    folder = cache_folder() / "mnist"
    if not in_cache():
        try:
            _download(folder)
        except UserError:
            if not os.environ.get(VARIABLE):
                raise
            print(f"no download: MNIST is taken from {VARIABLE}", file=sys.stderr, flush=True)
            return _from_folder("", verify=True)  # the same files
    return read_folder(folder, source="tfds", verify=True)


def _download(folder: Path) -> None:
    """Downloads the four files from tensorflow-datasets' addresses; TensorFlow is not needed."""
    import requests

    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise UserError(
            "tensorflow-datasets is not installed, so MNIST cannot be downloaded: install it, or "
            f"set {VARIABLE} to a folder with the four files."
        ) from None
    infos = tfds.builder("mnist", data_dir=str(folder.parent / "tfds")).url_infos
    if not _reachable(next(iter(infos))):
        raise UserError(
            "MNIST is not in the cache and there is no network to download it: go online, or set "
            f"{VARIABLE} to a folder with the four files."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        manager = tfds.download.DownloadManager(
            download_dir=str(folder.parent / "tfds" / "downloads"),
            url_infos=infos,
            force_checksums_validation=True,
        )
        fetched = manager.download({Path(url).name: url for url in infos})
        for name, path in fetched.items():
            partial = folder / f"{name}.partial"
            shutil.copyfile(path, partial)
            partial.rename(folder / name)
    except (
        requests.RequestException,  # which is an OSError, so it comes first
        tfds.download.download_manager.NonMatchingChecksumError,
        tfds.download.util.DownloadError,
    ) as error:
        raise UserError(f"the download of MNIST failed ({error}): try again later.") from error
    except OSError as error:
        raise UserError(f"MNIST could not be stored in {folder} ({error}): make room.") from None


def _reachable(url: str) -> bool:
    """Returns whether a file's header can be fetched."""
    # Without this test, tensorflow-datasets retries for minutes where there is no network.
    import requests

    answers: list[bool] = []

    def fetch_header() -> None:
        try:
            answers.append(requests.head(url, timeout=PROBE_SECONDS, allow_redirects=True).ok)
        except requests.RequestException:
            answers.append(False)

    # A thread, because a name server that never answers is not covered by the time-out.
    thread = threading.Thread(target=fetch_header, daemon=True)
    thread.start()
    thread.join(2 * PROBE_SECONDS)
    return answers == [True]


def _from_sklearn() -> Source:
    """Upsamples scikit-learn's 8x8 digits to 20x20 in a 28x28 frame, MNIST's own proportions."""
    from PIL import Image
    from sklearn.datasets import load_digits as load_8x8

    data = load_8x8()
    small = np.round(data.images * (255 / 16)).astype(np.uint8)
    large = np.zeros((len(small), 28, 28), np.uint8)
    for frame, digit in zip(large, small, strict=True):
        enlarged = Image.fromarray(digit).resize((20, 20), Image.Resampling.BILINEAR)
        frame[4:24, 4:24] = np.asarray(enlarged)
    labels = data.target.astype(np.uint8)
    parts = Dataset(large[:1500], labels[:1500]), Dataset(large[1500:], labels[1500:])
    return Source(*parts, source="digits8x8", official=False)


def _split(
    found: Source, train: int, validation: int, order: Int[np.ndarray, " n"]
) -> tuple[Dataset, Dataset]:
    total = len(found.train)
    if found.source == "digits8x8":
        share = total * validation // (train + validation)
        validation = max(share, 1 if validation else 0)
        train = total - validation
    if train + validation > total:
        raise UserError(
            f"data.train_examples + data.validation_examples is {train + validation:,}, "
            f"but there are {total:,} training digits: lower one of them."
        )
    first, second = order[:train], order[train : train + validation]
    images, labels = np.asarray(found.train.images), found.train.labels
    return (
        Dataset(_aligned_rows(images, first), labels[first]),
        Dataset(_aligned_rows(images, second), labels[second]),
    )


def _aligned_rows(
    images: UInt8[np.ndarray, "n 28 28"], numbers: Int[np.ndarray, " m"]
) -> UInt8[np.ndarray, "m 28 28"]:
    """Copies images to aligned memory, which JAX uses as it is: a CPU's devices share this copy."""
    size = len(numbers) * SIDE * SIDE
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    rows = memory[start : start + size].reshape(len(numbers), SIDE, SIDE)
    np.take(images, numbers, axis=0, out=rows, mode="clip")  # raise, the default, copies once more
    rows.flags.writeable = False
    return rows
