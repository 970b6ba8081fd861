"""Losses over labelled pixels only.

Each takes logits and labels and returns one number whose denominator is stated, because the
denominator is the method: dividing by all pixels would shrink the loss, and with it the effective
learning rate, as labels get rarer.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fewlabels.types import IGNORE, unknown


def partial_cross_entropy(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    class_weights: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy in nats, averaged over the labelled pixels of the batch.

    The denominator is the number of labelled pixels, not b*h*w, so the loss keeps its scale (and
    the learning rate its meaning) as labels get rarer. A batch without labels gives 0 with a
    graph. Logits of any float type are computed in float32 (float64 stays).

    Args:
        labels: class in [0, k), or IGNORE where the pixel has no label.
        class_weights: makes it the weighted mean, sum(w * ce) / sum(w).

    Raises:
        ValueError: shapes that do not fit, or labels that are neither a class nor IGNORE.

    Source: Tang et al. 2018, https://arxiv.org/abs/1804.01346
    """
    return partial_focal(logits, labels, gamma=0.0, class_weights=class_weights)


def partial_focal(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    class_weights: Float[Tensor, " k"] | None = None,
) -> Float[Tensor, ""]:
    """Softmax focal loss in nats, `(1 - p_y)^gamma * -log p_y`, averaged over labelled pixels.

    The denominator is that of `partial_cross_entropy`, which is the case gamma = 0.

    Args:
        labels: class in [0, k), or IGNORE where the pixel has no label.
        gamma: how fast a well-classified pixel stops counting; at least 0.
        alpha: one factor on the whole loss. In the multi-class softmax form it does not balance
            classes (use `class_weights`) and only rescales.
        class_weights: makes it the weighted mean, sum(w * focal) / sum(w).

    Raises:
        ValueError: gamma below 0, shapes that do not fit, or labels outside [0, k).

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002
    """
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, found {gamma}")
    scores, truth = labelled_pixels(logits, labels)
    _check_weights(class_weights, logits.shape[1])
    if truth.numel() == 0:
        return logits.sum() * 0.0
    log_p = -F.cross_entropy(scores, truth, reduction="none")
    loss = -log_p if gamma == 0 else -log_p * (-torch.expm1(log_p)).clamp(min=_TINY) ** gamma
    weight = torch.ones_like(loss) if class_weights is None else class_weights.to(loss)[truth]
    mean = (weight * loss).sum() / weight.sum()
    return mean if alpha is None else alpha * mean


def labelled_pixels(
    logits: Float[Tensor, "b k h w"], labels: Int[Tensor, "b h w"]
) -> tuple[Float[Tensor, "n k"], Int[Tensor, " n"]]:
    """Logits and classes of the labelled pixels alone, in at least float32.

    Raises:
        ValueError: shapes that do not fit, or labels that are neither a class nor IGNORE.
    """
    b, k, h, w = logits.shape
    if labels.shape != (b, h, w):
        raise ValueError(
            f"labels must be {(b, h, w)} for logits {(b, k, h, w)}, found {tuple(labels.shape)}"
        )
    here = labels != IGNORE
    truth = labels[here].long()
    if truth.numel() and not 0 <= int(truth.min()) <= int(truth.max()) < k:
        raise ValueError(
            f"labels must lie in [0, {k}) or be {IGNORE} (no label); "
            f"found {int(truth.min())} to {int(truth.max())}"
        )
    scores = logits.permute(0, 2, 3, 1)[here]
    return scores if scores.dtype == torch.float64 else scores.float(), truth


def class_weights(
    counts: Int[np.ndarray, " k"], how: str, *, bound: float = 10.0
) -> Float[Tensor, " k"] | None:
    """Class weights from the pixels of one draw, computed once a run; None for `none`.

    Args:
        counts: labelled pixels of each class, at least one of some class.
        how: `none`, `inverse` (1 / n_c) or `median` (median of n over n_c).
        bound: a weight lies in [1 / bound, bound] after the weights are scaled so that the mean
            over labelled pixels is 1; a class without labels gets 1, it never counts.

    Raises:
        UnknownName: no such `how`.

    Source: median frequency, Eigen and Fergus 2015, https://arxiv.org/abs/1411.4734
    """
    if how not in WEIGHTINGS:
        raise unknown("class weighting", how, WEIGHTINGS)
    if how == "none":
        return None
    present = counts > 0
    weights = np.ones(len(counts))
    weights[present] = WEIGHTINGS[how](counts[present].astype(float))
    mean = (weights * counts).sum() / counts.sum()
    weights[present] = np.clip(weights[present] / mean, 1 / bound, bound)
    return torch.tensor(weights, dtype=torch.float32)


WEIGHTINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": np.ones_like,
    "inverse": lambda n: 1 / n,
    "median": lambda n: np.median(n) / n,
}

LOSSES: dict[str, Callable[..., Tensor]] = {
    "partial_cross_entropy": partial_cross_entropy,
    "partial_focal": partial_focal,
}

_TINY = 1e-12  # keeps the gradient of x^gamma finite at x = 0 for gamma below 1


def _check_weights(weights: Tensor | None, classes: int) -> None:
    if weights is not None and weights.shape != (classes,):
        raise ValueError(f"class_weights must hold {classes} numbers, found {tuple(weights.shape)}")
