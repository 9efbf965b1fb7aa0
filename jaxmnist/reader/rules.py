"""Ruled lines, squares and frames, taken out of a page's ink."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from jaxmnist.reader.morphology import Grey, Mask, closed, dilate, opened
from jaxmnist.reader.pieces import Pieces, find_pieces, find_runs, paint

FRAME = 0.1  # of a frame's side, that its ink lies within
OBLIQUE = 0.04  # and of the other side
SMALLEST_FRAME = 12  # pixels: its shorter side
SMALLEST_WITHIN = 0.12  # of its shorter side: what is written in it
RULE, ALONE = 0.5, 0.8  # of the picture: the shortest ruled line, and where there is one alone
PARTS = 32  # of a page, side by side, in which a rule is level
BROKEN = 0.1  # and of a part of one
SMALLEST_PAGE = 64  # pixels of a picture that may be ruled


def without_lines(mask: Mask, strength: Grey) -> tuple[Pieces, dict[str, None]]:
    """Returns the pieces that are neither frames nor ruled lines, and what was left out."""
    found = find_pieces(mask, strength)
    notes: dict[str, None] = {}
    frames = _frames(found)
    if frames.any():
        mask = paint(found.runs, ~frames[found.piece], mask.shape)
        notes["The frame is left out."] = None
    ruled = _rules(mask)
    if ruled is not None:
        mask = mask & ~ruled
        notes["Ruled lines are taken out."] = None
    return (find_pieces(mask, strength) if notes else found), notes


def _frames(found: Pieces) -> Bool[np.ndarray, " pieces"]:
    """Returns which pieces have ink along their box alone, and its corners or pieces within it."""
    left, top, right, bottom = found.boxes.T
    width, height = right - left, bottom - top
    # Of a frame that is a little oblique, a long side reaches further in.
    rim_x, rim_y = (FRAME * a + OBLIQUE * b for a, b in ((width, height), (height, width)))
    x0, y0, x1, y1 = left + rim_x, top + rim_y, right - rim_x, bottom - rim_y
    runs, piece = found.runs, found.piece
    within = (runs.row >= y0[piece]) & (runs.row < y1[piece])
    within &= (runs.stop > x0[piece]) & (runs.start < x1[piece])
    hollow = np.minimum(width, height) >= SMALLEST_FRAME
    hollow[piece[within]] = False
    sizes = np.maximum(width, height)
    has_corners = np.ones(len(width), bool)
    for is_row in (runs.row < y0[piece], runs.row >= y1[piece]):
        for is_column in (runs.start < x0[piece], runs.stop > x1[piece]):
            has_corner = np.zeros(len(width), bool)
            has_corner[piece[is_row & is_column]] = True
            has_corners &= has_corner
    for each in np.flatnonzero(hollow):
        inside = (left >= left[each]) & (right <= right[each])
        inside &= (top >= top[each]) & (bottom <= bottom[each])
        inside[each] = False
        least = SMALLEST_WITHIN * min(width[each], height[each])
        hollow[each] = has_corners[each] or sizes[inside].max(initial=0) >= least
    return hollow


def _rules(mask: Mask) -> Mask | None:
    """Returns ruled and squared lines, but for where a stroke crosses them."""
    if max(mask.shape) < SMALLEST_PAGE:
        return None
    level, upright = _level_rules(mask), _level_rules(np.ascontiguousarray(mask.T))
    found = [each for each in (level, None if upright is None else upright.T) if each is not None]
    ruled = np.logical_or.reduce(found) if found else None
    return ruled if ruled is not None and ruled.any() else None


def _level_rules(mask: Mask) -> Mask | None:
    """Returns lines that run along the rows: thin, long, and on to an edge."""
    width = mask.shape[1]
    thickest = max(3, max(mask.shape) // 130)
    step = max(7, width // 40) | 1
    runs = find_runs(mask)
    lengths = runs.stop - runs.start
    is_long = lengths >= step
    gap = 2 * step + 1
    if lengths[is_long].sum() < RULE * width * step / (step + gap):  # too little for one line
        return None
    long = paint(runs, is_long, mask.shape)
    thick = opened(mask, thickest + 1 + thickest % 2, 1)
    # Of a line that is a little oblique or dotted there are many runs.
    framed = np.pad(dilate(long & ~thick, 3, 1), ((0, 0), (gap, gap)))
    joined = np.ascontiguousarray(closed(framed, 1, gap)[:, gap:-gap])
    pieces = find_pieces(joined, joined.view(np.uint8))
    left, top, right, bottom = pieces.boxes.T
    is_level = bottom - top <= np.maximum(0.12 * (right - left), 3)
    before, behind = _paper_beside(mask, pieces, is_level & (right - left >= BROKEN * width))
    from_edge = np.minimum(before, behind)
    lengths = right - left
    part = lengths / (lengths + before + behind)
    is_rule = is_level & (part >= RULE) & (from_edge <= 0.06 * width)
    if is_rule.sum() == 1:  # the edge may cut an upright stroke
        is_rule &= part >= ALONE
    # Where some are whole, those that a stroke runs along may be broken there.
    is_broken = is_level & (right - left >= BROKEN * width) & (from_edge <= 0.02 * width)
    is_rule |= is_rule.any() & is_broken
    if not is_rule.any():
        return None
    ruled = paint(pieces.runs, is_rule[pieces.piece], mask.shape)
    ruled = (ruled | _parallel(mask, _slope(pieces, is_rule), thickest)) & mask & ~thick
    # Where there is ink both above and below the line, a stroke crosses it.
    rest = np.pad(mask & ~ruled, ((thickest, thickest), (0, 0)))
    reach = dilate(rest, thickest | 1, 1)
    above, below = reach[: -2 * thickest], reach[2 * thickest :]
    return np.asarray(ruled & ~(above & below))


def _slope(pieces: Pieces, is_rule: Bool[np.ndarray, " pieces"]) -> float:
    """Returns by how many rows the longest rule falls in a column."""
    lengths = np.where(is_rule, pieces.boxes[:, 2] - pieces.boxes[:, 0], 0)
    own = np.flatnonzero(pieces.piece == lengths.argmax())
    runs = pieces.runs
    first, last = own[np.argmin(runs.start[own])], own[np.argmax(runs.stop[own])]
    return float(runs.row[last] - runs.row[first]) / float(lengths.max())


def _parallel(mask: Mask, slope: float, thickest: int) -> Mask:
    """Returns the rows that ink runs along, of a page whose rules fall by a slope."""
    height, width = mask.shape
    edges = np.linspace(0, width, PARTS + 1).round().astype(int)
    shifts = [round(slope * (a + b - width) / 2) for a, b in pairwise(edges.tolist())]
    most = max(map(abs, shifts))
    ink = np.zeros(height + 2 * most, int)
    for part, (start, stop) in enumerate(pairwise(edges)):
        first = most - shifts[part]
        ink[first : first + height] += mask[:, start:stop].sum(1)
    level = dilate((ink >= RULE * width)[:, None], 3, 1)
    level &= ~opened(level, thickest + 3 + thickest % 2, 1)
    found = np.zeros_like(mask)
    for part, (start, stop) in enumerate(pairwise(edges)):
        first = most - shifts[part]
        found[:, start:stop] = level[first : first + height]
    return found


def _paper_beside(
    mask: Mask, pieces: Pieces, chosen: Bool[np.ndarray, " pieces"]
) -> Int[np.ndarray, "2 pieces"]:
    """Returns how many pixels of paper lie between both ends of pieces and the picture's edges.

    What comes in from the edge is no paper: a rule may end there.
    """
    beside = np.full((2, len(chosen)), mask.shape[1])
    runs = pieces.runs
    for each in np.flatnonzero(chosen):
        own = np.flatnonzero(pieces.piece == each)
        first, last = own[np.argmin(runs.start[own])], own[np.argmax(runs.stop[own])]
        beside[0, each] = np.count_nonzero(~mask[runs.row[first], : runs.start[first]])
        beside[1, each] = np.count_nonzero(~mask[runs.row[last], runs.stop[last] :])
    return beside
