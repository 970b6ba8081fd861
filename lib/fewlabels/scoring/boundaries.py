"""Score how well a prediction follows the outlines in a mask: boundary IoU and boundary F1.

Distances are steps to any of the eight neighbours (chessboard distance), as in the published code
of boundary IoU, and reach `d` = 2 % of the image's diagonal for both scores.

- The *band* of a class is the pixels of that class that have another class within `d`.
- The *contour* of a class is the pixels of that class that have another class next to them.

A boundary lies between two known classes. Void, like the outside of the image, belongs to no band
and no contour, whatever is predicted there; a class that ends at void or at the image's edge has no
boundary there. (The published code counts the edge.)

Source: boundary IoU, Cheng et al. 2021, https://arxiv.org/abs/2103.16562; boundary F1, Csurka et
al. 2013, https://doi.org/10.5244/C.27.32 (which averages images; here counts are summed over the
tiles first, as for every other score).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from fewlabels.types import IGNORE

REACH = 0.02
"""Width of a band and tolerance of a match, as a share of the image's diagonal."""
COUNTS = (
    "band in both", "band predicted", "band true",
    "contour predicted, matched", "contour predicted", "contour true, matched", "contour true",
)  # fmt: skip
"""What the last axis of `counts` holds, each in pixels."""


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary scores as fractions in [0, 1]; NaN where undefined.

    A class without a boundary in the masks (absent, or alone in its tiles) has NaN and is in no
    mean. One that meets others only across void has a band but no contour: an IoU but no F1.
    """

    iou: Float[np.ndarray, " k"]
    f1: Float[np.ndarray, " k"]
    mean_iou: float
    mean_f1: float


def counts(
    prediction: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], classes: int
) -> Int[np.ndarray, "k 7"]:
    """Count the pixels of each class's bands and contours, columns as in COUNTS.

    A contour pixel is matched if the other map has a contour pixel of the same class within `d`.
    """
    d = reach(mask.shape)
    guess = np.where(mask == IGNORE, np.uint8(IGNORE), prediction)
    bands = [near_another(known, d) for known in (guess, mask)]
    contours = [near_another(known, 1) for known in (guess, mask)]
    agree = bands[0] & bands[1] & (guess == mask)
    found = np.zeros((classes, len(COUNTS)), np.int64)
    found[:, 0] = np.bincount(mask[agree], minlength=classes)
    for column, where, known in zip((1, 2, 4, 6), bands + contours, (guess, mask) * 2, strict=True):
        found[:, column] = np.bincount(known[where], minlength=classes)
    for c in np.flatnonzero(found[:, 4] * found[:, 6]):
        ours, truth = (at & (known == c) for at, known in zip(contours, (guess, mask), strict=True))
        found[c, 3] = np.count_nonzero(ours & within(truth, d))
        found[c, 5] = np.count_nonzero(truth & within(ours, d))
    return found


def scores(counts: Int[np.ndarray, "*tiles k 7"], ignored: tuple[int, ...] = ()) -> BoundaryScores:
    """Compute per-class and mean scores; leading axes are summed first.

    `iou` = band in both / (band predicted + band true - band in both). `f1` = 2 p r / (p + r) with
    p the matched share of the predicted contour and r that of the true one; 0 where nothing is
    matched.

    Args:
        ignored: classes to ignore, whose scores are NaN. (Their pixels are void to the other
            classes only if they were in the mask that `counts` got.)
    """
    pooled = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0).astype(float)
    both, guess, truth, guess_matched, guess_contour, truth_matched, truth_contour = pooled.T
    banded, outlined = truth > 0, truth_contour > 0
    for there in (banded, outlined):
        there[list(ignored)] = False
    iou, f1 = (np.where(there, 0.0, np.nan) for there in (banded, outlined))
    np.divide(both, guess + truth - both, out=iou, where=banded)
    hit = outlined & (guess_matched > 0)
    p, r = guess_matched[hit] / guess_contour[hit], truth_matched[hit] / truth_contour[hit]
    f1[hit] = 2 * p * r / (p + r)
    return BoundaryScores(iou, f1, *(_mean(score) for score in (iou, f1)))


def _mean(score: Float[np.ndarray, " k"]) -> float:
    known = score[~np.isnan(score)]
    return float(known.mean()) if known.size else float("nan")


def reach(shape: tuple[int, int]) -> int:
    """Return `d` of an image in pixels: 2 % of the diagonal, rounded, at least 1."""
    return max(1, round(REACH * float(np.hypot(*shape))))


def near_another(known: UInt8[np.ndarray, "h w"], d: int) -> Bool[np.ndarray, "h w"]:
    """Find the pixels with a class that have another class within `d`: those in whose window the
    least or the greatest class is not their own.
    """
    void = known == IGNORE
    greatest = over_window(np.where(void, np.uint8(0), known), d, np.maximum, 0)
    least = over_window(known, d, np.minimum, IGNORE)
    return ~void & ((greatest != known) | (least != known))


def within(where: Bool[np.ndarray, "h w"], d: int) -> Bool[np.ndarray, "h w"]:
    """Find the pixels that have one that is true within `d`."""
    return over_window(where, d, np.logical_or, False)


def over_window(
    values: Shaped[np.ndarray, "h w"],
    d: int,
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
    neutral: int | bool,
) -> Shaped[np.ndarray, "h w"]:
    """Combine (by a maximum, a minimum, an or) the square of side 2 d + 1 around each pixel, with
    `neutral` beyond the edge. Spans are doubled: about 2 log2(d) passes.
    """
    for _ in range(2):
        span, out = 1, np.pad(values, ((0, 0), (d, d)), constant_values=neutral)
        while 2 * span <= 2 * d + 1:
            out = combine(out[:, :-span], out[:, span:])
            span *= 2
        rest = 2 * d + 1 - span
        values = (combine(out[:, : out.shape[1] - rest], out[:, rest:]) if rest else out).T
    return values
