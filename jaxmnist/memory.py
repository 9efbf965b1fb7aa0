"""The memory that this process takes from the machine."""

import ctypes
import sys


def peak_memory_bytes() -> int | None:
    """Returns the most memory that this process has held at once; None where nobody knows."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # kilobytes everywhere else


def give_back() -> None:
    """Gives the pages that were freed back to the machine; glibc keeps hundreds of megabytes.

    Compiling leaves them behind: without this they add to whatever is needed next.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
