"""Losses that compare regions: Dice, Tversky and focal Tversky over labelled pixels.

Each is a ratio of sums over the labelled pixels of the whole batch, so numerator and denominator
shrink together as labels get rarer. None adds a smoothing constant, whose weight would change with
the label density.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewlabels.training.losses.labelled import fitting_weights, labelled_pixels
from fewlabels.types import IGNORE

_TINY = 1e-12  # below it a base of a power, or a denominator, counts as this


def partial_dice(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    class_weights: Float[Tensor, " k"] | None = None,
    ignored: tuple[int, ...] = (),
) -> Float[Tensor, ""]:
    """Average the soft Dice loss, in [0, 1], over the classes that the batch has labels of.

    For one class, `1 - 2 TP / (2 TP + FP + FN)`: the case alpha = beta = 0.5 of `partial_tversky`,
    which defines the sums, the denominators and the arguments, and raises the same.

    Source: Milletari et al. 2016, https://arxiv.org/abs/1606.04797 (here without the squares of
    their denominator, as in Drozdzal et al. 2016, https://arxiv.org/abs/1608.04117)
    """
    lost, weight = _lost(logits, labels, 0.5, 0.5, class_weights, ignored)
    return _mean(lost, weight)


def partial_tversky(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    class_weights: Float[Tensor, " k"] | None = None,
    ignored: tuple[int, ...] = (),
) -> Float[Tensor, ""]:
    """Average the soft Tversky loss, in [0, 1], over the classes that the batch has labels of.

    For one class, `1 - TP / (TP + alpha FP + beta FN)` with softmax probabilities p summed over
    the labelled pixels of the batch: TP = p where it is the label, FN = 1 - p there, FP = p at the
    other labelled pixels. A class without a label in the batch is not in the mean: probability
    given to it is missing from the true class and counts there. A batch without labels gives 0
    with a graph.

    Args:
        labels: class in [0, k), or IGNORE where the pixel has no label.
        alpha: weight of false positives, at least 0.
        beta: weight of false negatives, at least 0; not both 0.
        class_weights: makes it the weighted mean over those classes, sum(w * loss) / sum(w).
        ignored: classes to ignore; their logits stay in the softmax.

    Raises:
        ValueError: alpha or beta below 0 or both 0; shapes, weights or classes that do not fit, or
            labels that are neither a class nor IGNORE.

    Source: Salehi et al. 2017, https://arxiv.org/abs/1706.05721
    """
    lost, weight = _lost(logits, labels, alpha, beta, class_weights, ignored)
    return _mean(lost, weight)


def partial_focal_tversky(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    class_weights: Float[Tensor, " k"] | None = None,
    ignored: tuple[int, ...] = (),
) -> Float[Tensor, ""]:
    """Average each class's Tversky loss to the power 1 / gamma, as `partial_tversky` does.

    Args:
        alpha, beta: weights of false positives and of false negatives, as in `partial_tversky`
            (the source names them the other way round).
        gamma: above 0; above 1 it raises the share of classes that are nearly right. At 1 this is
            `partial_tversky`.

    Raises:
        ValueError: gamma not above 0, and as `partial_tversky`.

    Source: Abraham and Khan 2019, https://arxiv.org/abs/1810.07842
    """
    if gamma <= 0:
        raise ValueError(f"gamma must be above 0, found {gamma}")
    lost, weight = _lost(logits, labels, alpha, beta, class_weights, ignored)
    return _mean(lost.clamp(min=_TINY) ** (1 / gamma), weight)


def _mean(lost: Float[Tensor, " k"], weight: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    return (weight * lost).sum() / weight.sum().clamp(min=_TINY)


def _lost(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    alpha: float,
    beta: float,
    class_weights: Float[Tensor, " k"] | None,
    ignored: tuple[int, ...],
) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Return Tversky loss and weight of each class; both 0 where the batch has no label of it."""
    if alpha < 0 or beta < 0 or alpha + beta == 0:
        raise ValueError(
            f"alpha and beta must be at least 0 and not both 0, found {alpha} and {beta}"
        )
    weights = fitting_weights(class_weights, logits)
    scores, truth, _ = labelled_pixels(logits, labels, ignored=ignored)
    p = scores.softmax(dim=1)
    classes = torch.arange(p.shape[1], device=p.device).view(-1, *[1] * (truth.ndim - 1))
    here = truth.unsqueeze(1) == classes
    others = (truth != IGNORE).unsqueeze(1) & ~here
    pixels = [axis for axis in range(p.ndim) if axis != 1]
    hit = (p * here).sum(pixels)
    wrong = alpha * (p * others).sum(pixels) + beta * ((1 - p) * here).sum(pixels)
    present = here.any(dim=pixels)
    weight = present.to(p.dtype) if weights is None else weights * present
    return wrong / (hit + wrong).clamp(min=_TINY), weight
