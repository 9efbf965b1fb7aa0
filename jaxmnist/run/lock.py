"""One process a run folder: a lock that goes away with its process, however that ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmnist.durable import write_whole
from jaxmnist.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has other locks; there, two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder that exists, until the block ends.

    The lock is the kernel's (flock), on the folder itself. The file `.lock` only says who has it,
    and stays. On a network file system the lock reaches other machines where that passes locks on.

    Raises:
      UserError: if another process is in there, or the lock cannot be written.
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
                "--workdir."
            ) from None
        try:
            write_whole(path, f"process {os.getpid()} on {socket.gethostname()}\n")
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}): mend that.") from None
        yield
    finally:
        os.close(descriptor)  # which also unlocks
