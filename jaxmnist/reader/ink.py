"""Ink found on paper: how strong it is at each pixel, whatever the light, the paper and the pen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from PIL import Image

from jaxmnist.reader.morphology import Grey, closed, erode, histogram, mean_around, percentile
from jaxmnist.reader.picture import Picture
from jaxmnist.reader.resample import resize

PAPER_SIDE, PAGE_SIDE = 200, 100  # longer side, in pixels, at which paper and polarity are judged
WIDEST_STROKE = 0.35  # width of a stroke, as a part of the shorter side, at most
STROKES_AROUND = 4  # widths of a stroke in the window in which paper is looked for
LEAST_LIGHT = 0.8  # of the filled paper: what is darker at an edge is a stroke that the edge cuts
NOISE_STEPS = 100  # parts of the longer side: over one of them, too, noise is measured
FAINTEST_INK = 10  # strength, of 255
PAPER_STRENGTH = 64  # strength that paper stays below, with its fibres
POLARITY_WINDOWS = (2, 4, 6)  # parts of the shorter side: windows in which polarity is judged
RIM_WEIGHT = 0.4  # skewness that counts as much as a rim which is all paper
LIGHTEST_PAPER = 0.98  # quantile of the paper's light that stands for the lightest
DIMMEST_PAPER = 0.3  # of the lightest paper: what is darker is a table beside the page
DARKEST_PAPER = 20  # light, of 255: in black corners ink cannot be seen


@dataclass(frozen=True)
class Page:
    """The light that comes from a page; ink is darker than the paper around it."""

    light: Grey
    ink_is_dark: bool  # otherwise the light is that of the negative


@dataclass(frozen=True)
class Ink:
    """How strong the ink is, and what looks like ink and is noise."""

    strength: Grey  # 0 = paper, 255 = ink that takes all the light
    noise: float  # standard deviation of the strength of paper


def to_page(picture: Picture) -> Page:
    """Chooses the colour in which ink stands out, and its polarity."""
    grey = _grey(picture.pixels)
    is_dark = _ink_is_dark(_coarse(grey, PAGE_SIDE))
    return Page(grey if is_dark else 255 - grey, is_dark)


def find_ink(page: Page) -> Ink:
    """Finds ink: what is darker than the paper around it.

    Paper is looked at twice, from afar: first to see how wide the strokes are, and then so closely
    around them that neither shadows nor a vignette look like ink.
    """
    coarse = _coarse(page.light, PAPER_SIDE)
    dim = (
        DIMMEST_PAPER if page.ink_is_dark else 0.0
    )  # a table is darker than a page, seldom than a board
    noise = _noise(coarse)
    thickness = _thickness(
        _ink(coarse, _paper(coarse, WIDEST_STROKE * min(coarse.shape)), dim, noise)
    )
    clearance = min(STROKES_AROUND * thickness + 2, max(coarse.shape))
    paper = _paper(coarse, clearance)
    if coarse is page.light:
        return _ink(coarse, paper, dim, noise)
    height, width = page.light.shape
    return _ink(page.light, resize(paper, width, height), dim, _noise(page.light))


def ink_level(noise: float, strength: Grey) -> int | None:
    """Returns the strength above which there is ink: well below what parts ink from paper.

    None: there is no ink.
    """
    counts = histogram(strength)
    counts[: int(max(3 * noise, FAINTEST_INK / 2)) + 1] = 0
    if counts.sum() < 4 or not counts[FAINTEST_INK:].any():
        return None
    parts = min(_otsu(counts), 0.5 * percentile(counts, 0.97))
    return int(max(0.25 * parts, min(5 * noise, 0.8 * parts), FAINTEST_INK))


def _otsu(counts: Int[np.ndarray, "256"]) -> int:
    """Returns the level that parts pixels best into two classes (Otsu, 1979)."""
    levels = np.arange(len(counts))
    below, sums = counts.cumsum(), (counts * levels).cumsum()
    above = below[-1] - below
    apart = np.square(sums[-1] * (below / below[-1]) - sums)
    apart = np.where(above * below > 0, apart / np.maximum(below * above, 1), 0)
    return int(np.argmax(apart)) if apart.any() else int(np.flatnonzero(counts)[0]) // 2


def _ink(light: Grey, paper: Grey, dim: float, noise: float) -> Ink:
    """Returns the ink: the share of the paper's light that is missing, in shadows, too."""
    light_paper = percentile(histogram(paper[::4, ::4]), LIGHTEST_PAPER)
    whole = np.maximum(paper, max(DARKEST_PAPER, round(dim * light_paper)))
    # Floats are divided several at once; of whole numbers below 2**16 the quotient is exact enough.
    left = light.astype(np.float32)
    left *= 255
    left += whole >> 1
    left /= whole
    strength = 255 - np.minimum(left, 255, out=left).astype(np.uint8)
    counts = histogram(strength[::2, ::2])
    if counts[:PAPER_STRENGTH].sum() > 0.1 * counts.sum():
        counts[PAPER_STRENGTH:] = 0  # there may be more table than paper
    strength -= np.minimum(strength, np.uint8(percentile(counts, 0.5)))
    # The same noise of the light is more of a share of it on darker paper.
    return Ink(strength, noise * 255 / float(np.median(whole[::4, ::4])))


def _thickness(ink: Ink) -> float:
    """Returns the width of strokes: twice their area, by the length of their outline.

    What cannot be seen from afar is thin.
    """
    level = ink_level(ink.noise, ink.strength)
    if level is None:
        return 1.0
    mask = ink.strength > level
    outline = mask & ~(erode(mask, 3, 1) & erode(mask, 1, 3))
    return 2 * float(mask.sum()) / max(float(outline.sum()), 1.0)


def _coarse(grey: Grey, longest: int) -> Grey:
    factor = -(-max(grey.shape) // longest)
    return np.asarray(Image.fromarray(grey).reduce(factor)) if factor > 1 else grey


def _grey(pixels: np.ndarray) -> Grey:
    """Returns the luminance, or the colour in which strokes stand out clearly better."""
    if pixels.ndim == 2:
        return pixels
    image = Image.fromarray(pixels)
    coarse = image.reduce(-(-max(image.size) // PAGE_SIDE))
    red, green, blue = np.moveaxis(np.asarray(coarse), 2, 0)
    if (red == green).all() and (green == blue).all():
        return np.asarray(image.convert("L"))
    clear = [_clearness(np.asarray(each)) for each in (coarse.convert("L"), *coarse.split())]
    clear[0] *= 1.15  # three channels have less noise than one
    best = int(np.argmax(clear))
    return np.asarray(image.getchannel(best - 1) if best else image.convert("L"))


def _clearness(grey: Grey) -> float:
    """Returns how far strokes stand out, in units of the noise between neighbours."""
    away = np.abs(grey - mean_around(grey, max(3, min(grey.shape) // 4 | 1)))
    strokes = percentile(histogram(np.round(away).astype(np.uint8)), 0.98)
    return strokes / (_noise(grey) + 5)


def _noise(grey: Grey) -> float:
    """Returns the standard deviation of noise: from neighbours, whose paper and light are alike.

    Noise that was blurred, and the fibres of paper, differ only from pixels that are further away.
    """
    return max(_difference(grey, step) for step in (1, max(grey.shape) // NOISE_STEPS or 1))


def _difference(grey: Grey, step: int) -> float:
    """Returns the standard deviation of noise, from pixels so many columns apart."""
    one, other = grey[::2, step:], grey[::2, :-step]
    if not one.size:
        return 0.0
    counts = histogram(np.maximum(one, other) - np.minimum(one, other))
    middle = percentile(counts, 0.5)
    # Between two levels: most differences are 0 or 1, and noise is not.
    below = counts[:middle].sum()
    share = (counts.sum() / 2 - below) / counts[middle]
    return 1.05 * max(middle - 0.5 + float(share), 0.0)  # of a normal distribution


def _ink_is_dark(grey: Grey) -> bool:
    """Ink is what there is less of, in every neighbourhood, and what the rim of a page is not.

    In small neighbourhoods a sheet on a table is paper, in large ones a thick stroke is ink.
    """
    skewness = sum(
        _skewness(grey, max(5, min(grey.shape) // part | 1)) for part in POLARITY_WINDOWS
    )
    inset = min(grey.shape) // 16  # a frame may run along the edge itself
    page = grey[inset : grey.shape[0] - inset, inset : grey.shape[1] - inset]
    rim = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    counts = histogram(grey)
    low, high = percentile(counts, 0.01), percentile(counts, 0.99)
    bright = (2 * float(np.median(rim)) - low - high) / max(high - low, 1)  # from -1 to 1
    return RIM_WEIGHT * bright > skewness


def _skewness(grey: Grey, window: int) -> float:
    """Returns how far few pixels are much lighter than their neighbours; negative: darker."""
    away = grey - mean_around(grey, window)
    spread = mean_around(np.square(away), window)
    away /= np.sqrt(spread + 0.04 * spread.mean() + 6)
    return float((away * away * away).mean())


def _paper(light: Grey, widest: float) -> Grey:
    """Returns the paper's light, under strokes, too, by a closing that is wider than they are."""
    size = max(3, round(widest) | 1)
    filled = _filled(light, size)
    # A mean is no lighter than the paper on the dark side of a shadow's edge.
    smooth = np.minimum(filled, mean_around(filled, max(3, size // 2 | 1)))
    return np.round(smooth).astype(np.uint8)


def _filled(grey: Grey, size: int) -> Grey:
    """Returns a page with its strokes filled, and its light as it was up to the edges."""
    plain = closed(grey, size, size)
    # Windows that end at the edge fill darker light there, too: it goes on beyond it, as a stroke
    # that the edge cuts does not.
    half = size // 2
    rows, columns = (np.arange(-half, side + half).clip(0, side - 1) for side in grey.shape)
    framed = np.take(np.take(grey, rows, 0), columns, 1)
    beyond = closed(framed, size, size)[half:-half, half:-half]
    return np.where(beyond < LEAST_LIGHT * plain, plain, beyond)
