"""Every door, and what is answered to bad input there: one sentence that says how to fix it.

A case is a command line as somebody types it where tools/samples.py has laid its files, words that
the answer must hold, and, where the files are at fault, what was done to them before.
"""

import gzip
import io
import json
import os
import pickle
import re
import shlex
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from absl.testing import flagsaver
from safetensors import safe_open
from safetensors.numpy import save_file

import launch
from jaxmnist import checkpoint, cli
from jaxmnist.data.sources import VARIABLE
from jaxmnist.errors import UserError
from jaxmnist.experiment import CompiledFns, Experiment
from jaxmnist.formats.pth import read_pth, write_pth
from jaxmnist.formats.state_dict import from_state_dict
from jaxmnist.models.zoo import create_network
from tests.helpers import ROOT, run_python
from tests.systems.test_audit import spread, summary
from tools.samples import (
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Malice,
    fresh,
    idx,
    repack,
    snapshot,
    write_samples,
)

NUMBERED = "run/checkpoints/1/"
Damage = Callable[[Path], object]  # of the folder with the samples
Case = tuple[str, str] | tuple[str, str, Damage]


PACKED_IMAGES = f"digits/{TRAIN_IMAGES}.gz"
CONFIG = "run/config.json"
SUMMARY = "run/summary.json"
FILE = "run/weights.safetensors"

# What can be done to files.


def both(*damages: Damage) -> Damage:
    return lambda place: [damage(place) for damage in damages]


def write(name: str, content: bytes | str) -> Damage:
    data = content.encode() if isinstance(content, str) else content

    def put(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)

    return put


def change(name: str, how: Callable[[bytes], bytes]) -> Damage:
    return lambda place: (place / name).write_bytes(how((place / name).read_bytes()))


def make(name: str) -> Damage:
    """Makes a folder."""
    return lambda place: (place / name).mkdir()


def remove(name: str) -> Damage:
    return lambda place: (place / name).unlink()


def merge(name: str, **changes: Any) -> Damage:
    """Changes fields of a JSON file."""
    return change(name, lambda old: json.dumps(json.loads(old) | changes).encode())


def npz(**arrays: Any) -> Damage:
    return lambda place: np.savez(place / "mine.npz", **arrays)


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Damage:
    def put(place: Path) -> None:
        with zipfile.ZipFile(place / "mine.npz", "w", method) as file:
            for name, content in members.items():
                file.writestr(name, content)

    return put


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def weights(change: Callable[[dict[str, Any]], object] = lambda _: 0, **metadata: Any) -> Damage:
    """Changes arrays of run/weights.safetensors, or its metadata."""

    def put(place: Path) -> None:
        path = place / FILE
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            entry = json.loads(file.metadata()["jaxmnist"]) | metadata
        change(arrays)
        save_file(arrays, path, {"jaxmnist": json.dumps(entry)})

    return put


def header_length(length: int) -> Damage:
    return change(FILE, lambda old: struct.pack("<Q", length) + old[8:])


def pth(change: Callable[[dict[str, Any]], object]) -> Damage:
    def put(place: Path) -> None:
        state = read_pth(place / "model_3.pth")
        change(state)
        write_pth(place / "model_3.pth", state)

    return put


def members(changes: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Damage:
    return lambda place: repack(place / "model_3.pth", changes, method)


def checkpoints(seal: bool = True, **files: bytes | str) -> Damage:
    """Leaves one checkpoint in the run folder, with checksums that are right or missing."""

    def put(place: Path) -> None:
        folder = place / "run" / "checkpoints" / "1"
        (folder / "state").mkdir(parents=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / name.replace("__", "/").replace("_", ".")).write_bytes(data)
        if seal:
            (folder / "checksums.json").write_text(json.dumps(checkpoint._checksums(folder)))

    return put


def packed(file: str, array: np.ndarray, magic: int) -> Damage:
    return write(f"digits/{file}.gz", gzip.compress(idx(array, magic)))


def unpacked(file: str, how: Callable[[bytes], bytes]) -> Damage:
    return change(f"digits/{file}.gz", lambda old: gzip.compress(how(gzip.decompress(old))))


def swap(place: Path) -> None:
    images, labels = (place / "digits" / f"{name}.gz" for name in (TRAIN_IMAGES, TRAIN_LABELS))
    images.rename(place / "other")
    labels.rename(images)
    (place / "other").rename(labels)


def cut(content: bytes) -> bytes:
    return content[:-40]


def flip_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def flip_early(content: bytes) -> bytes:
    return content[:60] + bytes([content[60] ^ 0xFF]) + content[61:]


def other_method(content: bytes) -> bytes:
    """Says that the first member of a zip archive is compressed by Zstandard."""
    at = content.index(b"PK\1\2") + 10
    return content[:at] + struct.pack("<H", 93) + content[at + 2 :]


# Doors.

SEQ = "launch.py --config=configs/seq.py:compact --workdir=new"
TINY = "launch.py --config=configs/seq.py:compact-tiny --workdir=new"
MODELS = "launch.py --config=configs/models.py --workdir=new"
SMALL = "launch.py --config=configs/models.py:tiny --workdir=new"
RUN = "launch.py --config=configs/models.py:tiny --workdir=run"
DIGITS = (
    "launch.py --config=configs/models.py:tiny --workdir=new --config.data.source=dir "
    "--config.data.dir=digits --config.data.verify=False"
)
OWN = "jaxmnist evaluate --run sequences --data mine.npz"
OF_RUN = "jaxmnist evaluate --run run --suite clean"
EVALUATE = "jaxmnist evaluate --weights run/weights.safetensors --suite clean"
EXPORT = "jaxmnist export --run run --format torch --out new.pth"
PTH = "read_pth model_3.pth model_3"
AUDIT = "jaxmnist audit results"

VERBS: list[Case] = [
    ("jaxmnist", "arguments are required: verb: type `jaxmnist --help`"),
    ("jaxmnist fly", "invalid choice: 'fly'.* type `jaxmnist --help`"),
    ("jaxmnist --fly", "required: verb|unrecognized"),
    ("jaxmnist models --fly", "unrecognized arguments: --fly: type"),
    ("jaxmnist models extra", "unrecognized arguments: extra"),
    ("jaxmnist evaluate", "--run --weights is required: type `jaxmnist evaluate --help`"),
    ("jaxmnist evaluate --run", "--run: expected one argument"),
    ("jaxmnist evaluate --run run --weights seq", "not allowed with argument --run"),
    ("jaxmnist evaluate --run run --suite=", "no suite '': choose one of clean"),
    ("jaxmnist evaluate --run run --suite blurred", "no suite 'blurred': choose one of clean"),
    ("jaxmnist evaluate --run run --data mine.npz --suite clean", "exclude each other"),
    ("jaxmnist evaluate --run run --predictions x.npy", "needs --data or one --suite"),
    ("jaxmnist export --run run --out x", "required: --format: type `jaxmnist export --help`"),
    ("jaxmnist export --run run --format onx --out x", "invalid choice: 'onx'"),
    ("jaxmnist export --run run --format torch", "required: --out"),
    ("jaxmnist audit", "required: results"),
    ("jaxmnist audit nowhere", "nowhere is not a folder: give one"),
    ("jaxmnist bench --rounds many", "invalid int value: 'many': type `jaxmnist bench --help`"),
    ("jaxmnist bench --rounds 0", "--rounds is 0: it must be at least 1"),
    ("jaxmnist bench --seconds nan", "--seconds is nan: it must be"),
    ("jaxmnist bench --seeds 0", "--seeds is 0: it must be between 1 and 10000"),
    ("jaxmnist bench --systems vgg", "no system 'vgg': choose"),
    ("jaxmnist bench --systems ,", "--systems names nothing: give a list"),
    ("jaxmnist bench --batch 64,x", "--batch is 'x': give whole numbers above 0"),
    (f"jaxmnist bench --batch {'9' * 5_000}", "--batch is '9+': give whole numbers above 0"),
    ("jaxmnist bench --against caffe", "no contender 'caffe': choose"),
    ("jaxmnist bench --threads 0", "--threads is 0: this process may use 1 to"),
    ("jaxmnist speedrun", r"required: 98\|99\|99\.4: type"),
    ("jaxmnist speedrun 97", "invalid choice: '97'"),
    ("jaxmnist speedrun 99 --runs 0", "--runs is 0: it must be at least 1"),
    ("jaxmnist speedrun 99 --source usb", "--source: invalid choice: 'usb'"),
    ("jaxmnist bench --source usb", "--source: invalid choice: 'usb'"),
]

OWN_RECIPE = """
from ml_collections import ConfigDict
from jaxmnist import recipes
def get_config():
    config = ConfigDict(recipes.load("models:tiny").to_dict(), type_safe=False)
    change(config)
    return config
def change(config):
    """
FLAGS: list[Case] = [
    ("launch.py", "no recipe is named: give one, such as seq or configs/seq.py"),
    ("launch.py --config", "Missing value for flag --config: see --help"),
    ("launch.py --config=", "no recipe is named: give one"),
    ("launch.py --config=configs/none.py", "no recipe 'configs/none.py': choose .*seq, .* or give"),
    ("launch.py --config=configs", "no recipe 'configs': choose one of ds_cnn"),
    ("launch.py --config=run/model.py", "no recipe 'run/model.py': choose one of ds_cnn"),
    ("launch.py --config=configs/seq.py:big", r"no variant ':big': choose ':compact'"),
    ("launch.py --config=configs/models.py:model_4", "no variant ':model_4': choose ':model_1'"),
    ("launch.py --confg=configs/seq.py", "no flag --confg, perhaps --config: see --help"),
    ("launch.py --config=seq --seed=3", "no flag --seed: give --config.seed=VALUE"),
    ("launch.py --config=configs/seq.py tiny", "'tiny' is not a flag: set a field as"),
    ("launch.py --config=configs/seq.py --workdir", "Missing value for flag --workdir: see"),
    ("launch.py --flagfile=none", "Unable to open flagfile.*: see --help"),
    ("jaxmnist train", "no recipe is named: give one"),
    ("jaxmnist train --workdir=new", "no recipe is named: give one"),
    ("jaxmnist train seq tiny", "'tiny' is not a flag: set a field as"),
    ("jaxmnist train sequ", "no recipe 'sequ': choose one of ds_cnn"),
    ("jaxmnist train seq --wrkdir=x", "no flag --wrkdir, perhaps --workdir: see"),
    ("jaxmnist train seq --config.epochs=0", "epochs is 0: it must be between 1 and"),
    (
        "launch.py --config=mine.py",
        r"mine.py cannot be used \(SyntaxError: invalid syntax.*\): correct the file",
        write("mine.py", "def def"),
    ),
    (
        "launch.py --config=mine.py",
        r"\(ZeroDivisionError: division by zero in line 2\): correct",
        write("mine.py", "one = 1\none / 0"),
    ),
    (
        "launch.py --config=mine.py",
        "has no attribute 'get_config'.*: correct the file",
        write("mine.py", "recipe = {}"),
    ),
    (
        "launch.py --config=mine.py",
        r"get_config\(\) returned int, not a ConfigDict\): correct the file",
        write("mine.py", "def get_config():\n  return 3"),
    ),
    (
        "launch.py --config=mine.py",
        "lacks the field name: start from a function of jaxmnist.recipes",
        write("mine.py", "from ml_collections import ConfigDict as get_config"),
    ),
    *(
        ("launch.py --config=mine.py --workdir=new", said, write("mine.py", OWN_RECIPE + change))
        for change, said in (
            ("del config.validation.augmented", "lacks the field validation.augmented: start"),
            ("config.augment.shear = 3", "has a field augment.shear, which nothing uses: see"),
            ("config.model = ['model_1']", "model is .'model_1'.: it must be"),
            ("config.batch_size = 32.5", "batch_size is 32.5: it must be .* a whole number"),
            ("config.epochs = True", "epochs is True: it must be .* a whole number"),
            ("config.eval.seed = 2.5", "eval.seed is 2.5: it must be .* a whole number"),
            ("config.data.verify = 'no'", "data.verify is 'no': it must be True or False"),
            ("config.name = 3", "name is 3: it must be a text"),
            ("config.augment.scale = {1, 2}", "scale is {1, 2}: it must be two factors"),
        )
    ),
]

NUMBER = "a whole number"
FIELDS: list[Case] = [
    (f"{SEQ} --config.lrr=3", "no field 'lrr': --help lists"),
    (
        f"{SEQ} --config.learning_rate=3",
        "no field 'learning_rate', perhaps schedule.learning_rate:",
    ),
    (f"{SEQ} --config.shedule.step.evry=3", "perhaps schedule.step.every: --help lists"),
    (f"{SEQ} --config.data.folder=x", "no field 'data.folder'.*: --help lists"),
    (f"{SEQ} --config.data[0]=x", r"no field 'data\[0\]': --help lists"),
    (f"{SEQ} --config.seed.x=3", "no field 'seed.x'.*: --help lists"),
    (f"{SEQ} --config.=3", "no field '': --help lists"),
    (f"{SEQ} --config.data=3", "config.data is a group: set .*--config.data.source=VALUE"),
    (f"{MODELS} --config.sequence.max_length=2", "this recipe has no field sequence.max_length:"),
    (f"{SEQ} --config.batch_size", "batch_size has no value: give --config.batch_size=VALUE"),
    (f"{SEQ} --config.batch_size=", f"batch_size is '': it must be .* {NUMBER}"),
    (f"{SEQ} --config.batch_size=many", f"batch_size is 'many': it must be .* {NUMBER}"),
    (f"{SEQ} --config.batch_size=1.5", f"batch_size is '1.5': it must be .* {NUMBER}"),
    (f"{SEQ} --config.batch_size=-3", "batch_size is -3: it must be between 1 and"),
    (f"{SEQ} --config.batch_size=0", "batch_size is 0: it must be between 1 and"),
    (f"{SEQ} --config.data.verify=maybe", "verify is 'maybe': it must be True or False"),
    (f"{SEQ} --noconfig.batch_size", f"batch_size is 'False': it must be .* {NUMBER}"),
    (f"{SEQ} --config.sequence.fixed_list=x", "resample_each_epoch is 'x': it must be True or"),
    (f"{SEQ} --noconfig.data.verify=True", "says two things: leave out"),
    ("launch.py --config=none/configs/seq.py:tiny --workdir=new", "there is no recipe 'none/conf"),
    (f"launch.py --config={'x' * 300}", "there is no recipe"),
    (f"{MODELS} --config.data.source=dir --config.data.dir={'x' * 5000}", "is not a folder: set"),
    ("launch.py --config=seq --flagfile=mine.npz", "decode.*: see --help"),
    (f"{SEQ} --config.num_seeds=0", "num_seeds is 0: it must be between 1 and 10000"),
    (f"{SEQ} --config.num_seeds=-1", "num_seeds is -1: it must be between 1 and 10000"),
    (f"{SEQ} --config.num_seeds=100000", "num_seeds is 100000: it must be between 1 and 10000"),
    (f"{SEQ} --config.seed=2147483647 --config.num_seeds=2", "too large for 2 seeds .* lower it"),
    (
        f"{SEQ} --config.augment.scale=(1,{'9' * 400})",
        "augment.scale is .*: it must be two factors",
    ),
    (f"{SEQ} --config.schedule.learning_rate=1e308", r"is 1e\+308: it must be a number above 0"),
    (f"{SEQ} --config.seed=-1", "seed is -1: it must be between 0 and"),
    (f"{SEQ} --config.seed=2147483648", "seed is 2147483648: it must be between 0 and"),
    (f"{SEQ} --config.epochs=0", "epochs is 0: it must be between 1 and"),
    (f"{SEQ} --config.epochs={'9' * 30}", "epochs is 9+: it must be between 1 and"),
    (f"{SEQ} --config.model=vgg", "no model 'vgg': choose one of .*sequence_compact"),
    (f"{SEQ} --config.model=", "no model '': choose one of"),
    (f"{SEQ} --config.backend=tpu", "layout is 'tpu': it must be one of auto"),
    (f"{SEQ} --config.selection=worst", "selection is 'worst': it must be one of best, last"),
    (f"{SEQ} --config.data.source=usb", "data.source is 'usb': it must be one of auto"),
    (f"{SEQ} --config.data.split_seed=-1", "split_seed is -1: it must be between 0"),
    (f"{SEQ} --config.validation.metric=speed", "'speed': it must be one of accuracy, loss"),
    (f"{SEQ} --config.optimizer.name=lion", "'lion': it must be one of adam, adamw, muon, sgd"),
    (f"{SEQ} --config.optimizer.b1=1", "b1 is 1.0: it must be at least 0 and below 1"),
    (f"{SEQ} --config.schedule.name=cosine", "'cosine': it must be one of constant"),
    (f"{SEQ} --config.schedule.learning_rate=nan", "learning_rate is nan: it must be a number"),
    (f"{SEQ} --config.schedule.learning_rate=inf", "learning_rate is inf: it must be a number"),
    (f"{SEQ} --config.schedule.learning_rate=-1", "learning_rate is -1.0: it must be a number"),
    (f"{SEQ} --config.augment.translate=1.5", "translate is 1.5: it must be between 0 and 1"),
    (f"{SEQ} --config.augment.rotation_degrees=nan", "nan: it must be between 0 and 180"),
    (f"{SEQ} --config.augment.crop_size=27", "crop_size is 27: it must be even"),
    (f"{SEQ} --config.augment.scale=\"('a','b')\"", "it must be two factors above 0"),
    (f"{SEQ} --config.augment.scale='(1,2,3)'", "it must be two factors above 0"),
    (f"{SEQ} --config.augment.scale='(2,1)'", "it must be two factors above 0, the smaller first"),
    (f"{SEQ} --config.augment.scale='('", "it must be two factors above 0"),
    (f"{SEQ} --config.sequence.max_length=0", "max_length is 0: it must be between 1 and 100"),
    (f"{SEQ} --config.sequence.max_length=101", "max_length is 101: it must be between 1 and"),
]

COMBINATIONS: list[Case] = [
    (f"{TINY} --config.batch_size=3000", "more than an epoch's 1920 .*: lower it"),
    (f"{SMALL} --config.batch_size=5000", "more than an epoch's 1344 .*: lower it"),
    (
        f"{MODELS} --config.data.source=digits8x8 --config.batch_size=5000",
        "more than the 1,3.. digits of an epoch: lower it",
    ),
    (
        f"{TINY} --config.epochs=1 --config.batch_size=1000",
        "no room for a warm-up .*: train",
    ),
    (
        f"{MODELS} --config.selection=best --config.validation.digits=test",
        "test digits; choose",
    ),
    (f"{MODELS} --config.data.validation_examples=0", "hold some out, or validate on 'train'"),
    (f"{MODELS} --config.optimizer.name=adam", "cycle_momentum needs optimizer.name 'sgd'"),
    (
        "launch.py --config=configs/seq.py --workdir=new --config.augment.rotation_degrees=9",
        "augment changes nothing where strings are written: set",
    ),
    (f"{MODELS} --config.model=sequence_compact", "lacks the field sequence.max_length: start"),
    (f"{SEQ} --config.model=ds_cnn", "reads single digits: start from a recipe of its own kind"),
    (f"{DIGITS} --config.data.train_examples=40", "is 196, but there are 30 .*: lower one"),
    (
        f"{DIGITS} --config.data.train_examples=20 --config.data.validation_examples=10",
        "batch_size is 32, more than an epoch's 20 .*: lower it",
    ),
    (
        f"{SMALL} --config.epochs=1000000 --config.early_stopping_patience=5",
        "weights of all 1,000,000 epochs take .* GiB: set config.eval.every_epoch to False",
    ),
]

FOLDERS: list[Case] = [
    (f"{MODELS} --config.data.source=dir", f"set {VARIABLE} to MNIST's folder"),
    (
        f"{MODELS} --config.data.source=dir --config.data.dir=none",
        "none is not a folder: set config.data.dir",
    ),
    (
        f"{MODELS} --config.data.source=dir --config.data.dir=mine.npz",
        "mine.npz needs images, x_train, and their labels, y_train: name",
    ),
    (
        f"{MODELS} --config.data.source=dir --config.data.dir=run/config.json",
        "config.json has no parts to train on and to test with: give a folder",
    ),
    (f"{MODELS} --config.data.source=dir --config.data.dir=run", "put MNIST's four files there"),
    (f"{MODELS} --config.data.source=dir --config.data.dir=digits", "not MNIST's own.*: fetch it"),
    (DIGITS, "does not exist: put MNIST's four files there", remove(PACKED_IMAGES)),
    (DIGITS, "does not exist: put MNIST's four files there", remove(f"digits/{TRAIN_LABELS}.gz")),
    (DIGITS, "cannot be read .*: check it", both(remove(PACKED_IMAGES), make(PACKED_IMAGES))),
    (DIGITS, "starts with nothing.*: fetch it", write(PACKED_IMAGES, b"")),
    (
        DIGITS,
        "damaged .*end-of-stream.*: fetch it again",
        change(PACKED_IMAGES, lambda old: old[:-100]),
    ),
    (DIGITS, "damaged .*: fetch", change(PACKED_IMAGES, flip_middle)),
    (
        DIGITS,
        r"damaged \(Unknown compression method\): fetch",
        change(PACKED_IMAGES, lambda old: old[:2] + b"\0" + old[3:]),
    ),
    (
        DIGITS,
        r"not an idx file of images \(it starts with 00000b03\): fetch",
        unpacked(TRAIN_IMAGES, lambda old: b"\0\0\x0b\x03" + old[4:]),
    ),
    (DIGITS, "swapped, rename or fetch", swap),
    (DIGITS, "do not agree; fetch it again", unpacked(TRAIN_IMAGES, lambda old: old[:-1])),
    (DIGITS, "do not agree; fetch it again", unpacked(TRAIN_IMAGES, lambda old: old[:9])),
    (DIGITS, "do not agree; fetch it again", unpacked(TRAIN_IMAGES, lambda old: old + b"\0")),
    (
        DIGITS,
        "do not agree; fetch it again",
        unpacked(TRAIN_IMAGES, lambda old: old[:4] + b"\xff" * 12 + old[16:]),
    ),
    (
        DIGITS,
        "30 train images but 29 labels: .*fetch both",
        packed(TRAIN_LABELS, np.zeros(29), 0x801),
    ),
    (DIGITS, "label 11; labels must be digits", packed(TRAIN_LABELS, np.full(30, 11), 0x801)),
    (DIGITS, "27x28 pixels; give a file", packed(TRAIN_IMAGES, np.zeros((30, 27, 28)), 0x803)),
    (
        DIGITS,
        "no train examples: fetch",
        both(
            packed(TRAIN_LABELS, np.zeros(0), 0x801),
            packed(TRAIN_IMAGES, np.zeros((0, 28, 28)), 0x803),
        ),
    ),
]

IMAGES = np.zeros((2, 28, 28), np.uint8)
LABELS = np.zeros(2, int)
COLOURED = np.stack([IMAGES, IMAGES, IMAGES + 1], axis=3)
OBJECTS = np.array([Malice("it ran"), Malice("it ran")])
PACKED = {"x.npy": npy(IMAGES), "y.npy": npy(LABELS)}
GIANT = npy(IMAGES).replace(b"(2, 28, 28)", b"(9" + b"0" * 8 + b",28,28)")

OWN_IMAGES: list[Case] = [
    ("jaxmnist evaluate --run run --data none.npz", r"none.npz does not exist: name a file"),
    ("jaxmnist evaluate --run run --data run/model.txt", "not a table of numbers .*: correct"),
    ("jaxmnist evaluate --run run --data run/config.json", "not a readable npz file.*: name"),
    (OWN, "not a readable npz file", write("mine.npz", b"")),
    (OWN, "not a readable npz file", change("mine.npz", lambda old: old[:-30])),
    (OWN, "not a readable npz file", change("mine.npz", flip_middle)),
    (OWN, "needs images, x, and their labels, y: name", npz(y=LABELS)),
    (OWN, "needs images, x, and their labels, y: name", npz(pictures=IMAGES, labels=LABELS)),
    (
        OWN,
        "needs images, x, and their labels, y: name",
        archive({f"../{name}": PACKED[name] for name in PACKED}),
    ),
    *(
        (OWN, "not a readable npz file", both(archive(PACKED, method), change("mine.npz", damage)))
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        for damage in (cut, flip_early)
    ),
    (
        OWN,
        "not a readable npz file .NotImplementedError.: name",
        both(archive(PACKED), change("mine.npz", other_method)),
    ),
    (OWN, "not a readable npz file", archive(PACKED | {"x.npy": b"\x93NUMPY"})),
    (OWN, "not a readable npz file", archive(PACKED | {"x.npy": b"no array at all"})),
    (OWN, "header of x does not agree", archive(PACKED | {"x.npy": GIANT})),
    (OWN, "header of x does not agree", archive(PACKED | {"x.npy": npy(IMAGES)[:-1]})),
    (OWN, "x holds Python objects, which are never loaded: give numbers", npz(x=OBJECTS, y=LABELS)),
    (OWN, "y holds Python objects, which are never loaded: give numbers", npz(x=IMAGES, y=OBJECTS)),
    (OWN, r"x has values from 300\.5 to .*: make it", npz(x=IMAGES + 300.5, y=LABELS)),
    (OWN, "x has values from nan", npz(x=np.full_like(IMAGES, np.nan, np.float32), y=LABELS)),
    (OWN, r"shape \(2, 27, 28\); make it uint8 \(N, 28, W\)", npz(x=IMAGES[:, 1:], y=LABELS)),
    (OWN, r"shape \(2, 783\); make it", npz(x=IMAGES.reshape(2, -1)[:, 1:], y=LABELS)),
    (OWN, r"shape \(2, 28, 28, 3\); make .* colours", npz(x=COLOURED, y=LABELS)),
    (OWN, r"shape \(0, 28, 28\); make .* at least one", npz(x=IMAGES[:0], y=LABELS[:0])),
    (OWN, "y is float64 .*; make it integers", npz(x=IMAGES, y=LABELS + 0.5)),
    (OWN, "y is <U5 .*; make it integers", npz(x=IMAGES, y=np.array(["seven", "2"]))),
    (OWN, r"y is bool of shape \(2, 10\)", npz(x=IMAGES, y=np.ones((2, 10), bool))),
    (f"jaxmnist evaluate --run run --data {'x' * 300}", "not a readable npz file .OSError"),
    (f"jaxmnist evaluate --run run --data {'x' * 300}.csv", "cannot be read .File name too long"),
    ("jaxmnist evaluate --run run --data none.csv", "none.csv does not exist: name a CSV"),
    ("jaxmnist evaluate --run run --data mine.csv", "has 3 columns", write("mine.csv", b"1,2,3\n")),
    (
        "jaxmnist evaluate --run run --data mine.csv",
        "has no rows: give",
        write("mine.csv", b"a,b\n"),
    ),
    ("jaxmnist evaluate --run run --data mine.csv", "has no rows: give", write("mine.csv", b"")),
    ("jaxmnist evaluate --run run --data mine.csv", "table of numbers", write("mine.csv", b"a\nb")),
    ("jaxmnist evaluate --run run --data mine.csv", "table of", write("mine.csv", b"\xff\xfe,1")),
    (OWN, "y is bool .*; make it integers", npz(x=IMAGES, y=LABELS.astype(bool))),
    (OWN, "y is timedelta64.*; make it integers", npz(x=IMAGES, y=LABELS.astype("m8[s]"))),
    (OWN, r"shape \(2, 0\); make it integers", npz(x=IMAGES, y=LABELS[:, None][:, :0])),
    (OWN, r"shape \(\); make it integers", npz(x=IMAGES, y=np.int64(3))),
    (OWN, "2 images but 3 labels: give each", npz(x=IMAGES, y=np.zeros(3, int))),
    (OWN, "digits 0 to 9, or 10 for nothing", npz(x=IMAGES, y=LABELS + 11)),
    (OWN, "digits 0 to 9, or 10 for nothing", npz(x=IMAGES, y=LABELS - 1)),
    (OWN, "put digits first, then 10", npz(x=IMAGES, y=np.array([[1, 10, 3], [1, 2, 3]]))),
    (OWN, "more digits than the 3 .*: leave those", npz(x=IMAGES, y=np.zeros((2, 4), int))),
    (OWN, "at most 84: cut them", npz(x=np.zeros((2, 28, 112), np.uint8), y=LABELS)),
    (
        "jaxmnist evaluate --run run --data mine.npz",
        "always reads a digit: leave such images out",
        npz(x=IMAGES, y=LABELS + 10),
    ),
]

MNIST = weights(data="mnist")
KERNEL = "params.conv1.kernel"
UNREADABLE = "not a readable safetensors file.*: use the weights"
WEIGHTS: list[Case] = [
    ("jaxmnist evaluate --weights none", "no weights called .none.: choose one of"),
    ("jaxmnist evaluate --weights run", "run is a folder: name a file"),
    (f"jaxmnist evaluate --weights {'x' * 300}", "no weights called .x+.: choose one of"),
    (f"jaxmnist evaluate --weights {'x' * 300}.safetensors", UNREADABLE),
    ("jaxmnist evaluate --weights mine.npz", r"an npz file of x\.npy, y\.npy, and no weights"),
    (EVALUATE, UNREADABLE, write(FILE, b"")),
    (EVALUATE, UNREADABLE, change(FILE, cut)),
    (EVALUATE, UNREADABLE, change(FILE, lambda old: old[:20])),
    (EVALUATE, UNREADABLE, change(FILE, lambda old: old + b"x")),
    (  # the last number's sign
        EVALUATE,
        "damaged, its weights are not those .*: remove it",
        change(FILE, lambda old: old[:-1] + bytes([old[-1] ^ 0x80])),
    ),
    (EVALUATE, UNREADABLE, header_length(2**40)),
    (EVALUATE, UNREADABLE, header_length(2**64 - 1)),
    (EVALUATE, UNREADABLE, header_length(3)),
    (EVALUATE, UNREADABLE, write(FILE, struct.pack("<Q", 40_000) + b"[" * 40_000)),
    (EVALUATE, "has over 2,147,483,648 bytes: use", lambda p: os.truncate(p / FILE, 2**40)),
    (
        EVALUATE,
        r"are the weights of no model here \(the nearest is \w+, .*\): `jaxmnist models`",
        lambda place: save_file({"a": IMAGES}, place / FILE),
    ),
    (
        EVALUATE,
        "does not say which model it is for: use",
        lambda place: save_file({"a": IMAGES}, place / FILE, {"jaxmnist": "[" * 40_000}),
    ),
    (EVALUATE, "no model 'vgg': choose one of", weights(model="vgg")),
    (EVALUATE, "impossible metadata: use", weights(max_length=10**9)),
    (EVALUATE, "impossible metadata: use", weights(max_length="3")),
    (EVALUATE, "impossible metadata: use", weights(data=3)),
    (EVALUATE, "impossible metadata: use", weights(data="usb")),
    (EVALUATE, "impossible metadata: use", weights(eval=[])),
    (EVALUATE, "impossible metadata: use", weights(eval={"seed": -1})),
    (EVALUATE, "does not fit model_1: .*; use the weights of that model", weights(model="model_1")),
    (EVALUATE, "is missing, not float32 .*; use", weights(lambda arrays: arrays.popitem())),
    (EVALUATE, "extra is uint8 .*, not missing; use", weights(lambda a: a.update(extra=IMAGES))),
    (
        EVALUATE,
        r"shape \(3, 3, 8, 1\), not .*; use the weights of that model",
        weights(lambda arrays: arrays.update({KERNEL: arrays[KERNEL].reshape(3, 3, 8, 1)})),
    ),
    (
        EVALUATE,
        "is float64 .*, not float32 .*; use the weights of that model",
        weights(lambda arrays: arrays.update({KERNEL: arrays[KERNEL].astype(float)})),
    ),
    (
        EVALUATE,
        f"not finite in {KERNEL}: use the weights of another",
        weights(lambda arrays: arrays[KERNEL].fill(np.nan)),
    ),
    (
        EVALUATE,
        f"not finite in {KERNEL}: use the weights of another",
        weights(lambda arrays: arrays[KERNEL].fill(-np.inf)),
    ),
    (EXPORT, "not finite in", weights(lambda arrays: arrays[KERNEL].fill(np.nan))),
    (OF_RUN, "trained on MNIST, but here is the fallback dataset.*: set", MNIST),
]

PTH_FILES: list[Case] = [
    ("read_pth none.pth model_3", "none.pth is not a file: name one that torch.save wrote"),
    ("read_pth run model_3", "run is not a file: name one"),
    ("read_pth model_3.pth model_1", "the state dict has .* entries and the network .*: use"),
    ("read_pth mine.npz model_3", "an npz file of .*, not one that torch.save wrote: load it in"),
    (
        PTH,
        "a zip archive that is cut short: load it",
        change("model_3.pth", cut),
    ),
    (PTH, "cut short, or nothing that torch.save wrote: load", write("model_3.pth", b"")),
    (PTH, "not a readable PyTorch file .*: load it", change("model_3.pth", flip_middle)),
    (PTH, "it is compressed, which .*: load it", members({}, zipfile.ZIP_DEFLATED)),
    (PTH, "not a readable PyTorch file .*: load it", members({"archive/data/0": b"1234"})),
    (PTH, "not a readable PyTorch file .*: load it", members({"archive/data.pkl": b"\x80\x02}"})),
    (PTH, "its pickle has over .*: load it", members({"archive/data.pkl": b"}" * 2**21})),
    (PTH, "a list, and no named tensors: load it", members({"archive/data.pkl": b"\x80\x02]."})),
    (PTH, "not little-endian: on another machine", members({"archive/byteorder": b"big"})),
    (
        PTH,
        "asks for '.*mkdir', and no named tensors: load",
        members({"archive/data.pkl": pickle.dumps(Malice("it ran"), 2)}),
    ),
    (PTH, "has 36 entries and the network 37: use", pth(lambda state: state.popitem())),
    (PTH, "0.bias is float64 .*: use", pth(lambda s: s.update({"0.bias": np.zeros(8)}))),
]

RUNS: list[Case] = [
    ("jaxmnist evaluate --run none", "none/weights.safetensors does not exist: name"),
    ("jaxmnist evaluate --run mine.npz", "weights.safetensors.* name a weights file|use the"),
    ("jaxmnist evaluate --run run", "weights.safetensors does not exist: name", remove(FILE)),
    (OF_RUN, "run/config.json does not exist: run is not", both(MNIST, remove(CONFIG))),
    (OF_RUN, "config.json is damaged: put the right", both(MNIST, write(CONFIG, "{"))),
    (
        OF_RUN,
        "config.json does not say where .*: evaluate weights.safetensors",
        both(MNIST, write(CONFIG, "{}")),
    ),
    (
        OF_RUN,
        "config.json does not say where .*: evaluate weights.safetensors",
        both(MNIST, merge(CONFIG, data={"source": 3, "dir": "", "verify": True})),
    ),
    (
        OF_RUN,
        "no source of digits 'usb': choose one of",
        both(MNIST, merge(CONFIG, data={"source": "usb", "dir": "", "verify": True})),
    ),
    (f"{RUN} --config.seed=7", r"differs in seed \(0 there, 7 here\): give another workdir"),
    (f"{SEQ[:-3]}run", "belongs to another configuration, .*: give another workdir"),
    (RUN, "belongs to .*: give another", merge(CONFIG, model="model_1")),
    (RUN, r"more \(3 there, None here\): give another", merge(CONFIG, more=3)),
    (RUN, "config.json is damaged: put the right one", write(CONFIG, "")),
    (RUN, "config.json is damaged: put the right one", write(CONFIG, "[]")),
    (RUN, "config.json is damaged: put the right one", write(CONFIG, b"\xff\xfe")),
    (RUN, "config.json is damaged: put the right one", write(CONFIG, "[" * 100_000)),
    (
        RUN,
        "is damaged: put the right one|belongs to another",
        write(CONFIG, '{"a":' * 900 + "1" + "}" * 900),
    ),
    (
        RUN,
        "config.json cannot be read .*: check it",
        both(remove(CONFIG), make(CONFIG)),
    ),
    (RUN, "not empty and not a run folder: give", remove(CONFIG)),
    (RUN, "summary.json is damaged: remove it, and", write(SUMMARY, "")),
    (RUN, "of another version .*: remove it, and", write(SUMMARY, "{}")),
    (RUN, "summary.json is damaged: remove it, and", write(SUMMARY, "null")),
    (RUN, "of another version .*: remove it, and", write(SUMMARY, '{"data": 3}')),
    (
        RUN,
        "of another version .*: remove it, and",
        both(
            lambda p: shutil.copy(ROOT / "results/v_1.json", p / SUMMARY), merge(SUMMARY, suites=[])
        ),
    ),
    (RUN, "cannot be written .*: fix it and rerun", make("run/.lock")),
]

ALL_DAMAGED = "all checkpoints in .* are damaged: put a copy back"
UNFIT = r"checkpoints/1 is whole, but of another version of .*: go on with the version"
RECORD = json.dumps(
    {"config": "", "data": "", "history": [], "seconds": {}, "step": 0, "error": None}
)
CHECKPOINTS: list[Case] = [
    (RUN, "checkpoints is a file .*: remove it", write("run/checkpoints", "")),
    (RUN, ALL_DAMAGED, checkpoints(seal=False)),
    (
        RUN,
        ALL_DAMAGED,
        both(checkpoints(record_json=RECORD), write(NUMBERED + "record.json", "{}")),
    ),
    (RUN, ALL_DAMAGED, both(checkpoints(record_json=RECORD), remove(NUMBERED + "record.json"))),
    (RUN, ALL_DAMAGED, write(NUMBERED + "checksums.json", "[" * 100_000)),
    (RUN, ALL_DAMAGED, write(NUMBERED + "checksums.json", "3")),
    (RUN, ALL_DAMAGED, write(NUMBERED + "checksums.json", '{"/dev/zero": ""}')),
    (RUN, UNFIT, checkpoints(record_json=RECORD)),  # sealed, but there is no state in it
    (
        RUN,
        UNFIT,
        checkpoints(
            record_json=pickle.dumps(Malice("it ran")), state__x=pickle.dumps(Malice("it ran"))
        ),
    ),
]

PLACES: list[Case] = [
    ("launch.py --config=configs/seq.py --workdir=mine.npz", "mine.npz cannot be a run .*: give"),
    (
        "launch.py --config=configs/seq.py --workdir=digits",
        "not empty and not a run folder: give",
    ),
    (f"{SMALL}/{'x' * 300}", "cannot be a run folder .*: give another workdir"),
    (SMALL.replace("new", "mine.npz/new"), "cannot be a run folder .*: give another workdir"),
    (f"{OWN} --predictions none/out.npy", "its folder is not there, make it first"),
    (f"{OWN} --predictions digits", "digits is a folder: name a file"),
    (f"{OWN} --predictions mine.npz/out.npy", "its folder is not there, make it first"),
    (EXPORT.replace("new", "none/new"), "its folder is not there, make it first"),
    (EXPORT.replace("new.pth", "digits"), "digits is a folder: name a file"),
    (EXPORT.replace("new", "x" * 300), "cannot be written .*: make that possible, or name another"),
    (EXPORT.replace("new.pth", "run/summary.json"), "is the run's own: name another file"),
    (f"{OWN} --predictions mine.npz", "mine.npz is what is read: name another file"),
    ("jaxmnist bench --out one.png --chart ./one.png", "one.png cannot be two files at once"),
    (
        "jaxmnist audit results --out results/a.json",
        "is what is read: name",
        write("results/a.json", "{}"),
    ),
    ("jaxmnist audit none --out none/AUDIT.md", "its folder is not there, make it first"),
    ("jaxmnist bench --out none/bench.json", "its folder is not there, make it first"),
    ("jaxmnist bench --chart none/bench.png", "its folder is not there, make it first"),
    ("jaxmnist speedrun 99 --out none/race.json", "its folder is not there, make it first"),
]


def results(file: str = "a.json", **changes: Any) -> Damage:
    """Leaves one summary in results/, with something wrong in it."""
    whole = summary("model_3_as_run", "model_3", 0.99)
    return write(f"results/{file}", json.dumps(whole | changes))


SPREAD = spread(0.9, 0.91)
NO_SUMMARY = "a.json is not a run's summary: move it out of results"
RESULTS: list[Case] = [
    (AUDIT, "results holds no results: give a folder", make("results")),
    *((AUDIT, NO_SUMMARY, write("results/a.json", text)) for text in ("", "{", "[]", "{}")),
    (AUDIT, NO_SUMMARY, write("results/a.json", "[" * 100_000)),
    *((AUDIT, NO_SUMMARY, results(config=value)) for value in ([], None, "x")),
    *((AUDIT, NO_SUMMARY, results(data=value)) for value in ({}, "x", {"official": "yes"})),
    *((AUDIT, NO_SUMMARY, results(name=value)) for value in (None, ["a"])),
    *((AUDIT, NO_SUMMARY, results(protocol=value)) for value in ({}, [1], {"as_published": None})),
    *((AUDIT, NO_SUMMARY, results(test=value)) for value in (None, {}, SPREAD | {"values": []})),
    *(
        (AUDIT, NO_SUMMARY, results(test=SPREAD | {"mean": mean}))
        for mean in ("x", float("nan"), 10**400)
    ),
    (AUDIT, NO_SUMMARY, results(test=SPREAD | {"sd": None})),
    (
        AUDIT,
        "two results of model_3_as_run, a.json and b.json: keep one",
        both(
            results(), lambda place: shutil.copy(place / "results/a.json", place / "results/b.json")
        ),
    ),
]

DOORS = {
    "verbs": VERBS,
    "flags": FLAGS,
    "fields": FIELDS,
    "combinations": COMBINATIONS,
    "folders of digits": FOLDERS,
    "own images": OWN_IMAGES,
    "weights": WEIGHTS,
    "PyTorch files": PTH_FILES,
    "run folders": RUNS,
    "checkpoints": CHECKPOINTS,
    "places to write": PLACES,
    "results": RESULTS,
}
CASES = [(door, *case) for door, cases in DOORS.items() for case in cases]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_samples(tmp_path_factory.mktemp("samples") / "whole")
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


@pytest.fixture
def place(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands where the samples are, which may be damaged."""
    folder = fresh(samples, tmp_path / "here")
    monkeypatch.chdir(folder)
    monkeypatch.delenv(VARIABLE, raising=False)
    return folder


def type_in(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Does in this process what a command line does in its own, and returns the exit code."""
    program, *arguments = shlex.split(line)
    if program == "jaxmnist":
        return cli.main(arguments)
    if program == "read_pth":
        return read_as_the_readme_does(*arguments)
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    try:
        with flagsaver.flagsaver():
            launch.main(launch.parse(sys.argv))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def read_as_the_readme_does(path: str, model: str) -> int:
    """No command reads PyTorch's files, only Python does."""
    try:
        from_state_dict(create_network(model).architecture, read_pth(path))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def assert_one_sentence(said: str) -> None:
    assert re.fullmatch(r"error: [^\n]+\.\n", said), said
    assert not re.search(r"[.!?] [A-Z]", said), f"more than one sentence: {said}"
    assert "Traceback" not in said
    assert "usage" not in said


def test_there_are_cases_enough_and_each_is_another() -> None:
    assert len(CASES) >= 100
    assert len({door for door, *_ in CASES}) == len(DOORS)


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)
def test_bad_input_is_answered_with_a_sentence(
    case: tuple[str, str, str] | tuple[str, str, str, Damage],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    door, line, answer, *damages = case
    for damage in damages:
        damage(place)
    if door == "checkpoints":  # they are read when all is compiled, which takes a while
        monkeypatch.setattr(Experiment, "compile", lambda *_: Mock(CompiledFns))
    before = snapshot(place)
    code = type_in(line, monkeypatch)
    said = capsys.readouterr()
    assert_one_sentence(said.err)
    assert re.search(answer, said.err), said.err
    assert code == 2
    assert not said.out or door == "checkpoints"
    assert snapshot(place) == before


@pytest.mark.parametrize("number", [0, 1])
def test_of_every_kind_of_program_one_is_really_started(number: int, place: Path) -> None:
    lines = [f"{SEQ} --config.num_seeds=0", "-m jaxmnist evaluate --run none"]
    done = run_python(*shlex.split(lines[number]))
    assert done.returncode == 2
    assert_one_sentence(done.stderr)
    assert not done.stdout


def test_a_sound_file_of_every_kind_is_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The negative control: without damage, the same doors are open."""
    for line in (OWN, EVALUATE, OF_RUN, EXPORT, PTH):
        assert type_in(line, monkeypatch) == 0, capsys.readouterr().err
