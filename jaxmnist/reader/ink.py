"""Ink found on paper: how strong it is at each pixel, whatever the light, the paper and the pen."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from jaxmnist.reader.morphology import Grey, closed, mean_around, percentile
from jaxmnist.reader.picture import Picture

COARSE, COARSEST = 200, 100  # pixels of the longer side: of the paper, and of the whole page
WIDEST = 0.35  # of the shorter side: no stroke is wider
CUT = 0.8  # of the paper's light, which ink that the edge cuts does not reach
FIBRE = 100  # of the longer side is a pixel that has other noise than its neighbour
DARKEST = 20  # paper is no darker: in black corners ink cannot be seen


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
    is_dark = _ink_is_dark(_coarse(grey, COARSEST))
    return Page(grey if is_dark else 255 - grey, is_dark)


def find_ink(page: Page, widest: float | None = None) -> Ink:
    """Finds ink: what is darker than the paper around it.

    The paper under the strokes is what a morphological closing leaves, which is wider than they
    are. Ink takes a share of the light, in shadows, too: that share is its strength.

    Args:
      page: that it is on.
      widest: stroke, in pixels; default: a third of the page.
    """
    light = page.light
    if widest is None:
        widest = WIDEST * min(light.shape)
    paper = np.maximum(_paper(light, widest), DARKEST).astype(np.uint16)
    left = (light.astype(np.uint16) * 255 + paper // 2) // paper  # the share that is left of it
    strength = 255 - np.minimum(left, 255)
    strength -= np.minimum(strength, percentile(np.bincount(strength[::2, ::2].reshape(-1)), 0.5))
    # The same noise of the light is more of a share of it on darker paper.
    return Ink(strength.astype(np.uint8), _noise(light) * 255 / float(np.median(paper)))


def _coarse(grey: Grey, longest: int) -> Grey:
    factor = -(-max(grey.shape) // longest)
    return np.asarray(Image.fromarray(grey).reduce(factor)) if factor > 1 else grey


def _grey(pixels: np.ndarray) -> Grey:
    """Returns the luminance, or the colour in which strokes stand out clearly better."""
    if pixels.ndim == 2:
        return pixels
    image = Image.fromarray(pixels)
    candidates = [image.convert("L"), *image.split()]
    coarse = image.reduce(-(-max(image.size) // COARSEST))
    clear = [_clearness(np.asarray(each)) for each in (coarse.convert("L"), *coarse.split())]
    clear[0] *= 1.15  # three channels have less noise than one
    return np.asarray(candidates[int(np.argmax(clear))])


def _clearness(grey: Grey) -> float:
    """Returns how far strokes stand out, in units of the noise between neighbours."""
    away = np.abs(grey - mean_around(grey, max(3, min(grey.shape) // 4 | 1)))
    strokes = percentile(np.bincount(np.round(away).astype(int).reshape(-1)), 0.98)
    return strokes / (_noise(grey) + 5)


def _noise(grey: Grey) -> float:
    """Returns the standard deviation of noise: from neighbours, whose paper and light are alike.

    Noise that was blurred, and the fibres of paper, differ only from pixels that are further away.
    """
    return max(_difference(grey, step) for step in (1, max(grey.shape) // FIBRE or 1))


def _difference(grey: Grey, step: int) -> float:
    """Returns the standard deviation of noise, from pixels so many columns apart."""
    rows = grey[::2].astype(np.int16)
    apart = np.abs(rows[:, step:] - rows[:, :-step])
    if not apart.size:
        return 0.0
    counts = np.bincount(apart.reshape(-1))
    middle = percentile(counts, 0.5)
    # Between two levels: most differences are 0 or 1, and noise is not.
    below = counts[:middle].sum()
    share = (counts.sum() / 2 - below) / counts[middle]
    return 1.05 * max(middle - 0.5 + float(share), 0.0)  # of a normal distribution


def _ink_is_dark(grey: Grey) -> bool:
    """Ink is what there is less of, in every neighbourhood, and what the rim of a page is not."""
    window = max(5, min(grey.shape) // 2 | 1)
    away = grey - mean_around(grey, window)
    spread = mean_around(np.square(away), window)
    skewness = float(((away / np.sqrt(spread + 0.04 * spread.mean() + 6)) ** 3).mean())
    inset = min(grey.shape) // 16  # a frame may run along the edge itself
    page = grey[inset : grey.shape[0] - inset, inset : grey.shape[1] - inset]
    rim = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    counts = np.bincount(grey.reshape(-1), minlength=256)
    low, high = percentile(counts, 0.01), percentile(counts, 0.99)
    bright = (2 * float(np.median(rim)) - low - high) / max(high - low, 1)  # from -1 to 1
    return bright / 2 > skewness


def _paper(light: Grey, widest: float) -> Grey:
    """Returns the paper's light, without dark strokes."""
    coarse = _coarse(light, COARSE)
    size = max(3, round(widest * max(coarse.shape) / max(light.shape)) | 1)
    filled = _filled(coarse, size)
    # A mean is no lighter than the paper on the dark side of a shadow's edge.
    smooth = np.minimum(filled, mean_around(filled, max(3, size // 2 | 1)))
    paper = Image.fromarray(np.round(smooth).astype(np.uint8))
    return np.asarray(paper.resize(light.shape[::-1], Image.Resampling.BILINEAR))


def _filled(grey: Grey, size: int) -> Grey:
    """Returns a page with its strokes filled, and its light as it was up to the edges."""
    plain = closed(grey, size, size)
    # Windows that end at the edge fill darker light there, too: it goes on beyond it, as a stroke
    # that the edge cuts does not.
    half = size // 2
    beyond = closed(np.pad(grey, half, mode="edge"), size, size)[half:-half, half:-half]
    return np.where(beyond < CUT * plain, plain, beyond)
