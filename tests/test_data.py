"""Data sources: every kind of damage has a sentence of its own, and no network no long wait."""

import gzip
import http.server
import shutil
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from jaxmnist.data import sources
from jaxmnist.data.npz import read_npz
from jaxmnist.data.sources import OFFICIAL, load_digits, load_source
from jaxmnist.errors import UserError
from tests.helpers import needs_mnist

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = OFFICIAL


def idx(array: np.ndarray, magic: int) -> bytes:
    sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return magic.to_bytes(4, "big") + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four small, sound files that are not MNIST's."""
    random = np.random.RandomState(0)
    for images, labels, n in ((TRAIN_IMAGES, TRAIN_LABELS, 30), (TEST_IMAGES, TEST_LABELS, 10)):
        pixels = random.randint(0, 256, (n, 28, 28))
        (tmp_path / f"{images}.gz").write_bytes(gzip.compress(idx(pixels, 0x803)))
        (tmp_path / f"{labels}.gz").write_bytes(gzip.compress(idx(random.randint(0, 10, n), 0x801)))
    return tmp_path


def test_a_sound_folder_keeps_order_and_says_that_it_is_not_mnist(folder: Path) -> None:
    found = load_source("dir", str(folder), verify=False)
    expected = np.random.RandomState(0).randint(0, 256, (30, 28, 28))
    np.testing.assert_array_equal(found.train.images, expected)
    assert (len(found.test), found.official) == (10, False)
    with pytest.raises(UserError, match="not MNIST's own file"):
        load_source("dir", str(folder))


def test_unpacked_files_are_read_too(folder: Path) -> None:
    packed = folder / f"{TRAIN_IMAGES}.gz"
    (folder / TRAIN_IMAGES).write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(load_source("dir", str(folder), verify=False).train) == 30


def damage(folder: Path, kind: str) -> None:
    images, labels = folder / f"{TRAIN_IMAGES}.gz", folder / f"{TRAIN_LABELS}.gz"
    content = gzip.decompress(images.read_bytes())
    if kind == "missing":
        images.unlink()
    elif kind == "truncated gzip":
        images.write_bytes(images.read_bytes()[:-100])
    elif kind == "flipped byte":
        broken = bytearray(images.read_bytes())
        broken[len(broken) // 2] ^= 0xFF
        images.write_bytes(broken)
    elif kind == "wrong magic":
        images.write_bytes(gzip.compress(b"\0\0\x0b\x03" + content[4:]))
    elif kind == "swapped":
        other = folder / "other"
        images.rename(other)
        labels.rename(images)
        other.rename(labels)
    elif kind == "short payload":
        images.write_bytes(gzip.compress(content[:-1]))
    elif kind == "lengths":
        labels.write_bytes(gzip.compress(idx(np.zeros(29), 0x801)))
    elif kind == "label":
        labels.write_bytes(gzip.compress(idx(np.full(30, 11), 0x801)))
    elif kind == "size":
        images.write_bytes(gzip.compress(idx(np.zeros((30, 27, 28)), 0x803)))
    elif kind == "empty":
        images.write_bytes(b"")


DAMAGES = {
    "missing": "does not exist",
    "truncated gzip": "damaged .*end-of-stream",
    "flipped byte": "damaged",
    "wrong magic": "not an idx file",
    "swapped": "are the two files swapped",
    "short payload": "header and its .* bytes do not agree",
    "lengths": "30 train images but 29 labels",
    "label": "label 11",
    "size": "27x28 pixels",
    "empty": "starts with nothing",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_damage_has_its_own_sentence(folder: Path, kind: str) -> None:
    damage(folder, kind)
    with pytest.raises(UserError, match=DAMAGES[kind]) as caught:
        load_source("dir", str(folder), verify=False)
    assert "\n" not in str(caught.value)


@needs_mnist
def test_mnist_is_mnist(source: sources.Source) -> None:
    assert source.official
    assert (len(source.train), len(source.test)) == (60_000, 10_000)
    assert source.train.labels[:5].tolist() == [5, 0, 4, 1, 9]  # the official order
    assert source.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@needs_mnist
def test_swapped_official_files_are_recognised(tmp_path: Path) -> None:
    real = Path(sources.os.environ[sources.VARIABLE])
    for name in OFFICIAL:
        shutil.copy(real / f"{name}.gz", tmp_path)
    shutil.copy(real / f"{TEST_IMAGES}.gz", tmp_path / f"{TRAIN_IMAGES}.gz")
    with pytest.raises(UserError, match=f"belongs in {TEST_IMAGES}: the files are swapped"):
        load_source("dir", str(tmp_path))


@needs_mnist
def test_download_through_tensorflow_datasets_then_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real server, the real downloader; only the address is another."""
    import tensorflow_datasets as tfds

    handler = partial(
        http.server.SimpleHTTPRequestHandler, directory=sources.os.environ[sources.VARIABLE]
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    real = tfds.builder("mnist", data_dir=str(tmp_path / "x")).url_infos
    moved = {
        f"http://127.0.0.1:{server.server_port}/{Path(url).name}": info
        for url, info in real.items()
    }
    monkeypatch.setattr(
        tfds, "builder", lambda *_, **__: type("Builder", (), {"url_infos": moved})()
    )
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path)
    first = load_source("tfds")
    server.shutdown()
    server.server_close()
    assert first.official
    assert first.name == "tfds"
    again = load_source("tfds")  # the server is gone
    np.testing.assert_array_equal(first.test.images, again.test.images)


def test_without_a_network_auto_takes_the_stand_in_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(sources.VARIABLE, raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(sources, "_reachable", lambda url: False)
    found = load_source("auto")
    assert (found.name, found.official, len(found.train)) == ("digits8x8", False, 1500)
    assert "NOT MNIST" in capsys.readouterr().err
    with pytest.raises(UserError, match="no network"):
        load_source("tfds")


def test_an_address_that_does_not_answer_is_told_apart() -> None:
    assert not sources._reachable("http://127.0.0.1:9/nothing")


def test_splits_are_disjoint_and_depend_on_the_seed_alone(folder: Path) -> None:
    def split(seed: int) -> sources.Digits:
        return load_digits(
            source="dir", dir=str(folder), verify=False, train_examples=20,
            validation_examples=10, shuffle=True, split_seed=seed,
        )  # fmt: skip

    first, again, other = split(0), split(0), split(1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    parts = [d.tobytes() for d in [*first.train.images, *first.validation.images]]
    assert len(set(parts)) == 30
    with pytest.raises(UserError, match="but there are 30 training digits"):
        load_digits(
            source="dir", dir=str(folder), verify=False, train_examples=21,
            validation_examples=10, shuffle=True, split_seed=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.zeros((2, 28, 28), np.uint8)}, "needs two arrays"),
        ({"x": np.zeros((2, 28, 28)), "y": np.zeros(2, int)}, "x is float64"),
        ({"x": np.zeros((2, 27, 28), np.uint8), "y": np.zeros(2, int)}, "shape"),
        ({"x": np.zeros((2, 28, 28), np.uint8), "y": np.zeros(3, int)}, "2 images but 3"),
        ({"x": np.zeros((2, 28, 28), np.uint8), "y": np.full(2, 11)}, "digits 0 to 9"),
        ({"x": np.zeros((2, 28, 112), np.uint8), "y": np.zeros(2, int)}, "at most 84"),
        ({"x": np.zeros((2, 28, 28), np.uint8), "y": np.zeros((2, 4), int)}, "more digits"),
        ({"x": np.zeros((2, 28, 28), np.uint8), "y": np.zeros(2)}, "y is float64"),
        ({"x": np.zeros((1, 28, 84), np.uint8), "y": np.array([[1, 10, 3]])}, "digits first"),
        ({"x": np.array([object()] * 2), "y": np.zeros(2, int)}, "not a readable npz"),
    ],
)
def test_npz_files_that_do_not_fit(tmp_path: Path, arrays: dict, sentence: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UserError, match=sentence):
        read_npz(tmp_path / "x.npz", 3)


def test_npz_images_are_padded_on_the_right(tmp_path: Path) -> None:
    images = np.full((2, 28, 28), 200, np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=np.array([3, 4]))
    padded, labels = read_npz(tmp_path / "x.npz", 3)
    assert labels.tolist() == [[3, 10, 10], [4, 10, 10]]
    assert padded.shape == (2, 28, 84)
    assert (padded[:, :, :28] == 200).all()
    assert not padded[:, :, 28:].any()
