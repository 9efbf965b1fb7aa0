"""`jaxmnist read`: pictures found, read one by one, and printed."""

import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from jaxmnist.constants import PICTURE_SUFFIXES
from jaxmnist.errors import UserError
from jaxmnist.files import read_bounded, user_path
from jaxmnist.reader.explain import explain
from jaxmnist.reader.forward import StringNetwork
from jaxmnist.reader.picture import FIRST_ALONE, Picture, open_picture
from jaxmnist.reader.read import SURE, Reading, look_at, read_seen

STDIN = "-"


def read_command(
    network: StringNetwork,
    sources: Sequence[str],
    *,
    as_json: bool,
    explain_in: Path | None,
    stdin: IO[bytes],
) -> bool:
    """Reads pictures and prints a line for each; what is wrong with one stops no other.

    Errors and doubts go to standard error.

    Args:
      network: that reads them.
      sources: paths of pictures or of folders of pictures, or `-` for one from standard input.
      as_json: print an object a line, with boxes and confidences.
      explain_in: folder for the steps of each picture, as pictures.
      stdin: where `-` is read.

    Returns:
      Whether every picture could be opened, and its steps be written.
    """
    all_done = True
    for number, name in enumerate(name for source in sources for name in _pictures(source)):
        try:
            picture = _open(name, stdin)
        except UserError as error:
            _print_error(error)
            all_done = False
            continue
        seen = look_at(picture)
        (reading,) = read_seen(network, [seen])
        print(to_json(name, reading) if as_json else f"{name}: {reading.text}".rstrip(), flush=True)
        if not as_json:
            for doubt in _doubts(reading):
                print(f"{name}: {doubt}", file=sys.stderr)
        if explain_in is not None:
            stem = "stdin" if name == STDIN else Path(name).stem
            steps = explain_in / f"{number:03d}_{stem}"
            try:
                explain(steps, seen, reading)
            except UserError as error:
                _print_error(error)
                all_done = False
                continue
            print(f"steps of {name}: {steps}", file=sys.stderr)
    return all_done


def to_json(name: str, reading: Reading) -> str:
    """Returns a reading as an object on one line, as the contract of `jaxmnist read` has it."""
    lines = [
        {
            "text": line.text,
            "confidence": round(line.confidence, 6),
            "box": line.box,
            "digits": [
                asdict(digit) | {"confidence": round(digit.confidence, 6)} for digit in line.digits
            ],
        }
        for line in reading.lines
    ]
    found = {"file": name, "text": reading.text, "lines": lines, "notes": reading.notes}
    return json.dumps(found, ensure_ascii=False)


def _print_error(error: UserError) -> None:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)


def _doubts(reading: Reading) -> list[str]:
    """Returns what a person should know of a reading besides its text."""
    doubts = [FIRST_ALONE] if FIRST_ALONE in reading.notes else []
    if reading.confidence < SURE:
        doubts.append(f"It is sure to {reading.confidence:.0%} only: look at it yourself.")
    return doubts


def _pictures(source: str) -> list[str]:
    """Returns the pictures in a folder that is named; else what is named."""
    path = os.path.expanduser(source)  # which, unlike user_path, raises nothing
    if source == STDIN or not os.path.isdir(path):
        return [source]
    found = [each for each in Path(path).rglob("*") if each.suffix.lower() in PICTURE_SUFFIXES]
    return [str(each) for each in sorted(found) if each.is_file()] or [source]


def _open(name: str, stdin: IO[bytes]) -> Picture:
    if name != STDIN:
        path = user_path(name)
        if os.path.isdir(path):
            raise UserError(f"{name} has no pictures in it: name a folder that has some.")
        return open_picture(path)
    content = io.BytesIO(read_bounded(stdin, Path("standard input")))
    content.name = "standard input"
    return open_picture(content)
