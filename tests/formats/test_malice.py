"""Malicious files: nothing in them runs, nothing is written, and none fills the memory."""

import gzip
import json
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import checkpoint, files
from jaxmnist.checkpoint import Record
from jaxmnist.data.idx import read_images
from jaxmnist.data.labelled import read_labelled
from jaxmnist.errors import UserError
from jaxmnist.formats import pth
from jaxmnist.formats.pth import read_pth, write_pth
from tools.samples import Malice, repack, snapshot

UNPICKLED: list[tuple[Any, ...]] = []  # what any unpickler in this process has looked up


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class":
        UNPICKLED.append(arguments)


sys.addaudithook(_watch)


@contextmanager
def nothing_runs(folder: Path) -> Iterator[bytes]:
    """Gives a pickle that would make a folder, and checks that it has not been run."""
    pickled = pickle.dumps(Malice(folder), 2)
    UNPICKLED.clear()
    yield pickled
    assert not UNPICKLED
    assert not folder.exists()
    pickle.loads(pickled)  # the negative control: the usual way runs it, and that is noticed
    assert UNPICKLED
    assert folder.exists()


def test_pickles_in_npz_files_do_not_run(tmp_path: Path) -> None:
    with nothing_runs(tmp_path / "ran"):
        arrays = {"x": np.array([Malice(tmp_path / "ran")]), "y": np.zeros(1, int)}
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(UserError, match="x holds Python objects, which are never loaded"):
            read_labelled(tmp_path / "x.npz", 3)


def test_pickles_in_pytorch_files_do_not_run(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    write_pth(path, {"weight": np.zeros(1, np.float32)})
    with nothing_runs(tmp_path / "ran") as pickled:
        repack(path, {"archive/data.pkl": pickled})
        with pytest.raises(UserError, match=r"asks for '\w+\.mkdir'"):
            read_pth(path)


def test_sound_pytorch_files_are_not_unpickled_either(tmp_path: Path) -> None:
    with nothing_runs(tmp_path / "ran"):
        write_pth(tmp_path / "x.pth", {"weight": np.zeros(1, np.float32)})
        assert list(read_pth(tmp_path / "x.pth")) == ["weight"]


def test_checkpoints_are_not_unpickled(tmp_path: Path) -> None:
    state: Any = {"weight": jnp.arange(3.0)}
    record = Record(step=0, error=None, data="", config="", history=[], seconds={})
    checkpoint.save(tmp_path / "all", state, record)
    with nothing_runs(tmp_path / "ran") as pickled:
        saved = checkpoint.restore_latest(tmp_path / "all", state, print)
        assert saved
        assert saved[0]["weight"].tolist() == [0, 1, 2]
        target = tmp_path / "all" / "1"
        for file in [path for path in target.rglob("*") if path.is_file()]:
            file.write_bytes(pickled)
        (target / "checksums.json").write_text(json.dumps(checkpoint._checksums(target)))
        with pytest.raises(UserError, match="is whole, but of another version"):
            checkpoint.restore_latest(tmp_path / "all", state, lambda _: None)


def test_archives_do_not_write_outside_themselves(tmp_path: Path) -> None:
    images, labels = np.zeros((1, 28, 28), np.uint8), np.zeros(1, int)
    here = tmp_path / "deep" / "here"
    here.mkdir(parents=True)
    np.savez(here / "x.npz", **{"x": images, "y": labels, "../evil": images, "/tmp/evil": labels})
    write_pth(here / "x.pth", {"weight": np.zeros(1, np.float32)})
    repack(here / "x.pth", {"../../evil": b"evil", "archive/data/../../evil": b"evil"})
    before = snapshot(tmp_path)
    assert read_labelled(here / "x.npz", 3).images.shape == (1, 28, 84)
    assert list(read_pth(here / "x.pth")) == ["weight"]
    assert snapshot(tmp_path) == before


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Checks how much memory is taken."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit on what files unpack to that is quickly reached."""
    monkeypatch.setattr(files, "UNPACKED_LIMIT", 1 << 20)
    return 1 << 20


ZEROS = bytes(1 << 26)


@pytest.mark.parametrize("parts", [1, 4])
def test_gzip_bombs_are_refused(parts: int, tmp_path: Path, limit: int) -> None:
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(ZEROS[: len(ZEROS) // parts]) * parts)
    assert bomb.stat().st_size < 100_000
    with (
        at_most(8 * limit),
        pytest.raises(UserError, match="unpacks to over 1,048,576"),
    ):
        read_images(bomb)


@pytest.mark.parametrize("stated", [None, 1000, 2**31])
def test_npz_bombs_are_refused_whatever_size_they_state(
    stated: int | None, tmp_path: Path, limit: int
) -> None:
    bomb = tmp_path / "bomb.npz"
    images = np.frombuffer(ZEROS, np.uint8)[: 28 * 28 * 80_000].reshape(-1, 28, 28)
    np.savez_compressed(bomb, x=images, y=np.zeros(80_000, int))
    if stated:
        with zipfile.ZipFile(bomb) as archive:
            size = struct.pack("<I", archive.getinfo("x.npy").file_size)
        content = bomb.read_bytes()
        assert size in content
        bomb.write_bytes(content.replace(size, struct.pack("<I", stated)))
    with at_most(8 * limit), pytest.raises(UserError, match=r"unpacks to over|not a readable"):
        read_labelled(bomb, 3)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_bombs_of_any_compression_hold_little_memory(
    method: int, tmp_path: Path, limit: int
) -> None:
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", method) as archive:
        archive.writestr("x.npy", ZEROS)
    assert bomb.stat().st_size < 100_000
    # LZMA's dictionary alone has 8 MB.
    with at_most(16 * limit), pytest.raises(UserError, match="unpacks to over 1,048,576"):
        read_labelled(bomb, 3)
    # The negative control: zipfile unpacks more at once than it is asked for.
    with zipfile.ZipFile(bomb) as archive, archive.open("x.npy") as member:
        tracemalloc.start()
        member.read(10)
        assert tracemalloc.get_traced_memory()[1] > 16 * limit
        tracemalloc.stop()


def test_a_dictionary_of_gigabytes_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", b"zeros")
    content = bytearray(bomb.read_bytes())
    at = 30 + len("x.npy") + 5  # behind local header, name, LZMA's version, size and lc/lp/pb
    content[at : at + 4] = b"\xff" * 4
    bomb.write_bytes(content)
    with at_most(1 << 24), pytest.raises(UserError, match=r"npz file \(LZMAError\)"):
        read_labelled(bomb, 3)


def nested_tuples(depth: int) -> bytes:
    """Pickles nested tuples: small, but they take for ever to hash."""
    return b")" + b"".join(
        b"r%bj%b\x86" % (struct.pack("<I", level), struct.pack("<I", level))
        for level in range(depth)
    )


KEPT_FAR_AWAY = b"\x80\x02}r\xff\xff\xff\x7f."  # in a C unpickler, room for 4 billion objects
HASHED_FOR_EVER = b"\x80\x02}" + nested_tuples(100) + b"K\x01s."
SPELLED_FOR_EVER = (
    b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
    b"ctorch\nFloatStorage\n" + nested_tuples(100) + b"X\x03\x00\x00\x00cpuK\x01tQK\x00))\x89}tRs."
)
LONGER_THAN_THE_FILE = b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b"."


@pytest.mark.parametrize(
    ("pickled", "flaw"),
    [
        (HASHED_FOR_EVER, "it holds nothing, and no named tensors"),
        (SPELLED_FOR_EVER, "a storage without a type or a name"),
        (LONGER_THAN_THE_FILE, "expected 68719476736 bytes"),
        (b"\x80\x02" + b"}" * (1 << 19), "pickle exhausted"),
    ],
)
def test_pickles_that_grow_are_refused(pickled: bytes, flaw: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    write_pth(path, {"weight": np.zeros(1, np.float32)})
    repack(path, {"archive/data.pkl": pickled})
    with at_most(1 << 26), pytest.raises(UserError, match=flaw):
        read_pth(path)


def test_a_pickle_may_keep_things_wherever_it_likes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    write_pth(path, {})
    repack(path, {"archive/data.pkl": KEPT_FAR_AWAY})
    with at_most(1 << 24), pytest.raises(UserError, match="it holds nothing"):
        read_pth(path)


def test_files_that_are_none_of_pytorchs_are_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "zeros.pth"
    with path.open("wb") as file:
        file.truncate(1 << 28)
    with at_most(1 << 24), pytest.raises(UserError, match=r"nothing that torch\.save wrote"):
        read_pth(path)


def test_pytorch_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.pth"
    write_pth(path, {"weight": np.zeros(1000, np.float32)})
    assert read_pth(path)["weight"].size == 1000
    monkeypatch.setattr(pth, "LARGEST", 4000)
    with pytest.raises(UserError, match=r"unpacks to more than 4,000 bytes: load"):
        read_pth(path)
    monkeypatch.undo()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", ZEROS)
    with at_most(1 << 20), pytest.raises(UserError, match="it is compressed"):
        read_pth(path)
