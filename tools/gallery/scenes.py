"""The table of scenes: what is written, on which paper, in which light, by which camera."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy import ndimage

from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import VARIABLE, load_source
from jaxmnist.reader.strokes import Box
from tools.gallery.writing import Layout, Span, Writing, write

Random = np.random.Generator
Page = Float[np.ndarray, "height width 3"]  # from 0 (black) to 1 (white)
Size = tuple[int, int]  # height and width
Colour = tuple[float, float, float]


# --- Papers


def plain(colour: Colour, grain: float = 0.006) -> Callable[[Random, Size], Page]:
    """Paper of one colour, with a little of its fibres."""
    return lambda random, size: np.array(colour) + grain * _clouds(random, size, 0.7)


def recycled(random: Random, size: Size) -> Page:
    """Grey paper with clouds and specks."""
    specks = ndimage.gaussian_filter((random.random(size) > 0.9995).astype(float), 0.8)[..., None]
    texture = 0.008 * _clouds(random, size, max(size) / 90) + 0.012 * _clouds(random, size, 0.7)
    return np.array((0.78, 0.76, 0.72)) + texture - 0.25 * specks / max(specks.max(), 1e-9)


def ruled(random: Random, size: Size) -> Page:
    """A page of an exercise book: blue lines."""
    return _lines(random, size, across=False, colour=(0.62, 0.72, 0.86))


def squared(random: Random, size: Size) -> Page:
    """Paper for sums: grey lines both ways."""
    return _lines(random, size, across=True, colour=(0.72, 0.76, 0.8))


def dotted(random: Random, size: Size) -> Page:
    """A bullet journal: a dot at each crossing."""
    page = plain((0.96, 0.95, 0.92))(random, size)
    step = max(size) // 28
    dots = np.zeros(size)
    dots[step // 2 :: step, step // 2 :: step] = 1
    dots = ndimage.gaussian_filter(dots, max(size) / 700)[..., None]
    return page - 0.3 * dots / dots.max()


def chalkboard(random: Random, size: Size) -> Page:
    """Dark green, with what was wiped off."""
    return np.array((0.13, 0.23, 0.19)) + 0.025 * _clouds(random, size, max(size) / 20)


def _lines(random: Random, size: Size, *, across: bool, colour: Colour) -> Page:
    page = plain((0.97, 0.97, 0.96))(random, size)
    step, width = max(size) // 16, max(1, max(size) // 500)
    lines = np.zeros(size, bool)
    for offset in range(width):
        lines[step // 2 + offset :: step] = True
        if across:
            lines[:, step // 2 + offset :: step] = True
    page[lines] = colour
    return page


def _clouds(random: Random, size: Size, scale: float) -> Float[np.ndarray, "height width 1"]:
    """Smooth noise of standard deviation 1."""
    # Coarse clouds are made small and enlarged.
    factor = max(int(scale / 2), 1)
    small = random.normal(size=[-(-side // factor) for side in size])
    small = ndimage.gaussian_filter(small, scale / factor)
    image = Image.fromarray((small / small.std()).astype(np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC), float)[..., None]


# --- What lies around a page


def frame(random: Random, page: Page) -> Page:
    """A printed frame near the edge."""
    inset, width = random.integers(0, min(page.shape[:2]) // 25), random.integers(2, 6)
    page = page.copy()
    inner = page[inset : len(page) - inset, inset : page.shape[1] - inset]
    for edge in (inner[:width], inner[-width:], inner[:, :width], inner[:, -width:]):
        edge[:] = 0.2
    return page


def table(random: Random, page: Page) -> Page:
    """The table, dark brown, beside a sheet that does not fill the picture, nor lies straight."""
    y, x = np.mgrid[0 : 1 : page.shape[0] * 1j, 0 : 1 : page.shape[1] * 1j]
    depth = random.uniform(0.02, 0.06) + random.uniform(-0.02, 0.02) * (x + y)
    from_edge = (x, 1 - x, y, 1 - y)[random.integers(4)]
    wood = np.array((0.32, 0.22, 0.15)) + 0.02 * _clouds(random, page.shape[:2], 6)
    sheet = _soft(from_edge - depth, 0.003)[..., None]
    return page * sheet + wood * (1 - sheet)


# --- Lights, as shares of the light, and what is mirrored


def even(random: Random, page: Page) -> Page:
    """The same light everywhere."""
    return page


def gradient(random: Random, page: Page) -> Page:
    """A lamp at one side."""
    y, x = _places(page)
    angle = random.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    return page * (0.75 + random.uniform(0.15, 0.3) * along)[..., None]


def vignette(random: Random, page: Page) -> Page:
    """Darker corners."""
    y, x = _places(page)
    return page * (1 - random.uniform(0.15, 0.3) * (x**2 + y**2))[..., None]


def shadow(random: Random, page: Page) -> Page:
    """The shadow of the phone or the hand, with a soft edge."""
    y, x = _places(page)
    angle, place = random.uniform(0, 2 * np.pi), random.uniform(-0.3, 0.6)
    dark = _soft(np.cos(angle) * x + np.sin(angle) * y - place, random.uniform(0.02, 0.08))
    return page * (1 - random.uniform(0.25, 0.5) * dark)[..., None]


def glare(random: Random, page: Page) -> Page:
    """The lamp, mirrored on glossy paper."""
    y, x = _places(page)
    at, size = random.uniform(-0.8, 0.8, 2), random.uniform(0.3, 0.6)
    spot = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2)[..., None]
    return 0.8 * page + random.uniform(0.15, 0.3) * spot


def _places(page: Page) -> tuple[np.ndarray, np.ndarray]:
    """Returns y and x of pixels, from -1 to 1."""
    rows, columns = (np.linspace(-1, 1, side) for side in page.shape[:2])
    return np.broadcast_to(rows[:, None], page.shape[:2]), np.broadcast_to(columns, page.shape[:2])


def _soft(far: np.ndarray, width: float) -> np.ndarray:
    """A step from 0 to 1."""
    return 1 / (1 + np.exp(-np.clip(far / width, -50, 50)))


# --- Cameras: blur and noise as shares of the longer side and of white, quality of JPEG


@dataclass(frozen=True)
class Camera:
    """How a picture is taken and stored."""

    blur: float = 0.0  # standard deviation, in thousandths of the longer side
    noise: float = 0.0  # standard deviation, of white
    turn: float = 0.0  # degrees, at most
    quality: int | None = None  # of JPEG; None: PNG

    def take(self, random: Random, page: Page) -> tuple[bytes, str]:
        """Returns a file and its suffix."""
        blurred = page
        if self.blur:
            sigma = self.blur * max(page.shape) / 1_000
            blurred = ndimage.gaussian_filter(page, (sigma, sigma, 0))
        seen = blurred + random.normal(0, self.noise, page.shape) if self.noise else blurred
        image = Image.fromarray(np.round(255 * seen.clip(0, 1)).astype(np.uint8))
        return _encoded(image, self.quality)


def _encoded(image: Image.Image, quality: int | None) -> tuple[bytes, str]:
    file = io.BytesIO()
    if quality is None:
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=quality)
    return file.getvalue(), "png" if quality is None else "jpg"


# --- The table


@dataclass(frozen=True)
class Pen:
    """What is written with."""

    thick: Span  # strokes, as shares of a digit's height
    colours: tuple[Colour, ...]
    cover: float = 1.0  # the share of the paper that is no longer seen
    grain: float = 0.0  # standard deviation of that share


BLACK, BLUE, GREY = (0.1, 0.1, 0.12), (0.1, 0.16, 0.5), (0.25, 0.25, 0.27)
RED, WHITE, YELLOW = (0.7, 0.1, 0.12), (0.95, 0.95, 0.93), (0.95, 0.9, 0.4)
PENS = {
    "pen": Pen((0.05, 0.09), (BLACK, BLUE), 0.9, 0.08),
    "pencil": Pen((0.04, 0.07), (GREY,), 0.65, 0.25),
    "marker": Pen((0.12, 0.2), (BLACK, BLUE, RED), 0.95, 0.03),
    "chalk": Pen((0.09, 0.13), (WHITE, YELLOW), 0.85, 0.3),
    "mouse": Pen((0.06, 0.14), (WHITE, YELLOW), 1.0),
    "black": Pen((0.08, 0.14), (BLACK,), 1.0),
}
PAPERS: dict[str, Callable[[Random, Size], Page]] = {
    "white": plain((0.96, 0.96, 0.96)),
    "cream": plain((0.95, 0.91, 0.82)),
    "grey": plain((0.72, 0.72, 0.73)),
    "recycled": recycled,
    "ruled": ruled,
    "squared": squared,
    "dotted": dotted,
    "chalkboard": chalkboard,
    "dark": plain((0.12, 0.12, 0.14), 0.0),
    "pure": plain((1.0, 1.0, 1.0), 0.0),
}
AROUND = {"nothing": even, "frame": frame, "table": table}
LIGHTS = {
    "even": even, "gradient": gradient, "vignette": vignette, "shadow": shadow, "glare": glare,
}  # fmt: skip
CAMERAS = {
    "scanner": Camera(blur=0.4, noise=0.008, quality=90),
    "phone": Camera(blur=0.8, noise=0.015, turn=2, quality=75),
    "poor": Camera(blur=1.6, noise=0.03, turn=3, quality=30),
    "screenshot": Camera(),
}
PAPER = ("white", "cream", "grey", "recycled")
PATTERNED = ("ruled", "squared", "dotted")
PEN = ("pen", "pencil", "marker")
LIT, PHOTOGRAPHED = tuple(LIGHTS), ("scanner", "phone", "poor")
LINE = Layout(digits=(2, 10), sizes=((900, 360), (1_200, 400), (640, 200), (800, 600)))
LARGE = ((1_600, 1_200), (1_200, 1_600))


@dataclass(frozen=True)
class Recipe:
    """A kind of pictures, of which each is drawn with one of each list."""

    kind: str
    count: int
    layout: Layout | None  # None: nothing is written
    papers: tuple[str, ...] = PAPER
    pens: tuple[str, ...] = PEN
    lights: tuple[str, ...] = LIT
    cameras: tuple[str, ...] = PHOTOGRAPHED
    around: str = "nothing"


RECIPES = (
    Recipe("digit", 10, Layout()),
    Recipe("line", 10, LINE),
    Recipe("sheet", 8, Layout(lines=(2, 4), digits=(2, 6), height=(0.1, 0.2))),
    Recipe("slope", 6, Layout(digits=(3, 7), height=(0.15, 0.25), slope=0.2)),
    Recipe("two on a slope", 4, Layout((2, 2), (3, 6), (0.1, 0.2), slope=0.15)),
    Recipe("gaps", 6, Layout(digits=(3, 6), height=(0.1, 0.2), gap=(0.1, 2.0))),
    Recipe("corner", 6, Layout((1, 1), (1, 5), (0.05, 0.09), in_corner=True, sizes=LARGE)),
    Recipe("full", 4, Layout(height=(0.4, 0.8), margin=0.1)),
    Recipe("patterned", 9, Layout(digits=(1, 6), height=(0.15, 0.4)), PATTERNED),
    Recipe("chalkboard", 4, Layout(digits=(1, 5)), ("chalkboard",), ("chalk",)),
    Recipe("screen", 5, Layout(digits=(1, 5)), ("dark",), ("mouse",), ("even",), ("screenshot",)),
    Recipe(
        "transparent", 3, Layout(digits=(1, 5)), ("pure",), ("black",), ("even",), ("screenshot",)
    ),
    Recipe("frame", 5, Layout(digits=(1, 6), height=(0.2, 0.4)), around="frame"),
    Recipe("table", 5, Layout(digits=(1, 5), height=(0.2, 0.4)), around="table"),
    Recipe("none", 8, None, (*PAPER, *PATTERNED, "chalkboard", "dark", "pure")),
    Recipe("none", 2, None, PATTERNED, around="table"),
)


@dataclass(frozen=True)
class Scene:
    """A picture, and what is on it."""

    kind: str
    file: bytes
    suffix: str
    label: str
    boxes: list[list[Box]]  # of the digits, line by line


def draw_gallery(digits: Dataset, seed: int, share: float = 1.0) -> Iterator[Scene]:
    """Draws every recipe as often as it says, or a share of that, but once at least."""
    for row, recipe in enumerate(RECIPES):
        for number in range(max(round(share * recipe.count), 1)):
            yield draw(np.random.default_rng([seed, row, number]), digits, recipe)


def draw(random: Random, digits: Dataset, recipe: Recipe) -> Scene:
    """Draws one picture of a recipe."""
    pen = PENS[random.choice(recipe.pens)]
    if recipe.layout is None:
        nothing = np.zeros((600, 800))
        writing = Writing(nothing, nothing.astype(np.uint8), ())
    else:
        writing = write(random, digits, recipe.layout, pen.thick)
    camera = CAMERAS[random.choice(recipe.cameras)]
    size = writing.ink.shape
    grain = pen.cover + pen.grain * _clouds(random, size, 0.8)[..., 0]
    cover = writing.ink * np.clip(grain, 0, 1)
    if recipe.kind == "transparent":
        sheet = np.concatenate([np.zeros((*size, 3)), writing.ink[..., None]], axis=2)
        image = Image.fromarray(np.round(255 * sheet).astype(np.uint8))
        return Scene(recipe.kind, *_encoded(image, None), writing.label, writing.boxes())
    paper = PAPERS[random.choice(recipe.papers)](random, size)
    colour = np.array(pen.colours[random.integers(len(pen.colours))])
    page = paper + cover[..., None] * (colour - paper)
    turn = random.uniform(-camera.turn, camera.turn)
    page, marks = _turned(page, turn), _turned(writing.marks, turn)
    page = LIGHTS[random.choice(recipe.lights)](random, AROUND[recipe.around](random, page))
    turned = Writing(writing.ink, marks, writing.lines)
    return Scene(recipe.kind, *camera.take(random, page), writing.label, turned.boxes())


def _turned(page: np.ndarray, degrees: float) -> np.ndarray:
    """Turns a page; beyond its edge it goes on as there."""
    if not degrees:
        return page
    pad = round(0.6 * np.sin(np.radians(abs(degrees))) * max(page.shape)) + 2
    mode, way = ("edge", Image.Resampling.BICUBIC)
    if page.dtype == np.uint8:
        mode, way = "constant", Image.Resampling.NEAREST
    frame = [(pad, pad)] * 2 + [(0, 0)] * (page.ndim - 2)
    padded = np.pad(page, frame, mode=mode)  # type: ignore[call-overload]
    layers = padded.reshape(*padded.shape[:2], -1).transpose(2, 0, 1)
    turned = [
        np.asarray(Image.fromarray(layer.astype(np.float32)).rotate(degrees, way))
        for layer in layers
    ]
    inner = np.stack(turned, axis=-1)[pad:-pad, pad:-pad].reshape(page.shape)
    return inner.astype(page.dtype)


def load_digits() -> Dataset:
    """Returns MNIST's test digits where they are at hand, else those of the fallback dataset."""
    return load_source("dir" if os.environ.get(VARIABLE) else "digits8x8").test
