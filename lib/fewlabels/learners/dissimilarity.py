"""How unlike pixels are to those that trained a learner.

The dissimilarity of a pixel is its distance to the nearest training pixel, in the space of the
standardised features, each weighted by its importance to the learner, over the mean distance of the
training pixels from each other.

Source: Meyer and Pebesma 2021, https://doi.org/10.1111/2041-210X.13650
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32
from sklearn.metrics import pairwise_distances, pairwise_distances_argmin_min

from fewlabels.learners.heads import Head, Linear

WHISKER = 1.5  # interquartile ranges above the upper quartile: beyond are outliers


@dataclass(frozen=True)
class Space:
    """The training pixels that others are compared with.

    Attributes:
        x: standardised and weighted features, `(feature - middle) * scale`.
        mean: distance between two of them in the space of `x`; 0 where all look the same.
    """

    x: Float32[np.ndarray, "n d"]
    middle: Float32[np.ndarray, " d"]
    scale: Float32[np.ndarray, " d"]
    mean: float

    def dissimilarity(self, values: Float32[np.ndarray, "m d"]) -> Float32[np.ndarray, " m"]:
        """Compute the dissimilarity of pixels from their features."""
        return (nearest((values - self.middle) * self.scale, self.x) / self.mean).astype("f4")


def space(values: Float32[np.ndarray, "n d"], head: Head) -> Space:
    """Describe the training pixels of a learner, to half precision, from their features."""
    middle, deviation = values.mean(axis=0), values.std(axis=0)
    weight = importance(head, deviation)
    scale = np.divide(weight, deviation, out=np.zeros_like(weight), where=deviation > 0)
    x = ((values - middle) * scale).astype(np.float16).astype(np.float32)
    mean = pairwise_distances(x).sum() / max(1, len(x) * (len(x) - 1))
    return Space(x, middle, scale, float(mean))


def importance(head: Head, deviation: Float32[np.ndarray, " d"]) -> Float32[np.ndarray, " d"]:
    """Weigh the features of a learner, 1 on average: by the mean absolute weight of the
    standardised feature over the classes, or by how much splits at it purify a forest's nodes.
    """
    if isinstance(head, Linear):
        found = np.abs(head.weights).mean(axis=0) * deviation
    else:
        found = head.forest.feature_importances_
    return (found / max(found.mean(), np.finfo(np.float32).tiny)).astype(np.float32)


def nearest(
    some: Float32[np.ndarray, "m d"], others: Float32[np.ndarray, "n d"]
) -> Float[np.ndarray, " m"]:
    """Compute the distance of each row to the nearest of the others."""
    return pairwise_distances_argmin_min(some, others)[1]


def whisker(values: Float[np.ndarray, " n"]) -> float:
    """Return the largest value that is no outlier: not above the upper quartile by more than 1.5
    interquartile ranges.
    """
    low, high = np.percentile(values, (25, 75))
    return float(values[values <= high + WHISKER * (high - low)].max())
