"""The programs that are measured: ours, and two that read any text, where they are installed."""

import importlib
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.reader.forward import StringNetwork, from_arrays
from jaxmnist.reader.picture import open_picture
from jaxmnist.reader.read import Reading, Seen, look_at, read_seen
from jaxmnist.shipped import find_weights
from tools.gallery.scenes import Drawn
from tools.gallery.score import Answer

Reader = Callable[[Drawn], Answer]

# What Tesseract is told: a line, else a block of lines, as which it also reads more single digits
# than as words (8) or as characters (10).
LINE, BLOCK = 7, 6
SMALLEST, LARGEST = 100, 1_600  # pixels of a picture's sides, as they are given to both
RIM = 0.1  # of the larger side, of ground that is put around it


def load_network(name: str) -> StringNetwork:
    """Returns the network of shipped weights, of a file or of a run."""
    path = find_weights(name)
    arrays, _ = read_arrays(path / "weights.safetensors" if path.is_dir() else path)
    return from_arrays(arrays)


def see(picture: Drawn) -> Seen:
    """Finds the writing in a picture."""
    content = io.BytesIO(picture.content)
    content.name = picture.name
    return look_at(open_picture(content))


def ours(weights: str) -> Reader:
    """Returns this project's reader."""
    network = load_network(weights)

    def read(picture: Drawn) -> Answer:
        reading: Reading
        (reading,) = read_seen(network, [see(picture)])
        return Answer(reading.text, reading.confidence)

    return read


def tesseract() -> Reader | None:
    """Returns Tesseract, which looks for digits alone; None if it is not installed."""
    program = shutil.which("tesseract")
    if program is None:
        return None

    def read(picture: Drawn) -> Answer:
        content = io.BytesIO()
        _prepared(picture).save(content, "PNG")
        mode = LINE if picture.kind == "line" else BLOCK
        options = ["--psm", str(mode), "-c", "tessedit_char_whitelist=0123456789"]
        done = subprocess.run(
            [program, "stdin", "stdout", *options], input=content.getvalue(), capture_output=True
        )
        return Answer(_digits(done.stdout.decode(errors="replace").splitlines()))

    return read


def rapidocr() -> Reader | None:
    """Returns RapidOCR with the models that come with it; None if it is not installed.

    A single digit is not looked for: its finder of lines is made for more.
    """
    try:
        module = importlib.import_module("rapidocr")
    except ImportError:
        return None
    engine = module.RapidOCR(params={"Global.log_level": "error"})

    def read(picture: Drawn) -> Answer:
        pixels = np.asarray(_prepared(picture))[..., ::-1]  # as OpenCV has them
        if picture.kind in ("screen", "paper", "digit"):
            found = engine(pixels, use_det=False, use_cls=False)
            return Answer(_digits(found.txts or ()))
        found = engine(pixels, use_det=True, use_cls=False)  # else as in the call before
        boxes = getattr(found, "boxes", None)
        return Answer(_digits(() if boxes is None else _in_lines(np.asarray(boxes), found.txts)))

    return read


def _in_lines(boxes: np.ndarray, texts: Any) -> list[str]:
    """Puts together what stands beside each other, from the top to the bottom."""
    tops, bottoms, lefts = boxes[..., 1].min(1), boxes[..., 1].max(1), boxes[..., 0].min(1)
    lines: list[list[int]] = []
    for each in np.argsort(tops + bottoms, kind="stable").tolist():
        middle = (tops[each] + bottoms[each]) / 2
        if lines and middle < bottoms[lines[-1][0]]:
            lines[-1].append(each)
        else:
            lines.append([each])
    return ["".join(texts[i] for i in sorted(line, key=lambda i: lefts[i])) for line in lines]


def _digits(lines: Any) -> str:
    """Keeps the digits of what was read: another character is no answer here."""
    found = (re.sub(r"[^0-9]", "", line) for line in lines)
    return "/".join(line for line in found if line)


def _prepared(picture: Drawn) -> Image.Image:
    """Returns a picture as both like it: opened as ours is, not tiny, with ground around it."""
    content = io.BytesIO(picture.content)
    content.name = picture.name
    with Image.open(content) as opened:
        full = ImageOps.exif_transpose(opened)
        # Of a transparent sheet ours chooses what lies under it; the others get the same.
        plain = open_picture(content).pixels if full.mode in ("RGBA", "LA", "P") else None
        image = full.convert("RGB") if plain is None else Image.fromarray(plain).convert("RGB")
    if max(image.size) > LARGEST:
        image.thumbnail((LARGEST, LARGEST))
    factor = SMALLEST / min(image.size)
    if factor > 1:
        larger = round(image.width * factor), round(image.height * factor)
        image = image.resize(larger, Image.Resampling.BICUBIC)
    ground = np.median(np.asarray(image).reshape(-1, 3), axis=0)
    rim = round(RIM * max(image.size))
    return ImageOps.expand(image, rim, tuple(int(each) for each in ground))


PROGRAMS: dict[str, Callable[[], Reader | None]] = {"Tesseract": tesseract, "RapidOCR": rapidocr}
