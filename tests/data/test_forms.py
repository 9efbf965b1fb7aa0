"""Digits as other software writes them: arrays, tables, pictures, and what is none of these."""

import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from jaxmnist.cli import main
from jaxmnist.constants import PICTURE_SUFFIXES
from jaxmnist.data.labelled import Labelled, read_labelled
from jaxmnist.data.sources import Source, load_source
from jaxmnist.errors import UserError
from tests.formats.test_malice import nothing_runs

RANDOM = np.random.RandomState(7)
LABELS = np.arange(30) // 3  # in the order of folders called by their digits
IMAGES = RANDOM.randint(0, 256, (30, 28, 28)).astype(np.uint8)
IMAGES[:, 0, :2] = 0, 255
PIXELS = [f"pixel{number}" for number in range(784)]
ROWS = IMAGES.reshape(-1, 784)


def npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def assert_read(path: Path, *said: str, labels: bool = True, length: int = 1) -> Labelled:
    """Checks images, labels and notes; `said` begins every note that there has to be."""
    found = read_labelled(path, length, has_blank=length > 1)
    np.testing.assert_allclose(found.images, IMAGES, rtol=1e-3)
    assert (found.labels is not None) == labels
    if found.labels is not None:
        assert found.labels[:, 0].tolist() == LABELS.tolist()
    assert len(said) == len(found.notes) - (not labels), found.notes
    for wanted, note in zip(said, found.notes, strict=False):
        assert wanted in note
    return found


# ---- arrays ----

ARRAYS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "by columns": (np.asfortranarray, ""),
    "big-endian": (lambda x: x.astype(">u2"), ""),
    "int64": (lambda x: x.astype(np.int64), ""),
    "half": (lambda x: (x / 255).astype(np.float16), "floats from 0 to 1 are read, 1 as ink"),
    "floats to 255": (lambda x: x.astype(np.float32), "floats from 0 to 255 are read, 255 as ink"),
    "floats with fractions": (lambda x: x * 0.9995, "floats from 0 to 255 are read, 255 as ink"),
    "grey as colours": (lambda x: np.stack([x] * 3, -1), "images of shape (28, 28, 3) are read"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_layout(kind: str, tmp_path: Path) -> None:
    change, said = ARRAYS[kind]
    (tmp_path / "x.npy").write_bytes(npy(change(IMAGES)))
    assert_read(tmp_path / "x.npy", *[said] * bool(said), labels=False)
    np.savez(tmp_path / "x.npz", x=change(IMAGES), y=LABELS.astype(">i2"))
    assert_read(tmp_path / "x.npz", *[said] * bool(said))


def test_one_image_is_an_image(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=IMAGES[3], y=LABELS[3])
    found = read_labelled(tmp_path / "x.npz", 1, has_blank=False)
    assert found.labels is not None
    assert (found.images.shape, found.labels.tolist()) == ((1, 28, 28), [[1]])


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((5, 84, 28), "if its axes are in another order, .*; if digits stand below each other"),
        ((28, 28, 90), "if the last axis counts the images, put it first"),
        ((5, 3, 28, 28), "if its axis of 3 are colours, .*; if digits"),
    ],
)
def test_both_meanings_are_named(shape: tuple[int, ...], sentence: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match=sentence):
        read_labelled(tmp_path / "x.npy", 3)


def test_values_that_were_normalised_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=(IMAGES / 255 - 0.1307) / 0.3081, y=LABELS)
    with pytest.raises(UserError, match=r"values from -0\.42.*if a mean was taken away, add it"):
        read_labelled(tmp_path / "x.npz", 1)


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
METHODS += [getattr(zipfile, name) for name in ["ZIP_ZSTANDARD"] if hasattr(zipfile, name)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("zip64", [True, False])
def test_every_method_of_zip_archives(method: int, zip64: bool, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
        for name, array in (("x", IMAGES), ("y", LABELS)):
            with archive.open(f"{name}.npy", "w", force_zip64=zip64) as member:
                member.write(npy(array))
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["x"], IMAGES)
    assert_read(tmp_path / "x.npz")


def test_test_digits_come_before_training_digits(tmp_path: Path) -> None:
    few = {"x_train": IMAGES[:3], "y_train": LABELS[:3]}
    np.savez(tmp_path / "keras.npz", x_test=IMAGES, y_test=LABELS, **few)
    assert_read(tmp_path / "keras.npz", "x_test and y_test are taken")
    np.savez(tmp_path / "half.npz", x_train=IMAGES, y_train=LABELS)
    assert_read(tmp_path / "half.npz", "x_train and y_train are taken")
    folder = tmp_path / "fog"  # as MNIST-C has them
    folder.mkdir()
    for split, x, y in (("test", IMAGES, LABELS), ("train", IMAGES[:3], LABELS[:3])):
        np.save(folder / f"{split}_images.npy", x[..., None])
        np.save(folder / f"{split}_labels.npy", y)
    assert_read(folder, "test_images and test_labels are taken", "images of shape (28, 28, 1)")


# ---- tables ----


def table(path: Path, names: list[str], rows: np.ndarray, separator: str = ",") -> Path:
    lines = [separator.join(names)] if names else []
    lines += [separator.join(map(str, row)) for row in rows.tolist()]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


SHAPE = "images of shape (784,)"
ORDER = RANDOM.permutation(784)
LABELLED = np.column_stack([LABELS, ROWS])
NUMBERED = np.column_stack([np.arange(30), LABELLED])
TABLES: dict[str, tuple[list[str], np.ndarray, list[str]]] = {
    "pixels in any order": (
        ["label", *(PIXELS[n] for n in ORDER)],
        np.column_stack([LABELS, ROWS[:, ORDER]]),
        ["its pixels are put in the order of their names", SHAPE],
    ),
    "rows that are counted": (
        ["", "label", *PIXELS],
        NUMBERED,
        ["its column '' counts the rows, and is left out", SHAPE],
    ),
    "OpenML's, with the class behind": (
        [*(f"pixel{number + 1}" for number in range(784)), "class"],
        np.column_stack([ROWS, LABELS]),
        [SHAPE],
    ),
    "no names": ([], LABELLED, [SHAPE]),
    "no names, and the label behind": (
        [],
        np.column_stack([ROWS, LABELS]),
        ["its last column is taken for the labels", SHAPE],
    ),
    "numbers for names": (["label", *map(str, range(784))], LABELLED, [SHAPE]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind: str, tmp_path: Path) -> None:
    names, rows, said = TABLES[kind]
    assert_read(table(tmp_path / "a.csv", names, rows), *said)
    assert_read(table(tmp_path / "a.csv.gz", names, rows), *said)
    assert_read(table(tmp_path / "a.tsv", names, rows, "\t"), *said)


def test_tables_without_labels(tmp_path: Path) -> None:
    assert_read(table(tmp_path / "test.csv", PIXELS, ROWS), SHAPE, labels=False)
    counted = table(tmp_path / "a.csv", ["id", *PIXELS], NUMBERED[:, [0, *range(2, 786)]])
    assert_read(counted, "its column 'id' counts the rows", SHAPE, labels=False)


def test_a_column_that_does_not_count_is_no_number_of_rows(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ["", *PIXELS], LABELLED)
    with pytest.raises(UserError, match="does not say which is the label"):
        read_labelled(path, 1)
    with pytest.raises(UserError, match="has 1 names for 785 columns: give each its own"):
        read_labelled(table(path, ["label"], LABELLED), 1)


def test_folders_of_tables(tmp_path: Path) -> None:
    table(tmp_path / "mnist_train.csv", [], LABELLED[:3])
    table(tmp_path / "mnist_test.csv", [], LABELLED)
    assert_read(tmp_path, "mnist_test.csv is read", SHAPE)


# ---- pictures ----


def write_pictures(root: Path, change: Callable[[Image.Image], Image.Image], end: str) -> Path:
    for number, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        change(Image.fromarray(image)).save(root / str(label) / f"{number:03}.{end}")
    return root


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("inner", ["", "test", "testing", "testSet/testSet"])
def test_pictures_in_folders_called_by_their_digits(mode: str, inner: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / inner, lambda picture: picture.convert(mode), "png")
    (tmp_path / inner / "3" / ".DS_Store").write_bytes(b"x")
    (tmp_path / inner / "3" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / inner / "__MACOSX").mkdir()
    assert_read(tmp_path, "its 30 pictures are taken for the digits of their folders")


def test_folders_that_are_no_digits_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, lambda picture: picture, "png")
    (tmp_path / "a").mkdir()
    Image.fromarray(IMAGES[0]).save(tmp_path / "a" / "a.png")
    assert_read(tmp_path, "its 30 pictures", "the pictures in a are left out")


def test_pictures_without_folders_have_no_labels(tmp_path: Path) -> None:
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{number:02}.bmp")
    assert_read(tmp_path, "in the order of their names", labels=False)
    found = read_labelled(tmp_path / "07.bmp", 1)
    np.testing.assert_array_equal(found.images, IMAGES[7:8])


@pytest.mark.parametrize("end", ["png", "tif"])
def test_grey_of_16_bits_is_read_with_8(end: str, tmp_path: Path) -> None:
    def deep(picture: Image.Image) -> Image.Image:
        return Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)

    write_pictures(tmp_path, deep, end)
    assert_read(tmp_path, "its 30 pictures", "30 of them have 16 bits, and are read with 8")


def test_other_sizes_are_scaled_to_the_height_of_28_pixels(tmp_path: Path) -> None:
    write_pictures(tmp_path, lambda picture: picture.resize((56, 56), 0), "png")
    # Every pixel four times; a triangle of twice the width shades into the next ones.
    found = read_labelled(tmp_path, 1, has_blank=False)
    assert "30 of them have another size" in found.notes[1]
    assert np.corrcoef(found.images.ravel(), IMAGES.ravel())[0, 1] > 0.9
    assert np.corrcoef(found.images.ravel(), IMAGES[::-1].ravel())[0, 1] < 0.1
    write_pictures(tmp_path, lambda picture: picture.resize((56, 28)), "png")
    with pytest.raises(UserError, match="has 56x28 pixels, and this network reads single digits"):
        read_labelled(tmp_path, 1)
    assert read_labelled(tmp_path, 3).images.shape == (30, 28, 84)


def test_colours_are_read_by_their_brightness_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "4").mkdir()
    Image.new("RGB", (28, 28), (255, 0, 0)).save(tmp_path / "4" / "a.png")
    found = read_labelled(tmp_path, 1, has_blank=False)
    assert found.images.max() == 76  # 0.299 of 255
    assert "have colours, of which the brightness is read" in found.notes[1]


def tiff(*pages: Image.Image) -> bytes:
    data = io.BytesIO()
    pages[0].save(data, "TIFF", save_all=True, append_images=pages[1:])
    return data.getvalue()


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (Image.new("RGBA", (28, 28)), "transparent in places, which may be ground or ink"),
        (Image.new("I;16", (28, 28), 200), "16 bits and no pixel above 255, which may be white"),
        (tiff(Image.new("F", (28, 28))), "over 16 bits: save it with 8"),
        (tiff(Image.new("L", (28, 28)), Image.new("L", (28, 28))), "has several pages"),
        (Image.new("L", (4097, 4097)), "has over 16,777,216 pixels: give the digit alone"),
        (b"\x89PNG\r\n\x1a\n", r"is not a readable picture \(Unidentified"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n", "is not a readable picture"),
    ],
)
def test_pictures_that_cannot_be_taken(picture: object, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    path = tmp_path / "3" / "a.png"
    if isinstance(picture, Image.Image):
        picture.save(path)
    else:
        path.write_bytes(bytes(picture))  # type: ignore[call-overload]
    with pytest.raises(UserError, match=rf"a\.png.* {sentence}"):
        read_labelled(tmp_path, 1)


def test_damaged_pictures_are_refused_or_read(tmp_path: Path) -> None:
    """Every byte in turn, of every format; nothing else than a UserError comes out."""
    refused = 0
    for end in sorted(
        {suffix for suffix in PICTURE_SUFFIXES if suffix not in (".jpeg", ".ppm", ".tiff")}
    ):
        path = tmp_path / f"a{end}"
        Image.fromarray(IMAGES[0]).save(path)
        content = path.read_bytes()
        for place in range(0, len(content), max(1, len(content) // 40)):
            changed = bytes([content[place] ^ 0x55])
            path.write_bytes(content[:place] + changed + content[place + 1 :])
            try:
                read_labelled(path, 1)
            except UserError:
                refused += 1
    assert refused > 20


# ---- idx files by their names, and files that are none of these ----


def idx(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["emnist-digits-test-{}-idx{}-ubyte.gz", "t10k-{}.idx{}-ubyte"])
def test_an_idx_file_brings_its_labels(name: str, tmp_path: Path) -> None:
    images = idx(tmp_path / name.format("images", 3), IMAGES)
    assert_read(images, labels=False)
    labels = idx(tmp_path / name.format("labels", 1), LABELS)
    assert_read(images, f"{labels} is taken for the labels")


def test_files_that_were_unpacked_into_folders_of_their_names(tmp_path: Path) -> None:
    for name, array in (("t10k-images-idx3-ubyte", IMAGES), ("t10k-labels-idx1-ubyte", LABELS)):
        idx(tmp_path / name / name, array)
    assert_read(tmp_path, "its 30 test digits are taken")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        (
            "mnist.mat",
            b"MATLAB 7.3 MAT-file",
            "an HDF5 file of MATLAB 7.3 .save it again with `-v7",
        ),
        ("mnist.pkl", b"\x80\x04\x95aaaa", r"a pickle \(a program, .*, damaged, "),
        ("mnist.pkl.gz", gzip.compress(b"\x80\x02]q", mtime=0), "gzipped, and inside is a pickle"),
        ("list.pkl", pickle.dumps([1, 2]), "which is never run.*, it holds a list"),
        ("dates.pkl", pickle.dumps({"x": np.array(["a"])}), r"it holds 'x' \(array\)"),
        ("mnist.parquet", b"PAR1aaaa", "a Parquet table"),
        ("mnist.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("labels", bytes([0, 0, 8, 1]), "an idx file of labels"),
    ],
)
def test_files_of_other_kinds_are_named(
    name: str, content: bytes, kind: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{kind}.*, and no file of images that is read: name a"):
        read_labelled(tmp_path / name, 1)


# ---- MATLAB's files, and pickles ----

FEW = {"images": IMAGES[:3], "labels": LABELS[:3]}
BY_COLUMNS = {
    "images": IMAGES.transpose(0, 2, 1).reshape(-1, 784),
    "labels": LABELS[:, None].astype(float),
}
MATS: dict[str, tuple[dict[str, object], list[str]]] = {
    "EMNIST": (
        {"dataset": {"train": FEW, "test": BY_COLUMNS, "mapping": np.eye(2)}},
        ["test_images and test_labels are taken", "read column by column, as MATLAB writes them"],
    ),
    "mldata's": (
        {"data": ROWS.T, "label": LABELS[None].astype(float), "note": "text"},
        ["data and labels are taken", "its columns are read as images", SHAPE],
    ),
    "an array for each digit": (
        {f"test{digit}": rows for digit, rows in enumerate(ROWS.reshape(10, 3, 784))},
        ["test0 to test9 are taken for images, whose names are their labels", SHAPE],
    ),
    "one-hot": (
        {"train_x": ROWS[:3], "test_x": ROWS, "test_y": np.eye(10)[LABELS]},
        ["test_x and test_y are taken", SHAPE, "read as one-hot"],
    ),
}


@pytest.mark.parametrize("kind", MATS)
@pytest.mark.parametrize("packed", [True, False])
def test_files_of_matlab(kind: str, packed: bool, tmp_path: Path) -> None:
    variables, said = MATS[kind]
    savemat(tmp_path / "x.mat", variables, do_compression=packed)
    assert_read(tmp_path / "x.mat", *said)


def test_damaged_files_of_matlab_are_refused_or_read(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"dataset": {"test": {"images": ROWS[:2], "labels": LABELS[:2, None]}}})
    content, refused = path.read_bytes(), 0
    for place in range(len(content)):
        if place < 600 or place % 97 == 0:  # headers, and some of the numbers
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
            )
            try:
                read_labelled(path, 1)
            except UserError:
                refused += 1
    assert refused > 100
    for end in range(0, len(content), 61):
        path.write_bytes(content[:end])
        with pytest.raises(UserError):
            read_labelled(path, 1)


ALL = (IMAGES, LABELS)
SOME = (IMAGES[:3], LABELS[:3])
THEANO = tuple((np.float32(x.reshape(-1, 784) / 256), y) for x, y in (SOME, SOME, ALL))
TAKEN = "x_test and y_test are taken"
PICKLES: dict[str, tuple[object, list[str]]] = {
    "Theano's": (THEANO, [TAKEN, "its numbers are 256ths", SHAPE]),
    "Keras's": ((SOME, ALL), [TAKEN]),
    "in lists": ([list(SOME), [np.asfortranarray(IMAGES), LABELS.astype(">i4")]], [TAKEN]),
    "by names": (
        {"training_images": ROWS[:3], "test_images": ROWS, "test_labels": LABELS},
        ["test_images and test_labels are taken", SHAPE],
    ),
    "by short names": (
        {"train_img": ROWS[:3], "test_img": ROWS, "test_label": LABELS},
        ["test_images and test_labels are taken", SHAPE],
    ),
}


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles(kind: str, protocol: int, tmp_path: Path) -> None:
    content, said = PICKLES[kind]
    pickled = pickle.dumps(content, protocol)
    (tmp_path / "mnist.pkl").write_bytes(pickled)
    assert_read(tmp_path / "mnist.pkl", *said)
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(pickled, 1))
    assert_read(tmp_path / "mnist.pkl.gz", *said)


def test_pickles_of_digits_do_not_run(tmp_path: Path) -> None:
    with nothing_runs(tmp_path / "ran") as pickled:
        (tmp_path / "x.pkl").write_bytes(pickled)
        with pytest.raises(UserError, match=r"it asks for '\w+\.mkdir', and no file of images"):
            read_labelled(tmp_path / "x.pkl", 1)


# ---- to train on ----


def write_parts(form: str, place: Path, source: Source) -> Path:
    parts = {"train": source.train, "test": source.test}
    arrays = {name: (np.asarray(p.images), np.asarray(p.labels)) for name, p in parts.items()}
    if form == "npz":
        named = {
            f"{axis}_{n}": a
            for n, pair in arrays.items()
            for axis, a in zip("xy", pair, strict=True)
        }
        np.savez(place / "mnist.npz", **named)
        return place / "mnist.npz"
    if form == "mat":
        named = {
            f"{n}_{axis}": a for n, (x, y) in arrays.items() for axis, a in (("x", x), ("y", y))
        }
        savemat(place / "mnist.mat", named)
        return place / "mnist.mat"
    if form == "pickle":  # the training digits in two parts, as Theano had them
        (x, y), test = arrays["train"], arrays["test"]
        content = pickle.dumps(((x[:9], y[:9]), (x[9:], y[9:]), test))
        (place / "mnist.pkl.gz").write_bytes(gzip.compress(content, 1))
        return place / "mnist.pkl.gz"
    for name, (x, y) in arrays.items():
        if form == "npy":
            np.save(place / f"{name}_images.npy", x)
            np.save(place / f"{name}_labels.npy", y)
        elif form == "csv":
            table(place / f"mnist_{name}.csv", [], np.column_stack([y, x.reshape(-1, 784)]))
        else:
            for number, (image, label) in enumerate(zip(x, y, strict=True)):
                folder = place / name / str(label)
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(folder / f"{number:05}.png")
    return place


@pytest.fixture
def small() -> Source:
    from jaxmnist.data.dataset import Dataset

    train, test = Dataset(IMAGES[:20], LABELS[:20]), Dataset(IMAGES[20:], LABELS[20:])
    return Source(train, test, "dir", official=False)


@pytest.mark.parametrize("form", ["npz", "npy", "csv", "pictures", "mat", "pickle"])
def test_every_form_with_two_parts_can_be_trained_on(
    form: str, small: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_parts(form, tmp_path, small)
    found = load_source("dir", str(path), verify=False)
    for ours, theirs in ((found.train, small.train), (found.test, small.test)):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert ours.images.dtype == ours.labels.dtype == np.uint8
    assert not found.official
    assert "taken" in (said := capsys.readouterr().err) or "is read" in said
    with pytest.raises(UserError, match="is not MNIST's own file"):
        load_source("dir", str(path))


def test_mnist_is_mnist_in_any_form(source: Source, tmp_path: Path) -> None:
    if not source.official:
        pytest.skip("MNIST is not here")
    path = write_parts("npz", tmp_path, source)
    found = load_source("dir", str(path))
    assert found.official
    np.testing.assert_array_equal(found.train.images, source.train.images)


def test_what_has_no_parts_is_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=IMAGES, y=LABELS)
    np.savez(tmp_path / "train.npz", x_train=IMAGES, y_train=LABELS)
    table(tmp_path / "train.csv", [], LABELLED)
    for name, sentence in (
        ("x.npz", "needs images, x_train, and their labels, y_train"),
        ("train.npz", "needs images, x_test, and their labels, y_test"),
        ("train.csv", "has no parts to train on and to test with: give a folder with both"),
    ):
        with pytest.raises(UserError, match=sentence):
            load_source("dir", str(tmp_path / name), verify=False)
    arguments = ["train", "models:tiny", "--config.data.source=dir", "--workdir", "run"]
    assert main([*arguments, f"--config.data.dir={tmp_path / 'train.csv'}"]) == 2
    assert "has no parts to train on" in capsys.readouterr().err
