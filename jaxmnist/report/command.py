"""`jaxmnist report`: writes the page, once or as long as runs go on; starts TensorBoard."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jaxmnist.errors import UserError
from jaxmnist.outputs import refuse_foreign, write_text
from jaxmnist.report.charts import vega_lite
from jaxmnist.report.digest import digest
from jaxmnist.report.members import settings
from jaxmnist.report.page import contents, page
from jaxmnist.report.runs import Run, Version, find_runs, labels_of, load_run, version

OURS = "jaxmnist report"  # stands in the page
EVERY = 10  # seconds between two looks at runs that go on
QUIET = 60  # seconds without a change after which finished runs are believed to be all
Digested = tuple[Run, dict[str, Any]]
Contents = tuple[list[Run], list[dict[str, Any]], list[str]]  # runs, their digests, and notes


class Reader:
    """Reads runs, and those again that have changed since."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.last: Contents
        self._known: dict[Path, tuple[Version, list[Digested]]] = {}

    def read(self) -> Contents:
        """Returns all runs that can be read, their digests, and sentences on what cannot.

        `last` keeps them.

        Raises:
          UserError: if there is none.
        """
        found: list[Digested] = []
        notes = []
        for folder in find_runs(self.paths):
            try:
                found += self._digested(folder)
            except UserError as error:
                notes.append(str(error))
        if not found:
            raise UserError(f"no run can be read: {notes[0]}")
        runs, digests = map(list, zip(*found, strict=True))
        notes += list({run.note: None for run in runs if run.note})
        self.last = runs, digests, notes
        return self.last

    def versions(self) -> dict[Path, Version]:
        """Returns what changes when a run does, or when one comes."""
        return {folder: version(folder) for folder in find_runs(self.paths)}

    def _digested(self, folder: Path) -> list[Digested]:
        now = version(folder)
        if folder not in self._known or self._known[folder][0] != now:
            self._known[folder] = now, [(run, digest(run)) for run in settings(load_run(folder))]
        return self._known[folder][1]


def report(
    paths: Sequence[Path],
    out: Path,
    *,
    follow: bool = False,
    log: Callable[[str], None] = print,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Writes the page.

    Args:
      paths: run folders, and folders of them.
      out: where to write it.
      follow: whether to write it again whenever a run has changed, until all have ended or
        Ctrl-C; the page loads itself again meanwhile.
      log: takes what is wrong with runs that are left out, and says where the page is.
      sleep: waits.

    Raises:
      UserError: if there is no run, no library for charts, or another file of that name.
    """
    refuse_foreign(out, OURS)
    library, reader = vega_lite(), Reader(paths)

    def write(found: Contents, reload: int) -> bool:
        runs, digests, notes = found
        write_text(out, page(contents(runs, digests, notes, reload), library))
        for note in [note for note in notes if note not in said]:
            log(f"warning: {note}")
            said.add(note)
        return all(run.outcome for run in runs)

    said: set[str] = set()
    finished, quiet = write(reader.read(), EVERY if follow else 0), 0
    if not follow:
        return
    log(f"{out} follows the runs; Ctrl-C ends that, and leaves it as it is")
    seen = reader.versions()
    try:
        while not finished or quiet < QUIET:
            sleep(EVERY)
            quiet += EVERY
            if (now := reader.versions()) != seen:
                finished, seen, quiet = write(reader.read(), EVERY), now, 0
    except KeyboardInterrupt:
        log("")  # behind the ^C of the terminal
        with suppress(UserError):
            reader.read()
    finally:
        write(reader.last, 0)  # of runs that are gone, what they were


def tensorboard(paths: Sequence[Path]) -> None:
    """Shows the event files of runs in TensorBoard, until Ctrl-C.

    Raises:
      UserError: if there is no run, or TensorBoard is not installed.
    """
    folders = find_runs(paths)
    if find_spec("tensorboard") is None:
        raise UserError("TensorBoard is not installed: pip install tensorboard.")
    command = [sys.executable, "-m", "tensorboard.main", *_what(paths, folders)]
    try:
        ended = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return
    if ended:
        raise UserError(f"TensorBoard ended with exit code {ended}: it has said why.")


def _what(paths: Sequence[Path], folders: Sequence[Path]) -> list[str]:
    if len(paths) == 1:
        return ["--logdir", str(paths[0])]
    named = zip(labels_of(folders), folders, strict=True)
    return ["--logdir_spec", ",".join(f"{label}:{folder}" for label, folder in named)]
