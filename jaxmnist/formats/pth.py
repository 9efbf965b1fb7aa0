"""Files that hold a PyTorch state dict, read and written without PyTorch.

`.pth` is what torch.save writes since PyTorch 1.6: a zip archive of a pickle, `data.pkl`, and one
member of raw numbers for each storage, which the pickle refers to by key. formats/safe_pickle.py
interprets that pickle and cannot call anything; no unpickler is used.
"""

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.formats.safe_pickle import ORDERED_DICT, TENSOR, read_entries
from jaxmnist.formats.zip_members import ZIP_ERRORS

LARGEST = 2**30  # bytes that a file may unpack to; the largest published one has 40 million
LONGEST = 2**20  # bytes of its pickle; with 44 entries it has 4 thousand
DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?",
}  # fmt: skip
STORAGES = {np.dtype(code): name for name, code in DTYPES.items()}
RESAVE = "load it in PyTorch and write it again with torch.save(model.state_dict(), ...)"


def read_pth(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the state dict that torch.save wrote, in its order; nothing in it is ever executed.

    Raises:
      UserError: if the file is missing, damaged, not a zip archive (before PyTorch 1.6),
        compressed, larger than `LARGEST`, or holds anything else than named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not a file: name one that torch.save wrote.")
    try:
        if not zipfile.is_zipfile(path):
            raise UserError(f"it is cut short, or older than PyTorch 1.6: {RESAVE}.")
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from None
    except (*ZIP_ERRORS, LookupError) as error:  # LookupError: a member or a key is not there
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is not a readable PyTorch file ({problem}): {RESAVE}.") from None


def _read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    if sum(member.file_size for member in archive.infolist()) > LARGEST:
        raise UserError(f"it unpacks to more than {LARGEST:,} bytes: {RESAVE}.")
    # zipfile compares with the stated size only after unpacking, so no compression is accepted.
    if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
        raise UserError(f"it is compressed, which torch.save does not do: {RESAVE}.")
    members = archive.namelist()
    folders = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(folders) != 1:
        raise UserError(f"it is a zip archive, but not one that torch.save wrote: {RESAVE}.")
    folder = folders[0]
    if f"{folder}/byteorder" in members and archive.read(f"{folder}/byteorder") != b"little":
        raise UserError(f"its numbers are not little-endian: on another machine, {RESAVE}.")
    if archive.getinfo(f"{folder}/data.pkl").file_size > LONGEST:
        raise UserError(f"its data.pkl has more than {LONGEST:,} bytes: {RESAVE}.")
    entries = read_entries(archive.read(f"{folder}/data.pkl"))
    if entries is None or any(tensor.storage.kind not in DTYPES for tensor in entries.values()):
        raise UserError(f"it holds more than named tensors: {RESAVE}.")
    storages: dict[str, bytes] = {}
    state = {}
    for name, (storage, offset, shape, strides) in entries.items():
        if storage.key not in storages:
            storages[storage.key] = archive.read(f"{folder}/data/{storage.key}")
        numbers = np.frombuffer(storages[storage.key], DTYPES[storage.kind])
        state[name] = _strided(numbers, offset, shape, strides)
    return state


def _strided(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> np.ndarray:
    """Views part of a storage; offset and strides count elements, and come from the file."""
    # The bounds are checked in Python's integers: NumPy's own check can overflow.
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if min((offset, *strides)) < 0 or min((1, *shape)) < 1 or last >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    if math.prod(shape) * storage.itemsize > LARGEST:  # one number, repeated over and over
        raise ValueError("a tensor is too large")
    steps = [step * storage.itemsize for step in strides]
    return np.ndarray(shape, storage.dtype, storage, offset * storage.itemsize, steps)


def write_pth(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a file that `torch.load(path, weights_only=True)` reads as an OrderedDict of tensors.

    The same state gives the same bytes.
    """
    members = {"data.pkl": _pickle(state), "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{key}": array.tobytes() for key, array in enumerate(state.values())}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)  # no time of day in it
    atomic_write(path, content.getvalue())


def _pickle(state: Mapping[str, np.ndarray]) -> bytes:
    """Returns the pickle of a state dict."""
    # Written opcode by opcode: the pickle module would import PyTorch to name its classes.

    def name_of(module: str, name: str) -> bytes:
        return pickle.GLOBAL + f"{module}\n{name}\n".encode()

    def text(value: str) -> bytes:
        return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()

    def integer(value: int) -> bytes:
        return pickle.BININT + struct.pack("<i", value)

    def group(*items: bytes) -> bytes:
        return pickle.MARK + b"".join(items) + pickle.TUPLE

    def tensor(key: int, array: np.ndarray) -> bytes:
        strides = np.empty(array.shape, "u1").strides  # those of a contiguous array, in elements
        storage = name_of("torch", STORAGES[array.dtype])
        place = (text("storage"), storage, text(f"{key}"), text("cpu"), integer(array.size))
        arguments = group(
            *(group(*place), pickle.BINPERSID, integer(0)),
            *(group(*map(integer, array.shape)), group(*map(integer, strides))),
            *(pickle.NEWFALSE, empty),  # it needs no gradient and has no hooks
        )
        return name_of(*TENSOR) + arguments + pickle.REDUCE

    empty = name_of(*ORDERED_DICT) + pickle.EMPTY_TUPLE + pickle.REDUCE
    items = (text(name) + tensor(key, array) for key, (name, array) in enumerate(state.items()))
    start = pickle.PROTO + b"\x02" + empty
    return start + pickle.MARK + b"".join(items) + pickle.SETITEMS + pickle.STOP


def write_safetensors(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict as a safetensors file, marked as PyTorch's layout."""
    from safetensors.numpy import save

    atomic_write(path, save(dict(state), metadata={"format": "pt"}))
