"""The live line of a run: where it is, how well, how fast, how long still."""

import sys
import time
from collections.abc import Callable

from jaxmnist.state import Metrics

LOG_SECONDS = 30.0  # between lines where output goes to a file
PIECE_SECONDS = 0.5  # of work that is sent to the device at once


class StatusLine:
    """One line on stderr that moves on a terminal, elsewhere a line now and then."""

    def __init__(self, seconds: float) -> None:
        """`seconds` pass at least between lines where output goes to a file."""
        self.live, self.seconds = sys.stderr.isatty(), seconds
        self.told = time.perf_counter()

    def show(self, text: str) -> None:
        """Shows a text, unless the last one was shown just now."""
        if self.live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif time.perf_counter() - self.told >= self.seconds:
            self.told = time.perf_counter()
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Takes the line away."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class Progress:
    """Shows how training goes, epoch by epoch."""

    def __init__(self, epochs: int, done: float, examples: int, seeds: int) -> None:
        """Starts the clock after `done` epochs of `examples` examples in `seeds` seeds."""
        self.epochs, self.epoch, self.examples, self.seeds = epochs, int(done), examples, seeds
        self.began = time.perf_counter()
        self.skipped = round(done * examples)
        self.line = StatusLine(LOG_SECONDS)

    def show(self, done: int, loss: float, accuracy: float) -> None:
        """Tells how the epoch under way is doing after `done` of its examples."""
        total = self.epoch * self.examples + done
        rate = max(total - self.skipped, 1) / (time.perf_counter() - self.began)
        left = (self.epochs * self.examples - total) / rate
        self.line.show(
            f"epoch {self.epoch + 1}/{self.epochs} {done / self.examples:4.0%}  "
            f"loss {loss:.4f}  accuracy {accuracy:6.2%}  "
            f"{rate * self.seeds:,.0f} examples/s  at most {duration(left)} left"
        )

    def end_epoch(self, line: str) -> None:
        """Ends the epoch with a line that stays."""
        self.line.clear()
        print(line, flush=True)
        self.epoch += 1


def duration(seconds: float) -> str:
    """Writes a duration as people say it: `48 s`, `7 min 05 s`, `2 h 14 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Pacer:
    """Chooses how many steps to send to the device at once: about half a second's worth.

    The pieces only decide how often the progress line moves, and how soon a run stops that is asked
    to; they change no result.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.steps = 1
        self.clock = clock
        self.last = clock()

    def finished(self, steps: int) -> None:
        """Takes note that a piece of `steps` steps has just ended."""
        now = self.clock()
        rate = steps / max(now - self.last, 1e-3)
        self.last = now
        self.steps = max(1, min(round(PIECE_SECONDS * rate), 4 * self.steps))


def rates(sums: Metrics) -> tuple[float, float]:
    """Returns loss and exact accuracy, both over all seeds, of sums read from the device."""
    count = max(float(sums.examples.sum()), 1.0)
    return float(sums.loss.sum()) / count, float(sums.exact.sum()) / count
