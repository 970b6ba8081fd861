"""Compute scores from confusion matrices, without torch: records hold all that is needed.

Rows of a confusion matrix are truth, columns prediction; pixels whose truth is IGNORE are not in
it. Scores come from the matrix summed over the tiles ("pooled"), so every pixel counts the same.

Sparse labels score like a mask: the labelled pixels alone count, since all others are IGNORE. That
is validation in sparse mode. Test scores are always dense.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from fewlabels.types import IGNORE, NoLabelsError


@dataclass(frozen=True)
class Statistics:
    """The counts of each tile that all scores follow from; None where they were not taken.

    Attributes:
        confusion: see `confusion`.
        boundaries: see `boundaries.counts`.
        calibration: see `calibration.bins`.
    """

    confusion: Int[np.ndarray, "tiles k k"]
    boundaries: Int[np.ndarray, "tiles k 7"] | None = None
    calibration: Float[np.ndarray, "tiles 15 3"] | None = None


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix, as fractions in [0, 1]; NaN where undefined.

    A class that is absent from the truth has IoU, recall and F1 NaN and is not in `miou`, even
    where it was predicted; the classes whose pixels it took lose by it.
    """

    iou: Float[np.ndarray, " k"]
    precision: Float[np.ndarray, " k"]
    recall: Float[np.ndarray, " k"]
    f1: Float[np.ndarray, " k"]
    miou: float
    accuracy: float


def confusion(
    prediction: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], classes: int
) -> Int[np.ndarray, "k k"]:
    """Count pixels by truth (row) and prediction (column), without those whose truth is IGNORE.

    Raises:
        ValueError: shapes differ, or a value is no class.
    """
    if prediction.shape != mask.shape:
        raise ValueError(f"prediction is {prediction.shape} and mask {mask.shape}; they must agree")
    here = mask != IGNORE
    truth, guess = mask[here].astype(np.int64), prediction[here]
    if truth.size and max(int(truth.max()), int(guess.max())) >= classes:
        raise ValueError(
            f"values must be below {classes}; found truth up to {truth.max()}, "
            f"prediction up to {guess.max()}"
        )
    return np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes)


def scores(confusion: Int[np.ndarray, "*tiles k k"], ignored: tuple[int, ...] = ()) -> Scores:
    """Compute per-class and mean scores; leading axes are summed first.

    `iou` = hits / (truth + predicted - hits) of a class, `miou` its mean over the classes present
    in the truth, `accuracy` = hits of all classes / pixels with a class.

    Args:
        ignored: classes to ignore, such as a background that means "anything else". Pixels whose
            truth is such a class do not count, whatever is predicted there; where one is predicted
            on another pixel, that pixel is missed. Its own scores are NaN.

    Raises:
        NoLabelsError: the matrix is empty, so no score is defined.
    """
    pooled = confusion.reshape(-1, *confusion.shape[-2:]).sum(axis=0).astype(float)
    pooled[list(ignored)] = 0
    if pooled.sum() == 0:
        raise NoLabelsError("no pixel of the tiles scored carries a class; check the test split")
    hits, truth, predicted = np.diag(pooled), pooled.sum(axis=1), pooled.sum(axis=0)
    present = truth > 0
    claimed = predicted > 0
    claimed[list(ignored)] = False
    iou = _share(hits, truth + predicted - hits, present)
    return Scores(
        iou=iou,
        precision=_share(hits, predicted, claimed),
        recall=_share(hits, truth, present),
        f1=_share(2 * hits, truth + predicted, present),
        miou=float(iou[present].mean()),
        accuracy=float(hits.sum() / pooled.sum()),
    )


def without(mask: UInt8[np.ndarray, "h w"], ignored: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    """Return the mask with the pixels of ignored classes as IGNORE."""
    if not ignored:
        return mask
    return np.where(np.isin(mask, ignored), np.uint8(IGNORE), mask)


def known(value: float, digits: int | None = None) -> float | None:
    """Convert a score to JSON, which has no NaN: None where it is undefined, rounded if asked."""
    if np.isnan(value):
        return None
    return float(value) if digits is None else round(float(value), digits)


def _share(part: np.ndarray, whole: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=where)
