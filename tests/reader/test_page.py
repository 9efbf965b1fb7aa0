"""Whole pages, drawn by code: how many lines and digits there are, where, and what is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from jaxmnist.reader.picture import LONGEST
from jaxmnist.reader.read import Seen, look
from jaxmnist.reader.strokes import Box
from tests.reader.drawing import PAPER, lit, noisy, page, row

WIDTH, HEIGHT = 480, 320


def boxes_of(seen: Seen) -> list[list[Box]]:
    """The boxes of all strokes, line by line, on the scale of the original."""
    scale = seen.picture.scale
    return [
        [tuple(edge * scale for edge in stroke.box) for stroke in line.strokes]
        for line in seen.writing.lines
    ]


def assert_found(image: Image.Image, lines: list[list[Box]], tolerance: float = 3) -> Seen:
    """Asserts that these digits are found, at these places, and nothing else."""
    seen = look(image)
    found = boxes_of(seen)
    assert [len(line) for line in found] == [len(line) for line in lines]
    for line, wanted in zip(found, lines, strict=True):
        np.testing.assert_allclose(line, wanted, atol=tolerance)
    return seen


def assert_nothing(image: Image.Image) -> None:
    seen = look(image)
    assert seen.writing.lines == ()
    assert seen.canvases == ()


def canvases(seen: Seen) -> list[np.ndarray]:
    return [canvas.pixels.astype(int) for canvas in seen.canvases]


def assert_alike(one: Seen, other: Seen, mean: float) -> None:
    """Asserts that canvases differ by so little, of 255, as no reader would see."""
    for a, b in zip(canvases(one), canvases(other), strict=True):
        assert abs(a.shape[1] - b.shape[1]) <= 1
        width = min(a.shape[1], b.shape[1])
        assert np.abs(a[:, :width] - b[:, :width]).mean() < mean


# --- Where the digits are


@settings(max_examples=30)
@given(
    st.text("02357", min_size=1, max_size=6),
    st.floats(40, 90),
    st.floats(0.05, 0.2),
    st.floats(0.8, 1.6),
)
def test_a_line_is_found_at_any_size_thickness_and_distance(
    digits: str, height: float, thick: float, step: float
) -> None:
    step = min(step + thick, (WIDTH - 60) / max(len(digits), 1) / height)
    if step < 0.7 + thick:
        return  # they would touch
    image, boxes = page((WIDTH, HEIGHT), row(digits, 30, 90, height, step=step), thick=thick)
    assert_found(image, [boxes])


def test_lines_are_read_from_top_to_bottom_and_from_left_to_right() -> None:
    top, middle, low = (row(each, 60, y, 50) for each, y in (("523", 20), ("70", 120), ("2", 220)))
    image, boxes = page((WIDTH, HEIGHT), [*low[::-1], *top[::-1], *middle[::-1]])
    assert_found(image, [boxes[1:4][::-1], boxes[4:][::-1], boxes[:1]])


@pytest.mark.parametrize("rise", [-0.2, -0.1, 0.1, 0.2])
def test_two_lines_on_a_slope(rise: float) -> None:
    start = 40 if rise < 0 else 140
    first, second = (row("25307", 30, start + y, 50, step=1.5, rise=rise) for y in (0, 90))
    image, boxes = page((WIDTH, HEIGHT), [*first, *second])
    seen = assert_found(image, [boxes[:5], boxes[5:]])
    # On a slope the canvas is level: its digits are as high as those of a level line.
    level = look(page((WIDTH, HEIGHT), row("25307", 30, 100, 50, step=1.5))[0])
    tallest = np.flatnonzero(canvases(level)[0].max(1) > 100)
    for canvas in canvases(seen):
        inked = np.flatnonzero(canvas.max(1) > 100)
        assert abs(len(inked) - len(tallest)) <= 5


@pytest.mark.parametrize("factor", [1.0, 1.7, 2.5, 4.3])
def test_boxes_are_on_the_scale_of_the_original(factor: float) -> None:
    size = (round(WIDTH * factor), round(HEIGHT * factor))
    digits = row("2703", 60 * factor, 110 * factor, 80 * factor)
    image, boxes = page(size, digits)
    seen = assert_found(image, [boxes], tolerance=3 * factor)
    assert seen.picture.scale == -(-max(size) // LONGEST)


def test_small_writing_on_a_large_page() -> None:
    image, boxes = page((1_600, 1_200), row("3205", 1_200, 1_000, 70))
    assert_found(noisy(image, 4), [boxes], tolerance=5)


def test_a_digit_that_fills_the_picture() -> None:
    image, boxes = page((130, 200), [(2, 8, 10, 180)])
    assert_found(image, [boxes])


# --- What is the same picture


def test_a_negative_is_the_same() -> None:
    image, _ = page((WIDTH, HEIGHT), [*row("5203", 40, 40, 70), *row("72", 40, 190, 70)])
    seen = look(image)
    negative = look(Image.fromarray(255 - np.asarray(image)))
    assert seen.writing.ink_is_dark
    assert not negative.writing.ink_is_dark
    assert [len(line) for line in boxes_of(negative)] == [4, 2]
    assert boxes_of(seen) == boxes_of(negative)
    assert_alike(seen, negative, 4)


def test_twice_the_size_is_the_same() -> None:
    digits = row("5203", 20, 20, 50)
    image, _ = page((260, 100), digits)
    larger = [tuple(2 * n if i else n for i, n in enumerate(each)) for each in digits]
    twice, _ = page((520, 200), larger)
    # Strokes are a whole number of pixels wide, and begin half a pixel of the canvas elsewhere.
    assert_alike(look(image), look(twice), 12)
    assert_alike(look(twice), look(twice.resize((1_040, 400), Image.Resampling.BICUBIC)), 12)


@pytest.mark.parametrize(("black", "white"), [(0, 255), (100, 255), (0, 150), (120, 190), (60, 90)])
def test_brightness_and_contrast_do_not_matter(black: int, white: int) -> None:
    digits = row("5203", 40, 100, 80)
    usual, boxes = page((WIDTH, HEIGHT), digits)
    other, _ = page((WIDTH, HEIGHT), digits, pen=black, paper=white)
    assert_alike(assert_found(usual, [boxes]), assert_found(other, [boxes]), 5)


def test_another_string_is_another_canvas() -> None:
    # The negative control of the three above.
    one, other = (look(page((WIDTH, HEIGHT), row(s, 40, 100, 80))[0]) for s in ("5203", "5723"))
    with pytest.raises(AssertionError):
        assert_alike(one, other, 12)


# --- Light, noise and colours

Y, X = np.mgrid[0:1:320j, 0:1:480j]
LIGHTS = {
    "from the left": 1 - 0.6 * X,
    "vignette": 1 - 0.7 * ((X - 0.5) ** 2 + (Y - 0.5) ** 2),
    "shadow with a soft edge": 1 - 0.5 / (1 + np.exp(-(X + 0.3 * Y - 0.6) * 40)),
    "spot": 0.4 + 0.6 * np.exp(-((X - 0.3) ** 2 + (Y - 0.5) ** 2) * 3),
}


@pytest.mark.parametrize("light", LIGHTS)
def test_light_is_no_ink(light: str) -> None:
    image, boxes = page((WIDTH, HEIGHT), row("50273", 50, 110, 80))
    assert_found(noisy(lit(image, LIGHTS[light]), 3), [boxes])


@pytest.mark.parametrize("light", LIGHTS)
def test_light_alone_is_nothing_but_at_an_edge(light: str) -> None:
    seen = look(lit(Image.new("L", (WIDTH, HEIGHT), PAPER), LIGHTS[light]))
    # Where an oblique shadow leaves the picture a corner of it looks as if it were cut there.
    oblique = light in ("shadow with a soft edge", "spot")
    assert len(seen.writing.lines) <= oblique
    for left, top, right, bottom in (line.box for line in seen.writing.lines):
        assert left == 0 or top == 0 or right == WIDTH or bottom == HEIGHT
        assert max(right - left, bottom - top) < 0.3 * HEIGHT


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_a_blank_page_is_nothing(level: int) -> None:
    for size in ((1, 1), (28, 28), (WIDTH, HEIGHT), (1_000, 30)):
        assert_nothing(Image.new("L", size, level))


@pytest.mark.parametrize("sd", [1, 4, 12, 30])
@pytest.mark.parametrize("level", [40, 128, 230])
def test_noise_alone_is_nothing(level: int, sd: float) -> None:
    for seed in range(3):
        assert_nothing(noisy(Image.new("L", (WIDTH, HEIGHT), level), sd, seed))


def test_blurred_noise_is_nothing() -> None:
    rough = noisy(Image.new("L", (WIDTH, HEIGHT), 200), 12)
    assert_nothing(rough.filter(ImageFilter.GaussianBlur(1.5)))


@pytest.mark.parametrize("sd", [4, 12, 25])
def test_digits_are_found_in_noise(sd: float) -> None:
    image, boxes = page((WIDTH, HEIGHT), row("5273", 50, 110, 90))
    assert_found(noisy(image, sd), [boxes], tolerance=6)


@pytest.mark.parametrize(
    ("paper", "pen"),
    [((255, 250, 230), (30, 40, 160)), ((190, 40, 40), (40, 40, 190)),
     ((20, 90, 30), (90, 200, 90)),
     ((250, 250, 250), (250, 240, 60)), ((0, 60, 0), (240, 240, 230))],
)  # fmt: skip
def test_coloured_pens_on_coloured_paper(
    paper: tuple[int, int, int], pen: tuple[int, int, int]
) -> None:
    shape, boxes = page((WIDTH, HEIGHT), row("5273", 50, 110, 90), paper=255, pen=0)
    ink = 1 - np.asarray(shape, float)[..., None] / 255
    shown = np.array(paper) * (1 - ink) + np.array(pen) * ink
    image = Image.fromarray(np.round(shown).astype(np.uint8))
    assert_found(image, [boxes])


# --- What is left out


def test_a_frame_around_the_page_is_left_out() -> None:
    for inset, width in ((0, 4), (0, 14), (12, 3)):
        image, boxes = page((WIDTH, HEIGHT), row("5273", 70, 110, 90))
        frame = (inset, inset, WIDTH - 1 - inset, HEIGHT - 1 - inset)
        ImageDraw.Draw(image).rectangle(frame, outline=40, width=width)
        assert_found(image, [boxes])


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("slope", [0, 0.02])
def test_ruled_and_squared_lines_are_left_out(squared: bool, slope: float) -> None:
    paper = Image.new("L", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(paper)
    for place in range(10, max(WIDTH, HEIGHT), 40):
        draw.line((0, place, WIDTH, place + slope * WIDTH), 150, 2)
        if squared:
            draw.line((place, 0, place + slope * HEIGHT, HEIGHT), 150, 2)
    assert_nothing(paper)
    written, boxes = page((WIDTH, HEIGHT), row("5273", 50, 66, 90))
    image = Image.fromarray(np.minimum(np.asarray(written), np.asarray(paper)))
    # What a line crosses may lose a pixel at the crossing, and keep a stub of the line.
    assert_found(image, [boxes], tolerance=9)


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_a_dark_table_at_an_edge_is_left_out(edge: str) -> None:
    image, boxes = page((WIDTH, HEIGHT), row("527", 120, 110, 90))
    corner = {
        "left": (0, 0, 50, HEIGHT), "right": (430, 0, WIDTH, HEIGHT),
        "top": (0, 0, WIDTH, 50), "bottom": (0, 270, WIDTH, HEIGHT),
    }  # fmt: skip
    ImageDraw.Draw(image).rectangle(corner[edge], 60)
    soft = image.filter(ImageFilter.GaussianBlur(1.2))
    assert_found(soft, [boxes], tolerance=5)


def test_dirt_is_left_out() -> None:
    image, boxes = page((WIDTH, HEIGHT), row("5273", 50, 110, 90))
    draw = ImageDraw.Draw(image)
    for x, y in np.random.default_rng(0).uniform(0, 1, (60, 2)):
        draw.ellipse((x * WIDTH, y * 100, x * WIDTH + 3, y * 100 + 3), 90)
    assert_found(image, [boxes])


@pytest.mark.parametrize("width", [2, 8])
def test_a_frame_around_the_writing_is_left_out(width: int) -> None:
    lines = [*row("5273", 90, 80, 60), *row("705", 90, 180, 60)]
    image, boxes = page((WIDTH, HEIGHT), lines)
    plain = assert_found(image, [boxes[:4], boxes[4:]])
    ImageDraw.Draw(image).rectangle((60, 50, 400, 270), outline=40, width=width)
    framed = assert_found(image, [boxes[:4], boxes[4:]])
    assert_alike(plain, framed, 5)
    assert "The frame is left out." in framed.writing.strokes.notes


def test_a_frame_alone_is_nothing_and_a_nought_is_no_frame() -> None:
    empty = Image.new("L", (WIDTH, HEIGHT), PAPER)
    ImageDraw.Draw(empty).rectangle((40, 30, 430, 290), outline=40, width=4)
    assert_nothing(empty)
    image, boxes = page((WIDTH, HEIGHT), [(0, 150, 60, 200)])
    assert_found(image, [boxes])
    assert len(look(image).writing.strokes.notes) == 0


def test_a_stroke_that_the_edge_cuts_is_no_rule() -> None:
    image, _ = page((WIDTH, HEIGHT), row("50", 40, 150, 90))
    stem = (300, HEIGHT - round(0.6 * HEIGHT), 303, HEIGHT)
    ImageDraw.Draw(image).rectangle(stem, 40)
    assert len(look(image).writing.strokes.notes) == 0
    ImageDraw.Draw(image).rectangle((stem[0], 0, stem[2], HEIGHT), 40)  # and now it is one
    assert look(image).writing.strokes.notes == ("Ruled lines are taken out.",)


@pytest.mark.parametrize("angle", [0, 2])
@pytest.mark.parametrize("ruled", [False, True])
def test_a_sheet_on_a_dark_table_is_paper(angle: float, ruled: bool) -> None:
    sheet, boxes = page((WIDTH, HEIGHT), row("5273", 60, 110, 80))
    if ruled:  # the lines join the digits to the table
        for y in range(20, HEIGHT, 60):
            ImageDraw.Draw(sheet).line((0, y, WIDTH, y), 150, 2)
    table = noisy(Image.new("L", (WIDTH + 160, HEIGHT + 160), 45), 4)
    place = Image.new("L", table.size)
    place.paste(255, (80, 80, 80 + WIDTH, 80 + HEIGHT))
    laid = Image.new("L", table.size)
    laid.paste(sheet, (80, 80))
    turn = Image.Resampling.BICUBIC
    table.paste(laid.rotate(angle, turn), mask=place.rotate(angle, turn))
    seen = look(table)
    assert seen.writing.ink_is_dark
    assert [len(line) for line in boxes_of(seen)] == [4]
    if not angle:
        moved = [[tuple(edge + 80 for edge in box) for box in boxes]]
        np.testing.assert_allclose(boxes_of(seen), moved, atol=9)


def test_a_bar_apart_and_a_broken_digit_are_one_digit_each() -> None:
    image, _ = page((WIDTH, HEIGHT), [(5, 60, 60, 120), (3, 200, 60, 120), (7, 340, 60, 120)])
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 70, 145, 78), PAPER)  # parts the bar of the 5 from its rest
    draw.rectangle((190, 100, 300, 104), PAPER)  # breaks the 3
    seen = look(image)
    assert len(seen.writing.lines) == 1
    assert len(seen.canvases) == 1
    # The negative control: two lines that stand apart are two.
    far, boxes = page((WIDTH, HEIGHT), [(5, 60, 20, 100), (3, 60, 160, 100)])
    assert_found(far, [boxes[:1], boxes[1:]])
