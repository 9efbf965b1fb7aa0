"""Where the time of a run goes, over all its sittings."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the seconds of named parts; `total` runs from the start, and parts may overlap it."""

    def __init__(self) -> None:
        """Starts the total."""
        self._done: Counter[str] = Counter()
        self._since = {"total": time.perf_counter()}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the time spent inside as part `name`."""
        self._since[name] = time.perf_counter()
        yield
        self._done[name] += time.perf_counter() - self._since.pop(name)

    def add(self, seconds: dict[str, float]) -> None:
        """Adds what an earlier sitting of the same run took."""
        self._done.update(seconds)

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of every part until now, those under way included."""
        now = time.perf_counter()
        running = Counter({name: now - since for name, since in self._since.items()})
        return dict(self._done + running)
