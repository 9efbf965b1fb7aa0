"""Grey pictures made smaller or larger, the same bytes whatever the version of Pillow."""

import numpy as np
from PIL import Image

from jaxmnist.reader.morphology import Grey

BILINEAR = Image.Resampling.BILINEAR


def resize(grey: Grey, width: int, height: int) -> Grey:
    """Resizes a picture.

    By a triangle of twice a new pixel's width: bilinear, and without aliases where it gets smaller.
    """
    # Each step rounds, and in which order Pillow would take both depends on its version.
    narrow = resize_columns(grey, width, 0, grey.shape[1])
    return resize_rows(narrow, height, 0, grey.shape[0])


def resize_columns(grey: Grey, width: int, left: float, right: float) -> Grey:
    """Makes columns wider or narrower, from the left to the right of a picture."""
    image = Image.fromarray(grey)
    box = (left, 0, right, image.height)
    return np.asarray(image.resize((width, image.height), BILINEAR, box))


def resize_rows(grey: Grey, height: int, top: float, bottom: float) -> Grey:
    """Makes rows higher or lower, from the top to the bottom of a picture."""
    image = Image.fromarray(grey)
    return np.asarray(image.resize((image.width, height), BILINEAR, (0, top, image.width, bottom)))
