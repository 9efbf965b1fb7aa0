"""The run folder: which configuration it belongs to, and atomic writes of its files."""

import contextlib
import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmnist.config import LOCATION_FIELDS, Config, config_hash, flatten, to_dict
from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write, can_sync
from jaxmnist.old_configs import upgrade
from jaxmnist.run.summary_schema import Summary
from jaxmnist.typed_json import from_json

# What a process leaves that was killed before its folder had a configuration.
BEGUN = {"plots", "config.json.partial"}
START_AGAIN = "put the right one there, or give another workdir"
# Schedules that do not depend on the number of epochs: such a run can be trained longer.
ENDLESS = ("constant", "step", "plateau")
MOST_TRIED = 10_000  # numbers of epochs, when a checkpoint's is looked for
REPEAT_THE_END = "remove it, and rerun to write it again from the last checkpoint"


class RunFolder:
    """A folder with `config.json` in it; creating the object writes nothing."""

    def __init__(self, path: Path, config: Config) -> None:
        """Checks that a folder may be used for a run with this configuration.

        Raises:
          UserError: if `path` is a file or belongs to another configuration.
        """
        self.path, self.config = path, config
        try:
            os.fsencode(path).decode()  # Orbax and JSON take no other names
            self.refuse_others()
        except OSError as error:
            raise _unusable(path, error.strerror) from None
        except UnicodeDecodeError:
            raise _unusable(path, "its name is not UTF-8") from None

    def refuse_others(self) -> None:
        """Checks that the folder belongs to this configuration, or to none yet.

        Raises:
          UserError: if it does not.
        """
        path = self.path / "config.json"
        if path.exists():
            self.refuse_other(read_json(path), self.path, "workdir")
        elif self.path.exists() and {file.name for file in self.path.iterdir()} - BEGUN:
            raise UserError(f"{self.path} is not empty and not a run folder: give another workdir.")

    def refuse_other(self, stored: Mapping[str, Any], place: Path | str, kind: str) -> None:
        """Checks that a configuration that is stored somewhere is that of this run.

        Args:
          stored: the content of a `config.json`.
          place: where it is stored.
          kind: what another place would be called.

        Raises:
          UserError: if it is not.
        """
        changes = self._differences(place, stored)
        if changes and not self._goes_on(place, stored):
            raise UserError(
                f"{place} belongs to another configuration, which differs in {changes}: give "
                f"another {kind}."
            )

    def create(self) -> None:
        """Creates the folder with its `config.json`, unless they are there.

        Raises:
          UserError: if it cannot be written; no folder is left behind then.
        """
        made: list[Path] = []
        try:
            plots = self.path / "plots"
            made = [folder for folder in (plots, *plots.parents) if not folder.exists()]
            plots.mkdir(parents=True, exist_ok=True)
            if not (self.path / "config.json").exists():
                text = json.dumps(to_dict(self.config), indent=2, sort_keys=True)
                self.write("config.json", text + "\n")
            if os.name != "nt" and not can_sync(self.path):
                print(
                    f"warning: the file system of {self.path} cannot sync folders: a power cut may "
                    "take what was saved last",
                    flush=True,
                )
        except OSError as error:
            for folder in made:
                with contextlib.suppress(OSError):  # it was not made, or is not empty
                    folder.rmdir()
            raise _unusable(self.path, error.strerror) from None

    def epochs_before(self) -> int | None:
        """Returns how many epochs the run had that is to be longer now; None if it is not.

        Raises:
          UserError: if `config.json` is missing or damaged.
        """
        path = self.path / "config.json"
        stored = read_json(path)
        return int(stored["epochs"]) if self._goes_on(path, stored) else None

    def note_epochs(self) -> None:
        """Writes the number of epochs into `config.json`, if the run is to be longer than it was.

        Raises:
          UserError: if it cannot be written.
        """
        if self.epochs_before() is not None:
            longer = read_json(self.path / "config.json") | {"epochs": self.config.epochs}
            self.write("config.json", json.dumps(longer, indent=2, sort_keys=True) + "\n")

    def epochs_of(self, config_hash_: str, done: int) -> int | None:
        """Returns for how many epochs a run was meant whose configuration has a hash.

        Args:
          config_hash_: as `stored_config_hash` returned it then.
          done: the epochs that it had made, which were no more.

        Returns:
          The epochs, None if it was another run.
        """
        stored = read_json(self.path / "config.json")
        epochs = [self.config.epochs]
        if self.config.schedule.name in ENDLESS:
            epochs += range(max(done, 1), min(self.config.epochs, done + MOST_TRIED))
        return next(
            (n for n in epochs if config_hash(stored | {"epochs": n}) == config_hash_), None
        )

    def stored_config_hash(self) -> str:
        """Returns the hash of `config.json` as it lies on the disk, old field names included.

        The checkpoints of a run hold this hash, so that a run of an older version can be resumed.

        Raises:
          UserError: if the file is missing or damaged.
        """
        return config_hash(read_json(self.path / "config.json"))

    def write(self, name: str, text: str) -> Path:
        """Replaces a file atomically.

        Raises:
          UserError: if it cannot be written.
        """
        target = self.path / name
        try:
            return atomic_write(target, text)
        except OSError as error:
            raise UserError(
                f"{target} cannot be written ({error.strerror}): fix it and rerun to resume."
            ) from None

    def write_lines(self, name: str, rows: Sequence[dict[str, Any]]) -> Path:
        """Replaces a file of one JSON object a line."""
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def summary(self) -> Summary | None:
        """Returns the summary of a finished run, None of an unfinished one, or if it is to go on.

        Raises:
          UserError: if it is damaged, or of another configuration.
        """
        path = self.path / "summary.json"
        if not path.exists():
            return None
        tree = read_json(path, fix=REPEAT_THE_END)
        try:
            summary = from_json(Summary, tree)
        except ValueError as error:
            raise UserError(
                f"{path} is damaged, or of another version ({error}): {REPEAT_THE_END}."
            ) from None
        if self._goes_on(path, summary.config):
            return None
        if self._differences(path, summary.config):
            raise UserError(f"{path} is of another configuration: {REPEAT_THE_END}.")
        return summary

    def _goes_on(self, place: Path | str, stored: Mapping[str, Any]) -> bool:
        """Returns whether this run is a stored one with more epochs, which its schedule allows."""
        before = stored.get("epochs")
        if type(before) is not int or not 0 < before < self.config.epochs:
            return False
        same = not self._differences(place, {**stored, "epochs": self.config.epochs})
        return same and self.config.schedule.name in ENDLESS

    def _differences(self, place: Path | str, stored: Mapping[str, Any]) -> str:
        """Returns how a stored configuration differs from this run's; empty if it does not."""
        here = flatten(json.loads(json.dumps(to_dict(self.config))))
        try:
            there = flatten(upgrade(stored))
        except RecursionError:  # groups in groups in groups
            raise UserError(f"{place} is damaged: {START_AGAIN}.") from None
        differing = sorted(
            field
            for field in (there.keys() | here.keys()) - LOCATION_FIELDS
            if there.get(field) != here.get(field)
        )
        short = reprlib.repr
        return ", ".join(
            f"{field} ({short(there.get(field))} there, {short(here.get(field))} here)"
            for field in differing
        )


def read_json(path: Path, fix: str = START_AGAIN) -> dict[str, Any]:
    """Reads a JSON file of a run folder.

    Args:
      path: of the file.
      fix: what to do if it is damaged.

    Raises:
      UserError: if it is missing or damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {path.parent} is not a run folder.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    return parse_json(content, path, fix)


def parse_json(content: bytes, place: Path | str, fix: str = START_AGAIN) -> dict[str, Any]:
    """Parses a JSON file of a run folder.

    Args:
      content: of the file.
      place: where it lies.
      fix: what to do if it is damaged.

    Raises:
      UserError: if it is damaged.
    """
    try:
        tree = json.loads(content.decode())
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise UserError(f"{place} is damaged: {fix}.")
    return tree


def _unusable(path: Path, reason: str | None) -> UserError:
    readable = str(path).encode(errors="replace").decode()
    return UserError(f"{readable} cannot be a run folder ({reason}): give another workdir.")
