"""The process and its machine: caches, memory, time, hardware, versions, commit."""

import contextlib
import ctypes
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmnist.errors import UserError

if TYPE_CHECKING:
    import jax

PACKAGES = ("jaxmnist", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def configure_jax() -> None:
    """Sets up JAX for a whole process: for entry points only, before JAX starts.

    Compiled programs are kept between runs (JAX_COMPILATION_CACHE_DIR chooses where), and on a CPU
    every core becomes a device, unless JAX_NUM_CPU_DEVICES says how many there are: a small network
    gains less from a second thread than from a core for the other half of its batch, or for another
    seed. On a GPU memory is taken as it is needed, not most of it at once, unless
    XLA_PYTHON_CLIENT_PREALLOCATE says so. A program started without this call is right, too, and
    slower.

    Raises:
      UserError: if JAX is told to compile nothing, or finds no device.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    if jax.config.values["jax_disable_jit"]:
        raise UserError("JAX_DISABLE_JIT is set, and nothing here runs uncompiled: unset it.")
    jax.config.update("jax_enable_x64", False)  # weights and images are float32

    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    if jax.config.values["jax_num_cpu_devices"] < 0:  # not even by JAX_NUM_CPU_DEVICES
        with contextlib.suppress(RuntimeError):  # JAX has started: its devices stay as they are
            jax.config.update("jax_num_cpu_devices", cores())
    find_devices()


def find_devices() -> "list[jax.Device]":
    """Returns JAX's devices.

    Raises:
      UserError: if there is none.
    """
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:
        platforms = os.environ.get("JAX_PLATFORMS", "")
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        advice = f"unset JAX_PLATFORMS, which is {platforms}." if platforms else "reinstall JAX."
        raise UserError(f"JAX finds no device to compute on ({reason}): {advice}") from error


def import_tensorboardx() -> None:
    """Imports tensorboardX, if it is there, without PyTorch: for entry points only.

    It imports PyTorch where that is installed, for tensors that nobody gives it here: a second and
    180 MB of every run.
    """
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None  # type: ignore[assignment]  # an ImportError for whoever asks
    with contextlib.suppress(ImportError):
        import tensorboardX  # noqa: F401
    if hide:
        del sys.modules["torch"]


def cache_folder() -> Path:
    """Returns this project's cache folder on this platform."""
    from platformdirs import user_cache_path

    return user_cache_path("jaxmnist")


def cores() -> int:
    """Returns the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Timer:
    """Adds up the seconds of named sections; `total` runs from the start, sections overlap it."""

    def __init__(self) -> None:
        """Starts the total."""
        self._done: dict[str, float] = defaultdict(float)
        self._since = {"total": time.perf_counter()}

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Counts the time spent inside as section `name`."""
        self._since[name] = time.perf_counter()
        yield
        self._done[name] += time.perf_counter() - self._since.pop(name)

    def add(self, seconds: dict[str, float]) -> None:
        """Adds the seconds of an earlier session of the same run."""
        for name, value in seconds.items():
            self._done[name] += value

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of every section until now, running ones included."""
        now = time.perf_counter()
        running = {name: now - since for name, since in self._since.items()}
        names = self._done.keys() | running.keys()
        return {name: self._done.get(name, 0.0) + running.get(name, 0.0) for name in sorted(names)}


def peak_memory_bytes() -> int | None:
    """Returns the peak of this process's resident memory; None where it is not known."""
    # Linux: `ru_maxrss` also counts what the process was before it became Python, which may be a
    # copy of a large parent.
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # bytes there, else kilobytes


def trim_heap() -> None:
    """Returns freed pages to the machine (malloc_trim); glibc keeps hundreds of megabytes.

    Compiling leaves them behind: without this they add to whatever is needed next.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def device() -> str:
    """Names the hardware, such as `gpu: 1 x NVIDIA H200` or `cpu: AMD EPYC 9R14, 2 cores`."""
    import jax

    kind, processes = jax.default_backend(), jax.process_count()
    if kind != "cpu":
        return f"{kind}: {jax.device_count()} x {jax.devices()[0].device_kind}"
    named = f"cpu: {_processor()}, {cores()} core{'s' if cores() > 1 else ''}"
    return named if processes == 1 else f"{named}, {processes} processes"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the numerical packages."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def provenance() -> dict[str, Any]:
    """Returns what a measurement says of where it was made: hardware, versions, commit."""
    return {"device": device(), "versions": versions(), "git_commit": git_commit()}


def git_commit() -> str | None:
    """Returns the commit of the source tree, `-dirty` if it was changed; None outside one."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():  # installed, perhaps inside of somebody else's repository
        return None
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
