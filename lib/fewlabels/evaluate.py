"""Dense evaluation: whole images against dense masks, one confusion matrix a tile."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from torch import nn

from fewlabels.devices import Compute
from fewlabels.metrics import confusion
from fewlabels.models import STRIDE, normalise
from fewlabels.types import Tile


@torch.inference_mode()
def predict(
    model: nn.Module, image: UInt8[np.ndarray, "h w c"], compute: Compute
) -> UInt8[np.ndarray, "h w"]:
    """The most probable class of every pixel of one image.

    The image is mirrored at its right and lower edge up to a multiple of the network's stride;
    the model is put into evaluation mode and left so.
    """
    h, w = image.shape[:2]
    x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]  # a tile is a read-only view
    x = normalise(x.to(compute.device))
    pad = (0, -w % STRIDE, 0, -h % STRIDE)
    x = F.pad(x, pad, mode="reflect" if min(h, w) > STRIDE else "replicate")
    with compute.autocast():
        logits = model.eval()(compute.laid_out(x))
    return logits[0, :, :h, :w].argmax(dim=0).to(torch.uint8).cpu().numpy()


def confusions(
    model: nn.Module, tiles: Iterable[Tile], classes: int, compute: Compute
) -> Int[np.ndarray, "tiles k k"]:
    """Confusion matrix of each tile (rows truth, columns prediction), void pixels left out."""
    return np.stack(
        [confusion(predict(model, tile.image, compute), tile.mask, classes) for tile in tiles]
    )
