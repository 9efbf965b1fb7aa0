"""The table of suites: the trivial baseline, the threshold of confidence, the letters."""

import numpy as np

from jaxmnist.constants import BLANK, MEAN, SD
from tools.suites import letters, read_cells, surest


def test_cells_with_ink_are_read_from_the_left() -> None:
    images = np.zeros((2, 28, 84))
    images[0, 10, 60] = images[1, 3, 5] = images[1, 27, 83] = 1.0
    logits = np.zeros((2, 3, 10))
    logits[0, :, 7] = logits[1, 0, 2] = logits[1, 2, 5] = 1.0
    read = read_cells(logits, (images - MEAN) / SD)
    assert read.tolist() == [[7, BLANK, BLANK], [2, 5, BLANK]]


def test_the_threshold_lets_through_what_is_right_often_enough() -> None:
    confidences = np.linspace(0, 1, 2_000)
    right = confidences > 0.4  # all of the surest 60 %
    right[[1_990]] = False  # one of the surest ten: what is covered must be 500 at least
    threshold = surest(confidences, right)
    taken = confidences >= threshold
    assert right[taken].mean() >= 0.998
    assert 0.35 < threshold < 0.45
    assert surest(confidences, np.zeros(2_000, bool)) == 1.0


def test_letters_are_on_the_canvas() -> None:
    images = letters(40)
    assert images.shape == (40, 28, 84)
    assert images.dtype == np.uint8
    assert (images.reshape(40, -1).max(1) > 200).all()
    assert (images[:, [0, -1]].max(axis=(1, 2)) == 0).all()  # none is cut above or below
    assert (images[:, :, -1].max(1) == 0).all()
    assert (letters(2) == images[:2]).all()
