"""Ctrl-C and SIGTERM: a run that can save is asked to stop, any other ends at once.

Only entry points call `stop_on_signal` and `quiet_libraries`, which change the whole process.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A request to stop that a run polls; without `stop_on_signal` nobody makes one."""

    def __init__(self) -> None:
        self.code = 0  # to exit with: 128 plus the signal number
        self._graceful = False

    @property
    def requested(self) -> bool:
        """Whether the run should save and stop."""
        return self.code != 0

    @contextmanager
    def graceful(self) -> Iterator[None]:
        """Declares that inside, the run polls `requested` often, and saves before it leaves."""
        self._graceful = True
        try:
            yield
        finally:
            self._graceful = False

    def request_stop(self, signal_number: int) -> None:
        """Requests a stop; ends the process if the run does not poll, or on a second request."""
        if self._graceful and not self.requested:
            self.code = 128 + signal_number
            return
        print(
            "\ninterrupted; rerun to resume from what is saved, or to start again.",
            file=sys.stderr,
            flush=True,
        )
        # Not sys.exit, which only ends this thread: the main thread may be compiling for minutes,
        # and no exception reaches it there. Files are whole at any moment: nothing to clean up.
        os._exit(128 + signal_number)


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turns Ctrl-C and SIGTERM into a `StopRequest`, until the block ends."""
    request = StopRequest()
    # Python runs signal handlers in the main thread only, which may be compiling for minutes. Its
    # wake-up pipe is written to at once, and a thread of our own reads it.
    listening, waking = os.pipe()
    os.set_blocking(waking, False)
    old_waking = signal.set_wakeup_fd(waking)
    old = {number: signal.signal(number, lambda number, frame: None) for number in SIGNALS}
    listener = threading.Thread(target=_listen, args=(listening, request), daemon=True)
    listener.start()
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_waking)
        os.close(waking)  # which ends the listener
        listener.join()
        os.close(listening)


def _listen(pipe: int, request: StopRequest) -> None:
    while number := os.read(pipe, 1):
        if number[0] in SIGNALS:
            request.request_stop(number[0])


def quiet_libraries() -> None:
    """Silences what Orbax's threads print when a save fails: it also arrives as an exception."""
    logging.getLogger("absl").addFilter(_is_no_echo)
    # Tasks that a failed save has abandoned complain when they are collected.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    report = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        # TensorStore's threads report the end of each write to an event loop that is gone by then.
        if str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = hook


def _is_no_echo(record: logging.LogRecord) -> bool:
    return "_SignalingThread.run() raised" not in record.getMessage()
