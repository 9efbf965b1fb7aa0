r"""Every format of `jaxmnist export`, network by network: differences, sizes, speeds.

  python -m tools.exports --weights runs/seq runs/model_3 --out results/exports.json

A difference is the largest one from our own logits, by how far these differ from image to image;
single is the time of one image, batch the images a second in batches of 100, all with a thread for
each core. What 8-bit integers cost is measured on clean test digits, or sequences of them. Networks
for which no weights are given have drawn ones, which nothing can be read with.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import safetensors.torch
import torch

from jaxmnist.api import load
from jaxmnist.config import Evaluation
from jaxmnist.constants import PUBLISHED_LENGTH, SIDE
from jaxmnist.data.sources import Source, load_source
from jaxmnist.errors import UserError
from jaxmnist.export.files import export
from jaxmnist.export.onnx_graph import to_onnx
from jaxmnist.export.onnx_int8 import (
    BATCH,
    Images,
    Run,
    accuracy,
    calibration,
    start,
    test_examples,
    to_int8,
)
from jaxmnist.files import atomic_write
from jaxmnist.generate.augment import normalise
from jaxmnist.models.network import Architecture, Weights
from jaxmnist.models.summary import count_parameters
from jaxmnist.models.zoo import MODELS, create_network
from jaxmnist.runtime import configure_jax, cores, provenance
from jaxmnist.tasks import task_of
from jaxmnist.weights import Loaded, Metadata
from tools.samples import drawn_weights

SECONDS = 0.3  # of calls, of which the median counts
VARIES = 0.02  # of the largest logit: how far they have to differ from image to image
HEADER = f"{'network':<20}{'format':<12}{'difference':>11}{'bytes':>12}{'single':>11}{'batch':>12}"


@dataclass(frozen=True)
class Exported:
    """A network in one format, read back."""

    run: Run
    size: int  # bytes of the file


def drawn(name: str) -> Loaded:
    """Returns a network that nobody trained."""
    network = create_network(name)
    architecture = network.architecture
    task = task_of(architecture)
    metadata = Metadata(
        name=name,
        model=name,
        max_length=task.max_length,
        seed=None,
        epoch=None,
        data="mnist",
        eval=Evaluation(),
    )
    return Loaded(network, drawn_weights(architecture), task, metadata)


def strips(architecture: Architecture, digits: np.ndarray, count: int) -> Images:
    """Returns digits side by side, as wide as the network reads them."""
    cells = architecture.heads or PUBLISHED_LENGTH
    rows = digits[: count * cells].reshape(count, cells, SIDE, SIDE)
    return (rows.transpose(0, 2, 1, 3).reshape(count, SIDE, -1) / 255).astype(np.float32)


def ours(loaded: Loaded) -> Run:
    """Returns the function that our own network is."""

    @jax.jit
    def apply(weights: Weights, images: jax.Array) -> jax.Array:
        logits = loaded.network.apply(weights._asdict(), normalise(images), train=False)
        return jnp.asarray(logits)

    return lambda images: np.asarray(apply(loaded.weights, images))


def exported(loaded: Loaded, batches: Iterator[Images], folder: Path) -> dict[str, Exported]:
    """Writes a network in every format, and reads each again.

    Args:
      loaded: the network.
      batches: images that are quantised by.
      folder: for the files.
    """

    def write(form: str, name: str) -> Path:
        export(loaded, form, folder / name, digits=lambda: load_source("auto"))
        return folder / name

    files = {
        "onnx": write("onnx", "network.onnx"),
        "onnx-int8": folder / "int8.onnx",
        "stablehlo": write("stablehlo", "network.stablehlo"),
        "torch": write("torch", "network.pth"),
        "safetensors": write("safetensors", "network.safetensors"),
    }
    small = to_int8(to_onnx(loaded.network.architecture, loaded.weights), batches)
    onnx.save(small, files["onnx-int8"])
    program = jax.jit(jax.export.deserialize(bytearray(files["stablehlo"].read_bytes())).call)
    source = write("torch-module", "network.py").read_text(encoding="utf-8")
    runs: dict[str, Run] = {
        "onnx": start(onnx.load(files["onnx"]), cores()),
        "onnx-int8": start(onnx.load(files["onnx-int8"]), cores()),
        "stablehlo": lambda images: np.asarray(program(images)),
        "torch": torch_run(source, torch.load(files["torch"], weights_only=True)),
        "safetensors": torch_run(source, safetensors.torch.load_file(files["safetensors"])),
    }
    return {form: Exported(run, files[form].stat().st_size) for form, run in runs.items()}


def torch_run(source: str, state: dict[str, torch.Tensor]) -> Run:
    """Returns the function that a written module is with a state dict."""
    space: dict[str, Any] = {}
    exec(source, space)
    network = space["Network"]().eval()
    network.load_state_dict(state)

    @torch.inference_mode()
    def run(images: Images) -> np.ndarray:
        answer: np.ndarray = network(torch.from_numpy(images)).numpy()
        return answer

    return run


def seconds(call: Callable[[], object]) -> float:
    """Returns the median time of a call, after a first one that compiles."""
    call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < SECONDS:
        since = time.perf_counter()
        call()
        times.append(time.perf_counter() - since)
    return statistics.median(times)


def measure(loaded: Loaded, source: Source, *, trained: bool, folder: Path) -> dict[str, Any]:
    """Returns what there is to say about one network in every format, and prints it."""
    architecture, name = loaded.network.architecture, loaded.metadata.model
    images = strips(architecture, np.asarray(source.test.images), BATCH)
    batches = calibration(loaded.task, source.train)
    if not trained:
        batches = iter([strips(architecture, np.asarray(source.train.images), BATCH)])
    run = ours(loaded)
    logits = run(images)
    spread = np.ptp(logits, axis=0).max()
    if spread < VARIES * np.abs(logits).max():
        raise UserError(f"the logits of {name} hardly vary: give other weights.")
    contenders = {"jaxmnist": Exported(run, 0)} | exported(loaded, batches, folder)
    formats = {}
    for form, each in contenders.items():
        single = seconds(partial(each.run, images[:1]))
        row = {
            "difference": float(np.abs(each.run(images) - logits).max() / spread),
            "bytes": each.size or None,
            "seconds_single": single,
            "images_per_second": BATCH / seconds(partial(each.run, images)),
        }
        formats[form] = row
        print(
            f"{name:<20}{form:<12}{row['difference']:>11.1e}{row['bytes'] or '-':>12}"
            f"{1000 * single:>8.2f} ms{row['images_per_second']:>10,.0f}/s",
            flush=True,
        )
    report = {
        "parameters": count_parameters(loaded.weights.params),
        "trained": trained,
        "width": images.shape[2],
        "formats": formats,
    }
    if trained:
        examples = test_examples(loaded, source.test)
        before, after = (
            accuracy(loaded, contenders[form].run, examples) for form in ("onnx", "onnx-int8")
        )
        lost = round(100 * (before - after), 4)
        report["int8"] = {"n": examples.count, "float32": before, "int8": after, "lost": lost}
        print(
            f"{name:<20}onnx-int8 reads {after:.2%} of {examples.count:,} {loaded.task.noun}, "
            f"float32 {before:.2%}: {lost:.2f} points lost",
            flush=True,
        )
    return report


def main() -> None:
    """Measures all networks, prints the table and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--weights", nargs="*", default=[], help="trained ones: run folders, or weights files"
    )
    parser.add_argument("--models", nargs="*", default=MODELS, help="to draw, if not trained")
    parser.add_argument("--out", type=Path, required=True, help="write the table as JSON")
    chosen = parser.parse_args()
    configure_jax()
    torch.set_num_threads(cores())
    trained = [load(name) for name in chosen.weights]
    networks = {model.metadata.model: (model.loaded, model.digits) for model in trained}
    with_weights = set(networks)
    source = load_source("auto")
    for name in chosen.models:
        if name not in networks:
            networks[name] = drawn(name), source
    print(HEADER)
    table = {}
    for name, (loaded, digits) in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            table[name] = measure(loaded, digits, trained=name in with_weights, folder=Path(folder))
    report: dict[str, Any] = {"networks": table, "batch": BATCH, "threads": cores()}
    report |= provenance()
    atomic_write(chosen.out, json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
