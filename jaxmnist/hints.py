"""Hints where images are unlike those that a network was trained on.

Ink and ground exchanged, another size or place, rows for columns: values that are legal and mean
something else. Nothing is guessed from the pixels: each change is made to some of the images, and
named if they are read better by far.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxmnist.constants import SIDE
from jaxmnist.data.images import Images

BOX = 20  # pixels of the larger side of MNIST's digits
FAINT = 0.25  # of the darkest pixel: what is below is no ink
GOOD = 0.9  # a score from which on there is nothing to hint at
GAIN = 0.15  # of the share that is right, that makes a change worth naming
LEFT = 0.4  # of the doubt, at most, where there are no labels
FEWEST = 8  # images: of fewer a change is easily read better by chance
TRIED = 300  # images at most

Canvases = Float[np.ndarray, "n 28 width"]
Score = Callable[[Canvases], float]  # the share that is right, or the mean confidence


def find_hints(images: Images, plain: float, score: Score, *, labelled: bool) -> list[str]:
    """Returns a sentence that says which change would help most, if one does.

    Args:
      images: 0 = ground to 255 = ink, as the network reads them.
      plain: the score of the first `TRIED` of them, as they are.
      score: of such images; called with those, changed, in their order.
      labelled: whether it is the share that is right, not a mean confidence.
    """
    some = np.asarray(images[:TRIED], np.float32)
    if plain >= GOOD or not some.max() or len(some) < FEWEST:
        return []
    found = {name: score(change(some)) for name, change in CHANGES.items()}
    best = max(found, key=lambda name: found[name])
    # The simplest change that is about as good.
    name = next(each for each in found if found[each] >= found[best] - 0.02)
    enough = plain + GAIN if labelled else 1 - LEFT * (1 - plain)
    if found[name] < max(enough, 0.5):
        return []
    which = f"of the first {TRIED:,} images " if len(images) > TRIED else ""
    if labelled:
        return [f"hint: {name}, {which}{found[name]:.0%} would be right instead of {plain:.0%}"]
    return [f"hint: {name}, {which}the answers would be sure to {found[name]:.0%}, not {plain:.0%}"]


def invert(images: Canvases) -> Canvases:
    """Exchanges ink and ground."""
    return np.float32(255) - images


def stretch(images: Canvases) -> Canvases:
    """Scales the largest value to 255."""
    return images * (255 / images.max())


def transpose(images: Canvases) -> Canvases:
    """Exchanges rows and columns of every 28 pixels."""
    cells = [images[:, :, at : at + SIDE] for at in range(0, images.shape[2], SIDE)]
    return np.concatenate([cell.transpose(0, 2, 1) for cell in cells], axis=2)


def recentre(images: Canvases) -> Canvases:
    """Gives every digit MNIST's size and place in a cell of its own; gaps tell digits apart."""
    return np.stack([_recentre_one(image) for image in images])


TO_SIZE = "every digit brought to MNIST's size and place (its larger side 20 of 28 pixels, centred)"
CHANGES: dict[str, Callable[[Canvases], Canvases]] = {
    "with ink and ground exchanged (255 - x)": invert,
    "with values stretched, so that the largest is 255": stretch,
    "with rows and columns exchanged": transpose,
    f"with {TO_SIZE}": recentre,
    f"with ink and ground exchanged (255 - x), and {TO_SIZE}": lambda images: recentre(
        invert(images)
    ),
}


def _recentre_one(image: Float[np.ndarray, "28 width"]) -> Float[np.ndarray, "28 width"]:
    ink = image > FAINT * max(image.max(), 1)
    columns = np.flatnonzero(ink.any(0))
    cells = image.shape[1] // SIDE
    result = np.zeros_like(image)
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if columns.size else []
    if cells == 1 and groups:  # one digit, also where its pen was lifted
        groups = [np.arange(columns[0], columns[-1] + 1)]
    for cell, group in enumerate(groups[:cells]):
        rows = np.flatnonzero(ink[:, group].any(1))
        digit = image[rows[0] : rows[-1] + 1, group[0] : group[-1] + 1]
        result[:, SIDE * cell : SIDE * (cell + 1)] = _in_cell(digit)
    return result


def _in_cell(digit: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "28 28"]:
    factor = BOX / max(digit.shape)
    height, width = (max(1, round(factor * size)) for size in digit.shape)
    picture = Image.fromarray(digit.clip(0, 255).astype(np.uint8))
    small = np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32)
    # By the centre of mass, as MNIST was made.
    mass = max(small.sum(), 1.0)
    centre_y = (small.sum(1) @ np.arange(height)) / mass
    centre_x = (small.sum(0) @ np.arange(width)) / mass
    top = int(np.clip(round(SIDE / 2 - centre_y), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - centre_x), 0, SIDE - width))
    cell = np.zeros((SIDE, SIDE), np.float32)
    cell[top : top + height, left : left + width] = small
    return cell
