"""Writing so that what has its name is whole, and on the disk.

A file or a folder is made under another name, `NAME.partial`; the last step is to give it its own.
"""

import os
import shutil
from pathlib import Path


def unfinished(path: Path) -> Path:
    """Returns the name that something has while it is made, or removed."""
    return path.with_name(f"{path.name}.partial")


def write_whole(path: Path, content: bytes | str) -> Path:
    """Replaces a file in one go; what was there stays until the new one is safe on the disk.

    Raises:
      OSError: if it cannot be written; nothing is left behind then.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a pipe or a device, which nothing can replace
        return path
    partial = unfinished(path)
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync(path.parent)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return path


def rename_whole(partial: Path, folder: Path) -> None:
    """Gives a finished folder its name, once everything in it is safe on the disk.

    Raises:
      OSError: if that cannot be done.
    """
    for path in partial.rglob("*"):
        _sync(path)
    _sync(partial)
    partial.rename(folder)
    _sync(folder.parent)


def remove_whole(folder: Path) -> None:
    """Removes a folder that loses its name first, so that no half of it can pass for the whole.

    Raises:
      OSError: if that cannot be done.
    """
    partial = folder if folder.suffix == ".partial" else unfinished(folder)
    if partial != folder:
        folder.rename(partial)
    shutil.rmtree(partial)


def _sync(path: Path) -> None:
    """Waits until a file, or the list of names in a folder, is safe on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows knows no such thing of a folder
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
