"""The run folder: whose it is, and files that are either whole or not there."""

import contextlib
import hashlib
import json
import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxmnist.durable import write_whole
from jaxmnist.errors import UserError
from jaxmnist.settings import flatten

# Where data lies is no part of what is computed; that it is the same data is checked on resuming.
LOCATION_FIELDS = {"data.dir"}
# What a process leaves that was killed before its folder had a configuration.
BEGUN = {"plots", "config.json.partial"}
START_AGAIN = "put the right one there, or give another --workdir"
REPEAT_THE_END = "remove it, and the same command writes it again from the last checkpoint"


class RunFolder:
    """A folder with `config.json` in it; making the object writes nothing."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Finds out whether a folder may be used for a run with these settings.

        Raises:
          UserError: if `path` is a file or belongs to another configuration.
        """
        self.path, self.settings = path, settings
        try:
            os.fsencode(path).decode()  # Orbax and JSON take no other names
            self.refuse_others()
        except OSError as error:
            raise _unusable(path, error.strerror) from None
        except UnicodeDecodeError:
            raise _unusable(path, "its name is not UTF-8") from None

    def refuse_others(self) -> None:
        """Makes sure that the folder belongs to these settings, or to nobody yet.

        Raises:
          UserError: if it does not.
        """
        if (self.path / "config.json").exists():
            _refuse_other(self.path, self.settings)
        elif self.path.exists() and {file.name for file in self.path.iterdir()} - BEGUN:
            raise UserError(
                f"{self.path} is not empty and not a run folder: give another --workdir."
            )

    def create(self) -> None:
        """Makes the folder, if it is not there, and says in it whose it is.

        Raises:
          UserError: if it cannot be written; no folder is left behind then.
        """
        made: list[Path] = []
        try:
            plots = self.path / "plots"
            made = [folder for folder in (plots, *plots.parents) if not folder.exists()]
            plots.mkdir(parents=True, exist_ok=True)
            if not (self.path / "config.json").exists():
                text = json.dumps(self.settings, indent=2, sort_keys=True)
                self.write("config.json", text + "\n")
        except OSError as error:
            for folder in made:
                with contextlib.suppress(OSError):  # it was not made, or is not empty
                    folder.rmdir()
            raise _unusable(self.path, error.strerror) from None

    def write(self, name: str, text: str) -> Path:
        """Replaces a file whole: after a crash there is the old text or the new one."""
        target = self.path / name
        try:
            return write_whole(target, text)
        except OSError as error:
            raise UserError(
                f"{target} cannot be written ({error.strerror}): mend that, and the same command "
                "goes on."
            ) from None

    def write_lines(self, name: str, rows: Sequence[dict[str, Any]]) -> Path:
        """Replaces a file of one JSON object a line."""
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def summary(self) -> dict[str, Any] | None:
        """Returns the summary of a finished run, None of an unfinished one."""
        path = self.path / "summary.json"
        if not path.exists():
            return None
        return read_json(path, mend=REPEAT_THE_END)


def configuration_hash(settings: dict[str, Any]) -> str:
    """Returns the SHA-256 of all settings but where data lies."""
    fields = {k: v for k, v in flatten(settings).items() if k not in LOCATION_FIELDS}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _unusable(path: Path, reason: str | None) -> UserError:
    shown = str(path).encode(errors="replace").decode()
    return UserError(f"{shown} cannot be a run folder ({reason}): give another --workdir.")


def read_json(path: Path, mend: str = START_AGAIN) -> dict[str, Any]:
    """Reads a JSON file of a run folder.

    Args:
      path: of the file.
      mend: what to do if it is damaged.

    Raises:
      UserError: if it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: {path.parent} is not a run folder.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: {mend}.")
    return content


def _refuse_other(path: Path, settings: dict[str, Any]) -> None:
    new = flatten(json.loads(json.dumps(settings)))
    try:
        old = flatten(read_json(path / "config.json"))
        differing = sorted(
            field
            for field in (old.keys() | new.keys()) - LOCATION_FIELDS
            if old.get(field) != new.get(field)
        )
    except RecursionError:  # groups in groups in groups
        raise UserError(f"{path / 'config.json'} is damaged: {START_AGAIN}.") from None
    if differing:
        short = reprlib.repr
        changes = ", ".join(
            f"{f} ({short(old.get(f))} there, {short(new.get(f))} here)" for f in differing
        )
        raise UserError(
            f"{path} belongs to another configuration, which differs in {changes}: "
            "give another --workdir."
        )
