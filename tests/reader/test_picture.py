"""Pictures of every kind become the same numbers; what is no picture is told in a sentence."""

import contextlib
import io
import os
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxmnist.errors import UserError
from jaxmnist.reader.picture import (
    FIRST_ALONE,
    LONGEST,
    MOST_PIXELS,
    Picture,
    from_array,
    from_image,
    open_picture,
)
from jaxmnist.reader.read import look
from tests.reader.drawing import PAPER, PEN, page, row

# What Pillow has to say of damaged files, beside what it raises.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

GREY, _ = page((120, 80), row("52", 20, 20, 40))
PIXELS = np.asarray(GREY)


def grey(picture: Picture) -> np.ndarray:
    """The luminance of what was opened."""
    return np.asarray(Image.fromarray(picture.pixels).convert("L"), int)


def with_alpha() -> Image.Image:
    """The digits in black on a sheet that is nothing but transparent."""
    sheet = Image.new("RGBA", GREY.size, (0, 0, 0, 0))
    sheet.putalpha(GREY.point(lambda level: round((PAPER - level) * 255 / (PAPER - PEN))))
    return sheet


def of_mode(mode: str) -> Image.Image:
    match mode:
        case "1":
            return GREY.convert("1", dither=Image.Dither.NONE)
        case "F":
            return Image.fromarray(PIXELS.astype(np.float32) / 255)
        case "I":
            return Image.fromarray(PIXELS.astype(np.int32) * 257)
        case "I;16":
            return Image.fromarray(PIXELS.astype(np.uint16) * 257)
        case "PA":
            return GREY.convert("P").convert("PA")
        case "RGBa":
            return GREY.convert("RGBA").convert(mode)
        case "LAB" | "HSV" | "YCbCr" | "CMYK":
            return GREY.convert("RGB").convert(mode)
    return GREY.convert(mode)


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV",
         "I", "I;16", "F"]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow_is_the_same_picture(mode: str) -> None:
    image = of_mode(mode)
    assert image.mode == mode
    opened = from_image(image)
    assert opened.pixels.dtype == np.uint8
    assert opened.scale == 1
    # Black and white are further apart, and colours were rounded on the way.
    assert np.abs(grey(opened) - PIXELS).max() <= (80 if mode == "1" else 4)
    (line,) = look(image).writing.lines
    assert len(line.strokes) == 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparent_sheets_have_the_paper_that_their_ink_stands_out_from(mode: str) -> None:
    sheet = with_alpha()
    if mode in ("P", "PA"):
        coloured = GREY.point(lambda level: 0 if level < 128 else 1).convert("P")
        coloured.putpalette([0, 0, 0, 0, 0, 0])
        coloured.info["transparency"] = 1  # all that differs from the ink
        sheet = coloured if mode == "P" else coloured.convert("RGBA").convert("PA")
    elif mode == "LA":
        sheet = sheet.convert("LA")
    dark = grey(from_image(sheet))
    assert dark.max() == 255
    assert dark[PIXELS < 100].mean() < 80
    (line,) = look(sheet).writing.lines
    assert len(line.strokes) == 2
    if mode == "RGBA":
        white = Image.merge("RGBA", [Image.new("L", sheet.size, 255)] * 3 + [sheet.split()[3]])
        light = grey(from_image(white))
        assert light.min() == 0
        assert np.abs(255 - light - dark).max() <= 1


@pytest.mark.parametrize("tag", range(1, 9))
def test_orientation_tags_turn_the_picture_upright(tag: int, tmp_path: Path) -> None:
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = GREY.transpose(back[tag]) if tag > 1 else GREY
    exif = Image.Exif()
    exif[0x0112] = tag
    for suffix in ("png", "webp"):
        path = tmp_path / f"turned.{suffix}"
        options = {"lossless": True} if suffix == "webp" else {}
        stored.save(path, exif=exif, **options)
        opened = open_picture(path)
        np.testing.assert_array_equal(grey(opened), PIXELS)
        assert len(opened.notes) == (tag > 1)
    stored.save(tmp_path / "turned.tiff", tiffinfo={0x0112: tag})
    np.testing.assert_array_equal(grey(open_picture(tmp_path / "turned.tiff")), PIXELS)
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert np.abs(grey(open_picture(tmp_path / "turned.jpg")) - PIXELS).mean() < 2


def test_a_damaged_tag_is_no_reason_not_to_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for content in (b"Exif\0\0II*\0", b"Exif\0\0", exif.tobytes()[:-3], b"\xff" * 40):
        GREY.save(tmp_path / "x.jpg", exif=content)
        assert grey(open_picture(tmp_path / "x.jpg")).shape[0] in GREY.size


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "webp", "tiff", "pgm"])
def test_files_of_many_kinds(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    if suffix == "ico":
        options = {"sizes": [GREY.size]}
    GREY.save(path, **options)
    np.testing.assert_array_equal(grey(open_picture(path)), PIXELS)
    assert (
        open_picture(io.BytesIO(path.read_bytes())).pixels.shape == open_picture(path).pixels.shape
    )


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_png_of_every_depth(bits: int, tmp_path: Path) -> None:
    # Written by hand: Pillow writes not all of them.
    levels = 2**bits - 1
    values = np.round(PIXELS / 255 * levels).astype(np.uint16)
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in values]
    else:
        spread = np.unpackbits(values.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
        rows = [np.packbits(row.reshape(-1)).tobytes() for row in spread]
    header = struct.pack(">IIBBBBB", *GREY.size, bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        content += struct.pack(">I", len(body)) + kind + body + crc
    path = tmp_path / "deep.png"
    path.write_bytes(content)
    assert np.abs(grey(open_picture(path)) - PIXELS).max() <= max(1, 128 // levels)


@pytest.mark.parametrize("size", [(1, 1), (1, 5_000), (5_000, 1), (2, 3), (3, 900), (1_700, 1_201)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_pictures_of_any_size(size: tuple[int, int], mode: str) -> None:
    seen = look(Image.new(mode, size))
    assert max(seen.picture.pixels.shape) <= LONGEST
    assert seen.canvases == ()
    height, width = seen.picture.pixels.shape[:2]
    assert width == -(-size[0] // seen.picture.scale)
    assert height == -(-size[1] // seen.picture.scale)


DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64", "float16",
          "float32", "float64"]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_arrays_of_any_type_are_the_same_picture(dtype: str, channels: int | None) -> None:
    full = 65_535 if dtype in ("uint16", "int32") else 255
    share = PIXELS / 255
    if dtype == "bool":
        array, opaque = share > 0.5, 1
    elif dtype.startswith("float"):
        array, opaque = share.astype(dtype), 1
    else:
        array, opaque = np.round(share * full).astype(dtype), full
    if channels is not None:
        array = np.stack([array] * channels, axis=-1)
    if channels in (2, 4):
        array[..., -1] = opaque
    opened = grey(from_array(array))
    if dtype == "bool":
        assert ((opened > 128) == (PIXELS > 128)).all()
    else:
        assert np.abs(opened - PIXELS).max() <= 1


def test_masks_of_nought_and_one_are_black_and_white() -> None:
    for dtype in (np.uint8, np.int64, np.float32, bool):
        mask = (PIXELS > 128).astype(dtype)
        assert set(np.unique(grey(from_array(mask)))) == {0, 255}
    assert grey(from_array(np.zeros((4, 4), np.uint8))).max() == 0


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5), "height, width"),
        (np.zeros((3, 20, 30)), r"\(3, 20, 30\).*transpose"),
        (np.zeros((20, 30, 5)), r"\(20, 30, 5\)"),
        (np.zeros((2, 20, 30, 3)), "pass pictures as a list"),
        (np.zeros((0, 30)), r"\(0, 30\)"),
        (np.zeros((5, 5), complex), "holds numbers"),
        (np.full((5, 5), "x"), "holds numbers"),
        (np.full((5, 5), None), "holds numbers"),
        (np.full((5, 5), np.nan), "from 0 on"),
        (np.full((5, 5), np.inf), "from 0 on"),
        (np.full((5, 5), -1), "from 0 on"),
        (np.full((5, 5), 70_000), "up to 65,535, and this array up to 70000"),
        (np.full((5, 5), 300.0), "up to 255, and this array up to 300"),
        (None, "not of type NoneType"),
        ([[1, 2], [3]], "rows of different lengths"),
        (np.broadcast_to(np.float32(1), (1 << 20, 1 << 20)), "pixels: make it smaller than 178"),
    ],
)
def test_what_is_no_picture_is_refused(array: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        from_array(array)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(UserError, match="has 0 x 5 pixels: give one that has some"):
        look(Image.new("L", (0, 5)))


def test_formats_that_start_programs_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    started: list[Any] = []
    monkeypatch.setattr(subprocess, "check_call", lambda *call, **_: started.append(call))
    monkeypatch.setattr(subprocess, "call", lambda *call, **_: started.append(call))
    path = tmp_path / "e.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(UserError, match="is no picture that can be read here"):
        open_picture(path)
    Image.new("L", (16, 16)).save(tmp_path / "i.png", format="ICO")
    with pytest.raises(UserError, match="is no picture that can be read here"):
        open_picture(tmp_path / "i.png")
    assert not started


@pytest.mark.parametrize(("kind", "is_told"), [("TIFF", True), ("GIF", True), ("MPO", False)])
def test_further_pages_are_told_but_no_previews(kind: str, is_told: bool, tmp_path: Path) -> None:
    other = Image.fromarray(255 - PIXELS)
    GREY.convert("RGB").save(tmp_path / "x", format=kind, save_all=True, append_images=[other])
    assert (FIRST_ALONE in open_picture(tmp_path / "x").notes) is is_told


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match="is no file"):
        open_picture(tmp_path / "pipe.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1])
def test_numbers_that_no_light_has_are_refused(value: float, tmp_path: Path) -> None:
    pixels = np.full((9, 9), 0.5, np.float32)
    pixels[4, 4] = value
    Image.fromarray(pixels).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match="from 0 on"):
        open_picture(tmp_path / "x.tif")


def test_what_cannot_be_opened_is_told_in_a_sentence(tmp_path: Path) -> None:
    text, empty, folder = tmp_path / "text.png", tmp_path / "empty.png", tmp_path / "folder.png"
    text.write_text("no picture at all")
    empty.write_bytes(b"")
    folder.mkdir()
    for path, words in (
        (text, "is no picture that can be read here"),
        (empty, "is no picture that can be read here"),
        (folder, "is a folder: name the pictures in it"),
        (tmp_path / "missing.png", "does not exist"),
        (tmp_path / "missing" / "x.png", "does not exist"),
        (text / "x.png", "cannot be read as a picture: Not a directory"),
        (tmp_path / ("x" * 5_000), "cannot be read as a picture: File name too long"),
        (Path("nul\0byte.png"), "cannot be read as a picture: embedded null byte"),
    ):
        with pytest.raises(UserError, match=words):
            open_picture(path)


def test_tags_that_end_too_early_are_told_in_a_sentence() -> None:
    file = io.BytesIO()
    GREY.save(file, "PNG", exif=b"Exif\0\0II*\0\x08")
    with pytest.raises(UserError, match="cannot be read as a picture"):
        open_picture(io.BytesIO(file.getvalue()))


def promise(width: int, height: int, colours: int) -> bytes:
    """A PNG file that claims a size, and has little in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    data = zlib.compress(bytes(1_000))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    return content


@pytest.mark.parametrize(("colours", "words"), [(2, "RGB: .* 100 million"), (6, "RGBA: .* 50 mil")])
def test_what_would_take_too_much_memory_is_refused(colours: int, words: str) -> None:
    file = io.BytesIO(promise(13_000, 13_000, colours))
    with pytest.raises(UserError, match=f"13000 x 13000 pixels of mode {words}.* save it as JPEG"):
        open_picture(file)


def test_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    content = promise(60_000, 60_000, 2)
    path = tmp_path / "bomb.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match="make it smaller than 178 million"):
        open_picture(path)
    with pytest.raises(UserError, match="make it smaller than 178 million"):
        open_picture(io.BytesIO(content))
    # Pillow would warn from half of that on.
    assert 2 * (Image.MAX_IMAGE_PIXELS or 0) >= MOST_PIXELS


SAMPLES = {}
for _kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
    _file = io.BytesIO()
    _exif = Image.Exif()
    _exif[0x0112] = 6
    GREY.convert("P" if _kind == "GIF" else "RGB").save(_file, _kind, exif=_exif)
    SAMPLES[_kind] = _file.getvalue()


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0, 1) | st.just(1.0),
    st.booleans(),
)
def test_damaged_files_are_read_or_refused(
    kind: str, changes: list[tuple[float, int]], kept: float, at_start: bool
) -> None:
    content = bytearray(SAMPLES[kind])
    reach = min(len(content), 200) if at_start else len(content)
    for place, value in changes:
        content[min(int(place * reach), reach - 1)] = value
    damaged = bytes(content[: int(kept * len(content))])
    with contextlib.suppress(UserError):
        assert open_picture(io.BytesIO(damaged)).pixels.dtype == np.uint8


def test_a_picture_is_not_changed_by_being_read(tmp_path: Path) -> None:
    GREY.resize((3_600, 2_400)).save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        seen = look(image)
        assert image.size == (3_600, 2_400)
    assert seen.picture.scale == 5
    assert look(tmp_path / "large.jpg").picture.scale in (4, 5, 6)


@pytest.mark.parametrize(
    "size", [(801, 801), (2_000, 1_500), (2_047, 1_536), (4_000, 3_000), (6_400, 4), (9_999, 30)]
)
def test_a_jpeg_file_of_any_size_keeps_its_detail(size: tuple[int, int], tmp_path: Path) -> None:
    GREY.resize(size).save(tmp_path / "x.jpg")
    picture = open_picture(tmp_path / "x.jpg")
    longest = max(picture.pixels.shape)
    assert LONGEST / 2 <= longest <= LONGEST
    assert abs(longest * picture.scale - size[0]) <= picture.scale  # boxes are those of the file
