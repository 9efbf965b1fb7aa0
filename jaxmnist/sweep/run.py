"""A sweep from beginning to end: runs one after another, each a population, and their table."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import jax

from jaxmnist.config import LOCATION_FIELDS, Config, Data
from jaxmnist.data.dataset import Splits
from jaxmnist.data.sources import load_splits
from jaxmnist.errors import AllDivergedError, UserError
from jaxmnist.experiment import prepare
from jaxmnist.fields import short_repr
from jaxmnist.files import atomic_write
from jaxmnist.run.folder import RunFolder, read_json
from jaxmnist.run.progress import format_duration
from jaxmnist.run.signals import StopRequest
from jaxmnist.run.summary import finished_summary
from jaxmnist.sweep.options import Sweep
from jaxmnist.sweep.points import (
    Point,
    Texts,
    check_distinct,
    corners,
    grid,
    group,
    population,
    resolve,
    same_shapes,
)
from jaxmnist.sweep.results import (
    Comparison,
    Result,
    format_settings,
    format_values,
    results_of,
    to_csv,
    to_json,
    to_recipe,
    winner_of,
)
from jaxmnist.training import train

KEPT_PROGRAMS = 8  # kinds of runs whose compiled programs stay in memory
DIVERGED = "diverged.txt"  # in a run folder: every member did, so that there is no summary


@dataclass(frozen=True)
class Run:
    """Points that are trained together, and their folder."""

    folder: RunFolder
    points: Sequence[Point]

    @property
    def done(self) -> bool:
        """Whether it is finished, or all of it diverged."""
        path = self.folder.path
        return (path / "summary.json").exists() or (path / DIVERGED).exists()

    @cached_property
    def results(self) -> list[Result]:
        """The results of a run that is done.

        Raises:
          UserError: if its files are damaged, or of another configuration.
        """
        diverged = (self.folder.path / DIVERGED).exists()
        summary = None if diverged else finished_summary(self.folder)
        return results_of(self.folder, summary, [point.values for point in self.points])


def run_sweep(
    sweep: Sweep, workdir: Path, *, shard: int | None = None, stop: StopRequest | None = None
) -> Path:
    """Trains all points that are not trained yet, and writes their table.

    Args:
      sweep: what to try.
      workdir: of the sweep; `001`, `002` ... in it are its run folders.
      shard: the one that is trained here, from 1; None: all that is missing. The table has what it
        finds of the others.
      stop: asks the run under way to save and leave.

    Returns:
      The path of `results.json`.

    Raises:
      UserError: if a point, the data or the folder cannot be used, or no setting is left finite.
      Interrupted: if it was asked to stop; the same command goes on there.
    """
    stop = stop or StopRequest()
    if sweep.trials is not None:
        return search(sweep, sweep.trials, workdir, stop)
    if shard is None:  # of what machines have trained apart, it makes the whole table
        sweep = replace(sweep, shards=stored_shards(workdir) or sweep.shards)
    refuse_others(sweep, workdir)
    points = [resolve(sweep.recipe, sweep.overrides, texts) for texts in grid(sweep.axes)]
    check_distinct(points)
    runs = plan(points, min(sweep.at_once, -(-len(points) // sweep.shards)), workdir)
    check(run.folder.config for run in runs)
    create(sweep, workdir)
    mine = runs if shard is None else runs[shard - 1 :: sweep.shards]
    train_all(mine, runs, workdir, len(points), stop)
    return finish(runs, workdir, len(points))


def search(sweep: Sweep, trials: int, workdir: Path, stop: StopRequest) -> Path:
    """Lets Optuna choose the settings, a population after another; seeds are repetitions of each.

    Started again it makes the same choices, as it is told the same results.
    """
    from jaxmnist.sweep.guided import choose, import_optuna

    import_optuna()
    axes = [axis for axis in sweep.axes if axis.field != "seed"]
    repetitions = grid([axis for axis in sweep.axes if axis.field == "seed"])
    if not axes:
        raise UserError("--guided searches settings, and --over has seeds alone: leave it out.")
    refuse_others(sweep, workdir)

    def points_of(setting: Texts) -> list[Point]:
        return [resolve(sweep.recipe, sweep.overrides, {**setting, **seed}) for seed in repetitions]

    # What is impossible is refused before anything is trained.
    ends = [point for setting in corners(axes) for point in points_of(setting)]
    check_distinct(points_of(corners(axes)[0]))
    check(dict.fromkeys(same_shapes(point.config) for point in ends))
    create(sweep, workdir)
    comparison = Comparison.of(ends[0].config)
    runs: list[Run] = []
    known: dict[str, float] = {}  # the mean of each setting, infinitely bad if a seed diverged

    def evaluate(settings: Sequence[Texts]) -> list[float]:
        new = {json.dumps(texts): points_of(texts) for texts in settings}
        new = {name: points for name, points in new.items() if name not in known}
        batch = plan([*chain(*new.values())], sweep.at_once, workdir, first=len(runs))
        check(run.folder.config for run in batch)
        runs.extend(batch)
        train_all(batch, runs, workdir, trials * len(repetitions), stop)
        found = {json.dumps(one.values): one for run in batch for one in run.results}
        for name, points in new.items():
            values = [found[json.dumps(point.values)].validation for point in points]
            known[name] = comparison.mean(values)
        return [known[json.dumps(texts)] for texts in settings]

    width = max(1, sweep.at_once // len(repetitions))
    choose(axes, evaluate, trials=trials, width=width, comparison=comparison)
    return finish(runs, workdir, sum(len(run.points) for run in runs))


def plan(points: Sequence[Point], at_once: int, workdir: Path, *, first: int = 0) -> list[Run]:
    """Returns the runs of points, in folders that are numbered behind the `first` ones."""
    return [
        Run(RunFolder(workdir / f"{number:03d}", population(members)), members)
        for number, members in enumerate(group(points, at_once), first + 1)
    ]


def check(configs: Iterable[Config]) -> None:
    """Sets up every run without compiling it, so that what is impossible is said at once."""
    loaded: dict[Data, Splits] = {}
    for config in configs:
        if config.data not in loaded:
            loaded = {config.data: load_splits(config.data)}
        prepare(config, loaded[config.data])


def stored_shards(workdir: Path) -> int | None:
    """Returns among how many machines the sweep in a folder is shared; None if there is none."""
    path = workdir / "sweep.json"
    shards = read_json(path).get("shards") if path.exists() else None
    return shards if type(shards) is int and shards > 0 else None


def describe(sweep: Sweep) -> str:
    """Returns the content of `sweep.json`."""
    overrides = {
        name: value for name, value in sweep.overrides.items() if name not in LOCATION_FIELDS
    }
    return json.dumps(asdict(sweep) | {"overrides": overrides}, indent=2) + "\n"


def refuse_others(sweep: Sweep, workdir: Path) -> None:
    """Checks that a folder is this sweep's, or can become so.

    Raises:
      UserError: if it belongs to another one, or holds other things.
    """
    path = workdir / "sweep.json"
    if path.exists():
        here, there = json.loads(describe(sweep)), read_json(path)
        if different := [name for name in here if there.get(name) != here[name]]:
            raise UserError(
                f"{workdir} holds another sweep, which differs in {different[0]} "
                f"({short_repr(there.get(different[0]))} there): give another --workdir."
            )
        return
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise UserError(f"{workdir} is not empty and holds no sweep: give another --workdir.")


def create(sweep: Sweep, workdir: Path) -> None:
    """Creates the folder with its `sweep.json`.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{workdir} cannot be made ({error.strerror}): give another --workdir."
        ) from None
    write(workdir / "sweep.json", describe(sweep))


def train_all(
    mine: Sequence[Run], runs: Sequence[Run], workdir: Path, points: int, stop: StopRequest
) -> None:
    """Trains those of `mine` that are not done, and writes the table of all `runs` after each."""
    began, trained = time.perf_counter(), 0
    waiting = [run for run in mine if not run.done]
    shapes: set[Config] = set()
    for number, run in enumerate(waiting, 1):
        config, path = run.folder.config, run.folder.path
        shapes.add(same_shapes(run.points[0].config))
        if len(shapes) > KEPT_PROGRAMS:  # in time they would fill the memory
            shapes.clear()
            jax.clear_caches()
        print(f"\n{path}: {_title(run.points)}", flush=True)
        try:
            train(config, path, stop=stop)
        except AllDivergedError as error:
            print(f"warning: {error}", flush=True)
            write(path / DIVERGED, f"{error}\n")
        trained += len(run.points)
        left = sum(len(later.points) for later in waiting[number:])
        done = sum(len(each.points) for each in runs if each.done)
        seconds = (time.perf_counter() - began) / trained * left
        more = f", about {format_duration(seconds)} left here" if left else ""
        print(f"sweep: {done} of {points} points{more}", flush=True)
        write_tables(runs, workdir, points)


def _title(points: Sequence[Point]) -> str:
    if len(points) == 1:
        return format_values(points[0].values)
    fixed = {
        name: value
        for name, value in points[0].values.items()
        if all(point.values[name] == value for point in points)
    }
    return f"{len(points)} points at once" + (f", {format_values(fixed)}" if fixed else "")


def finish(runs: Sequence[Run], workdir: Path, points: int) -> Path:
    """Writes and prints the table, and the winner's recipe once every point is trained.

    Raises:
      AllDivergedError: if every setting has a point that diverged.
    """
    path = write_tables(runs, workdir, points)
    results = _found(runs)
    comparison = Comparison.of(runs[0].folder.config)
    if results:
        print(f"\nThe sweep, setting by setting:\n{format_settings(results, comparison)}")
    if len(results) < points:
        print(
            f"{len(results)} of {points} points are trained: with the run folders of all shards in "
            "one place, the same command without --shard makes the whole table."
        )
        return path
    winner = winner_of(results, comparison)
    if winner is None:
        raise AllDivergedError(
            f"every setting has a point that diverged ({path}): give lower learning rates and "
            "another --workdir."
        )
    (config,) = (
        point.config
        for run in runs
        for point, result in zip(run.points, run.results, strict=True)
        if result == winner
    )
    recipe = write(workdir / "winner.py", to_recipe(config, winner.values))
    print(
        f"chosen by validation: {format_values(winner.values)}\n`jaxmnist train {recipe}` trains it"
    )
    return path


def write_tables(runs: Sequence[Run], workdir: Path, points: int) -> Path:
    """Writes `results.csv` and `results.json` of the runs that are done; returns the latter."""
    results, comparison = _found(runs), Comparison.of(runs[0].folder.config)
    write(workdir / "results.csv", to_csv(results))
    return write(workdir / "results.json", to_json(results, comparison, points))


def _found(runs: Sequence[Run]) -> list[Result]:
    return [result for run in runs if run.done for result in run.results]


def write(path: Path, text: str) -> Path:
    """Replaces a file.

    Raises:
      UserError: if it cannot be written.
    """
    try:
        return atomic_write(path, text)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): fix it and rerun to resume."
        ) from None
