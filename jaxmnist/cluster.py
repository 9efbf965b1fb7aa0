"""The processes of one job: how they find each other, and how all end when one is lost.

For entry points only, as it changes the whole process. What a process computes of a job and which
one writes is in sharding.py and training.py, and the same for a job of one process.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jaxmnist.entry import exit_on_error
from jaxmnist.errors import AllDivergedError, Interrupted, UserError

START_TIMEOUT = 300  # seconds
HEARTBEAT_TIMEOUT = 15  # seconds without a sign of life until a process counts as lost
SHUTDOWN_TIMEOUT = 300  # seconds that the others wait while the writer draws
LOST = (
    "another process of this job has ended or does not answer (see its output): start all of them "
    "again, and they resume from the last checkpoint."
)
# What JAX's errors name when another process is gone: the libraries that move data, the service.
SIGNS = ("Gloo", "NCCL", "coordination", "heartbeat", "Barrier", "UNAVAILABLE", "Connection")


@dataclass(frozen=True)
class Cluster:
    """How a process finds the others of its job; without an address, as JAX detects them."""

    start_timeout: int = START_TIMEOUT  # seconds that all have to come together
    coordinator: str = ""  # HOST:PORT at which process 0 listens
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        """Checks that the parts fit each other.

        Raises:
          UserError: if they do not.
        """
        if self.start_timeout < 1:
            raise UserError(f"--start_timeout is {self.start_timeout}: it must be at least 1.")
        if not self.coordinator:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UserError(
                f"--coordinator is '{self.coordinator}': it must be HOST:PORT, such as "
                "10.0.0.1:6000."
            )
        count, number = self.num_processes or 0, self.process_id
        if count < 1:
            raise UserError("--num_processes is the number of all processes: give 1 or more.")
        if number is None or not 0 <= number < count:
            raise UserError(
                f"--process_id is {number} of --num_processes {count}: they must be from 0, and "
                "one more than the last."
            )


@contextmanager
def joined(cluster: Cluster | None) -> Iterator[None]:
    """Makes this process one of a job's until the block ends; None: it is the only one.

    If it ends otherwise than all others do, it ends at once: they notice, and end as well.
    """
    if cluster is None:
        yield
        return
    with _at_once(), _abort_as_sentence():
        _connect(cluster)
        import jax

        output = contextlib.nullcontext() if jax.process_index() == 0 else _silent()
        try:
            with output:
                yield
        except (Interrupted, AllDivergedError):  # in all of them
            jax.distributed.shutdown()
            raise
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # JAX raises either
            if not any(sign in str(error) for sign in SIGNS):
                raise
            raise UserError(LOST) from error
        jax.distributed.shutdown()


def _connect(cluster: Cluster) -> None:
    """Waits for all processes of the job.

    Raises:
      UserError: if there is no cluster, or no coordinator.
    """
    import jax

    if cluster.coordinator:
        check_coordinator(cluster)
    # JAX would catch SIGTERM, which run/signals.py does.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            cluster.coordinator or None,
            cluster.num_processes,
            cluster.process_id,
            initialization_timeout=cluster.start_timeout,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=SHUTDOWN_TIMEOUT,
        )
    except ValueError as error:  # what it has not found
        raise UserError(
            f"JAX detects no cluster here ({str(error).rstrip('.')}): give --coordinator, "
            "--num_processes and --process_id."
        ) from error


def check_coordinator(cluster: Cluster) -> None:
    """Tries the address, as JAX aborts the process where nobody answers.

    Raises:
      UserError: if process 0 cannot listen there, or another process does not reach it.
    """
    host, _, port = cluster.coordinator.rpartition(":")
    if cluster.process_id == 0:
        try:
            with socket.create_server(("", int(port))):
                return
        except OSError as error:
            raise UserError(
                f"process 0 cannot listen on port {port} ({error.strerror}): give --coordinator "
                "another port, as every job needs its own."
            ) from error
    end = time.monotonic() + cluster.start_timeout
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"process 0 does not answer at {cluster.coordinator} ({error.strerror or error}"
                    "): check the address, and start all processes within --start_timeout seconds."
                ) from error
            time.sleep(0.2)


@contextmanager
def _at_once() -> Iterator[None]:
    """Ends the process with the block, if that fails, where Python would wait for the others."""
    try:
        with exit_on_error():
            yield
    except SystemExit as leave:
        code = int(leave.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    else:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _abort_as_sentence() -> Iterator[None]:
    """Adds a sentence, and exit code 2, to what JAX writes before it aborts the process.

    So it does from a thread of its own when the coordinator reports or is a lost process, and
    offers no other way to learn of it: a callback from Python ends in a C++ exception (0.10.2).
    """
    if os.name == "nt":
        yield
        return

    def handle(number: int) -> None:
        os.write(2, f"error: {LOST}\n".encode())
        os._exit(2)

    # Not of Python's signal module, whose handlers wait for the main thread; `abort` does not.
    set_handler = ctypes.CDLL(None).signal
    set_handler.restype, handler_type = ctypes.c_void_p, ctypes.CFUNCTYPE(None, ctypes.c_int)
    set_handler.argtypes = [ctypes.c_int, ctypes.c_void_p]
    handler = handler_type(handle)
    before = set_handler(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        set_handler(signal.SIGABRT, before)


@contextmanager
def _silent() -> Iterator[None]:
    """Leaves the job's output to the process that writes."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
