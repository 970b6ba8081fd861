"""Score a network during training, on sites that neither train nor test.

A user has only sparse labels to validate on; a study can also validate on dense masks. Both scores
are computed; the run's `validation` says which one decides.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from fewlabels.devices import Compute
from fewlabels.scoring import inference
from fewlabels.scoring.metrics import confusion, scores
from fewlabels.types import Row, Tile

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
    *,
    ignored: tuple[int, ...] = (),
) -> Row:
    """Score a network on validation tiles, by their sparse labels and by their dense masks.

    Args:
        drawn: the sparse labels of each tile, by its id.
        loss: the one that trains.
        mode: `sparse` or `dense`: which labels `val_loss` is of.
        ignored: classes to ignore, for both scores; `loss` knows them already.

    Returns:
        `val_sparse_confusion`, `val_dense_confusion`: as `metrics.confusion`, of all tiles.
        `val_sparse_miou`, `val_dense_miou`: their mean IoU, as `metrics.scores`.
        `val_loss`: the loss over a whole tile, averaged over the tiles.

    Raises:
        NoLabelsError: no validation pixel carries a class.
    """
    sparse, dense, values = 0, 0, []
    for tile in tiles:
        logits, labels = inference.logits(model, tile.image, compute), drawn[tile.id]
        truth = torch.from_numpy((labels if mode == "sparse" else tile.mask).astype(np.int64))
        values.append(float(loss(logits[None], truth[None].to(compute.device))))
        guess = logits.max(dim=0).indices.to(torch.uint8).cpu().numpy()
        sparse = sparse + confusion(guess, labels, classes)
        dense = dense + confusion(guess, tile.mask, classes)
    return {
        "val_loss": sum(values) / len(values),
        "val_sparse_confusion": sparse.tolist(),
        "val_dense_confusion": dense.tolist(),
        "val_sparse_miou": scores(sparse, ignored).miou,
        "val_dense_miou": scores(dense, ignored).miou,
    }
