"""Images and labels in the forms in which people have them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxmnist import config
from jaxmnist.config import Data
from jaxmnist.data.images import pad_images, pad_labels
from jaxmnist.data.labelled import read_labelled
from jaxmnist.data.sources import load_splits
from jaxmnist.errors import UserError

RANDOM = np.random.RandomState(5)
IMAGES = RANDOM.randint(0, 256, (20, 28, 28)).astype(np.uint8)
IMAGES[:, 0, 0] = 255
LABELS = np.arange(20) % 10


def read(path: Path, length: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    found = read_labelled(path, length, has_blank=length > 1)
    assert found.labels is not None
    return found.images, found.labels, found.notes


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("x", "y"), ("x_test", "y_test"), ("images", "labels"), ("X", "y"), ("data", "target"),
        ("test_images", "test_labels"), ("arr_0", "arr_1"), ("Images", "Labels"),
    ],
)  # fmt: skip
def test_arrays_by_the_names_that_people_give_them(x: str, y: str, tmp_path: Path) -> None:
    more = {"x_train": IMAGES[:3], "y_train": LABELS[:3]} if x == "x_test" else {}
    images, labels, notes = read(npz(tmp_path, **{x: IMAGES, y: LABELS}, **more))
    np.testing.assert_array_equal(images, IMAGES)
    assert labels[:, 0].tolist() == LABELS.tolist()
    assert bool(notes) == ((x, y) != ("x", "y"))
    assert all(f"{x} and {y} are taken" in note for note in notes)


def test_x_and_y_come_before_all_others(tmp_path: Path) -> None:
    images, _, notes = read(npz(tmp_path, x=IMAGES, y=LABELS, images=IMAGES[:3], labels=LABELS[:3]))
    assert len(images) == 20
    assert not notes


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rows of 784": lambda x: x.reshape(-1, 784),
    "channels last": lambda x: x[..., None],
    "channels first": lambda x: x[:, None],
    "rows of 784 floats": lambda x: x.reshape(-1, 784) / np.float32(255),
    "channels last, doubles": lambda x: x[..., None] / 255,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_can_mean_nothing_else(shape: str, tmp_path: Path) -> None:
    images, _, notes = read(npz(tmp_path, x=SHAPES[shape](IMAGES), y=LABELS))
    np.testing.assert_allclose(images, IMAGES, rtol=1e-6)
    assert "are read as rows of 28x28 pixels" in notes[0]
    floats = [f"{n}: floats from 0 to 1 are read, 1 as ink" for n in [tmp_path / "mine.npz"]]
    assert notes[1:] == (floats if "floats" in shape or "doubles" in shape else [])


ROWS = np.eye(10, dtype=int)[LABELS]
ANSWERS: dict[str, np.ndarray] = {
    "one-hot": ROWS,
    "one-hot floats, as Keras makes them": ROWS.astype(np.float32),
    "one-hot bools": ROWS.astype(bool),
    "whole floats, as a CSV gives them": LABELS.astype(float),
    "strings": LABELS.astype(str),
    "bytes": LABELS.astype("S1"),
    "a column": LABELS[:, None],
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_labels_that_can_mean_nothing_else(kind: str, tmp_path: Path) -> None:
    _, labels, notes = read(npz(tmp_path, x=IMAGES, y=ANSWERS[kind]))
    assert labels[:, 0].tolist() == LABELS.tolist()
    assert any("one-hot" in note for note in notes) == ("one-hot" in kind)


def test_labels_of_sequences(tmp_path: Path) -> None:
    wanted = [[1, 2, 10], [3, 10, 10], [4, 5, 6]]
    for labels in (
        np.array(["12", "3", "456"]),
        np.eye(11, dtype=int)[wanted],
        np.array(wanted, float),
    ):
        found = pad_labels("", labels, 3, 3, has_blank=True)
        assert found.tolist() == wanted
    # Three rows of ten digits each are no one-hot rows for a network that reads ten.
    ten = np.eye(10, dtype=int)[[0, 1, 2]]
    assert pad_labels("", ten, 3, 10, has_blank=True).tolist() == ten.tolist()
    assert pad_labels("", ten, 3, 3, has_blank=True)[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["seven", "2"]), np.array(["1", "-1"]), np.array([0.5, 1.0]),
        np.array([True, False]),
        np.array([b"\xff", b"1"]), np.array([np.nan, 1.0]),
        np.array([[1, 1] + [0] * 8, [0] * 10], bool),
    ],
)  # fmt: skip
def test_labels_that_may_mean_something_else_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(UserError, match="make it integers"):
        pad_labels("x:", labels, 2, 1, has_blank=False)


def test_images_that_may_mean_something_else_are_refused() -> None:
    coloured = np.zeros((2, 28, 28, 3))
    coloured[..., 2] = 1
    for images in (coloured, np.zeros((2, 783)), np.zeros((784, 2))):
        with pytest.raises(UserError, match="make it uint8"):
            pad_images("x:", images, 1)


def test_without_labels_there_are_images(tmp_path: Path) -> None:
    for path in (npz(tmp_path, x=IMAGES), csv(tmp_path, IMAGES.reshape(-1, 784))):
        found = read_labelled(path, 1)
        assert found.labels is None
        np.testing.assert_array_equal(found.images, IMAGES)
        assert any("has no labels" in note for note in found.notes)


def csv(folder: Path, rows: np.ndarray, header: str = "", end: str = "\n") -> Path:
    lines = [header] if header else []
    lines += [",".join(map(str, row)) for row in rows]
    (folder / "table.csv").write_bytes((end.join(lines) + end).encode())
    return folder / "table.csv"


HEADERS = (
    "",
    "label," + ",".join(f"pixel{i}" for i in range(784)),
    '"label",' + ",".join(f'"{i % 28}x{i // 28}"' for i in range(784)),
)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_as_kaggle_has_them(header: str, end: str, tmp_path: Path) -> None:
    rows = np.column_stack([LABELS, IMAGES.reshape(-1, 784)])
    images, labels, _ = read(csv(tmp_path, rows, header, end))
    np.testing.assert_array_equal(images, IMAGES)
    assert labels[:, 0].tolist() == LABELS.tolist()


def idx(path: Path, array: np.ndarray, kind: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(">i4" if kind == 12 else np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


QMNIST = np.column_stack([LABELS, RANDOM.randint(0, 1000, (20, 7))])
FOLDERS: dict[str, tuple[str, Any]] = {
    "dots": ("{}-{}.idx{}-ubyte", LABELS),
    "dots, packed": ("{}-{}.idx{}-ubyte.gz", LABELS),
    "torchvision": ("MNIST/raw/{}-{}-idx{}-ubyte", LABELS),
    "torchvision's inner folder": ("raw/{}-{}-idx{}-ubyte.gz", LABELS),
    "qmnist": ("{}-{}-idx{}-ubyte", QMNIST),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_as_other_software_leaves_them(kind: str, tmp_path: Path) -> None:
    pattern, labels = FOLDERS[kind]
    for split in ("train", "t10k"):
        idx(tmp_path / pattern.format(split, "images", 3), IMAGES)
        dimensions = 12 if labels.ndim == 2 else 8
        idx(tmp_path / pattern.format(split, "labels", 1), labels, dimensions)
    data = Data(source="dir", dir=str(tmp_path), verify=False, train_examples=15,
                validation_examples=5, shuffle=False)  # fmt: skip
    splits = load_splits(data)
    assert np.asarray(splits.train.labels).tolist() == LABELS[:15].tolist()
    images, found, notes = read(tmp_path)
    np.testing.assert_array_equal(images, IMAGES)
    assert found[:, 0].tolist() == LABELS.tolist()
    assert "its 20 test digits are taken" in notes[0]


def test_qmnists_labels_are_checked(tmp_path: Path) -> None:
    for split in ("train", "t10k"):
        idx(tmp_path / f"{split}-images-idx3-ubyte", IMAGES)
        idx(tmp_path / f"{split}-labels-idx1-ubyte", QMNIST + 7, 12)
    with pytest.raises(UserError, match="holds the label 16"):
        read_labelled(tmp_path, 1)
    assert config.Data().verify


@pytest.mark.parametrize(
    ("separator", "form", "start"), [(",", "{}.0", ""), (";", "{}", ""), (", ", "{}", "\ufeff")]
)
def test_tables_of_other_software(separator: str, form: str, start: str, tmp_path: Path) -> None:
    rows = np.column_stack([LABELS, IMAGES.reshape(-1, 784)])
    text = "\n".join(separator.join(form.format(value) for value in row) for row in rows)
    (tmp_path / "table.csv").write_text(start + text, encoding="utf-8")
    images, labels, _ = read(tmp_path / "table.csv")
    assert len(images) == 20
    assert labels[:, 0].tolist() == LABELS.tolist()


def test_the_column_of_labels_goes_by_its_name(tmp_path: Path) -> None:
    pixels = [f"pixel{i}" for i in range(784)]
    rows = np.column_stack([IMAGES.reshape(-1, 784), LABELS])
    images, labels, _ = read(csv(tmp_path, rows, ",".join([*pixels, "label"])))
    np.testing.assert_array_equal(images, IMAGES)
    assert labels[:, 0].tolist() == LABELS.tolist()
    with pytest.raises(UserError, match="does not say which is the label"):
        read(csv(tmp_path, rows, ",".join(["", *pixels])))


def test_tables_of_shares_and_of_nonsense(tmp_path: Path) -> None:
    rows = np.column_stack([LABELS, IMAGES.reshape(-1, 784) / 255])
    images, labels, _ = read(csv(tmp_path, rows))
    np.testing.assert_allclose(images, IMAGES, rtol=1e-6)
    assert labels[:, 0].tolist() == LABELS.tolist()
    for wrong, sentence in ((np.nan, "values from nan"), (1e300, r"values from 0\.0 to inf")):
        rows[3, 9] = wrong
        with pytest.raises(UserError, match=sentence):
            read(csv(tmp_path, rows))
    rows[3] = [7.5, *IMAGES[3].reshape(-1)]
    with pytest.raises(UserError, match="make it integers"):
        read(csv(tmp_path, np.column_stack([LABELS + 0.5, IMAGES.reshape(-1, 784)])))


def test_images_and_labels_belong_together(tmp_path: Path) -> None:
    """A pair that is whole comes before one that is not; x may have labels of another name."""
    _, labels, notes = read(npz(tmp_path, x=IMAGES[:3], x_test=IMAGES, y_test=LABELS))
    assert len(labels) == 20
    assert "x_test and y_test are taken" in notes[0]
    _, labels, notes = read(npz(tmp_path, x=IMAGES, labels=LABELS))
    assert len(labels) == 20
    assert "x and labels are taken" in notes[0]


def test_a_folder_of_test_digits_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no test images: give a folder of idx files"):
        read(tmp_path)
    idx(tmp_path / "qmnist-test-images-idx3-ubyte", IMAGES)
    idx(tmp_path / "qmnist-test-labels-idx2-int", QMNIST, 12)
    _, labels, _ = read(tmp_path)
    assert labels[:, 0].tolist() == LABELS.tolist()
