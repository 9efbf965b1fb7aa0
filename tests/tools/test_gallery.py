"""The gallery: what it draws is found where it was drawn, and its command ends as it should."""

import csv
import io
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from jaxmnist.data.sources import Source
from jaxmnist.errors import UserError
from jaxmnist.reader.read import Seen, look
from jaxmnist.reader.strokes import Box
from tests.reader.test_forward import weights
from tools.gallery import __main__ as gallery
from tools.gallery import readers
from tools.gallery.measure import Labelled, Result, is_wrong_and_sure, read_labels, table
from tools.gallery.readers import Answer, join_lines
from tools.gallery.scenes import RECIPES, Scene, draw, draw_gallery
from tools.gallery.sheet import WRONG, draw_sheet, write_sheet


def opened(scene: Scene) -> Image.Image:
    return Image.open(io.BytesIO(scene.file))


def missed(scene: Scene, seen: Seen) -> str:
    """Returns what is wrong in the writing that was found; nothing is, if it is empty."""
    if len(seen.writing.lines) != len(scene.boxes):
        return f"{len(seen.writing.lines)} lines for {len(scene.boxes)}"
    scale = seen.picture.scale
    for line, boxes in zip(seen.writing.lines, scene.boxes, strict=True):
        ink = np.isin(seen.writing.strokes.labels, [stroke.number for stroke in line.strokes])
        for number, box in enumerate(boxes):
            if overlap(ink, tuple(edge / scale for edge in box)) < 0.6:
                return f"digit {number} of {len(boxes)} in a line"
        for stroke in line.large:
            x, y = (place * scale for place in stroke.centre)
            if not any(a <= x <= c and b <= y <= d for a, b, c, d in boxes):
                return "a stroke where none was drawn"
    return ""


def overlap(ink: np.ndarray, box: tuple[float, ...]) -> float:
    """Returns the share that a box and that of the ink in it have in common."""
    left, top, right, bottom = (round(edge) for edge in box)
    inside = ink[top : bottom + 1, left : right + 1]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not rows.size:
        return 0.0
    return float((np.ptp(rows) + 1) * (np.ptp(columns) + 1) / inside.size)


@pytest.fixture(scope="module")
def scenes(source: Source) -> list[Scene]:
    return list(draw_gallery(source.test, seed=0))


def test_there_are_many_pictures_of_every_kind(scenes: list[Scene]) -> None:
    assert len(scenes) >= 60
    kinds = Counter(scene.kind for scene in scenes)
    assert kinds.keys() == {recipe.kind for recipe in RECIPES}
    assert min(kinds.values()) >= 3
    assert {scene.suffix for scene in scenes} == {"jpg", "png"}
    lengths = {len(line) for scene in scenes for line in scene.label.split("/")}
    assert lengths >= {0, 1, 2, 5}
    assert max(lengths) <= 10
    for scene in scenes:
        assert [len(line) for line in scene.boxes] == [len(x) for x in scene.label.split("/") if x]
        with opened(scene) as image:
            for box in (box for line in scene.boxes for box in line):
                assert 0 <= box[0] < box[2] <= image.width
                assert 0 <= box[1] < box[3] <= image.height


def test_a_seed_draws_the_same_again(source: Source) -> None:
    recipe = RECIPES[0]
    one, same, other = (draw(np.random.default_rng(n), source.test, recipe) for n in (1, 1, 2))
    assert one == same
    assert one.file != other.file


@pytest.mark.slow
def test_lines_and_digits_are_found_where_they_were_drawn(scenes: list[Scene]) -> None:
    wrong = {}
    for number, scene in enumerate(scenes):
        with opened(scene) as image:
            said = missed(scene, look(image))
        # A blank page may show a speck of dirt: that it is no digit, the network has to say.
        if said and scene.label:
            wrong[number, scene.kind, scene.label] = said
    written = sum(bool(scene.label) for scene in scenes)
    assert len(wrong) <= 0.05 * written, wrong


def test_what_is_missed_is_noticed(scenes: list[Scene]) -> None:
    # The negative control of the test above.
    scene = next(scene for scene in scenes if scene.kind == "screen" and len(scene.label) > 1)
    with opened(scene) as image:
        seen = look(image)
    assert missed(scene, seen) == ""
    ((*boxes, last),) = scene.boxes
    moved: Box = (last[0] + 30, last[1], last[2] + 30, last[3])
    for wrong in ([[*boxes]], [[*boxes, moved]], [boxes, [last]], []):
        changed = Scene(scene.kind, scene.file, scene.suffix, scene.label, wrong)
        assert missed(changed, seen)


@pytest.fixture
def weights_file(tmp_path: Path) -> str:
    path = tmp_path / "weights.safetensors"
    save_file(weights("sequence_ctc_small"), path)
    return str(path)


@pytest.mark.slow
def test_the_command_draws_reads_and_prints_a_table(
    tmp_path: Path, weights_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "gallery", tmp_path / "sheet.png"
    gallery.main(
        ["--out", str(out), "--share", "0.01", "--weights", weights_file, "--sheet", str(sheet)]
    )
    with (out / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(RECIPES)
    assert all((out / row["file"]).is_file() for row in rows)
    printed = capsys.readouterr().out
    assert f"{len(rows)} pictures" in printed
    for recipe in RECIPES:
        assert f"\n{recipe.kind} " in printed
    assert sheet.stat().st_size < 300_000
    # A folder of one's own has the same form.
    gallery.main(["--pictures", str(out), "--weights", weights_file])
    assert capsys.readouterr().out == printed.split("\n", 1)[1]


def make_folder(folder: Path, rows: str, *names: str) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels.csv").write_text(rows)
    for name in names:
        Image.new("L", (40, 30), 255).save(folder / name)
    return folder


def test_folders_of_labelled_pictures(tmp_path: Path) -> None:
    rows = "file,kind,label,note\na.png,line,05/7,of two lines\nb.png,none,,\n"
    folder = make_folder(tmp_path / "mine", rows, "a.png", "images/b.png")
    assert read_labels(folder) == [
        Labelled(folder / "a.png", "line", "05/7"),
        Labelled(folder / "images" / "b.png", "none", ""),
    ]
    for name, text, words in (
        ("one", "file,label\na.png,5\n", "the columns file, kind, label"),
        ("two", "file,kind,label\nx.png,line,5\n", "line 2: there is no picture 'x.png'"),
        ("three", "file,kind,label\na.png,line,five\n", "the label is 'five'"),
        ("four", "", "the columns file, kind, label"),
        ("five", "file,kind,label\na.png\n,,\n", "there is no picture ''"),
    ):
        with pytest.raises(UserError, match=words):
            read_labels(make_folder(tmp_path / name, text, "a.png"))
    with pytest.raises(UserError, match=r"labels\.csv cannot be read"):
        read_labels(tmp_path / "nowhere")


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="holds other files"):
        gallery.write_gallery(tmp_path, 0)
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


def result(label: str, text: str, confidence: float | None, *others: str) -> Result:
    answers = (Answer(text, confidence), *map(Answer, others))
    return Result(Labelled(Path("x.png"), "line" if label else "none", label), answers)


def test_the_table_counts_what_is_right_and_what_is_surely_wrong() -> None:
    results = [
        result("12", "12", 0.99, "12"),
        result("12", "13", 0.95, "12"),
        result("12", "", 1.0, ""),
        result("12", "17", 0.5, "1"),
        result("", "1", 0.9, ""),
    ]
    assert [is_wrong_and_sure(each) for each in results] == [False, True, False, False, True]
    rows = [line.split() for line in table(results, ["other"]).splitlines()]
    assert rows[1:] == [
        ["line", "4", "25.0%", "25.0%", "50.0%"],
        ["none", "1", "0.0%", "100.0%", "100.0%"],
        ["all", "5", "20.0%", "40.0%", "60.0%"],
    ]


def test_the_sheet_shows_what_is_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", "", "x.png")
    results = [
        Result(Labelled(folder / "x.png", "line", label), (Answer("12", 1.0),))
        for label in ("12", "13")
    ]
    right, both = (np.asarray(draw_sheet(each)) for each in (results[:1] * 2, results))
    assert right.shape == both.shape
    assert not (right == WRONG).all(2).any()
    assert (both == WRONG).all(2).any()
    write_sheet(tmp_path / "deep" / "sheet.png", results * 30)
    with Image.open(tmp_path / "deep" / "sheet.png") as image:
        assert image.width == right.shape[1]


def test_pieces_on_one_height_are_one_line() -> None:
    def box(left: float, top: float) -> list[list[float]]:
        return [[left, top], [left + 40, top], [left + 40, top + 30], [left, top + 30]]

    corners = np.array([box(100, 52), box(0, 0), box(10, 50), box(60, 3)])
    assert join_lines(corners, ("d", "a", "c", "b")) == ["ab", "cd"]


@pytest.mark.parametrize("name", ["pytesseract", "rapidocr"])
def test_readers_that_are_not_here_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"pip install.*{name}"):
        readers.OTHERS[name.removeprefix("py")]()


def test_other_readers_answer_in_digits_and_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Image.new("L", (40, 30), 255).save(tmp_path / "x.png")
    fake = SimpleNamespace(
        get_tesseract_version=lambda: "5", image_to_string=lambda image, config: "1 2\n\nO7.\n"
    )
    monkeypatch.setitem(sys.modules, "pytesseract", fake)
    assert readers.tesseract()(tmp_path / "x.png") == Answer("12/7")
    corners = np.array([[[0, 0], [9, 0], [9, 9], [0, 9]], [[20, 1], [29, 1], [29, 9], [20, 9]]])
    found = iter([SimpleNamespace(boxes=None), SimpleNamespace(boxes=corners, txts=("1a", "2"))])
    module = SimpleNamespace(RapidOCR=lambda params: lambda path: next(found))
    monkeypatch.setitem(sys.modules, "rapidocr", module)
    read = readers.rapidocr()
    assert read(tmp_path / "x.png") == Answer("")
    assert read(tmp_path / "x.png") == Answer("12")


def test_the_command_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--out", "x", "--sheet", "y.png"], "name the weights"),
        (["--pictures", "x"], "name the weights"),
        (["--out", "x", "--weights", "seq", "--against", "eyes"], "choose of tesseract, rapidocr"),
        (["--out", "x", "--share", "0"], "--share above 0"),
        ([], "required"),
    ):
        with pytest.raises(SystemExit) as end:
            gallery.main(arguments)
        assert end.value.code == 2
        assert words in capsys.readouterr().err
