"""Folders of labelled pictures: `labels.csv` beside them says what each says."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.files import user_path
from tools.gallery.scenes import Drawn

LABELS = "labels.csv"


def write_folder(folder: Path, pictures: Iterable[Drawn]) -> None:
    """Writes pictures and their labels into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LABELS, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "kind", "label"))
        for each in pictures:
            (folder / each.name).write_bytes(each.content)
            table.writerow((each.name, each.kind, each.label))


def read_folder(folder: Path, kinds: Iterable[str] = ()) -> list[Drawn]:
    """Reads the labelled pictures of a folder, of some kinds or of all, or of folders in it.

    Raises:
      UserError: if there is no table of labels, or it names what is not there.
    """
    table = user_path(folder) / LABELS
    if not table.is_file():
        raise UserError(
            f"{table} does not exist: write a line `file,label` for each picture into it, with "
            "that heading, lines of writing separated by `/`."
        )
    files: dict[str, list[Path]] = defaultdict(list)
    for path in table.parent.rglob("*"):
        files[path.name].append(path)
    chosen = set(kinds)
    found = [each for each in _rows(table, files) if not chosen or each.kind in chosen]
    if not found:
        raise UserError(f"{table} names no picture of the kinds that are asked for.")
    return found


def _rows(table: Path, files: dict[str, list[Path]]) -> Iterator[Drawn]:
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if not {"file", "label"} <= set(rows.fieldnames or ()):
            raise UserError(f"{table} needs a heading with `file` and `label`.")
        for row in rows:
            label, name = (row["label"] or "").strip(), row["file"] or ""
            if not set(label) <= set("0123456789/"):
                raise UserError(
                    f"{table}: {label!r} is no label: write digits, and `/` between lines."
                )
            path = table.parent / name
            if not path.is_file():
                if len(files[Path(name).name]) != 1:
                    raise UserError(
                        f"{table} names {name!r}, which is not there: correct the name."
                    )
                (path,) = files[Path(name).name]
            kind = row.get("kind") or _kind(label)
            yield Drawn(name, kind, label, path.read_bytes())


def _kind(label: str) -> str:
    """Returns what sort of picture a label belongs to, where nobody has said it."""
    if not label:
        return "none"
    if "/" in label:
        return "sheet"
    return "line" if len(label) > 1 else "digit"
