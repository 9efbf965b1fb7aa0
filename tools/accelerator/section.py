"""What a section is: a function from a context to the items that it measures."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.accelerator.plan import Plan

Result = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One measurement of a section."""

    name: str
    run: Callable[[], Result]
    needs_cuda: bool = False
    left_out: str = ""  # why the plan leaves it out, if it does
    seconds: float = 0.0  # that have to be left for it to be begun


@dataclass(frozen=True)
class Context:
    """What every section is given."""

    plan: Plan
    scratch: Path  # for run folders and traces; it is removed in the end
    deadline: float  # of the section, as `time.time()` has it

    def seconds_left(self) -> float:
        """Returns the seconds until the section has to end."""
        return self.deadline - time.time()


Section = Callable[[Context], Iterable[Item]]
