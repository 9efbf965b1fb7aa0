"""Ctrl-C and SIGTERM: a run that has something to save is asked to stop, any other ends at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody has asked the run to stop; `request()` says so."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.code = 0  # what to exit with: 128 and the number of the signal
        self._answered = False

    def __call__(self) -> bool:
        """Says whether somebody has asked."""
        return self.code != 0

    @contextmanager
    def answered(self) -> Iterator[None]:
        """Inside, the run looks at the request by itself, often, and saves before it leaves."""
        self._answered = True
        yield
        self._answered = False

    def ask(self, number: int) -> None:
        """Takes note of a signal; ends the process if no one would look, or on a second one."""
        if self._answered and not self():
            self.code = 128 + number
            return
        said = "interrupted; the same command goes on from what is saved, or starts again."
        # The process's own: while something is saved, what libraries say goes elsewhere.
        print(f"\n{said}", file=sys.__stderr__, flush=True)
        os._exit(128 + number)  # files are whole at any moment, so there is nothing to tidy up


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turns Ctrl-C and SIGTERM into a request, until the block ends.

    Python runs signal handlers in the main thread only, which may be compiling for minutes. Its
    wake-up pipe is written to at once, and a thread of our own listens there.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals are another's business
        return
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
            request.ask(number[0])
