"""Reads the idx files that MNIST comes in (http://yann.lecun.com/exdb/mnist), gzipped or not."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8

from jaxmnist.constants import DIGITS, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.errors import UserError
from jaxmnist.files import Readable, read_bounded

IMAGES_MAGIC, LABELS_MAGIC = 0x0803, 0x0801  # unsigned bytes, in three dimensions or in one
QMNIST_MAGIC = 0x0C02  # 32-bit integers: rows of a label and what else QMNIST knows of its digit
DTYPES = {IMAGES_MAGIC: "u1", LABELS_MAGIC: "u1", QMNIST_MAGIC: ">i4"}


def read_images(path: Path) -> tuple[UInt8[np.ndarray, "n 28 28"], str]:
    """Returns the images of an idx3 file and the sha256 of its unpacked bytes.

    Raises:
      UserError: if the file is missing, damaged, or not 28x28 images.
    """
    array, digest = _read(path, IMAGES_MAGIC)
    if array.shape[1:] != (SIDE, SIDE):
        size = "x".join(map(str, array.shape[1:]))
        raise UserError(f"{path} holds images of {size} pixels; give a file of 28x28 images.")
    return array, digest


def read_labels(path: Path) -> tuple[UInt8[np.ndarray, " n"], str]:
    """Returns the labels of an idx1 file and the sha256 of its unpacked bytes.

    Of QMNIST's extended labels, which are rows of an idx2 file, the first column is taken.

    Raises:
      UserError: if the file is missing, damaged, or holds a label over 9.
    """
    array, digest = _read(path, LABELS_MAGIC, QMNIST_MAGIC)
    labels = array[:, 0] if array.ndim == 2 else array
    if labels.size and not 0 <= labels.min() <= labels.max() < DIGITS:
        wrong = labels.max() if labels.max() >= DIGITS else labels.min()
        raise UserError(f"{path} holds the label {wrong}; labels must be digits 0 to 9.")
    return labels.astype(np.uint8), digest


def digest(array: UInt8[np.ndarray, "..."]) -> str:
    """Returns the sha256 of the bytes of an idx file that holds this array."""
    magic = IMAGES_MAGIC if array.ndim > 1 else LABELS_MAGIC
    header = b"".join(number.to_bytes(4, "big") for number in (magic, *array.shape))
    return hashlib.sha256(header + array.tobytes()).hexdigest()


def read_test_part(folder: Path) -> Dataset:
    """Reads the test digits of a folder of idx files, whatever they are.

    Raises:
      UserError: if a file is missing or damaged.
    """
    images, labels = (
        find_file(folder, f"t10k-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    return pair(folder, "test", read_images(images)[0], read_labels(labels)[0])


def find_file(folder: Path, file: str) -> Path:
    """Returns where one of the four files is, packed or not, as its copies in the wild are named.

    `train-images.idx3-ubyte` has a dot, QMNIST has names of its own, torchvision puts the files
    into MNIST/raw, and some archives unpack each into a folder of its name.
    """
    split = "train" if file.startswith("train") else "test"
    kind = "images-idx3-ubyte" if "images" in file else "labels-idx2-int"
    spellings = (file, file.replace("-idx", ".idx"), f"qmnist-{split}-{kind}")
    names = [f"{name}{end}" for end in (".gz", "") for name in spellings]
    inner = ("", "raw", "MNIST/raw", *spellings)
    paths = [folder / each / name for each in inner for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


def labels_beside(images: Path) -> Path | None:
    """Returns the file of labels that belongs to a file of images, by its name, if it is there."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    paths = [images.with_name(name), images.with_name(name.replace("idx1-ubyte", "idx2-int"))]
    return next((path for path in paths if path.is_file() and path != images), None)


def pair(place: Path, split: str, images: np.ndarray, labels: np.ndarray) -> Dataset:
    """Puts images and labels together.

    Raises:
      UserError: if there are not as many of each, or none.
    """
    if len(images) != len(labels):
        raise UserError(
            f"{place} has {len(images):,} {split} images but {len(labels):,} labels: "
            "the files do not belong together, fetch both again."
        )
    if not len(labels):
        raise UserError(f"{place} has no {split} examples: fetch the files again.")
    return Dataset(images, labels)


def _read(path: Path, *magics: int) -> tuple[Integer[np.ndarray, "..."], str]:
    content = _unpack(path)
    found, magic = int.from_bytes(content[:4], "big"), magics[0]
    if found not in magics:
        kinds = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels"}
        if found in kinds:
            raise UserError(
                f"{path} holds {kinds[found]} where {kinds[magic]} belong: "
                "the two files may be swapped, rename or fetch them again."
            )
        raise UserError(
            f"{path} is not an idx file of {kinds[magic]} "
            f"(it starts with {content[:4].hex() or 'nothing'}): fetch it again."
        )
    dimensions, dtype = found & 0xFF, np.dtype(DTYPES[found])
    header = 4 + 4 * dimensions
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    if len(content) < header or math.prod((*sizes, dtype.itemsize)) != len(content) - header:
        raise UserError(
            f"{path} is damaged: its header and its {len(content):,} bytes do not agree; "
            "fetch it again."
        )
    array = np.frombuffer(content, dtype, offset=header).reshape(sizes)
    return array, hashlib.sha256(content).hexdigest()


def _unpack(path: Path) -> bytearray:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Readable = gzip.GzipFile(fileobj=file) if packed else file
            return read_bounded(stream, path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: put MNIST's four files there.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): fetch it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
