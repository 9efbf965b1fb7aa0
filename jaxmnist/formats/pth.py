"""Files that torch.save wrote, read and written without PyTorch.

Since PyTorch 1.6 that is a zip archive of a pickle, `data.pkl`, and one member of raw numbers for
each storage, which the pickle refers to by key; before, a few pickles in a row, and the storages
behind them. formats/safe_pickle.py interprets pickles and cannot call anything; no unpickler is
used.
"""

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.formats.kinds import OLD_PYTORCH, TORCH, kind_of
from jaxmnist.formats.safe_pickle import (
    ORDERED_DICT,
    TENSOR,
    Array,
    Storage,
    Tensor,
    describe,
    named_tensors,
    read_pickle,
    to_numpy,
)
from jaxmnist.formats.zip_members import ZIP_ERRORS

LARGEST = 2**30  # bytes that a file may unpack to; the largest published one has 40 million
LONGEST = 2**27  # bytes of its pickle: of tensors it has some thousands, of arrays all numbers
DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
    "BoolStorage": "?", "BFloat16Storage": jnp.bfloat16,
}  # fmt: skip
STORAGES = {np.dtype(code): name for name, code in DTYPES.items()}
OLD_PROTOCOL = 1001  # of all files before PyTorch 1.6
RESAVE = "load it in PyTorch and write it again with torch.save(model.state_dict(), ...)"


def read_pth(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the named tensors of what torch.save wrote, in their order; nothing is ever executed.

    Of a state dict these are its entries. In a checkpoint, a dictionary that holds one, they are
    called as in `model.conv1.weight`; a whole module and TorchScript have those of their state
    dict. Whatever else the file holds is left out.

    Raises:
      UserError: if the file is missing, damaged, compressed, larger than `LARGEST`, or has no
        named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not a file: name one that torch.save wrote.")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_archive(archive, path)
        kind = kind_of(path) or "cut short, or nothing that torch.save wrote"
        if kind != TORCH:
            raise UserError(f"it is {kind}: {RESAVE}.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"it has more than {LARGEST:,} bytes: {RESAVE}.")
        return _read_old(path.read_bytes())
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from None
    except (*ZIP_ERRORS, LookupError) as error:  # LookupError: a member or a key is not there
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is not a readable PyTorch file ({problem}): {RESAVE}.") from None


def _read_archive(archive: zipfile.ZipFile, path: Path) -> dict[str, np.ndarray]:
    members = archive.namelist()
    folders = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(folders) != 1:
        raise UserError(f"it is {kind_of(path)}, not one that torch.save wrote: {RESAVE}.")
    folder = folders[0]
    # The sources of TorchScript are compressed, and not read.
    read = [one for one in archive.infolist() if not one.filename.startswith(f"{folder}/code/")]
    if sum(member.file_size for member in read) > LARGEST:
        raise UserError(f"it unpacks to more than {LARGEST:,} bytes: {RESAVE}.")
    # zipfile compares with the stated size only after unpacking, so no compression is accepted.
    if any(member.compress_type != zipfile.ZIP_STORED for member in read):
        raise UserError(f"it is compressed, which torch.save does not do: {RESAVE}.")
    if f"{folder}/byteorder" in members and archive.read(f"{folder}/byteorder") != b"little":
        raise UserError(f"its numbers are not little-endian: on another machine, {RESAVE}.")
    if archive.getinfo(f"{folder}/data.pkl").file_size > LONGEST:
        raise UserError(f"its data.pkl has more than {LONGEST:,} bytes: {RESAVE}.")
    tree, _ = read_pickle(io.BytesIO(archive.read(f"{folder}/data.pkl")))
    return _arrays(tree, lambda storage: archive.read(f"{folder}/data/{storage.key}"))


def _read_old(content: bytes) -> dict[str, np.ndarray]:
    """Reads the pickles of a version, a machine, the content and its storages' keys, then those."""
    place = len(OLD_PYTORCH)

    def next_pickle() -> tuple[Any, dict[str, Storage]]:
        nonlocal place
        stream = io.BytesIO(content[place : place + LONGEST])
        found = read_pickle(stream)
        place += stream.tell()
        return found

    (version, _), (machine, _), (tree, storages), (keys, _) = (next_pickle() for _ in range(4))
    if version != OLD_PROTOCOL or not isinstance(machine, dict) or not isinstance(keys, list):
        raise ValueError("another version of torch.save")
    if machine.get("little_endian") is not True:
        raise UserError(f"its numbers are not little-endian: on another machine, {RESAVE}.")
    numbers = {}
    for key in keys:  # each with a count before it
        (count,) = struct.unpack_from("<q", content, place)
        size = count * np.dtype(DTYPES[storages[key].kind]).itemsize
        start, place = place + 8, place + 8 + size
        if not start <= place <= len(content):
            raise ValueError("a storage is cut short")
        numbers[key] = memoryview(content)[start:place]
    return _arrays(tree, lambda storage: numbers[storage.key])


def _arrays(tree: Any, read: Callable[[Storage], bytes | memoryview]) -> dict[str, np.ndarray]:
    """Returns the named tensors of a file; `read` gives the numbers of a storage."""
    entries = named_tensors(tree)
    if not entries:
        raise UserError(f"{describe(tree)}, and no named tensors: {RESAVE}.")
    tensors = {name: each for name, each in entries.items() if isinstance(each, Tensor)}
    if odd := [name for name, tensor in tensors.items() if tensor.storage.kind not in DTYPES]:
        kind = tensors[odd[0]].storage.kind
        raise UserError(f"its {odd[0]} is a {kind!r}, of numbers that are not read: {RESAVE}.")
    sizes = [
        math.prod(tensor.shape) * np.dtype(DTYPES[tensor.storage.kind]).itemsize
        for tensor in tensors.values()
    ]
    sizes += [len(each.content) for each in entries.values() if isinstance(each, Array)]
    if sum(sizes) > LARGEST:
        raise ValueError("the tensors are too large")  # one number, repeated over and over
    storages: dict[str, bytes | memoryview] = {}
    state = {}
    for name, entry in entries.items():
        if isinstance(entry, Array):
            state[name] = to_numpy(entry)
            continue
        storage, offset, shape, strides = entry
        if storage.key not in storages:
            storages[storage.key] = read(storage)
        numbers = np.frombuffer(storages[storage.key], DTYPES[storage.kind])
        state[name] = _strided(numbers, offset, shape, strides)
    return state


def _strided(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> np.ndarray:
    """Views part of a storage; offset and strides count elements, and come from the file."""
    # The bounds are checked in Python's integers: NumPy's own check can overflow.
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 in shape and min(shape) == 0:
        return np.empty(shape, storage.dtype)
    if min((offset, *strides)) < 0 or min((1, *shape)) < 1 or last >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
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

    empty = name_of(*ORDERED_DICT.split(".")) + pickle.EMPTY_TUPLE + pickle.REDUCE
    items = (text(name) + tensor(key, array) for key, (name, array) in enumerate(state.items()))
    start = pickle.PROTO + b"\x02" + empty
    return start + pickle.MARK + b"".join(items) + pickle.SETITEMS + pickle.STOP


def write_safetensors(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict as a safetensors file, marked as PyTorch's layout."""
    from safetensors.numpy import save

    atomic_write(path, save(dict(state), metadata={"format": "pt"}))
