"""Where the time of a run goes, over all its sittings."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the seconds of named parts; `total` runs from the start, and parts may overlap it."""

    def __init__(self) -> None:
        """Starts the total."""
        self._done: dict[str, float] = defaultdict(float)
        self._since = {"total": time.perf_counter()}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time spent inside as part `name`."""
        self._since[name] = time.perf_counter()
        yield
        self._done[name] += time.perf_counter() - self._since.pop(name)

    def add(self, seconds: dict[str, float]) -> None:
        """Adds what an earlier sitting of the same run took."""
        for name, value in seconds.items():
            self._done[name] += value

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of every part until now, those under way included."""
        now = time.perf_counter()
        running = {name: now - since for name, since in self._since.items()}
        names = self._done.keys() | running.keys()
        return {name: self._done.get(name, 0.0) + running.get(name, 0.0) for name in sorted(names)}
