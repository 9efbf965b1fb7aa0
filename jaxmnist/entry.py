"""What entry points (launch.py, the command line) do to the process, and the library never does."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jaxmnist.errors import Interrupted, UserError

# What a full or failing disk answers to a write; such an error of standard output has no file name.
CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Ends the process with a sentence and an exit code where people can fix it themselves.

    The codes: 2 after a `UserError` or if the output is full, 130 after Ctrl-C, 143 after SIGTERM,
    1 after a closed pipe. A bug of ours stays a traceback.
    """
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        fail(str(error))
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.code)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        _discard_output()
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # every name of ours is shorter
            fail("a name that was given is too long for a file: give a shorter one.")
        if error.errno not in CANNOT_WRITE or error.filename is not None:
            raise
        _discard_output()
        fail(f"the output cannot be written ({error.strerror}): make room or send it elsewhere.")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def fail(sentence: str) -> None:
    """Prints what is wrong, on one line, and exits with code 2."""
    print("error: " + " ".join(sentence.split()), file=sys.stderr)
    sys.exit(2)


def accept_any_output() -> None:
    """Keeps printing safe where standard output is closed, or takes ASCII only."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for the whole process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    # Python flushes standard output once more at exit, which must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
