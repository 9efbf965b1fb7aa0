r"""Measures the page: whether it sees what Python does, its weight, its start, its frames.

  python -m tools.page --out page.json
  python -m tools.page --screenshot docs/page.png
  python -m tools.page --pictures mine --runtime node_modules/onnxruntime-web/dist --out page.json

The last one also compares pictures of your own, and races ONNX Runtime Web (`npm install
onnxruntime-web`). It needs node, Chromium and `pip install playwright`.
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxmnist.data.sources import load_source
from jaxmnist.entry import exit_on_error
from jaxmnist.errors import UserError
from jaxmnist.export.files import export
from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.outputs import check_outputs, write_text
from jaxmnist.page.build import build_site
from jaxmnist.page.command import find_networks
from jaxmnist.page.weights import COARSE, pack, quantise
from jaxmnist.reader.forward import from_arrays
from jaxmnist.runtime import configure_jax, device, git_commit
from jaxmnist.shipped import find_weights
from tools.page.accuracy import accuracies
from tools.page.browser import find_chromium
from tools.page.equality import compare, has_node
from tools.page.phone import measure
from tools.page.pictures import pictures
from tools.page.screenshot import screenshot

SUITES = ("clean", "free", "touching", "overlapping", "length_5", "noise_30")
LARGEST = 2_000_000  # pixels of a picture that is compared: larger ones are halved


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", default="reader", metavar="NAME", help="default reader")
    parser.add_argument("--count", type=int, default=1_000, help="pictures drawn; default 1000")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="and those of a folder")
    parser.add_argument("--runtime", type=Path, metavar="DIR", help="dist/ of onnxruntime-web")
    parser.add_argument(
        "--skip",
        nargs="*",
        default=[],
        help="of equality, accuracy, phone: what the file has stays",
    )
    parser.add_argument("--screenshot", type=Path, metavar="FILE.png", help="how the page looks")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="where the figures go")
    chosen = parser.parse_args()
    with exit_on_error():
        check_outputs(chosen.out, chosen.screenshot)
        if not has_node() or find_chromium() is None:
            raise UserError("node or Chromium is not here: install both.")
        configure_jax()
        site = build_site(find_networks(find_weights(chosen.weights)))
        if chosen.screenshot:
            screenshot(site, chosen.screenshot)
        if chosen.out:
            write_text(chosen.out, json.dumps(_measured(chosen, site), indent=2) + "\n")


def _measured(chosen: argparse.Namespace, site: Mapping[str, bytes]) -> dict[str, Any]:
    parts = json.loads(chosen.out.read_text()) if chosen.skip and chosen.out.exists() else {}
    parts |= {
        "weights": chosen.weights,
        "bytes": {name: len(content) for name, content in site.items()},
        "squeezed_bytes": {name: len(gzip.compress(content)) for name, content in site.items()},
    }
    if "equality" not in chosen.skip:
        parts["equality"] = _equality(chosen)
    if "accuracy" not in chosen.skip:
        parts["accuracy"] = accuracies(chosen.weights, SUITES)
    if "phone" not in chosen.skip:
        with tempfile.TemporaryDirectory() as folder:
            onnx = Path(folder) / "network.onnx"
            if chosen.runtime:
                _export(chosen.weights, onnx)
            parts["phone"] = measure(site, chosen.runtime, onnx)
            parts["phone"]["load"] = os.getloadavg()[0]  # of the machine: a busy one is slower
    return parts | {"device": device(), "git_commit": git_commit()}


def _export(name: str, path: Path) -> None:
    import jaxmnist

    model = jaxmnist.load(name)
    export(model.loaded, "onnx", path, names="sequential", digits=lambda: model.digits)


def _equality(chosen: argparse.Namespace) -> dict[str, Any]:
    network = quantise(from_arrays(read_arrays(find_weights(chosen.weights))[0]), COARSE)
    packed = pack(chosen.weights, network)
    digits = np.asarray(load_source("auto").test.images)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.bin"
        path.write_bytes(packed)
        drawn = asdict(compare(pictures(digits, chosen.count), packed, path))
        found = {"drawn": drawn}
        if chosen.pictures:
            found["of people"] = asdict(compare(_opened(chosen.pictures), packed, path))
    return {**found, "seconds": time.monotonic() - start}


def _opened(folder: Path) -> Iterator[Image.Image]:
    """Opens the pictures in a folder, as a browser does."""
    for path in sorted(folder.rglob("*.*")):
        try:
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
        except (UnidentifiedImageError, IsADirectoryError):
            continue
        while image.width * image.height > LARGEST:
            image = image.reduce(2)
        yield Image.fromarray(np.asarray(image))  # without what the file says besides


if __name__ == "__main__":
    main()
