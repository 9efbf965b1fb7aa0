r"""Draws a gallery of pictures of digits, and measures readers on it or on pictures of your own.

  python -m tools.gallery --draw gallery                    writes the pictures, with their labels
  python -m tools.gallery --out gallery.json                measures jaxmnist on them
  python -m tools.gallery --pictures mine --others          on pictures of your own, beside others
  python -m tools.gallery --sheet docs/gallery.png          draws examples with what was read

A folder of your own has a file `labels.csv`: `file,label`, and `kind` if you like; lines of writing
are separated by `/`, and the label of a picture without digits is empty. The others are Tesseract
(`apt-get install tesseract-ocr`) and RapidOCR (`pip install rapidocr onnxruntime`), where they are
installed.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jaxmnist.data.sources import Source, load_source
from jaxmnist.entry import exit_on_error
from jaxmnist.files import atomic_write
from jaxmnist.runtime import device, git_commit
from tools.gallery.labelled import read_folder, write_folder
from tools.gallery.pens import shapes
from tools.gallery.readers import PROGRAMS, Reader, ours
from tools.gallery.scenes import Drawn, draw_gallery
from tools.gallery.score import Scored, markdown, summarise
from tools.gallery.sheet import draw_sheet

EVERY = 3  # one picture in so many stands on the sheet


def gallery(source: Source) -> list[Drawn]:
    """Returns the gallery, written with the test digits of a source."""
    digits = shapes(np.asarray(source.test.images), np.asarray(source.test.labels))
    return list(draw_gallery(digits))


def score(reader: Reader, pictures: list[Drawn]) -> list[Scored]:
    """Reads pictures, one by one."""
    return [Scored(each.kind, each.label, reader(each)) for each in pictures]


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gallery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--draw", type=Path, metavar="DIR", help="write the gallery into a folder")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="read these instead of it")
    parser.add_argument("--kinds", nargs="+", default=[], help="of these: line, sheet, none...")
    parser.add_argument("--weights", nargs="*", default=["reader"], help="names, files or runs")
    parser.add_argument("--others", action="store_true", help="measure Tesseract and RapidOCR, too")
    parser.add_argument("--list", action="store_true", help="print what is not right, by file")
    parser.add_argument("--out", type=Path, help="write all figures as JSON, without file names")
    parser.add_argument("--sheet", type=Path, help="draw examples with what was read as PNG")
    chosen = parser.parse_args()
    if chosen.pictures is None:
        source = load_source("auto")
        pictures, name = gallery(source), f"the gallery, written with digits of {source.name}"
        pictures = [each for each in pictures if not chosen.kinds or each.kind in chosen.kinds]
    else:
        pictures, name = read_folder(chosen.pictures, chosen.kinds), "a folder of pictures"
    if chosen.draw is not None:
        write_folder(chosen.draw, pictures)
        print(chosen.draw)
        return
    readers = {f"jaxmnist, {weights}": ours(weights) for weights in chosen.weights}
    if chosen.others:
        for program, make in PROGRAMS.items():
            made = make()
            if made is None:
                print(f"{program} is not installed: left out.", file=sys.stderr)
            else:
                readers[program] = made
    results = {}
    for program, reader in readers.items():
        scored = score(reader, pictures)
        results[program] = summarise(scored)
        if chosen.list:
            for picture, each in zip(pictures, scored, strict=True):
                if not each.is_right:
                    said = f"{each.answer.text or 'nothing'} ({each.answer.confidence:.2f})"
                    print(f"{program}: {picture.name}: {each.label} read {said}: {each.cause}")
        if chosen.sheet is not None and program == next(iter(readers)):
            draw_sheet(pictures[::EVERY], scored[::EVERY]).save(chosen.sheet, optimize=True)
    print(markdown(results), end="")
    if chosen.out is not None:
        report: dict[str, Any] = {"pictures": name, "programs": results}
        report |= {"device": device(), "git_commit": git_commit()}
        atomic_write(chosen.out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    with exit_on_error():
        main()
