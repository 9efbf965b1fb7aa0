"""Data sources: order, splits, downloads and the fallback dataset; npz files."""

import gzip
import http.server
import shutil
import threading
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from jaxmnist.config import Data
from jaxmnist.data import sources
from jaxmnist.data.dataset import Splits
from jaxmnist.data.labelled import read_labelled
from jaxmnist.data.sources import OFFICIAL, load_source, load_splits
from jaxmnist.errors import UserError
from tests.helpers import needs_mnist
from tools.samples import TEST_IMAGES, TRAIN_IMAGES, repack, write_digits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four small, sound files that are not MNIST's."""
    return write_digits(tmp_path)


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
    assert (first.source, first.name) == ("tfds", "mnist")
    again = load_source("tfds")  # the server is gone
    np.testing.assert_array_equal(first.test.images, again.test.images)


def test_without_a_network_auto_takes_the_fallback_dataset_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(sources.VARIABLE, raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(sources, "_reachable", lambda url: False)
    found = load_source("auto")
    assert (found.name, found.source, len(found.train)) == ("digits8x8", "digits8x8", 1500)
    assert "NOT MNIST" in capsys.readouterr().err
    with pytest.raises(UserError, match="no network"):
        load_source("tfds")


def test_an_address_that_does_not_answer_is_recognised() -> None:
    assert not sources._reachable("http://127.0.0.1:9/nothing")


def test_splits_are_disjoint_and_depend_on_the_seed_alone(folder: Path) -> None:
    def split(seed: int, train_examples: int = 20) -> Splits:
        data = Data(
            source="dir", dir=str(folder), verify=False, train_examples=train_examples,
            validation_examples=10, split_seed=seed,
        )  # fmt: skip
        return load_splits(data)

    first, again, other = split(0), split(0), split(1)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    parts = [d.tobytes() for d in [*first.train.images, *first.validation.images]]
    assert len(set(parts)) == 30
    with pytest.raises(UserError, match="but there are 30 training digits"):
        split(0, train_examples=21)


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_npz_images_are_padded_on_the_right(method: int, tmp_path: Path) -> None:
    """However numpy.load's archives may be compressed, and whatever stands before them."""
    images = np.full((2, 28, 28), 200, np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=np.array([3, 4]))
    repack(tmp_path / "x.npz", {}, method)
    (tmp_path / "x.npz").write_bytes(b"before" + (tmp_path / "x.npz").read_bytes())
    found = read_labelled(tmp_path / "x.npz", 3)
    assert found.labels is not None
    assert not found.notes
    padded = found.images
    assert found.labels.tolist() == [[3, 10, 10], [4, 10, 10]]
    assert padded.shape == (2, 28, 84)
    assert (padded[:, :, :28] == 200).all()
    assert not padded[:, :, 28:].any()


def test_large_members_of_npz_files_come_in_pieces(tmp_path: Path) -> None:
    """More than one piece of compressed input, and more than one of output."""
    images = np.random.RandomState(0).randint(0, 256, (2_000, 28, 28)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=np.arange(2_000) % 10)
    for method in METHODS:
        repack(tmp_path / "x.npz", {}, method)
        found = read_labelled(tmp_path / "x.npz", 1)
        np.testing.assert_array_equal(found.images, images)
        assert found.labels is not None
        assert found.labels[:, 0].tolist() == [n % 10 for n in range(2_000)]
