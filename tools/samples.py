"""Writes one small, sound file of every kind that this project reads, for tests to damage."""

import gzip
import math
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmnist import config, recipes
from jaxmnist.config import Config
from jaxmnist.constants import SIDE
from jaxmnist.data.sources import OFFICIAL
from jaxmnist.experiment import make_network
from jaxmnist.formats.pth import write_pth
from jaxmnist.formats.state_dict import to_state_dict
from jaxmnist.models.layout import NHWC
from jaxmnist.models.network import Architecture, Network, Weights
from jaxmnist.models.summary import init_variables, layer_table
from jaxmnist.models.zoo import create_network
from jaxmnist.run.folder import RunFolder
from jaxmnist.tasks import task_of
from jaxmnist.weights import FILE_NAME, Metadata, save_weights

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = OFFICIAL


def load_config(name: str) -> Config:
    """Returns the configuration of a shipped recipe."""
    return config.from_dict(recipes.load(name).to_dict())


def idx(array: np.ndarray, magic: int) -> bytes:
    """Returns the bytes of an idx file."""
    sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return magic.to_bytes(4, "big") + sizes + array.astype(np.uint8).tobytes()


def write_digits(folder: Path) -> Path:
    """Writes the four files of 30 digits to train on and 10 to test with, which are noise."""
    folder.mkdir(exist_ok=True)
    random = np.random.RandomState(0)
    for images, labels, n in ((TRAIN_IMAGES, TRAIN_LABELS, 30), (TEST_IMAGES, TEST_LABELS, 10)):
        pixels = random.randint(0, 256, (n, 28, 28))
        (folder / f"{images}.gz").write_bytes(gzip.compress(idx(pixels, 0x803), mtime=0))
        digits = idx(random.randint(0, 10, n), 0x801)
        (folder / f"{labels}.gz").write_bytes(gzip.compress(digits, mtime=0))
    return folder


def constant_variables(network: Network, height: int, width: int) -> dict[str, Any]:
    """Returns variables of one value, without the time that initialising takes."""
    shapes = jax.eval_shape(
        lambda key: init_variables(network, key, height, width), jax.random.key(0)
    )
    return jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5).astype(leaf.dtype), shapes)


def drawn_weights(architecture: Architecture, seed: int = 0) -> Weights:
    """Returns weights of a network that nobody trained, drawn so that its outputs vary.

    Kernels keep the spread of what goes through them (He et al., 2015), the statistics of batch
    normalisation are near those of such values, and a third of its factors turns the sign.
    """
    network = Network(architecture, NHWC())
    width = SIDE * (architecture.heads or 1)
    shapes = jax.eval_shape(
        lambda key: init_variables(network, key, SIDE, width), jax.random.key(0)
    )
    random = np.random.RandomState(seed)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        name, shape = path[-1].key, leaf.shape
        if name == "kernel":
            values = random.normal(0, (2 / math.prod(shape[:-1])) ** 0.5, shape)
        elif name == "var":
            values = random.uniform(0.5, 1.5, shape)
        elif name == "scale":
            signs = np.where(random.uniform(size=shape) < 0.3, -1, 1)
            values = signs * random.uniform(0.7, 1.3, shape)
        else:
            values = random.normal(0, 0.1, shape)
        return values.astype(leaf.dtype)

    drawn = jax.tree_util.tree_map_with_path(draw, shapes)
    return Weights(drawn["params"], drawn["batch_stats"])


def write_run(folder: Path, config: Config) -> Path:
    """Writes a run folder as a run leaves it: configuration, layers, weights of epoch 0."""
    run = RunFolder(folder, config)
    run.create()
    network = make_network(config)
    size = task_of(network.architecture).image_size
    run.write("model.txt", layer_table(network, *size))
    variables = constant_variables(network, *size)
    weights = Weights(variables["params"], variables.get("batch_stats", {}))
    metadata = Metadata(
        name=config.name,
        model=config.model,
        max_length=network.architecture.heads or 1,
        seed=0,
        epoch=0,
        data="digits8x8",
        eval=config.eval,
    )
    save_weights(folder / FILE_NAME, weights, metadata)
    return folder


def write_samples(folder: Path) -> Path:
    """Writes one of each.

    digits/          the four idx files, gzipped
    plain/           two of them, not gzipped
    run/             of a classifier (model_3)
    sequences/       of a recogniser
    mine.npz         two images with their labels
    model_3.pth      its weights for PyTorch
    """
    folder.mkdir(exist_ok=True)
    write_digits(folder / "digits")
    (folder / "plain").mkdir()
    for name in (TRAIN_IMAGES, TRAIN_LABELS):
        packed = (folder / "digits" / f"{name}.gz").read_bytes()
        (folder / "plain" / name).write_bytes(gzip.decompress(packed))
    write_run(folder / "run", load_config("models:tiny"))
    write_run(folder / "sequences", load_config("seq:compact-tiny"))
    np.savez(folder / "mine.npz", x=np.full((2, 28, 28), 200, np.uint8), y=np.array([3, 4]))
    network = create_network("model_3")
    variables = constant_variables(network, 28, 28)
    write_pth(folder / "model_3.pth", to_state_dict(network.architecture, variables))
    return folder


class Malice:
    """Makes a folder when Python's unpickler reads it."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def repack(path: Path, changes: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    """Writes a zip archive again with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def snapshot(folder: Path) -> dict[str, bytes | int]:
    """Returns the contents of a folder; of large files the size.

    Links, lock files and the bytecode that Python keeps of config files are left out.
    """

    def content(path: Path) -> bytes | int:
        size = path.stat().st_size
        return path.read_bytes() if path.is_file() and size < 2**24 else size

    return {
        str(path.relative_to(folder)): content(path)
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock" and "__pycache__" not in path.parts and not path.is_symlink()
    }


def fresh(samples: Path, folder: Path) -> Path:
    """Copies the samples to where they may be damaged."""
    return Path(shutil.copytree(samples, folder, symlinks=True))
