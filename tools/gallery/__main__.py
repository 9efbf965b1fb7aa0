r"""Labelled pictures of handwriting: drawn by code, or a folder of your own, and how they are read.

  python -m tools.gallery --out gallery                        draw about a hundred
  python -m tools.gallery --out gallery --weights runs/seq     and read them
  python -m tools.gallery --pictures mine --weights runs/seq   read a folder of your own
  python -m tools.gallery --out gallery --weights runs/seq --against tesseract,rapidocr

A folder of your own has a labels.csv with the columns file, kind and label: what a person reads
there, lines from top to bottom with / between them, nothing where there is none. The pictures lie
beside it, or in a folder images beside it.

Digits are MNIST's of the test set where JAXMNIST_DATA names them, else those of the fallback
dataset. The table counts pictures that are read right altogether, and those that are not and are
sure to 90 % or more.
"""

import argparse
import sys
from pathlib import Path

from jaxmnist.entry import accept_any_output, exit_on_error
from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write, user_path
from tools.gallery.measure import Labelled, read_all, read_labels, table, write_labels
from tools.gallery.readers import OTHERS, ours
from tools.gallery.sheet import write_sheet


def write_gallery(folder: Path, seed: int, share: float = 1.0) -> list[Labelled]:
    """Draws the gallery into a folder, which is made.

    Raises:
      UserError: if it holds something else, or cannot be written.
    """
    # Here, so that a folder of pictures is measured without waiting for JAX to start.
    from tools.gallery.scenes import draw_gallery, load_digits

    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / "labels.csv").exists():
            raise UserError(f"{folder} holds other files: name an empty folder, or a new one.")
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for number, scene in enumerate(draw_gallery(load_digits(), seed, share)):
            path = folder / f"{number:03d}.{scene.suffix}"
            atomic_write(path, scene.file)
            pictures.append(Labelled(path, scene.kind, scene.label))
        write_labels(folder, pictures)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): make that possible, or name another."
        ) from None
    return pictures


def main(arguments: list[str] | None = None) -> None:
    """Draws or opens a folder of labelled pictures, reads it, and prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gallery",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--out", type=user_path, metavar="DIR", help="draw the gallery there")
    source.add_argument("--pictures", type=user_path, metavar="DIR", help="a folder of your own")
    parser.add_argument("--weights", metavar="NAME|FILE", help="read the pictures with these")
    parser.add_argument("--against", default="", metavar="LIST", help="of tesseract, rapidocr")
    parser.add_argument("--sheet", type=user_path, metavar="PNG", help="draw examples as read")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn; default 0")
    parser.add_argument("--share", type=float, default=1.0, help="of the gallery; default 1")
    chosen = parser.parse_args(arguments)
    others = [name for name in chosen.against.split(",") if name]
    if unknown := [name for name in others if name not in OTHERS]:
        parser.error(f"--against knows no '{unknown[0]}': choose of {', '.join(OTHERS)}")
    if not chosen.weights and (chosen.pictures or others or chosen.sheet):
        parser.error("name the weights that are to read: --weights NAME|FILE")
    if not chosen.seed >= 0 or not 0 < chosen.share <= 100:
        parser.error("--seed must be 0 or more, and --share above 0 and at most 100")
    readers = []
    if chosen.weights:
        readers = [ours(chosen.weights), *(OTHERS[name]() for name in others)]
    if chosen.out:
        pictures = write_gallery(chosen.out, chosen.seed, chosen.share)
        print(f"{len(pictures)} pictures are in {chosen.out}", flush=True)
    else:
        pictures = read_labels(chosen.pictures)
    if readers and pictures:
        results = list(read_all(readers, pictures))
        print(table(results, others))
        for each in results:
            if each.answers[0].text != each.picture.label:
                print(
                    f"{each.picture.path.name}: '{each.answers[0].text}' for "
                    f"'{each.picture.label}' ({each.picture.kind})",
                    file=sys.stderr,
                )
        if chosen.sheet:
            write_sheet(chosen.sheet, results)


if __name__ == "__main__":
    accept_any_output()
    with exit_on_error():
        main()
