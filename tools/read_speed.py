"""Times `jaxmnist read` on pictures drawn by code: a photo, a crop, many crops, a whole process.

  python -m tools.read_speed --out results/bench/read.json          a minute of an idle machine

Times are medians. What was read right stands beside them: nobody should time a reader that reads
nothing.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxmnist.data.sources import load_source
from jaxmnist.entry import exit_on_error
from jaxmnist.files import atomic_write, user_path
from jaxmnist.reader.read import read_pictures
from jaxmnist.runtime import provenance
from tools.gallery.__main__ import gallery
from tools.gallery.readers import load_network

MEGAPIXEL = (1200, 833)
CROP = (64, 64)  # pixels of a digit that somebody has cut out
TOGETHER = 500  # crops that are read by one call
# `jaxmnist read`, then the most memory it had. What the system counts for a child begins with its
# parent's, which is much larger.
WITH_MEMORY = """
import runpy, sys
try:
    runpy.run_module("jaxmnist", run_name="__main__")
finally:
    status = open("/proc/self/status").read().split()
    print(1024 * int(status[status.index("VmHWM:") + 1]))
"""


def seconds_of(call: Callable[[], object], rounds: int) -> float:
    """Returns the median of some rounds, after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def resized(content: bytes, size: tuple[int, int], mode: str) -> Image.Image:
    """Returns a picture file at another size."""
    return Image.open(io.BytesIO(content)).convert(mode).resize(size)


def measure(weights: str, rounds: int) -> dict[str, Any]:
    """Returns what was measured, seconds and bytes, and what was read."""
    network = load_network(weights)
    drawn = gallery(load_source("auto"))
    paper = next(each for each in drawn if each.kind == "paper" and len(each.label) == 1)
    screens = [each for each in drawn if each.kind == "screen" and len(each.label) == 1]
    photo = resized(paper.content, MEGAPIXEL, "RGB")
    crops = [np.asarray(resized(each.content, CROP, "L")) for each in screens]
    many = [crops[number % len(crops)] for number in range(TOGETHER)]
    right = [
        reading.text == each.label
        for reading, each in zip(read_pictures(network, crops), screens, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.jpg"
        photo.save(file)

        def process(*program: str) -> str:
            command = [sys.executable, *program, "read", str(file), "--weights", weights]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        reading, memory = process("-c", WITH_MEMORY).splitlines()
        process_seconds = seconds_of(lambda: process("-m", "jaxmnist"), rounds)
    return {
        "process_seconds": process_seconds,
        "process_read_right": reading.split()[-1] == paper.label,
        "process_peak_bytes": int(memory),
        "photo_seconds": seconds_of(lambda: read_pictures(network, [photo]), 10 * rounds),
        "crop_seconds": seconds_of(lambda: read_pictures(network, crops[:1]), 20 * rounds),
        "crops_a_second": TOGETHER / seconds_of(lambda: read_pictures(network, many), rounds),
        "crops_read_right": sum(right) / len(right),
    }


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="reader", help="a name, or a file")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=user_path, help="write the figures as JSON")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    found = measure(chosen.weights, chosen.rounds)
    for name, value in found.items():
        print(f"{name:<20} {value:.4g}")
    if chosen.out is not None:
        report = found | {"weights": chosen.weights, "rounds": chosen.rounds, "load": load}
        report |= provenance()
        atomic_write(chosen.out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    with exit_on_error():
        main()
