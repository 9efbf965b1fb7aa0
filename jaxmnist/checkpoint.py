"""Checkpoints of the whole train state, written by Orbax (the only file that imports it).

    checkpoints/7/                the seventh that was saved
      state/                      Orbax's
      record.json                 what belongs to the state: history, data, time
      checksums.json              SHA-256 of every file above

Of a state that lies on devices of several processes Orbax writes each one's part in that process;
the rest, and the names, are the writer's. All of them see the same folder.

Orbax's CheckpointManager does not keep the promises of docs/recovery.md. Tried with 0.12.8: from a
file with one flipped bit it restores wrong numbers without an error, and it syncs neither its
metadata nor its renames to the disk. So names, syncs, checksums and keep rules are here.
"""

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_remove, atomic_rename, atomic_write, can_sync, partial_path
from jaxmnist.sharding import is_writer, largest, wait_for_all
from jaxmnist.state import TrainState
from jaxmnist.typed_json import from_json

LATEST = 2  # checkpoints that are kept, besides the one with the lowest error
# How the system describes a disk that does not take data.
DISK_FAULTS = [os.strerror(number) for number in (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO
)]  # fmt: skip
# What Orbax raises for a state of another shape, and for metadata that is of another version of it,
# which it parses without checking.
UNFIT = (
    FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, RecursionError
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """What a checkpoint holds besides the state."""

    step: int
    error: float | None  # what the run wants low; None within an epoch
    data: str  # fingerprint of the digits
    config: str  # hash of the configuration
    history: list[dict[str, Any]]  # the lines of `metrics.jsonl`
    seconds: dict[str, float]  # of each section of the run


def save(folder: Path, state: TrainState, record: Record) -> None:
    """Writes a state and its record, then removes superfluous checkpoints.

    A checkpoint gets its name when it is complete and on the disk, and loses it before anything in
    it is removed.

    Args:
      folder: of all checkpoints.
      state: of the run.
      record: that belongs to the state.

    Raises:
      UserError: if the disk does not take it; the checkpoints before it are untouched then.
    """
    numbers = _numbers(folder) if is_writer() else []
    (number,) = largest([numbers[-1] + 1 if numbers else 1])
    target = folder / str(number)
    partial = partial_path(target)
    try:
        if is_writer():
            folder.mkdir(exist_ok=True)
            for leftover in folder.glob(partial_path(Path("*")).name):
                atomic_remove(leftover)
            partial.mkdir()
        wait_for_all("the checkpoint has a folder")
        with _orbax() as orbax, _syncs_that_work(partial):
            orbax.save(partial.absolute() / "state", args=ocp.args.StandardSave(_on_host(state)))
        if is_writer():
            atomic_write(partial / "record.json", json.dumps(dataclasses.asdict(record)))
            atomic_write(partial / "checksums.json", json.dumps(_checksums(partial), indent=2))
            atomic_rename(partial, target)
            for old in _superfluous(folder):
                atomic_remove(folder / str(old))
    # Orbax and TensorStore report a full disk as exceptions of many types; only those whose text
    # says so become a sentence, any other is a bug and propagates.
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)  # makes room again
        if (fault := _disk_fault(error)) is None:
            raise
        rest = "resume from the one before" if number > 1 else "start again, as none was saved"
        raise UserError(
            f"the checkpoint {target} cannot be written ({fault}): fix it and rerun to {rest}."
        ) from error


def restore_latest(
    folder: Path,
    like: TrainState,
    log: Callable[[str], None],
    epochs: Callable[[Record], int | None] = lambda record: None,
) -> tuple[TrainState, Record] | None:
    """Returns the newest state that is whole and its record, or None if nothing was ever saved.

    Args:
      folder: of all checkpoints.
      like: a state of the same run: shapes, dtypes and devices.
      log: gets a line for every damaged checkpoint: one whose files are not as they were written.
      epochs: for how many epochs the run was meant that wrote a record, if for fewer than now; its
        state has room for the weights of as many.

    Raises:
      UserError: if there are checkpoints, but all are damaged; or if one is whole, but cannot be
        read here or is of another version: no older one is taken then, and nothing is changed.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file where checkpoints belong: remove it.")
    damaged: list[Path] = []
    numbers = _numbers(folder)
    oldest = numbers[0] if numbers else 0
    for number in reversed(numbers):
        path = folder / str(number)
        try:
            flaw = _flaw(path)
            found = None if flaw else _restore(path, like, epochs)
        except UNFIT as error:
            raise UserError(
                f"the checkpoint {path} is whole, but of another version of jaxmnist or Orbax "
                f"({type(error).__name__}): go on with the version that began the run, or give "
                "another workdir."
            ) from error
        except OSError as error:  # permissions, a share that is gone, a disk that fails
            raise UserError(
                f"the checkpoint {path} cannot be read ({_disk_fault(error)}): make it readable, "
                "nothing in it was changed, and rerun to resume."
            ) from error
        if found:
            wait_for_all("a checkpoint is read")
            if is_writer():
                for each in damaged:  # out of the way of those to come
                    each.rename(_free_name(each))
            return found
        warning = f"warning: the checkpoint {path} is damaged ({flaw})"
        log(f"{warning}: trying the one before it" if number != oldest else warning)
        damaged.append(path)
    if damaged:
        raise UserError(
            f"all checkpoints in {folder} are damaged: put a copy back if you have one, or give "
            "another workdir to start again."
        )
    return None


def _on_host(state: TrainState) -> TrainState:
    """Returns a state with what this process has whole as NumPy's arrays, all but the keys.

    On a CPU they may be views. What lies in parts in several processes stays on the devices.
    """

    # Of arrays on devices Orbax writes a slice for every device: compiling those slices took more
    # than a second, and cutting them twice as long as writing.
    def on_host(leaf: jax.Array) -> Any:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        is_whole = leaf.is_fully_addressable or leaf.is_fully_replicated
        return np.asarray(leaf) if is_whole and not is_key else leaf

    host: TrainState = jax.tree.map(on_host, state)
    return host


def _orbax() -> ocp.Checkpointer:
    return ocp.Checkpointer(ocp.StandardCheckpointHandler())


@contextlib.contextmanager
def _syncs_that_work(folder: Path) -> Iterator[None]:
    """Keeps TensorStore from syncing where folders cannot be synced, which it takes for a fault.

    `atomic_rename` syncs every file afterwards. Orbax has no option for it.
    """
    if can_sync(folder):
        yield
        return
    from orbax.checkpoint._src.serialization import tensorstore_utils

    contexts = (tensorstore_utils._BASE_TS_CONTEXT, tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT)
    for context in contexts:
        context["file_io_sync"] = False
    try:
        yield
    finally:
        for context in contexts:
            del context["file_io_sync"]


def _disk_fault(error: BaseException | None) -> str | None:
    """Returns in the system's words why a disk did not take data; None if it is not the disk."""
    while error is not None:
        text = str(error)
        if known := next((fault for fault in DISK_FAULTS if fault in text), None):
            return known
        if isinstance(error, OSError):
            return error.strerror or text or type(error).__name__
        error = error.__cause__  # not __context__: a bug in the handling of a fault is a bug
    return None


def _restore(
    path: Path, like: TrainState, epochs: Callable[[Record], int | None]
) -> tuple[TrainState, Record]:
    record = _record(path)
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    rows = epochs(record)
    shorter_then = rows is not None and rows < _rows(like)
    if shorter_then:
        shorter = jax.tree.map(
            lambda leaf: leaf.update(shape=(leaf.shape[0], rows, *leaf.shape[2:])),
            target.every_epoch,
        )
        target = target._replace(every_epoch=shorter)
    state = _read_state(path / "state", target, like)
    if shorter_then:
        longer = jax.tree.map(
            lambda whole, row: jax.device_put(whole.at[:, :rows].set(row), whole.sharding),
            like.every_epoch,
            state.every_epoch,
        )
        state = state._replace(every_epoch=longer)
    return state, record


def _read_state(path: Path, target: TrainState, like: TrainState) -> TrainState:
    """Reads a state; one from before learning rates lay in it is given the schedule of `like`."""

    def read(target: TrainState) -> TrainState:
        with _orbax() as orbax:
            state: TrainState = orbax.restore(
                path.absolute(), args=ocp.args.StandardRestore(target)
            )
        return state

    try:
        return read(target)
    except ValueError as error:
        try:
            before = read(target._replace(schedule=()))
        except ValueError:
            raise error from None
        return before._replace(schedule=like.schedule)  # no schedule without a state ever changed


def _rows(state: TrainState) -> int:
    """Returns for how many epochs' weights a state has room, 0 if it keeps none."""
    leaves = jax.tree.leaves(state.every_epoch)
    return int(leaves[0].shape[1]) if leaves else 0


def exists(folder: Path) -> bool:
    """Returns whether a folder holds a checkpoint, whole or damaged."""
    return bool(_numbers(folder))


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    numbers = {int(path.name) for path in folder.iterdir() if path.name.isdecimal()}
    return sorted(number for number in numbers if (folder / str(number)).is_dir())


def _free_name(path: Path) -> Path:
    """Returns a name for a damaged checkpoint that no earlier one has."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def _superfluous(folder: Path) -> list[int]:
    """Returns the checkpoints that are neither among the latest nor the best."""
    errors = {}
    for number in _numbers(folder):
        # A damaged one stays as it is.
        with contextlib.suppress(OSError, ValueError, RecursionError):
            errors[number] = _record(folder / str(number)).error
    measured = {number: error for number, error in errors.items() if error is not None}
    keep = {*list(errors)[-LATEST:], *sorted(measured, key=measured.__getitem__)[:1]}
    return [number for number in errors if number not in keep]


def _record(path: Path) -> Record:
    return from_json(Record, json.loads((path / "record.json").read_text(encoding="utf-8")))


def _checksums(path: Path) -> dict[str, str]:
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    return {
        file.relative_to(path).as_posix(): _sha256(file)
        for file in files
        if file != path / "checksums.json"
    }


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _flaw(path: Path) -> str | None:
    """Returns what is wrong with a checkpoint; None if all its files are as they were written.

    Files that were not written with it are none of its own: file managers, archivers and network
    file systems leave theirs everywhere.

    Raises:
      OSError: if a file cannot be read.
    """
    try:
        noted = json.loads((path / "checksums.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "checksums.json is missing"
    except (ValueError, RecursionError):
        noted = None
    if not isinstance(noted, dict) or not noted:
        return "checksums.json has changed"
    for file, digest in sorted(noted.items()):
        if not (path / file).is_file():  # a damaged list may name a device, which never ends
            return f"{file} is missing"
        if _sha256(path / file) != digest:
            return f"{file} has changed"
    return None
