"""Weights as other people's training leaves them: read, or refused with what was found."""

import argparse
import gzip
import io
import json
import pickle
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxmnist.api import load
from jaxmnist.cli import main
from jaxmnist.errors import UserError
from jaxmnist.formats.kinds import kind_of
from jaxmnist.formats.pth import read_pth, write_pth
from tests.formats.test_malice import nothing_runs
from tools.samples import repack

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402 - it needs torch
from torch.nn import BatchNorm2d, Conv2d, Linear, Sequential  # noqa: E402


class Net(torch.nn.Module):
    """Model 3 with the names of its published code."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(1, 8), (8, 8), (8, 12), (12, 12), (12, 24)]
        for number, (inputs, outputs) in enumerate(sizes, start=1):
            setattr(self, f"conv{number}", Conv2d(inputs, outputs, 3))
            setattr(self, f"bn{number}", BatchNorm2d(outputs))
        self.conv6 = Conv2d(24, 10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(x)


torch.manual_seed(0)
NET = Net()
OPTIMIZER = torch.optim.Adam(NET.parameters())
for parameter in NET.parameters():
    parameter.grad = torch.ones_like(parameter)
OPTIMIZER.step()
STATE = NET.state_dict()


def renamed(prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in STATE.items()}


def scaled(factor: float) -> dict[str, Any]:
    return {n: t * factor if t.is_floating_point() else t for n, t in STATE.items()}


def precise(dtype: Any) -> dict[str, Any]:
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in STATE.items()}


FORMS: dict[str, tuple[Any, str]] = {  # what torch.save is given, and what is said of it
    "a state dict": (STATE, "model_3."),
    "DataParallel": (renamed("module."), r"by its entries module\.\*"),
    "compiled": (renamed("module._orig_mod."), r"by its entries module\._orig_mod\.\*"),
    "a checkpoint": (
        {"epoch": 3, "model_state_dict": STATE, "optimizer": OPTIMIZER.state_dict(), "best": 0.9},
        r"by its entries model_state_dict\.\*",
    ),
    "with arguments of its script": (
        {"args": argparse.Namespace(lr=1), "path": Path("x"), "n": np.float64(3), "net": STATE},
        r"by its entries net\.\*",
    ),
    "Lightning": (
        {"state_dict": renamed("model.") | {"accuracy.tp": torch.zeros(3)}, "callbacks": {}},
        r"Left out, as no part of it: state_dict\.accuracy\.tp\.",
    ),
    "averaged": (torch.optim.swa_utils.AveragedModel(NET).state_dict(), "Left out.*: n_averaged"),
    "twice": ({"model": STATE, "best": scaled(1.0)}, r"by its entries model\.\*"),
    "a loss beside": ({"model": STATE, "losses": torch.tensor([])}, "Left out.*: losses"),
    "a whole model": (NET, "model_3."),
    "a whole model in parallel": (torch.nn.DataParallel(NET), r"by its entries module\.\*"),
    "a whole model in a checkpoint": ({"epoch": 3, "model": NET}, r"by its entries model\.\*"),
    "arrays of NumPy": ({name: tensor.numpy() for name, tensor in STATE.items()}, "model_3."),
    "arrays in a checkpoint": (
        {"net": {n: t.numpy() for n, t in STATE.items()}, "names": np.array(["a"], object)},
        r"by its entries net\.\*",
    ),
    "before batches were counted": (
        {name: tensor for name, tensor in STATE.items() if "num_batches" not in name},
        "counted no batches, which is taken as 0",
    ),
}


def assert_equal(found: Any, expected: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, found.loaded.weights, expected.loaded.weights)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("plain") / "plain.safetensors"
    save_file(STATE, path)
    return load(path)


def test_other_weights_are_other_weights(expected: Any, tmp_path: Path) -> None:
    """The negative control of the test below: one number."""
    other = {name: tensor.clone() for name, tensor in STATE.items()}
    other["conv6.bias"][3] += 1e-6
    torch.save({"model": other}, tmp_path / "other")
    with pytest.raises(AssertionError):
        assert_equal(load(tmp_path / "other"), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("newer", [True, False])
def test_forms_of_files_that_torch_save_wrote(
    form: str, newer: bool, expected: Any, tmp_path: Path
) -> None:
    content, said = FORMS[form]
    torch.save(content, tmp_path / "theirs", _use_new_zipfile_serialization=newer)
    found = load(tmp_path / "theirs")
    assert_equal(found, expected)
    notes = " ".join(found.loaded.notes)
    assert re.search(said, notes), notes


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_whole_models_in_every_protocol(protocol: int, expected: Any, tmp_path: Path) -> None:
    torch.save(NET, tmp_path / "whole.pth", pickle_protocol=protocol)
    assert_equal(load(tmp_path / "whole.pth"), expected)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_torchscript_has_a_state_dict(expected: Any, tmp_path: Path) -> None:
    torch.jit.script(NET).save(tmp_path / "script.pt")
    assert_equal(load(tmp_path / "script.pt"), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_precisions(dtype: Any, kind: str, tmp_path: Path) -> None:
    other = precise(dtype)
    if kind == "safetensors":
        save_file(other, tmp_path / "x", metadata={"format": "pt"})
    else:
        torch.save(other, tmp_path / "x", _use_new_zipfile_serialization=kind == "zip")
    found = load(tmp_path / "x")
    assert any("read as float32" in note for note in found.loaded.notes)
    kernel = other["conv2.weight"].float().numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found.params["conv2"]["kernel"], kernel)


REFUSED: dict[str, tuple[Any, str]] = {
    "two networks": (
        {"model": STATE, "ema": scaled(0.9)},
        r"several networks, model \(model_3\) and ema \(model_3\): write the one",
    ),
    "another architecture": (
        Sequential(Conv2d(1, 32, 5), Linear(9, 10)).state_dict(),
        r"4 entries with 932 numbers, the first of them 0\.weight of shape \(32, 1, 5, 5\), which "
        r"are the weights of no model here \(the nearest is \w+, whose",
    ),
    "without statistics": (
        dict(NET.named_parameters()),
        r"the nearest is model_3, whose bn1\.running_mean of shape \(8,\) is not there",
    ),
    "a list": ([STATE], "it holds a list, and no named tensors: load it"),
    "an optimizer alone": (OPTIMIZER.state_dict(), r"'param_groups' \(list\), and no named"),
    "arrays of texts": ({"a": np.array(["b"])}, r"it holds 'a' \(array\), and no named tensors"),
    "complex numbers": ({"a": torch.zeros(3, dtype=torch.complex64)}, "a 'ComplexFloatStorage'"),
    "sparse": ({"a": torch.eye(3).to_sparse()}, r"'a' \(torch\._utils\._rebuild_sparse_tensor\)"),
    "text": ("hello", "it holds a str, and no named"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_taken_is_named(what: str, tmp_path: Path) -> None:
    content, sentence = REFUSED[what]
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match=sentence):
        load(tmp_path / "x.pth")


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return data.getvalue()


PICKLED = pickle.dumps({"fc1": np.zeros(3)})
ONNX = b"\x08\x07\x12\x07pytorch\x1a\x052.0.1" + bytes(50)
OTHERS: dict[str, tuple[bytes, str]] = {
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file, such as Keras's .h5"),
    "model.keras": (zipped("config.json", "model.weights.h5"), "a .keras model"),
    "model.onnx": (ONNX, "an ONNX model"),
    "model.tflite": (b"\x1c\0\0\0TFL3" + bytes(50), "a TensorFlow Lite model"),
    "ckpt.data-00000-of-00001": (bytes(100), "part of a TensorFlow model"),
    "ckpt.index": (bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "part of a TensorFlow model"),
    "model.pkl": (PICKLED, r"a pickle \(a program, which is never run\)"),
    "model.joblib": (PICKLED.replace(b"numpy", b"joblib"), r"joblib's pickle"),
    "old.pth": (tarred(), "a tar archive, as the first versions of PyTorch wrote"),
    "model.npz": (zipped("fc1.weight.npy"), r"an npz file of fc1\.weight\.npy"),
    "model.zip": (zipped("a.txt"), r"a zip archive of a\.txt"),
    "cut.pth": (zipped("x/data.pkl")[:50], "a zip archive that is cut short"),
    "model.pth.gz": (gzip.compress(zipped("x/data.pkl")), "gzipped, and inside is a zip archive"),
    "lfs.pth": (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
    "page.pth": (b"<!DOCTYPE html>\n<html>", "a web page, saved in the file's place"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_software_are_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, kind = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{kind}.*, and no weights file that is read: use a run's"):
        load(tmp_path / name)
    assert main(["evaluate", "--weights", str(tmp_path / name)]) == 2
    assert kind_of(tmp_path / name) in capsys.readouterr().err
    # The negative control: as many other bytes, under another name.
    (tmp_path / "x").write_bytes(b"_" * len(content))
    assert kind_of(tmp_path / "x") == ""


def shards(folder: Path, **changed: str) -> Path:
    """Writes a network in two files and their list, in which some entries may be changed."""
    files = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    names = [list(STATE)[:9], list(STATE)[9:]]
    for file, own in zip(files, names, strict=True):
        save_file({name: STATE[name] for name in own}, folder / file, metadata={"format": "pt"})
    where = {name: file for file, own in zip(files, names, strict=True) for name in own}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where | changed}))
    return path


def test_safetensors_in_several_files(expected: Any, tmp_path: Path) -> None:
    assert_equal(load(shards(tmp_path)), expected)
    for changed, sentence in (
        ({"conv9": "model-00001-of-00002.safetensors"}, "says that conv9 is in model-00001.*not"),
        ({"conv9": "model-00003.safetensors"}, "model-00003.safetensors does not exist"),
        ({"conv9": "../other.safetensors"}, "does not say in which files beside it"),
        ({"conv9": 3}, "does not say in which files beside it"),
    ):
        with pytest.raises(UserError, match=sentence):
            load(shards(tmp_path, **changed))
    (tmp_path / "x.json").write_text('{"weight_map": [')
    with pytest.raises(UserError, match="does not say in which files"):
        load(tmp_path / "x.json")


def test_sound_weights_are_told_by_their_content(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a")
    torch.save(STATE, tmp_path / "b", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "c")
    kinds = [kind_of(tmp_path / name) for name in "abc"]
    assert kinds == ["a file that torch.save wrote"] * 2 + ["a safetensors file"]


def test_old_files_are_bounded_by_their_length(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"weight": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert read_pth(path)["weight"].tolist() == [0, 1, 2]
    count = struct.pack("<q", 3)
    assert content.count(count) == 1
    for wrong in (-3, 4, 2**61, 2**63 - 1):
        path.write_bytes(content.replace(count, struct.pack("<q", wrong)))
        with pytest.raises(UserError, match="not a readable PyTorch file"):
            read_pth(path)
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(UserError):
            read_pth(path)


def test_any_changed_byte_of_an_old_file_is_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"weight": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 9]) + content[place + 1 :])
        try:
            read_pth(path)
        except UserError:
            refused += 1
    assert refused > len(content) / 3


def test_what_lies_beside_weights_does_not_run(expected: Any, tmp_path: Path) -> None:
    with nothing_runs(tmp_path / "ran") as pickled:
        # The call of mkdir as one more entry of a checkpoint: its opcodes, without PROTO and STOP.
        torch.save({"model": STATE}, tmp_path / "x.pth")
        with zipfile.ZipFile(tmp_path / "x.pth") as archive:
            sound = archive.read("x/data.pkl")
        assert sound.endswith(b"s.")
        more = b"X\x04\x00\x00\x00evil" + pickled[2:-1] + b"s."
        repack(tmp_path / "x.pth", {"x/data.pkl": sound[:-1] + more})
        assert_equal(load(tmp_path / "x.pth"), expected)


@pytest.mark.parametrize("make", [
    # One dictionary in another, a hundred times, each twice in the next one.
    lambda: b"\x80\x02}" + b"".join(
        b"r%b}(X\x01\x00\x00\x00aj%bX\x01\x00\x00\x00bj%bu" % ((struct.pack("<I", n),) * 3)
        for n in range(100)
    ) + b".",
    # A dictionary that holds itself.
    lambda: b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
    # Very many dictionaries behind a very long name.
    lambda: b"\x80\x02}(X" + struct.pack("<I", 2**19) + b"a" * 2**19 + b"}" * 1000 + b"u.",
])  # fmt: skip
def test_dictionaries_that_grow_are_harmless(make: Callable[[], bytes], tmp_path: Path) -> None:
    write_pth(tmp_path / "x.pth", {"weight": np.zeros(1, np.float32)})
    repack(tmp_path / "x.pth", {"archive/data.pkl": make()})
    with pytest.raises(UserError, match=r"load it in PyTorch and write it again"):
        read_pth(tmp_path / "x.pth")
