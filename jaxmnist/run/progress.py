"""The progress line of a run: position, loss, accuracy, speed, time left."""

import shutil
import sys
import time
from collections.abc import Callable

from jaxmnist.metrics import Metrics

LOG_SECONDS = 30.0  # between lines where output goes to a file
PIECE_SECONDS = 0.5  # of work that is sent to the device at once


class StatusLine:
    """One line on stderr that is rewritten on a terminal; elsewhere a new line now and then."""

    def __init__(self, seconds: float) -> None:
        """Starts without a line; to a file, lines are at least `seconds` apart."""
        self.live, self.seconds = sys.stderr.isatty(), seconds
        self.last_logged = time.perf_counter()

    def show(self, text: str) -> None:
        """Shows a text; to a file, only if the last one is long enough ago."""
        if self.live:
            # In the last column a terminal goes on to a new line, which is not cleared again.
            fitting = fit(text, shutil.get_terminal_size().columns - 1)
            print(f"\r\033[K{fitting}", end="", file=sys.stderr, flush=True)
        elif time.perf_counter() - self.last_logged >= self.seconds:
            self.last_logged = time.perf_counter()
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Removes the line."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class Progress:
    """The progress of training, epoch by epoch."""

    def __init__(self, epochs: int, done: float, examples: int, seeds: int) -> None:
        """Starts the clock after `done` epochs of `examples` examples in `seeds` seeds."""
        self.epochs, self.epoch, self.examples, self.seeds = epochs, int(done), examples, seeds
        self.began = time.perf_counter()
        self.skipped = round(done * examples)
        self.line = StatusLine(LOG_SECONDS)

    def show(self, done: int, loss: float, accuracy: float) -> None:
        """Shows loss and accuracy after `done` examples of the epoch."""
        total = self.epoch * self.examples + done
        rate = max(total - self.skipped, 1) / (time.perf_counter() - self.began)
        left = (self.epochs * self.examples - total) / rate
        self.line.show(
            f"epoch {self.epoch + 1}/{self.epochs} {done / self.examples:4.0%}  "
            f"at most {format_duration(left)} left  loss {loss:.4f}  accuracy {accuracy:.2%}  "
            f"{rate * self.seeds:,.0f} examples/s"
        )

    def end_epoch(self, line: str) -> None:
        """Prints the line of a finished epoch."""
        self.line.clear()
        print(line, flush=True)
        self.epoch += 1


def fit(text: str, width: int) -> str:
    """Leaves out of a text the last parts, two spaces apart, that a width has no room for."""
    while len(text) > width and "  " in text:
        text = text.rpartition("  ")[0]
    return text[:width]


def format_duration(seconds: float) -> str:
    """Formats a duration: `48 s`, `7 min 05 s`, `2 h 14 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Pacer:
    """Chooses how many steps to send to the device at once: about half a second's worth.

    The pieces only decide how often the progress line moves, and how soon a stop request is seen;
    they change no result.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.steps = 1
        self.clock = clock
        self.last = clock()

    def finished(self, steps: int) -> None:
        """Records that a piece of `steps` steps has just ended."""
        now = self.clock()
        rate = steps / max(now - self.last, 1e-3)
        self.last = now
        self.steps = max(1, min(round(PIECE_SECONDS * rate), 4 * self.steps))


def rates(sums: Metrics) -> tuple[float, float]:
    """Returns loss and exact accuracy, both over all seeds, of sums read from the device."""
    count = max(float(sums.examples.sum()), 1.0)
    return float(sums.loss.sum()) / count, float(sums.exact.sum()) / count
