"""`jaxmnist read`: what it prints, in which order, and how it ends."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from jaxmnist import cli
from jaxmnist.constants import BLANK
from jaxmnist.errors import UserError
from jaxmnist.reader.command import read_command
from jaxmnist.reader.forward import StringNetwork
from jaxmnist.reader.picture import FIRST_ALONE
from jaxmnist.reader.read import read_pictures
from tests.helpers import run_python
from tests.reader.drawing import page, row
from tests.reader.test_forward import weights

STEPS = ["1_picture.png", "2_ink.png", "3_strokes.png", "4_canvases.png"]


@dataclass(frozen=True)
class Counter(StringNetwork):
    """Reads every stretch of ink as a 3: what the rest does with digits can be told from it."""

    sure: float = 20.0

    def logits(self, canvases: np.ndarray) -> np.ndarray:
        ink = canvases.max(1).reshape(len(canvases), -1, 2).max(2) > 80
        return np.eye(11)[np.where(ink, 3, BLANK)] * self.sure


NETWORK = Counter(())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two lines, a blank page, and a text file that is called a picture, in this order."""
    written = tmp_path / "pictures"
    (written / "deeper").mkdir(parents=True)
    lines = [*row("527", 40, 30, 60), *row("50", 40, 150, 60)]
    page((400, 240), lines)[0].save(written / "a.png")
    Image.new("L", (300, 200), 240).save(written / "b.jpg")
    (written / "c.png").write_text("no picture")
    page((400, 240), row("2", 150, 60, 90))[0].save(written / "deeper" / "a.PNG")
    (written / "notes.txt").write_text("no picture, and not called one")
    return written


def run(*sources: str | Path, **options: Any) -> bool:
    given: dict[str, Any] = {"as_json": False, "explain_in": None, "stdin": io.BytesIO()} | options
    network = given.pop("network", NETWORK)
    return read_command(network, [str(each) for each in sources], **given)


def test_a_line_of_text_a_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "a.png", folder / "b.jpg")
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/a.png: 333/33\n{folder}/b.jpg:\n"
    assert captured.err == ""


def test_digits_that_the_network_does_not_know(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder / "a.png", network=Counter((), sure=1.5))
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/a.png: ???/??\n"
    assert "look at it yourself" in captured.err


def test_folders_are_searched_and_all_others_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(folder, "missing.png", folder / "b.jpg")
    captured = capsys.readouterr()
    assert [line.split(":")[0] for line in captured.out.splitlines()] == [
        str(folder / name) for name in ("a.png", "b.jpg", "deeper/a.PNG", "b.jpg")
    ]
    first, second = captured.err.splitlines()
    assert first.startswith(f"error: {folder}/c.png is no picture")
    assert second.startswith("error: missing.png does not exist")


def test_an_empty_folder_stops_no_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert not run(tmp_path / "empty", folder / "a.png")
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/a.png: 333/33\n"
    assert "empty has no pictures in it" in captured.err


def test_json_has_the_fields_that_scripts_rely_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder / "a.png", folder / "b.jpg", as_json=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first.keys() == second.keys() == {"file", "text", "lines", "notes"}
    assert second == {"file": str(folder / "b.jpg"), "text": "", "lines": [], "notes": []}
    assert first["text"] == "/".join(line["text"] for line in first["lines"]) == "333/33"
    _, boxes = page((400, 240), [*row("527", 40, 30, 60), *row("50", 40, 150, 60)])
    drawn = iter(boxes)
    for line in first["lines"]:
        assert line.keys() == {"text", "confidence", "box", "digits"}
        assert 0 < line["confidence"] <= 1
        left, top, right, bottom = line["box"]
        for digit in line["digits"]:
            assert digit.keys() == {"digit", "confidence", "box"}
            assert digit["digit"] == 3
            assert 0 < digit["confidence"] <= 1
            np.testing.assert_allclose(digit["box"], next(drawn), atol=5)
            assert left <= digit["box"][0] < digit["box"][2] <= right + 1
            assert top <= digit["box"][1] < digit["box"][3] <= bottom


def test_boxes_of_a_large_picture_are_on_its_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, boxes = page((2_000, 1_200), row("527", 300, 400, 300))
    image.save(tmp_path / "large.png")
    assert run(tmp_path / "large.png", as_json=True)
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    for digit, box in zip(line["digits"], boxes, strict=True):
        np.testing.assert_allclose(digit["box"], box, atol=20)


def test_a_negative_and_a_turned_picture_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = page((400, 240), row("527", 40, 30, 60))[0]
    exif = Image.Exif()
    exif[0x0112] = 3
    negative = Image.fromarray(255 - np.asarray(image))
    negative.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "x.png", exif=exif)
    assert run(tmp_path / "x.png", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == "333"
    assert found["notes"] == [
        "It is turned as its orientation tag says.",
        "Light ink on a dark ground: inverted.",
    ]


def test_a_picture_from_another_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-", stdin=io.BytesIO((folder / "a.png").read_bytes()))
    assert capsys.readouterr().out == "-: 333/33\n"
    assert not run("-", stdin=io.BytesIO(b""))
    assert not run("-", stdin=io.BytesIO(b"no picture"))
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("error: standard input is no picture that can be read here")


def test_steps_are_explained_picture_by_picture(folder: Path, tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    assert not run(folder, "-", explain_in=steps, stdin=io.BytesIO((folder / "a.png").read_bytes()))
    written = sorted(each.name for each in steps.iterdir())
    assert len(written) == 4  # two of them are called a
    assert [name.split("_", 1)[1] for name in written] == ["a", "b", "a", "stdin"]
    for name in written:
        assert sorted(each.name for each in (steps / name).iterdir()) == STEPS
        for step in STEPS:
            with Image.open(steps / name / step) as image:
                assert image.width > 600


def test_steps_that_cannot_be_written_are_told_and_all_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run(folder / "a.png", folder / "b.jpg", explain_in=folder / "c.png")
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/a.png: 333/33\n{folder}/b.jpg:\n"
    first, second = captured.err.splitlines()
    assert "cannot be written" in first
    assert "cannot be written" in second


def test_doubts_are_told_beside_the_answers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = page((400, 240), row("527", 40, 30, 60))[0]
    image.save(tmp_path / "two.tif", save_all=True, append_images=[image])
    assert run(tmp_path / "two.tif", folder / "a.png", network=Counter((), sure=3.0))
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    pages, first, second = captured.err.splitlines()
    assert pages == f"{tmp_path}/two.tif: {FIRST_ALONE}"
    assert first.startswith(f"{tmp_path}/two.tif: It is sure to ")
    assert second.startswith(f"{folder}/a.png: It is sure to ")


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(weights("sequence_ctc_small"), path)
    return path


def test_the_verb_ends_with_two_after_all_others_were_read(
    folder: Path, weights_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["read", str(folder / "b.jpg"), "--weights", str(weights_file)]) == 0
    assert capsys.readouterr().out == f"{folder}/b.jpg:\n"
    given = ["read", str(folder / "c.png"), str(folder / "b.jpg"), "--weights", str(weights_file)]
    assert cli.main(given) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/b.jpg:\n"
    assert captured.err.count("\n") == 1


def test_weights_that_cannot_read_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"params.conv1.kernel": np.zeros((3, 3, 1, 8))}, tmp_path / "other.safetensors")
    for name, words in (
        (tmp_path / "other.safetensors", "no weights of a network that reads strings"),
        (tmp_path / "missing.safetensors", "missing.safetensors"),
        ("nobody", "there are no weights called 'nobody'"),
    ):
        assert cli.main(["read", str(folder / "a.png"), "--weights", str(name)]) == 2
        captured = capsys.readouterr()
        assert words in captured.err
        assert captured.out == ""


def test_reading_starts_without_jax(folder: Path, weights_file: Path) -> None:
    given = ["read", str(folder / "a.png"), "--weights", str(weights_file)]
    program = (
        f"import sys; from jaxmnist.cli import main; code = main({given}); "
        "print(*sorted({name.split('.')[0] for name in sys.modules})); sys.exit(code)"
    )
    done = run_python("-W", "error", "-c", program)
    assert done.returncode == 0, done.stderr
    read, modules = done.stdout.splitlines()
    assert read.startswith(f"{folder / 'a.png'}: ")
    assert {"numpy", "PIL"} <= set(modules.split())
    heavy = {"jax", "jaxlib", "flax", "optax", "scipy", "sklearn", "matplotlib", "orbax", "torch"}
    assert not heavy & set(modules.split())


def test_one_array_of_several_pictures_is_several() -> None:
    from jaxmnist.api import Model

    image = np.asarray(page((120, 80), row("5", 40, 15, 50))[0])

    def read(images: Any) -> list[str]:
        model = SimpleNamespace(_string_network=NETWORK)
        return [reading.text for reading in Model.read(model, images)]  # type: ignore[arg-type]

    colours = np.stack([image] * 3, axis=-1)
    assert read(image) == read(image[..., None]) == read(colours) == ["3"]
    assert read([image, colours]) == read(np.stack([image] * 2)) == ["3"] * 2
    assert read(np.stack([colours] * 2)) == ["3"] * 2
    assert read(Image.fromarray(image)) == read(jnp.asarray(image)) == ["3"]
    assert read([]) == []
    for nothing in (None, 3):
        with pytest.raises(UserError, match="a picture is a path, a Pillow image or an array"):
            read(nothing)


def test_readings_do_not_know_of_each_other() -> None:
    network = NETWORK
    pictures = [
        np.asarray(page((500, 100), row(digits, 20, 20, 50))[0]) for digits in ("5", "2703", "77")
    ]
    together = read_pictures(network, pictures)
    assert together == [read_pictures(network, [picture])[0] for picture in pictures]
    assert [reading.text for reading in together] == ["3", "3333", "33"]
