"""The gallery: every picture as what is written, with what, on what, in what light."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.gallery import papers, pens
from tools.gallery.light import (
    Effect,
    blur,
    faded,
    from_a_side,
    glare,
    negative,
    noise,
    on_a_table,
    shadow,
    vignette,
)
from tools.gallery.papers import Paper, board, crumpled, fibres, framed, gradient, plain, ruled
from tools.gallery.pens import Digits, Layer, Pen, write

SUFFIXES = {"alpha": "png", "bits": "png", "turned": "jpg", "thin jpg": "jpg"}  # else the form
Doodle = Callable[[np.random.Generator], Layer]


@dataclass(frozen=True)
class Scene:
    """How a picture is drawn; lengths are heights of a digit where nothing else is said."""

    kind: str
    text: str = ""  # lines separated by `/`
    pen: Pen = pens.BALLPOINT
    paper: Paper = field(default_factory=fibres)
    light: tuple[Effect, ...] = ()
    height: float = 80.0  # of a digit, in pixels
    gap: float = 0.2
    rise: float = 0.0
    leading: float = 0.7
    margin: float = 0.6  # around the writing
    size: tuple[int, int] | None = None  # of the picture, in pixels: instead of the margin
    place: tuple[float, float] = (0.5, 0.5)  # of the writing, in that size
    form: str = "png"  # of the file
    doodle: Doodle | None = None  # instead of digits


@dataclass(frozen=True)
class Drawn:
    """A picture as a file, and what it says."""

    name: str
    kind: str
    label: str
    content: bytes


def draw_gallery(digits: Digits, seed: int = 0) -> Iterator[Drawn]:
    """Draws all pictures, each from its own random numbers."""
    for number, scene in enumerate(SCENES):
        random = np.random.default_rng((seed, number))
        suffix = SUFFIXES.get(scene.form, scene.form)
        name = f"{number:02d}_{scene.kind}.{suffix}"
        yield Drawn(name, scene.kind, scene.text, _file(scene, digits, random))


def _file(scene: Scene, digits: Digits, random: np.random.Generator) -> bytes:
    ink = np.zeros((1, 1))
    if scene.doodle:
        ink = scene.doodle(random)
    elif scene.text:
        ink = write(
            scene.text, digits, scene.pen, random,
            height=scene.height, gap=scene.gap, rise=scene.rise, leading=scene.leading,
        )  # fmt: skip
    rim = 2 * round(scene.margin * scene.height)
    size = scene.size or (ink.shape[1] + rim, ink.shape[0] + rim)
    left = round(scene.place[0] * (size[0] - ink.shape[1]))
    top = round(scene.place[1] * (size[1] - ink.shape[0]))
    cover = np.zeros((size[1], size[0], 1))
    cover[top : top + ink.shape[0], left : left + ink.shape[1], 0] = ink
    if scene.form == "alpha":
        pixels = np.concatenate([np.full((*cover.shape[:2], 3), scene.pen.colour), cover * 255], 2)
        return _encoded(Image.fromarray(pixels.astype(np.uint8)), scene.form)
    sheet = scene.paper(size, random)
    sheet = sheet * (1 - cover) + np.array(scene.pen.colour) * cover
    for effect in scene.light:
        sheet = effect(sheet, random)
    return _encoded(Image.fromarray(np.round(sheet.clip(0, 255)).astype(np.uint8)), scene.form)


def _encoded(image: Image.Image, form: str) -> bytes:
    content = io.BytesIO()
    if form == "turned":  # a telephone that was held upright
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(content, "JPEG", exif=exif, quality=85)
    elif form in ("jpg", "thin jpg"):
        image.save(content, "JPEG", quality=85 if form == "jpg" else 25)
    elif form in ("bits", "gif"):
        image.convert("1" if form == "bits" else "P").save(
            content, "PNG" if form == "bits" else form
        )
    else:
        image.save(content, "PNG" if form == "alpha" else form)
    return content.getvalue()


def letters(text: str) -> Doodle:
    """A printed word."""

    def draw(random: np.random.Generator) -> Layer:
        font = ImageFont.load_default(70)
        box = font.getbbox(text)
        image = Image.new("L", (round(box[2]) + 4, round(box[3]) + 4))
        ImageDraw.Draw(image).text((2, 2), text, fill=255, font=font)
        return np.asarray(image, float) / 255

    return draw


def outline(*strokes: tuple[tuple[float, float], ...]) -> Doodle:
    """A drawing of lines, in a square."""

    def draw(random: np.random.Generator) -> Layer:
        image = Image.new("L", (170, 170))
        for stroke in strokes:
            points = [(10 + 150 * x, 10 + 150 * y) for x, y in stroke]
            ImageDraw.Draw(image).line(points, fill=255, width=6, joint="curve")
        return np.asarray(image, float) / 255

    return draw


HOUSE = outline(
    ((0, 1), (0, 0.45), (0.5, 0), (1, 0.45), (1, 1), (0, 1)),
    ((0.4, 1), (0.4, 0.65), (0.6, 0.65), (0.6, 1)),
    ((0, 0.45), (1, 0.45)),
)
STAR = outline(tuple((0.5 + 0.5 * np.sin(4 * np.pi * i / 5), 0.5 - 0.5 * np.cos(4 * np.pi * i / 5))
                     for i in range(6)))  # fmt: skip

SCREEN = Scene("screen", pen=pens.BLACK, paper=plain(), height=160)
PAPER = Scene("paper", height=180, margin=0.8, form="jpg")
LINE = Scene("line", height=70, margin=0.9, form="jpg")
SHEET = Scene("sheet", height=55, margin=0.9, form="jpg")
NONE = Scene("none", size=(480, 340), form="jpg")

SCENES = (
    # Drawn on screens: even grounds, any colours, all formats.
    replace(SCREEN, text="0"),
    replace(SCREEN, text="1", pen=pens.WHITE, paper=plain((0, 0, 0))),
    replace(SCREEN, text="2", pen=pens.MARKER, form="bmp"),
    replace(SCREEN, text="3", pen=pens.HAIR),
    replace(SCREEN, text="4", pen=replace(pens.BLACK, width=0.04), form="bits"),
    replace(SCREEN, text="5", pen=pens.WHITE, paper=plain((38, 38, 42))),
    replace(
        SCREEN, text="6", pen=replace(pens.BLACK, colour=(90, 200, 90)), paper=plain((20, 90, 30))
    ),
    replace(SCREEN, text="7", pen=replace(pens.BLACK, colour=(250, 220, 60))),
    replace(SCREEN, text="8", form="alpha"),
    replace(SCREEN, text="9", pen=pens.WHITE, form="alpha"),
    replace(SCREEN, text="2", height=18, margin=0.3),
    replace(SCREEN, text="8", height=40, size=(300, 300), place=(0.9, 0.85)),
    replace(SCREEN, text="3", pen=pens.FOUNTAIN, size=(184, 184), form="gif"),
    replace(SCREEN, text="5", paper=gradient((250, 240, 255), (150, 190, 230)), pen=pens.RED),
    replace(SCREEN, text="4", paper=framed(plain(), 0.0, 3)),
    replace(SCREEN, text="0", paper=framed(plain(), 0.06, 4, (0, 0, 0))),
    replace(SCREEN, text="9", light=(blur(3.0), faded(0.4)), form="thin jpg"),
    replace(SCREEN, text="6", pen=pens.MARKER, light=(negative(),)),
    # One digit on paper.
    replace(PAPER, text="0", light=(from_a_side(0.5),)),
    replace(PAPER, text="1", pen=pens.PENCIL),
    replace(PAPER, text="2", pen=pens.FELT, light=(shadow(0.5),)),
    replace(PAPER, text="3", paper=ruled(60), light=(noise(4),)),
    replace(PAPER, text="4", pen=pens.RED, paper=fibres(papers.CREAM), light=(vignette(0.5),)),
    replace(PAPER, text="5", pen=pens.FOUNTAIN, paper=ruled(45, squared=True)),
    replace(PAPER, text="6", pen=pens.WATER, paper=crumpled()),
    replace(PAPER, text="7", pen=pens.CHALK, paper=board()),
    replace(PAPER, text="8", pen=pens.PENCIL, light=(shadow(0.35, soft=0.2), noise(6), blur(1.2))),
    replace(PAPER, text="9", pen=pens.MARKER, light=(on_a_table((70, 45, 30), 0.1, 2.0),)),
    replace(PAPER, text="6", paper=fibres(papers.GREY, 5), light=(noise(12), faded(0.5))),
    replace(PAPER, text="3", pen=pens.HAIR, form="turned"),
    replace(PAPER, text="5", size=(1600, 1200), place=(0.2, 0.3), light=(glare(), noise(5))),
    replace(PAPER, text="2", pen=pens.FELT, height=700, light=(shadow(0.4, place=0.4),)),
    # A line of digits.
    replace(LINE, text="12345"),
    replace(LINE, text="67890", pen=pens.PENCIL, light=(from_a_side(0.45),)),
    replace(LINE, text="2024", pen=pens.FELT, gap=0.9, light=(shadow(0.5),)),
    replace(LINE, text="007", pen=pens.RED, rise=0.15),
    replace(LINE, text="314159", paper=ruled(90), rise=-0.06),
    replace(LINE, text="2718", paper=ruled(35, squared=True), pen=pens.FELT),
    replace(LINE, text="86420", pen=pens.CHALK, paper=board(), gap=0.35),
    replace(LINE, text="9753", pen=pens.WHITE, paper=plain((35, 35, 35)), form="png"),
    replace(LINE, text="40", pen=pens.HAIR, paper=plain(), gap=1.8, form="png"),
    replace(LINE, text="5550123", pen=pens.FOUNTAIN, gap=0.12, paper=crumpled()),
    replace(LINE, text="1066", pen=pens.WATER, paper=fibres(papers.CREAM), light=(vignette(0.45),)),
    replace(LINE, text="4096", size=(1400, 900), place=(0.8, 0.9), light=(noise(6),)),
    replace(LINE, text="38", height=24, margin=0.5, pen=pens.BLACK, paper=plain(), form="png"),
    replace(LINE, text="6174", light=(on_a_table((60, 60, 66), 0.2, -3.0), blur(1.0))),
    replace(LINE, text="1729", form="alpha", pen=pens.FELT),
    replace(LINE, text="90210", paper=framed(plain(), 0.1, 3), pen=pens.BLACK, form="png"),
    replace(LINE, text="5882353", form="turned", light=(from_a_side(0.6, 1.5),)),
    # Several lines.
    replace(SHEET, text="12345/67890"),
    replace(SHEET, text="31/41/59", pen=pens.PENCIL, light=(from_a_side(0.5, 2.0),)),
    replace(SHEET, text="271/828/182", pen=pens.FELT, paper=ruled(93), leading=0.7),
    replace(SHEET, text="1234/567/89", pen=pens.RED, paper=ruled(40, squared=True), leading=0.9),
    replace(SHEET, text="00/7", pen=pens.MARKER, light=(shadow(0.45, angle=1.2),)),
    replace(SHEET, text="1618/0339", rise=0.12, leading=0.8, gap=0.4),
    replace(SHEET, text="24601/525600", pen=pens.CHALK, paper=board(), leading=0.5),
    replace(SHEET, text="5/6", pen=pens.FOUNTAIN, light=(vignette(0.5),), size=(340, 520)),
    replace(SHEET, text="987/654/321/0", gap=0.7, paper=crumpled(), light=(noise(6),)),
    replace(SHEET, text="1414/2136", light=(on_a_table((50, 40, 35), 0.15, 1.5), noise(4))),
    replace(SHEET, text="22222/33333/55555/88888", pen=pens.BLACK, paper=plain(), form="png"),
    replace(SHEET, text="73/91", pen=pens.WHITE, paper=plain((30, 34, 60)), form="turned"),
    # Nothing to read.
    replace(NONE, paper=plain(), form="png"),
    replace(NONE, light=(shadow(0.5), noise(5))),
    replace(NONE, paper=crumpled(), light=(vignette(0.4),)),
    replace(NONE, paper=ruled(40)),
    replace(NONE, paper=ruled(30, squared=True, tilt=0.02), light=(from_a_side(0.5),)),
    replace(NONE, paper=board()),
    replace(NONE, paper=framed(plain(), 0.08, 4), form="png"),
    replace(NONE, light=(on_a_table((70, 45, 30), 0.12, 3.0),)),
    replace(NONE, paper=plain((128, 128, 128)), light=(noise(40),), form="png"),
    replace(NONE, doodle=letters("HAMLET"), paper=plain(), form="png"),
    replace(NONE, doodle=HOUSE),
    replace(NONE, doodle=STAR, pen=pens.WHITE, paper=plain((20, 20, 20)), form="png"),
)
