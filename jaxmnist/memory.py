"""The memory that this process takes from the machine."""

import contextlib
import ctypes
import sys
from pathlib import Path


def peak_memory_bytes() -> int | None:
    """Returns the most memory that this process has held at once; None where nobody knows.

    Linux is asked by its own name for it: `ru_maxrss` also counts what the process was before it
    became Python, which may be a copy of a large parent.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # bytes there, else kilobytes


def give_back() -> None:
    """Gives the pages that were freed back to the machine; glibc keeps hundreds of megabytes.

    Compiling leaves them behind: without this they add to whatever is needed next.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
