"""One process a run folder: a lock that ends with its process, however that ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.files import UNSUPPORTED, atomic_write

try:
    import fcntl
except ImportError:  # Windows has other locks; there, two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks an existing folder against other processes, until the block ends.

    The lock is the kernel's (flock), on the folder itself. The file `.lock` only names its owner,
    and stays. On a network file system other machines see the lock where that passes locks on; one
    without locks gets a warning.

    Raises:
      UserError: if another process has it, or the lock cannot be written.
    """
    if not fcntl:
        yield
        return
    path = folder / ".lock"
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = "another process"
            with contextlib.suppress(OSError):
                owner = path.read_text(encoding="utf-8", errors="replace").strip() or owner
            raise UserError(
                f"{folder} is in use by {owner}: wait until that has ended, or give another "
                "workdir."
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            print(
                f"warning: the file system of {folder} has no locks ({error.strerror}): start no "
                "second run in it",
                flush=True,
            )
        try:
            atomic_write(path, f"process {os.getpid()} on {socket.gethostname()}\n")
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror}): fix it and rerun to resume."
            ) from None
        yield
    finally:
        os.close(descriptor)  # which also unlocks
