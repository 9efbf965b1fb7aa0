"""Reads digits from pickles, such as mnist.pkl.gz: as data, by an interpreter that runs nothing."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from jaxmnist.data.found import Found, Split
from jaxmnist.data.npz import MADE, choose
from jaxmnist.errors import UserError
from jaxmnist.files import Readable, read_bounded
from jaxmnist.formats.kinds import kind_of
from jaxmnist.formats.safe_pickle import Array, describe, read_pickle, to_numpy

# Names of arrays in dictionaries, as people spell them, and as files of NumPy have them.
SPELLINGS = (("training", "train"), ("img", "image"), ("images", "image"), ("labels", "label"))
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, ValueError)


def read_digits(path: Path, split: Split) -> Found:
    """Reads the pairs of images and labels of a pickle, packed by gzip or not.

    They are two (to train and to test) or three (to train, to validate and to test), or a
    dictionary whose names say so.

    Raises:
      UserError: if the file is damaged, or holds something else.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Readable = gzip.GzipFile(fileobj=file) if packed else file
            tree, _ = read_pickle(io.BytesIO(read_bounded(stream, path)))
        names = _named(tree)
        if not names:
            raise _refused(path, describe(tree))
        found = choose(path, names, lambda name: _joined(names[name]), split)
    except DAMAGED as error:
        raise _refused(path, f"damaged, {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    # Theano's tutorials divided by 256.
    if found.images.dtype.kind == "f" and found.images.size:
        levels = found.images * 256
        if levels.min() >= 0 and levels.max() <= 255 and (levels == np.round(levels)).all():
            note = f"{path}: its numbers are 256ths, and read as such"
            return Found(levels.astype(np.uint8), found.labels, [*found.notes, note])
    return found


def _named(tree: Any) -> dict[str, list[Array]]:
    """Returns arrays by the names of images and labels; some are to be joined."""
    if isinstance(tree, dict):
        named = {}
        for name, value in tree.items():
            for theirs, ours in SPELLINGS:
                name = name.lower().replace(theirs, ours)
            if isinstance(value, Array) and value.has_numbers:
                named[f"{name}s" if name.endswith(("image", "label")) else name] = [value]
        return named
    pairs = list(tree) if isinstance(tree, list | tuple) else []
    if len(pairs) not in (2, 3) or not all(map(_is_pair, pairs)):
        return {}
    # MNIST's training digits, in their order: those to validate on were cut off behind.
    train = list(zip(*pairs[:-1], strict=True))
    test = [[each] for each in pairs[-1]]
    return {
        f"{axis}_{part}": list(arrays)
        for part, both in (("train", train), ("test", test))
        for axis, arrays in zip("xy", both, strict=True)
    }


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(each, Array) and each.has_numbers for each in value)
    )


def _joined(arrays: list[Array]) -> np.ndarray:
    found = [to_numpy(each) for each in arrays]
    return np.concatenate(found) if len(found) > 1 else found[0]


def _refused(path: Path, found: str) -> UserError:
    return UserError(
        f"{path} is {kind_of(path)}, {found}, and no file of images that is read: name {MADE}."
    )
