"""Validation: what a training may look at to choose something, on places that neither train nor
test.

Somebody with few labels can only score on few labels; a study can also score on dense masks, which
says what the choice would have been worth. Both are computed here, one of them decides.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.metrics import confusion, scores
from fewlabels.models import STRIDE, normalise
from fewlabels.types import Tile

MODES = ("none", "sparse", "dense")


@torch.inference_mode()
def validate(
    model: nn.Module,
    tiles: Iterable[Tile],
    drawn: Mapping[str, UInt8[np.ndarray, "h w"]],
    classes: int,
    loss: Callable[..., Tensor],
    mode: str,
    compute: Compute,
) -> dict[str, float]:
    """Scores of a network on validation tiles, by their sparse labels and by their dense masks.

    Args:
        drawn: the sparse labels of each tile, by its id.
        loss: the one that trains.
        mode: `sparse` or `dense`: which labels `val_loss` is of.

    Returns:
        `val_sparse_miou`, `val_dense_miou`: mean IoU, as `metrics.scores`, over the labelled
        pixels of all tiles. `val_loss`: the loss over a whole tile, averaged over the tiles.

    Raises:
        NoLabelsError: no validation pixel carries a class.
    """
    sparse, dense, values = 0, 0, []
    for tile in tiles:
        logits, labels = _logits(model, tile.image, compute), drawn[tile.id]
        truth = torch.from_numpy((labels if mode == "sparse" else tile.mask).astype(np.int64))
        values.append(float(loss(logits, truth[None].to(compute.device))))
        guess = logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        sparse = sparse + confusion(guess, labels, classes)
        dense = dense + confusion(guess, tile.mask, classes)
    return {
        "val_loss": sum(values) / len(values),
        "val_sparse_miou": scores(sparse).miou,
        "val_dense_miou": scores(dense).miou,
    }


def _logits(
    model: nn.Module, image: UInt8[np.ndarray, "h w c"], compute: Compute
) -> Float[Tensor, "1 k h w"]:
    """Logits of a whole image, mirrored up to the network's stride and cut back."""
    h, w = image.shape[:2]
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    x = normalise(x.to(compute.device))
    pad = (0, -w % STRIDE, 0, -h % STRIDE)
    x = F.pad(x, pad, mode="reflect" if min(h, w) > STRIDE else "replicate")
    with compute.autocast():
        logits = model.eval()(compute.laid_out(x))
    return logits[..., :h, :w].float()
