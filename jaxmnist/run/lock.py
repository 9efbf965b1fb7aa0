"""One process a run folder: a lock that goes away with its process, however that ends."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmnist.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has other locks; there, two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder that exists, until the block ends.

    The lock is the kernel's (flock): the file `.lock` stays, and means nothing by itself. On a
    network file system it reaches other machines where that file system passes locks on.

    Raises:
      UserError: if another process is in there, or the lock cannot be written.
    """
    if not fcntl:
        yield
        return
    path = folder / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): mend that.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
            raise UserError(
                f"{folder} is in use by {owner or 'another process'}: wait until that has ended, "
                "or give another --workdir."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # which also unlocks
