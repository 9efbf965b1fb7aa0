"""Files that a command writes where people say: checked before the work, written whole after it."""

import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write

# What a run has written about itself.
RUN_FILES = {
    "config.json", "metrics.jsonl", "model.txt", "predictions.safetensors", "summary.json",
    "weights.safetensors",
}  # fmt: skip


def check_outputs(*paths: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuses what could not be written in the end, before minutes are spent on it.

    Raises:
      UserError: if a path is a folder, in no folder, a run's own file, an input, or named twice.
    """
    read = {os.path.realpath(path) for path in inputs if path}
    written: set[str] = set()
    for path in filter(None, paths):
        real = os.path.realpath(path)
        if real in read:
            raise UserError(f"{path} is what is read: name another file to write.")
        if real in written:
            raise UserError(f"{path} cannot be two files at once: name another one.")
        written.add(real)
        if path.name in RUN_FILES and (path.parent / "config.json").exists():
            raise UserError(f"{path} is the run's own: name another file to write.")
        if os.path.isdir(path):
            raise UserError(f"{path} is a folder: name a file to write.")
        if not os.path.isdir(path.absolute().parent):
            raise UserError(f"{path} cannot be written: its folder is not there, make it first.")


def refuse_foreign(path: Path, mark: str) -> None:
    """Refuses to replace a file that this project has not written.

    Args:
      path: of a text file that may be there already.
      mark: that stands near the beginning of what is ours.

    Raises:
      UserError: if it is there, and is none of ours.
    """
    try:
        with path.open("rb") as file:
            is_ours = mark.encode() in file.read(2_000)
    except OSError:
        return  # none is there, or writing will say what is wrong
    if not is_ours:
        raise UserError(
            f"{path} is there, and is something else: remove it, or name another place."
        )


def write_output(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file whole: `write` fills it in memory.

    Raises:
      UserError: if it cannot be written.
    """
    content = io.BytesIO()
    write(content)
    try:
        atomic_write(path, content.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from None


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole."""
    write_output(path, lambda file: file.write(text.encode()))


def cannot_write(path: Path, error: OSError) -> UserError:
    """Returns the error of an output that cannot be written."""
    return UserError(
        f"{path} cannot be written ({error.strerror}): make that possible, or name another file."
    )
