"""Whether a network is right as often as it is sure: the expected calibration error.

Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
"""

import numpy as np
from jaxtyping import Float, Float32, UInt8

from fewlabels.types import IGNORE

BINS = 15
"""Equal bins of confidence, (0, 1/15] to (14/15, 1]."""


def bins(
    confidence: Float32[np.ndarray, "h w"],
    prediction: UInt8[np.ndarray, "h w"],
    mask: UInt8[np.ndarray, "h w"],
) -> Float[np.ndarray, "15 3"]:
    """Count by bin: pixels, sum of their confidence, and how many were right; void is not counted.

    Args:
        confidence: probability of the predicted class, the greatest softmax output.
    """
    here = mask != IGNORE
    sure = confidence[here]
    at = np.clip(np.ceil(sure * np.float32(BINS)).astype(np.intp) - 1, 0, BINS - 1)
    hit = at[prediction[here] == mask[here]]
    columns = (np.bincount(at), np.bincount(at, sure), np.bincount(hit))
    return np.stack([np.pad(c, (0, BINS - len(c))) for c in columns], axis=1).astype(np.float64)


def error(bins: Float[np.ndarray, "*tiles 15 3"]) -> float:
    """Compute the expected calibration error in [0, 1]; leading axes are summed first.

    The mean over bins of |share right - mean confidence|, weighted by the bin's pixels: the
    denominator is all pixels that carry a class. NaN where there are none.
    """
    pixels, sure, right = bins.reshape(-1, *bins.shape[-2:]).sum(axis=0).T
    return float(np.abs(right - sure).sum() / pixels.sum()) if pixels.sum() else float("nan")
