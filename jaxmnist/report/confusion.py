"""Which digit is read for which: labels and predictions aligned, all examples at once."""

import numpy as np
from jaxtyping import Int

from jaxmnist.constants import BLANK

CLASSES = BLANK + 1  # the last one: nothing


def confusion(
    labels: Int[np.ndarray, "n length"], predicted: Int[np.ndarray, "n length"]
) -> Int[np.ndarray, "11 11"]:
    """Counts each pair of a true digit (row) and the one that was read (column).

    Strings are aligned with the fewest changes, so that a digit that was missed moves none of the
    others; it stands in the column of nothing, one read where nothing is in the row of nothing.
    Nothing read for nothing is not counted.
    """
    labels, predicted = _digits_first(labels), _digits_first(predicted)
    right = (labels == predicted).all(-1)
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(counts, (labels[right], predicted[right]), 1)
    if not right.all():
        _count_aligned(counts, labels[~right], predicted[~right])
    counts[BLANK, BLANK] = 0
    return counts


def _digits_first(labels: Int[np.ndarray, "n length"]) -> Int[np.ndarray, "n length"]:
    """Moves blanks to the end."""
    order = np.argsort(labels == BLANK, axis=-1, kind="stable")
    return np.take_along_axis(labels.astype(np.int64), order, -1)


def _count_aligned(
    counts: Int[np.ndarray, "11 11"],
    true: Int[np.ndarray, "n length"],
    read: Int[np.ndarray, "n length"],
) -> None:
    n, length = true.shape
    places = range(1, length + 1)
    # Edit distances of the beginnings; to leave a blank out costs nothing.
    missed, added = (true != BLANK).astype(np.int64), (read != BLANK).astype(np.int64)
    changed = (true[:, :, None] != read[:, None, :]).astype(np.int64)
    cost = np.zeros((length + 1, length + 1, n), np.int64)
    cost[1:, 0] = np.cumsum(missed, -1).T
    cost[0, 1:] = np.cumsum(added, -1).T
    for i in places:
        for j in places:
            cost[i, j] = np.minimum(
                cost[i - 1, j - 1] + changed[:, i - 1, j - 1],
                np.minimum(cost[i - 1, j] + missed[:, i - 1], cost[i, j - 1] + added[:, j - 1]),
            )
    # Back along one cheapest way of each example: what -1 indexes is masked out.
    each, i_of, j_of = np.arange(n), np.full(n, length), np.full(n, length)
    while True:
        left = (i_of > 0) | (j_of > 0)
        if not left.any():
            return
        here = cost[i_of, j_of, each]
        diagonal = cost[i_of - 1, j_of - 1, each] + changed[each, i_of - 1, j_of - 1]
        both = (i_of > 0) & (j_of > 0) & (here == diagonal)
        above = cost[i_of - 1, j_of, each] + missed[each, i_of - 1]
        only_true = ~both & (i_of > 0) & (here == above)
        only_read = left & ~both & ~only_true
        row = np.where(only_read, BLANK, true[each, i_of - 1])
        column = np.where(only_true, BLANK, read[each, j_of - 1])
        np.add.at(counts, (row[left], column[left]), 1)
        i_of, j_of = i_of - (both | only_true), j_of - (both | only_read)
