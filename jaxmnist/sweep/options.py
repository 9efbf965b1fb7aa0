"""The options of a sweep, checked before anything heavy is imported."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmnist import job
from jaxmnist.errors import UserError
from jaxmnist.sweep.points import Axis, parse_over

AT_ONCE = 32  # what fits any machine: as many logits of all validation examples
AT_ONCE_GUIDED = 8  # a search learns nothing within a population


@dataclass(frozen=True)
class Sweep:
    """What is asked for; it decides what each run folder holds."""

    recipe: str
    overrides: Mapping[str, str | None]  # of fields of the recipe, for all points
    axes: Sequence[Axis]
    at_once: int  # points of one run, at most
    shards: int = 1  # machines
    trials: int | None = None  # of a guided search; None: all combinations


@dataclass(frozen=True)
class Options:
    """A sweep, where it is, and the part of it that is trained here."""

    sweep: Sweep
    workdir: Path
    shard: int | None  # from 1; None: all of it


def read_options(chosen: argparse.Namespace) -> Options:
    """Returns the options of a parsed command line.

    Raises:
      UserError: if one cannot be used.
    """
    shard, shards = _read_shard(chosen.shard)
    for name, value in (("--at-once", chosen.at_once), ("--guided", chosen.guided)):
        if value is not None and value < 1:
            raise UserError(f"{name} is {value}: it must be at least 1.")
    if chosen.guided and shard:
        raise UserError("--guided and --shard exclude each other: a search knows all its results.")
    axes = parse_over(chosen.over)
    if fixed := [axis.field for axis in axes if axis.field in chosen.overrides]:
        raise UserError(f"{fixed[0]} is in --over and set for all points, too: leave one out.")
    sweep = Sweep(
        recipe=chosen.config,
        overrides=chosen.overrides,
        axes=axes,
        at_once=chosen.at_once or (AT_ONCE_GUIDED if chosen.guided else AT_ONCE),
        shards=shards,
        trials=chosen.guided,
    )
    default = job.default_workdir(chosen.config)
    return Options(sweep, chosen.workdir or default.with_name(f"sweep-{default.name}"), shard)


def _read_shard(text: str | None) -> tuple[int | None, int]:
    if text is None:
        return None, 1
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    number, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise UserError(f"--shard is '{text}': give the I-th of N parts as I/N, such as 1/4.")
    return number, count
