"""Which pixels a loss sees, and in what layout: the fastest for the labels' density.

Where few pixels are labelled, only their logits are read and only their gradients written. Where
many are, a fused pass over all pixels is faster than picking them out. Both give the same loss.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewlabels.types import IGNORE

DENSE = 1 / 4
"""Share of labelled pixels above which all pixels are computed; see bench/loss.py."""


class Pixels(NamedTuple):
    """Pixels that hold all labelled ones, axis 1 the classes, and how many of them are labelled.

    Attributes:
        scores: logits in at least float32.
        truth: class of each pixel, or IGNORE.
        count: of the labelled ones; a tensor where reading it would break a graph.
    """

    scores: Float[Tensor, "n k *rest"]
    truth: Int[Tensor, "n *rest"]
    count: int | Tensor


def labelled_pixels(
    logits: Float[Tensor, "b k h w"],
    labels: Int[Tensor, "b h w"],
    *,
    ignored: tuple[int, ...] = (),
) -> Pixels:
    """Return the labelled pixels alone, or, above the density DENSE, every pixel.

    On a CPU the classes come before the pixels, (1, k, n) or (b, k, h, w), which softmax is several
    times faster in; elsewhere pixels are rows, (n, k), because the 2-d loss kernel of CUDA is not
    deterministic. On XLA, and inside `torch.compile`, it is every pixel as rows at any density, so
    that no shape and no branch depends on the labels.

    Args:
        labels: class in [0, k), or IGNORE where the pixel has no label.
        ignored: classes to ignore.

    Raises:
        ValueError: shapes that do not fit, an ignored class that is not there, or labels that are
            neither a class nor IGNORE (not checked on XLA and in `torch.compile`, where reading
            them would break the graph).
    """
    _check_shapes(logits, labels)
    labels = _without(labels.long(), ignored, logits.shape[1])
    labelled = labels != IGNORE
    if logits.device.type == "xla" or torch.compiler.is_compiling():
        return every_pixel(logits, labels, labelled.sum())
    count = int(labelled.count_nonzero())
    if count <= DENSE * labels.numel():
        return picked_pixels(logits, labels, labelled)
    _check_all(labels, count, logits.shape[1])
    if logits.device.type == "cpu":
        return Pixels(at_least_float32(logits), labels, count)
    return every_pixel(logits, labels, count)


def picked_pixels(
    logits: Float[Tensor, "b k h w"], labels: Int[Tensor, "b h w"], labelled: Bool[Tensor, "b h w"]
) -> Pixels:
    """Pick the pixels where `labelled` is true, reading and (backwards) writing in the logits' own
    memory layout (NCHW or channels_last).
    """
    _, k, h, w = logits.shape
    where = labelled.flatten().nonzero().squeeze(1)
    truth = labels.flatten().index_select(0, where)
    if truth.numel():
        _check_range(truth, k)
    if logits.is_contiguous():
        flat, step = logits.reshape(-1), h * w
        start = where + where // step * ((k - 1) * step)
    else:
        flat, step = logits.permute(0, 2, 3, 1).reshape(-1), 1
        start = where * k
    address = start + step * torch.arange(k, device=where.device)[:, None]
    scores = at_least_float32(flat.index_select(0, address.flatten()).view(k, -1))
    if logits.device.type == "cpu":
        return Pixels(scores[None], truth[None], len(truth))
    return Pixels(scores.T, truth, len(truth))


def every_pixel(
    logits: Float[Tensor, "b k h w"], labels: Int[Tensor, "b h w"], count: int | Tensor
) -> Pixels:
    """Return all b*h*w pixels as rows: shapes do not depend on the labels."""
    rows = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return Pixels(at_least_float32(rows), labels.flatten(), count)


def at_least_float32(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Widen half precision to float32."""
    return x if x.dtype == torch.float64 else x.float()


def fitting_weights(
    class_weights: Float[Tensor, " k"] | None, logits: Float[Tensor, "b k h w"]
) -> Float[Tensor, " k"] | None:
    """Move class weights to the type and device in which the loss of `logits` is computed.

    Raises:
        ValueError: not one number a class.
    """
    if class_weights is None:
        return None
    classes = logits.shape[1]
    if class_weights.shape != (classes,):
        raise ValueError(
            f"class_weights must hold {classes} numbers, found {tuple(class_weights.shape)}"
        )
    wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
    return class_weights.to(logits.device, wide)


def _check_shapes(logits: Tensor, labels: Tensor) -> None:
    if logits.ndim != 4:
        raise ValueError(f"logits must be (b, k, h, w), found {tuple(logits.shape)}")
    b, k, h, w = logits.shape
    if labels.shape != (b, h, w):
        raise ValueError(
            f"labels must be {(b, h, w)} for logits {(b, k, h, w)}, found {tuple(labels.shape)}"
        )
    if k > IGNORE:
        raise ValueError(f"logits must have at most {IGNORE} classes, found {k}")


def _without(labels: Tensor, ignored: tuple[int, ...], classes: int) -> Tensor:
    unknown = [c for c in ignored if not 0 <= c < classes]
    if unknown or len(set(ignored)) == classes:
        raise ValueError(
            f"ignored must name some, not all, of the classes [0, {classes}), found {ignored}"
        )
    for c in ignored:
        labels = labels.masked_fill(labels == c, IGNORE)
    return labels


def _check_all(labels: Tensor, count: int, classes: int) -> None:
    """Check the range of the labelled pixels, `count` in all, without picking them out."""
    low, high = (int(v) for v in labels.aminmax())
    if low < 0 or (high >= classes and int((labels < classes).count_nonzero()) != count):
        _check_range(labels[labels != IGNORE], classes)


def _check_range(truth: Tensor, classes: int) -> None:
    low, high = (int(v) for v in truth.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels must lie in [0, {classes}) or be {IGNORE} (no label); found {low} to {high}"
        )
