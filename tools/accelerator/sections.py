"""The sections in their order, and the share of the time that each has."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # else the process that only starts others would import JAX
    from tools.accelerator.section import Section


@dataclass(frozen=True)
class Entry:
    """A section: where it is, and what it is given."""

    module: str
    function: str
    share: float  # of all minutes; what a section leaves over goes to those after it
    cached: bool = True  # compiled programs are kept between processes; else compiling is measured

    def load(self) -> "Section":
        """Imports the section, and what it measures with."""
        module = importlib.import_module(f"tools.accelerator.{self.module}")
        return cast("Section", getattr(module, self.function))


SECTIONS = {
    "equality": Entry("equality", "equality", 0.34),
    "throughput": Entry("throughput", "throughput", 0.27, cached=False),
    "populations": Entry("populations", "populations", 0.14),
    "time_to_accuracy": Entry("whole_runs", "time_to_accuracy", 0.10, cached=False),
    "published": Entry("whole_runs", "published", 0.10),
    "default": Entry("whole_runs", "default", 0.05),
}
