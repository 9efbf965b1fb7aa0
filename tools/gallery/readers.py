"""What reads pictures: this project's reader, and others that are measured beside it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxmnist.errors import UserError
from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.reader.forward import from_arrays
from jaxmnist.reader.read import read_pictures
from jaxmnist.shipped import find_weights


@dataclass(frozen=True)
class Answer:
    """What a reader says of a picture, its lines with `/` between them."""

    text: str
    confidence: float | None = None  # that all of it is right; None: it does not say


Reader = Callable[[Path], Answer]


def ours(weights: str) -> Reader:
    """Returns this project's reader.

    Raises:
      UserError: if the weights cannot be used; the reader, if a picture cannot be opened.
    """
    network = from_arrays(read_arrays(find_weights(weights))[0])

    def read(path: Path) -> Answer:
        (reading,) = read_pictures(network, [path])
        return Answer(reading.text, reading.confidence)

    return read


def tesseract() -> Reader:
    """Returns Tesseract, told that a picture is a block of digits."""
    try:
        import pytesseract
    except ImportError:
        raise UserError(
            "Tesseract is not here: install the program `tesseract-ocr` and `pip install "
            "pytesseract`, or leave it out of --against."
        ) from None
    try:
        pytesseract.get_tesseract_version()
    except pytesseract.TesseractNotFoundError:
        raise UserError(
            "pytesseract finds no program `tesseract`: install `tesseract-ocr`, or leave it out of "
            "--against."
        ) from None
    from PIL import Image

    options = "--psm 6 -c tessedit_char_whitelist=0123456789"

    def read(path: Path) -> Answer:
        with Image.open(path) as image:
            text: str = pytesseract.image_to_string(image.convert("RGB"), config=options)
        return Answer(_digits(text.splitlines()))

    return read


def rapidocr() -> Reader:
    """Returns RapidOCR, which runs the networks of PaddleOCR; what is no digit is left out."""
    try:
        from rapidocr import RapidOCR
    except ImportError:
        raise UserError(
            "RapidOCR is not here: `pip install rapidocr onnxruntime`, or leave it out of "
            "--against."
        ) from None
    engine = RapidOCR(params={"Global.log_level": "error"})

    def read(path: Path) -> Answer:
        found = engine(str(path))
        if found.boxes is None:
            return Answer("")
        return Answer(_digits(join_lines(np.asarray(found.boxes), found.txts)))

    return read


OTHERS = {"tesseract": tesseract, "rapidocr": rapidocr}


def join_lines(corners: np.ndarray, texts: tuple[str, ...]) -> list[str]:
    """Returns lines of text from pieces, (n, 4 corners, x and y): those on one height are one."""
    lines: list[list[int]] = []
    low, high = corners[..., 1].min(1), corners[..., 1].max(1)
    for piece in np.argsort(low + high):
        middle = (low[piece] + high[piece]) / 2
        if lines and middle < high[lines[-1]].mean():
            lines[-1].append(int(piece))
        else:
            lines.append([int(piece)])
    left = corners[..., 0].min(1)
    return ["".join(texts[i] for i in sorted(line, key=lambda i: left[i])) for line in lines]


def _digits(lines: list[str]) -> str:
    only = (re.sub(r"[^0-9]", "", line) for line in lines)
    return "/".join(line for line in only if line)
