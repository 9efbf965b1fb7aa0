"""Grey pictures made smaller or larger, the same bytes whatever the version of Pillow."""

import numpy as np
from PIL import Image

from jaxmnist.reader.morphology import Grey

BILINEAR = Image.Resampling.BILINEAR


def resize(grey: Grey, width: int, height: int, box: tuple[float, ...] | None = None) -> Grey:
    """Resizes a picture, or a box of it: left, top, right, bottom.

    By a triangle of twice a new pixel's width: bilinear, and without aliases where it gets smaller.
    """
    image = Image.fromarray(grey)
    left, top, right, bottom = box or (0, 0, image.width, image.height)
    # Each step rounds, and in which order Pillow would take both depends on its version.
    across = image.resize((width, image.height), BILINEAR, (left, 0, right, image.height))
    return np.asarray(across.resize((width, height), BILINEAR, (0, top, width, bottom)))
