"""Atomic writes, and reads with a limit.

A file or a folder is written as `NAME.partial` and renamed when it is complete and on the disk.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxmnist.errors import UserError

UNPACKED_LIMIT = 1 << 30  # bytes a file may unpack to; MNIST's largest: 47 million
CHUNK = 1 << 20
REMOVALS = 100  # how often the removal of a folder is tried again
# What a file system answers that cannot do what is asked: shares, FUSE, VirtualBox, Lustre.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@runtime_checkable
class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Returns up to `size` bytes, none at the end."""


def user_path(text: str | Path) -> Path:
    """Returns the path that somebody has typed; a leading `~` is a home folder.

    Raises:
      UserError: if that folder is not known.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{text} is in a home folder that is not known: type it out.") from None


def partial_path(path: Path) -> Path:
    """Returns the name of a file or folder while it is written or removed."""
    return path.with_name(f"{path.name}.partial")


def atomic_write(path: Path, content: bytes | str) -> Path:
    """Replaces a file atomically; the old content stays until the new one is on the disk.

    Raises:
      OSError: if it cannot be written; no partial file is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a pipe or a device, which cannot be replaced
        return path
    partial = partial_path(path)
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


def atomic_rename(partial: Path, folder: Path) -> None:
    """Syncs everything in a finished folder to the disk, then gives it its name.

    Raises:
      OSError: if that fails.
    """
    for path in partial.rglob("*"):
        _sync(path)
    _sync(partial)
    partial.rename(folder)
    _sync(folder.parent)


def atomic_remove(folder: Path) -> None:
    """Removes a folder; it is renamed first, so that half of it never passes for the whole.

    Raises:
      OSError: if that fails.
    """
    partial = folder if folder.suffix == ".partial" else partial_path(folder)
    if partial != folder:
        folder.rename(partial)
    for attempt in range(REMOVALS, -1, -1):
        try:
            shutil.rmtree(partial)
            return
        except OSError as error:
            # A save that failed may have threads that are still writing there.
            if error.errno != errno.ENOTEMPTY or not attempt:
                raise


def read_bounded(stream: Readable, path: Path) -> bytearray:
    """Reads a decompressing stream to its end, at most `UNPACKED_LIMIT` bytes.

    Raises:
      UserError: if there are more bytes than the limit.
      Exception: whatever the stream raises, if it is damaged.
    """
    content = bytearray()
    # A header may state any size, so the bytes that come out are counted.
    while chunk := stream.read(CHUNK):
        content += chunk
        if len(content) > UNPACKED_LIMIT:
            raise UserError(
                f"{path} unpacks to over {UNPACKED_LIMIT:,} bytes: give a smaller file."
            )
    return content


def can_sync(folder: Path) -> bool:
    """Returns whether the list of names in a folder can be synced to the disk.

    Raises:
      OSError: if the disk fails.
    """
    if os.name == "nt":
        return False  # Windows cannot
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise
    finally:
        os.close(descriptor)
    return True


def _sync(path: Path) -> None:
    """Waits until a file, or the list of names in a folder, is on the disk (fsync)."""
    if path.is_dir():
        can_sync(path)  # where it cannot, the file system's own order has to do
        return
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs no file that is only read
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
