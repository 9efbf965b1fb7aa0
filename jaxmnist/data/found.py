"""What readers of files return: images and labels as they lie there."""

from typing import Literal, NamedTuple

import numpy as np

Split = Literal["train", "test", "any"]  # any: those of tests, if there are parts
PARTS: tuple[Split, Split] = "train", "test"


class Found(NamedTuple):
    """Images and labels in any form."""

    images: np.ndarray
    labels: np.ndarray | None  # None if there were none
    notes: list[str]  # what was taken for what, where that is not plain
