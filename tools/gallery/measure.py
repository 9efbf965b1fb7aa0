"""A folder of labelled pictures: written, opened, read, and counted kind by kind."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxmnist.errors import UserError
from tools.gallery.readers import Answer, Reader

LABELS = "labels.csv"
COLUMNS = ("file", "kind", "label")
CONFIDENT = 0.9


@dataclass(frozen=True)
class Labelled:
    """A picture and what a person reads on it."""

    path: Path
    kind: str
    label: str  # digits, lines with `/` between them; empty: nothing


@dataclass(frozen=True)
class Result:
    """What all readers say of a picture, ours first."""

    picture: Labelled
    answers: tuple[Answer, ...]


def write_labels(folder: Path, pictures: Iterable[Labelled]) -> None:
    """Writes the list of labels of a folder of pictures."""
    with (folder / LABELS).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows((each.path.name, each.kind, each.label) for each in pictures)


def read_labels(folder: Path) -> list[Labelled]:
    """Reads the list of labels of a folder; the pictures lie in it, or in `images` in it.

    Raises:
      UserError: if the list is missing, or is none, or names a picture that is not there.
    """
    path = folder / LABELS
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise UserError(f"{path} needs a first line with the columns file, kind, label.")
            return [_labelled(folder, row, f"{path}, line {rows.line_num}") for row in rows]
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): name a folder with a {LABELS} of the "
            "columns file, kind, label."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV in UTF-8: {error}.") from None


def _labelled(folder: Path, row: Mapping[str, str | None], place: str) -> Labelled:
    name, kind, label = ((row[column] or "").strip() for column in COLUMNS)
    if not set(label) <= set("0123456789/"):
        raise UserError(
            f"{place}: the label is '{label}': digits, with / between lines, are meant."
        )
    for path in (folder / name, folder / "images" / name):
        if name and path.is_file():
            return Labelled(path, kind, label)
    raise UserError(f"{place}: there is no picture '{name}', neither here nor in images/.")


def read_all(readers: Iterable[Reader], pictures: Iterable[Labelled]) -> Iterator[Result]:
    """Reads pictures one by one.

    Raises:
      UserError: if one cannot be opened.
    """
    readers = tuple(readers)
    for picture in pictures:
        yield Result(picture, tuple(read(picture.path) for read in readers))


def table(results: list[Result], others: list[str]) -> str:
    """Returns the table of kinds: n, all right, wrong and confident; then all right by others."""
    kinds = [*dict.fromkeys(result.picture.kind for result in results), "all"]
    wide = max(14, *(len(kind) + 2 for kind in kinds))
    header = f"{'kind':<{wide}}{'n':>5}{'all right':>12}{'wrong, sure':>13}"
    lines = [header + "".join(f"{name:>12}" for name in others)]
    for kind in kinds:
        chosen = [each for each in results if kind in ("all", each.picture.kind)]
        rights = [[a.text == each.picture.label for a in each.answers] for each in chosen]
        ours, *rest = (sum(right) / len(chosen) for right in zip(*rights, strict=True))
        sure = sum(map(is_wrong_and_sure, chosen)) / len(chosen)
        shares = "".join(f"{share:>12.1%}" for share in rest)
        lines.append(f"{kind:<{wide}}{len(chosen):>5}{ours:>12.1%}{sure:>13.1%}{shares}")
    return "\n".join(lines)


def is_wrong_and_sure(result: Result) -> bool:
    """Returns whether our reader says something wrong, and is confident of it."""
    answer = result.answers[0]
    sure = answer.confidence is not None and answer.confidence >= CONFIDENT
    return bool(answer.text) and answer.text != result.picture.label and sure
