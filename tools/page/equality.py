"""Whether the page sees and reads what Python does: canvases to the byte, logits nearly."""

import base64
import json
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxmnist.page.weights import unpack
from jaxmnist.reader.forward import StringNetwork
from jaxmnist.reader.picture import from_image
from jaxmnist.reader.read import Reading, look_at, read_seen

SCRIPT = Path(__file__).parent / "read.mjs"
TOGETHER = 50  # pictures that one process reads
CONFIDENCE = 1e-4  # by which confidences may differ, which are sums of the logits' exponentials


@dataclass
class Comparison:
    """How many pictures and canvases were compared, and what differed."""

    pictures: int = 0
    canvases: int = 0
    different_canvases: int = 0
    different_readings: int = 0
    logits: float = 0.0  # the largest difference, by the largest logit of the canvas


def has_node() -> bool:
    """Returns whether the page's code can be run outside a browser."""
    return shutil.which("node") is not None


def compare(images: Iterable[Image.Image], packed: bytes, weights: Path) -> Comparison:
    """Reads pictures with both; `weights` is the file that `packed` is in."""
    network, result = unpack(packed)[1], Comparison()
    for batch in _batches(images):
        for image, theirs in zip(batch, read_by_page(batch, weights), strict=True):
            _compare(result, image, network, theirs)
    return result


def read_by_page(images: Sequence[Image.Image], weights: Path) -> Iterator[dict[str, Any]]:
    """Reads pictures with the page's code, in node."""
    given = b"".join(struct.pack("<II", *each.size) + rgba(each) for each in images)
    done = subprocess.run(["node", SCRIPT, weights], input=given, capture_output=True, check=True)
    return (json.loads(line) for line in done.stdout.splitlines())


def rgba(image: Image.Image) -> bytes:
    """Returns the pixels of a picture as a browser has them."""
    return image.convert("RGBA").tobytes()


def _batches(images: Iterable[Image.Image]) -> Iterator[list[Image.Image]]:
    batch: list[Image.Image] = []
    for image in images:
        batch.append(image)
        if len(batch) == TOGETHER:
            yield batch
            batch = []
    if batch:
        yield batch


def _compare(
    result: Comparison, image: Image.Image, network: StringNetwork, theirs: dict[str, Any]
) -> None:
    seen = look_at(from_image(image))
    (reading,) = read_seen(network, [seen])
    result.pictures += 1
    result.canvases += len(seen.canvases)
    result.different_readings += not _alike(reading, theirs)
    result.different_canvases += abs(len(seen.canvases) - len(theirs["canvases"]))
    for ours, other in zip(seen.canvases, theirs["canvases"], strict=False):
        pixels = ours.pixels
        if base64.b64decode(other["pixels"]) != pixels.tobytes() or other["width"] != len(pixels.T):
            result.different_canvases += 1
            continue
        padded = np.pad(pixels, ((0, 0), (0, -pixels.shape[1] % len(pixels))))
        (logits,) = network.logits(padded[None])
        given = np.frombuffer(base64.b64decode(other["logits"]), np.float32)
        difference = np.abs(given.reshape(logits.shape) - logits).max() / np.abs(logits).max()
        result.logits = max(result.logits, float(difference))


def _alike(ours: Reading, theirs: dict[str, Any]) -> bool:
    def boxes(lines: Any) -> list[list[int]]:
        return [list(each["box"]) for line in lines for each in [line, *line["digits"]]]

    own = [
        {"box": line.box, "digits": [{"box": digit.box} for digit in line.digits]}
        for line in ours.lines
    ]
    return (
        theirs["text"] == ours.text
        and abs(theirs["confidence"] - ours.confidence) < CONFIDENCE
        and boxes(theirs["lines"]) == boxes(own)
        and theirs["notes"] == list(ours.notes)
    )
