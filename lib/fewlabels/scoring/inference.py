"""Predict whole images of any size, and count per tile what all scores follow from.

An image is mirrored at its right and lower edge up to a multiple of the network's stride, or, where
it does not fit the memory, read in overlapping windows. In windows a network sees less around each
pixel than in the whole image, so the two agree only as far as that does not matter to it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int, UInt8
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.scoring import boundaries, calibration, metrics
from fewlabels.scoring.metrics import Statistics, confusion, without
from fewlabels.training.networks import STRIDE, normalise
from fewlabels.types import Row, Tile

AT_ONCE = 4  # images of which the activations are in memory together, at most

R = TypeVar("R")
_sharing = Lock()


def predict(
    model: nn.Module,
    image: UInt8[np.ndarray, "h w c"],
    compute: Compute,
    *,
    window: int | None = None,
    overlap: int | None = None,
) -> UInt8[np.ndarray, "h w"]:
    """Predict the most probable class of every pixel of one image; the first of equals.

    The model is put into evaluation mode and left so, here and below.

    Args:
        window: largest side in pixels that the network is given at once; the whole image if None.
        overlap: pixels that neighbouring windows share at least; a quarter of `window` if None.

    Raises:
        ValueError: a window without pixels, or an overlap that is not smaller than the window.
    """
    scores = logits(model, image, compute, window=window, overlap=overlap)
    return scores.max(dim=0).indices.to(torch.uint8).cpu().numpy()  # faster than argmax on a CPU


def probabilities(
    model: nn.Module,
    image: UInt8[np.ndarray, "h w c"],
    compute: Compute,
    *,
    window: int | None = None,
    overlap: int | None = None,
) -> Float32[np.ndarray, "k h w"]:
    """Compute the softmax of every pixel's logits in float32; arguments as for `predict`."""
    scores = logits(model, image, compute, window=window, overlap=overlap)
    return scores.softmax(dim=0).cpu().numpy()


def confusions(
    model: nn.Module, tiles: Iterable[Tile], classes: int, compute: Compute
) -> Int[np.ndarray, "tiles k k"]:
    """Compute the confusion matrix of each tile (rows truth, columns prediction), without void."""

    def counted(tile: Tile) -> Int[np.ndarray, "k k"]:
        return confusion(predict(model, tile.image, compute), tile.mask, classes)

    return np.stack(_of_each(counted, model, tiles, compute))


def watched(
    model: nn.Module,
    tiles: Iterable[Tile],
    classes: int,
    compute: Compute,
    *,
    ignored: tuple[int, ...] = (),
) -> Row:
    """Score the tiles for a training curve: `miou` and `accuracy`, as `metrics.scores`, and the
    `confusion` of them all.
    """
    found = confusions(model, tiles, classes, compute).sum(axis=0)
    score = metrics.scores(found, ignored)
    return {"miou": score.miou, "accuracy": score.accuracy, "confusion": found.tolist()}


def statistics(
    model: nn.Module,
    tiles: Iterable[Tile],
    classes: int,
    compute: Compute,
    *,
    ignored: tuple[int, ...] = (),
    window: int | None = None,
    overlap: int | None = None,
) -> Statistics:
    """Count what all scores of the tiles follow from, from one prediction a tile.

    Args:
        ignored: classes to ignore: to boundaries and calibration their pixels are void. The
            confusion matrices keep them; `metrics.scores` ignores them.
        window, overlap: as for `predict`.
    """

    def counted(tile: Tile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores = logits(model, tile.image, compute, window=window, overlap=overlap)
        prediction, confidence = _decided(scores)
        mask = without(tile.mask, ignored)
        return (
            confusion(prediction, tile.mask, classes),
            boundaries.counts(prediction, mask, classes),
            calibration.bins(confidence, prediction, mask),
        )

    found = _of_each(counted, model, tiles, compute)
    return Statistics(*map(np.stack, zip(*found, strict=True)))


@torch.inference_mode()
def logits(
    model: nn.Module,
    image: UInt8[np.ndarray, "h w c"],
    compute: Compute,
    *,
    window: int | None = None,
    overlap: int | None = None,
) -> Float32[Tensor, "k h w"]:
    """Compute the logits of every pixel, on the device; where windows overlap, their mean weighted
    by `taper`.
    """
    h, w = image.shape[:2]
    if window is not None and (window < 1 or not 0 <= (overlap or 0) < window):
        raise ValueError(
            f"window {window} with an overlap of {overlap}: a window has at least 1 pixel and "
            "windows share fewer than it has"
        )
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(compute.device)  # read-only view
    if window is None or window >= max(h, w):
        return _whole(model, x, compute)
    shared = window // 4 if overlap is None else overlap
    total = None
    for rows, columns in product(spans(h, window, shared), spans(w, window, shared)):
        found = _whole(model, x[:, :, rows, columns], compute)
        weight = taper(*found.shape[1:]).to(found)
        if total is None:
            total = found.new_zeros(len(found), h, w)
            weights = found.new_zeros(h, w)
        total[:, rows, columns] += weight * found
        weights[rows, columns] += weight
    return total / weights


def _of_each(
    found: Callable[[Tile], R], model: nn.Module, tiles: Iterable[Tile], compute: Compute
) -> list[R]:
    """Call found(tile) for each, in order. On a CPU up to AT_ONCE tiles share its threads, which
    keeps them busier; tiles are read as they are needed.

    One after the other where the network has hooks, which may keep something of a tile, and where
    another thread is in here: the number of threads is a setting of the process.
    """
    threads = torch.get_num_threads()
    at_once = max(n for n in range(1, AT_ONCE + 1) if threads % n == 0)
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    alone = compute.device.type != "cpu" or at_once == 1 or hooked
    if alone or not _sharing.acquire(blocking=False):
        return [found(tile) for tile in tiles]
    try:
        done, coming = [], deque()
        with ThreadPoolExecutor(at_once, "", torch.set_num_threads, (threads // at_once,)) as pool:
            for tile in tiles:
                coming.append(pool.submit(found, tile))
                if len(coming) > at_once:
                    done.append(coming.popleft().result())
            return done + [one.result() for one in coming]
    finally:
        torch.set_num_threads(threads)
        _sharing.release()


def _whole(model: nn.Module, x: UInt8[Tensor, "1 c h w"], compute: Compute) -> Tensor:
    h, w = x.shape[2:]
    pad = (0, -w % STRIDE, 0, -h % STRIDE)
    padded = F.pad(normalise(x), pad, mode="reflect" if min(h, w) > STRIDE else "replicate")
    with compute.autocast():
        found = model.eval()(compute.laid_out(padded))
    return found[0, :, :h, :w].float().contiguous()  # classes first, which reading is faster in


@torch.inference_mode()
def _decided(
    scores: Float32[Tensor, "k h w"],
) -> tuple[UInt8[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Return predicted class and its probability: softmax of the greatest logit alone."""
    greatest, at = scores.max(dim=0)
    confidence = (scores - greatest).exp_().sum(dim=0).reciprocal_()
    return at.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy()


def spans(size: int, window: int, overlap: int) -> list[slice]:
    """Lay windows along one side, as few and as evenly spaced as the overlap allows."""
    if size <= window:
        return [slice(0, size)]
    steps = -(-(size - window) // (window - overlap))
    starts = (i * (size - window) // steps for i in range(steps + 1))
    return [slice(at, at + window) for at in starts]


def taper(h: int, w: int) -> Float32[Tensor, "h w"]:
    """Weigh a window's pixels: a squared sine that falls from the centre to the edge, where a
    network sees least.
    """
    y, x = (torch.sin((torch.arange(n) + 0.5) * torch.pi / n) ** 2 for n in (h, w))
    return y[:, None] * x
