"""Losses that are a mean over labelled pixels: partial cross-entropy and its focal form."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fewlabels.training.losses.labelled import fitting_weights, labelled_pixels
from fewlabels.types import IGNORE

_TINY = 1e-12  # below it a base of a power, or a sum of weights, counts as this


def partial_cross_entropy(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    class_weights: Float[Tensor, " k"] | None = None,
    ignored: tuple[int, ...] = (),
) -> Float[Tensor, ""]:
    """Average the cross-entropy in nats over the labelled pixels of the batch.

    The denominator is the number of labelled pixels, not b*h*w, so the loss keeps its scale (and
    the learning rate its meaning) as labels get rarer. A batch without labels gives 0 with a
    graph. Logits of half precision are computed in float32 (float64 stays).

    Args:
        labels: class in [0, k), or IGNORE where the pixel has no label.
        class_weights: makes it the weighted mean, sum(w * ce) / sum(w) over labelled pixels.
        ignored: classes to ignore; their logits stay in the softmax.

    Raises:
        ValueError: shapes, weights or classes that do not fit, or labels that are neither a class
            nor IGNORE.

    Source: Tang et al. 2018, https://arxiv.org/abs/1804.01346
    """
    weights = fitting_weights(class_weights, logits)
    scores, truth, count = labelled_pixels(logits, labels, ignored=ignored)
    summed = F.cross_entropy(scores, truth, weights, ignore_index=IGNORE, reduction="sum")
    return summed / _at_least(_TINY, count if weights is None else _of(weights, truth).sum())


def partial_focal(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    class_weights: Float[Tensor, " k"] | None = None,
    ignored: tuple[int, ...] = (),
) -> Float[Tensor, ""]:
    """Average the softmax focal loss, `(1 - p_y)^gamma * -log p_y` in nats, over labelled pixels.

    Denominator and arguments are those of `partial_cross_entropy`, which is the case gamma = 0.

    Args:
        gamma: how fast a well-classified pixel stops counting; at least 0.
        alpha: one factor on the whole loss. In the multi-class softmax form it does not balance
            classes (use `class_weights`) and only rescales.

    Raises:
        ValueError: gamma below 0, and as `partial_cross_entropy`.

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002
    """
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, found {gamma}")
    if gamma == 0:
        mean = partial_cross_entropy(logits, labels, class_weights=class_weights, ignored=ignored)
        return mean if alpha is None else alpha * mean
    weights = fitting_weights(class_weights, logits)
    scores, truth, count = labelled_pixels(logits, labels, ignored=ignored)
    log_p = -F.cross_entropy(scores, truth, ignore_index=IGNORE, reduction="none")
    focal = -log_p * (-torch.expm1(log_p)).clamp(min=_TINY) ** gamma  # 0 where there is no label
    if weights is None:
        mean = focal.sum() / _at_least(_TINY, count)
    else:
        weight = _of(weights, truth)
        mean = (weight * focal).sum() / _at_least(_TINY, weight.sum())
    return mean if alpha is None else alpha * mean


def _of(class_weights: Float[Tensor, " k"], truth: Int[Tensor, "n *rest"]) -> Tensor:
    """Look up the weight of each pixel: its class's, or 0 where there is no label."""
    table = F.pad(class_weights, (0, IGNORE + 1 - len(class_weights)))
    return table.index_select(0, truth.flatten()).view_as(truth)


def _at_least(least: float, count: int | Tensor) -> float | Tensor:
    return count.clamp(min=least) if isinstance(count, Tensor) else max(count, least)
