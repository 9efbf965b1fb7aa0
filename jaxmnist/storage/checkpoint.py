"""Checkpoints of the whole train state, written by Orbax (the only file that knows it).

    checkpoints/7/                the seventh that was saved
      state/                      Orbax's
      record.json                 what belongs to the state: history, digits, time
      checksums.json              SHA-256 of every file above

A checkpoint is complete and on the disk before it gets its name, and loses its name before
anything in it is removed: what has a name is whole, unless the disk failed it, and that is noticed.
"""

import contextlib
import errno
import gc
import hashlib
import io
import itertools
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxmnist.durable import remove_whole, rename_whole, unfinished, write_whole
from jaxmnist.errors import UserError
from jaxmnist.state import TrainState

LATEST = 2  # checkpoints that are kept, besides the one with the lowest error
# What the system says of a disk that does not take what it is given.
DISK_FAULTS = [os.strerror(number) for number in (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO
)]  # fmt: skip
# What a record must hold; and what belongs to the state must be of its own kind.
RECORD: dict[str, type | tuple[type, ...]] = {
    "config": str,
    "data": str,
    "history": list,
    "seconds": dict,
    "step": int,
    "error": (int, float, type(None)),
}


def save(folder: Path, state: TrainState, record: dict[str, Any]) -> None:
    """Writes a state and the JSON `record` that belongs to it; then removes what is superfluous.

    Args:
      folder: of all checkpoints.
      state: of the run.
      record: what `RECORD` names; `error` is what the run wants low, None within an epoch.

    Raises:
      UserError: if it cannot be written; the checkpoints before it are still there then.
    """
    numbers = _numbers(folder)
    target = folder / str(numbers[-1] + 1 if numbers else 1)
    partial = unfinished(target)
    try:
        folder.mkdir(exist_ok=True)
        for leftover in folder.glob(unfinished(Path("*")).name):
            remove_whole(leftover)
        partial.mkdir()
        with _orbax() as orbax:
            orbax.save(partial.absolute() / "state", args=ocp.args.StandardSave(_on_host(state)))
        write_whole(partial / "record.json", json.dumps(record))
        write_whole(partial / "checksums.json", json.dumps(_checksums(partial), indent=2))
        rename_whole(partial, target)
        for number in _superfluous(folder):
            remove_whole(folder / str(number))
    except Exception as error:  # Orbax and TensorStore have many words for a full disk
        shutil.rmtree(partial, ignore_errors=True)  # makes room again
        rest = "goes on from the one before" if numbers else "starts again, as none was saved"
        raise UserError(
            f"the checkpoint {target} cannot be written ({_reason(error)}): mend that, and the "
            f"same command {rest}."
        ) from None


def restore_latest(
    folder: Path, like: TrainState, tell: Callable[[str], None]
) -> tuple[TrainState, dict[str, Any]] | None:
    """Returns the newest state that is whole and its record, or None if nothing was ever saved.

    Args:
      folder: of all checkpoints.
      like: a state of the same run: shapes, dtypes and devices.
      tell: is told of every checkpoint that is damaged.

    Raises:
      UserError: if there are checkpoints, but none that can be read.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file where checkpoints belong: remove it.")
    damaged: list[Path] = []
    numbers = _numbers(folder)
    oldest = numbers[0] if numbers else 0
    for number in reversed(numbers):
        path = folder / str(number)
        if (flaw := _flaw(path)) is None:
            try:
                found = _restore(path, like)
            except Exception as error:  # whole, but of another version of jaxmnist or Orbax
                flaw = f"it does not fit this run ({type(error).__name__})"
            else:
                for path in damaged:  # out of the way of those to come
                    path.rename(_free_name(path))
                return found
        warning = f"warning: the checkpoint {path} is damaged ({flaw})"
        tell(f"{warning}: trying the one before it" if number != oldest else warning)
        damaged.append(path)
    if damaged:
        raise UserError(
            f"none of the checkpoints in {folder} can be read: remove that folder to start the run "
            "again from its beginning, or give another --workdir."
        )
    return None


def _on_host(state: TrainState) -> TrainState:
    """Gives all arrays but the keys as NumPy's; on a CPU they may be views, to be written at once.

    Of arrays on devices Orbax writes a slice for every device: to compile those slices took more
    than a second, and to cut them twice as long as to write.
    """
    host: TrainState = jax.tree.map(
        lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf),
        state,
    )
    return host


@contextlib.contextmanager
def _orbax() -> Iterator[ocp.Checkpointer]:
    """Gives Orbax; of what goes wrong it tells in tracebacks by the thread, and we say it once."""
    logging.disable()
    try:
        with (
            contextlib.redirect_stderr(io.StringIO()),
            ocp.Checkpointer(ocp.StandardCheckpointHandler()) as orbax,
        ):
            try:
                yield orbax
            except Exception:
                # Its abandoned tasks complain when they are collected: now, or whenever it is. Its
                # threads do when they end, in tracebacks: they get a moment for it, unheard.
                gc.collect()
                time.sleep(0.1)
                logging.getLogger("asyncio").setLevel(logging.CRITICAL)
                raise
    finally:
        logging.disable(logging.NOTSET)


def _reason(error: Exception) -> str:
    """Puts what went wrong in a few words: the system's own, where they are in there."""
    text = str(error).strip() or type(error).__name__
    return next((words for words in DISK_FAULTS if words in text), text.splitlines()[0][:200])


def _restore(path: Path, like: TrainState) -> tuple[TrainState, dict[str, Any]]:
    target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    with _orbax() as orbax:
        state: TrainState = orbax.restore(
            path.absolute() / "state", args=ocp.args.StandardRestore(target)
        )
    return state, _record(path)


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    numbers = {int(path.name) for path in folder.iterdir() if path.name.isdecimal()}
    return sorted(number for number in numbers if (folder / str(number)).is_dir())


def _free_name(path: Path) -> Path:
    """Finds a name for a damaged checkpoint that none before it has."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def _superfluous(folder: Path) -> list[int]:
    """Names the checkpoints that are neither among the latest nor the best."""
    errors = {}
    for number in _numbers(folder):
        with contextlib.suppress(OSError, ValueError):  # one that is damaged stays as it is
            errors[number] = _record(folder / str(number))["error"]
    measured = [number for number, error in errors.items() if error is not None]
    keep = {*list(errors)[-LATEST:], *sorted(measured, key=errors.__getitem__)[:1]}
    return [number for number in errors if number not in keep]


def _record(path: Path) -> dict[str, Any]:
    content = json.loads((path / "record.json").read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not all(
        name in content and isinstance(content[name], kind) for name, kind in RECORD.items()
    ):
        raise ValueError(f"{path} holds no record")
    return content


def _checksums(path: Path) -> dict[str, str]:
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_file() and file != path / "checksums.json":
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            found[file.relative_to(path).as_posix()] = digest
    return found


def _flaw(path: Path) -> str | None:
    """Says what is wrong with a checkpoint; None if all its files are as they were written."""
    try:
        noted = json.loads((path / "checksums.json").read_text(encoding="utf-8"))
        found = _checksums(path)
    except FileNotFoundError:
        return "checksums.json is missing"
    except (OSError, ValueError, RecursionError) as error:
        return f"it cannot be read ({type(error).__name__})"
    if not isinstance(noted, dict):
        return "checksums.json has changed"
    for file in sorted(noted.keys() | found.keys()):
        if file not in found:
            return f"{file} is missing"
        if noted.get(file) != found[file]:
            return f"{file} has changed"
    return None
