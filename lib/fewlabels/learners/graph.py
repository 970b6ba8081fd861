"""Learners as one torch module from the bytes of an image to class probabilities, for export.

The features are those of `bank.layers`, the texture filters among them as convolutions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from fewlabels.learners import Predictor, frozen, texture
from fewlabels.learners import bank as banks
from fewlabels.learners.bank import Bank, Layer
from fewlabels.learners.features import FeaturePredictor
from fewlabels.learners.frozen import Encoder
from fewlabels.learners.heads import Linear
from fewlabels.learners.network import NetworkPredictor
from fewlabels.training.networks import normalise

NEVER = -1e4  # logit of a class without a training pixel


class Frozen(nn.Module):
    """A linear head on features that are computed in torch alone."""

    def __init__(self, predictor: FeaturePredictor) -> None:
        super().__init__()
        self.bank, head = predictor.bank, predictor.head
        weights = torch.zeros(predictor.classes, head.weights.shape[1])
        bias = torch.full((predictor.classes, 1, 1), NEVER)
        weights[head.known] = torch.from_numpy(head.weights)
        bias[head.known, 0, 0] = torch.from_numpy(head.bias)
        self.register_buffer("weights", weights)
        self.register_buffer("bias", bias)
        self.encoder = predictor.encoder or frozen.encoder(self.bank.encoder)
        self.net = self.encoder.net

    def forward(self, image: UInt8[Tensor, "c h w"]) -> Float32[Tensor, "k h w"]:
        found = _layers(self.bank, image.float(), self.encoder)
        return (banks.summed(found, self.weights, tuple(image.shape[1:])) + self.bias).softmax(0)


class Network(nn.Module):
    """A network on an image whose sides are multiples of `networks.STRIDE`."""

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        self.net = predictor.model.eval()

    def forward(self, image: UInt8[Tensor, "c h w"]) -> Float32[Tensor, "k h w"]:
        return self.net(normalise(image[None]))[0].softmax(0)


def graph(predictor: Predictor) -> Frozen | Network | None:
    """The module of a predictor: probabilities as `Predictor.probabilities`; None for a forest."""
    if isinstance(predictor, NetworkPredictor):
        return Network(predictor)
    linear = isinstance(predictor, FeaturePredictor) and isinstance(predictor.head, Linear)
    return Frozen(predictor) if linear else None


def _layers(bank: Bank, image: Float32[Tensor, "c h w"], encoder: Encoder) -> Iterator[Layer]:
    """See `bank.layers`."""
    height, width = image.shape[1:]
    size = float(height), float(width)
    pairs = [
        255 * (image[a] - image[b]) / (image[a] + image[b]).clamp_min(1)
        for a, b in bank.differences
    ]
    yield Layer(torch.stack([*image, *pairs]), size)
    tables = [torch.tensor(rows) for rows in bank.composites]
    seen = [
        (torch.einsum("oc,chw->ohw", table[:, :-1], image) + table[:, -1, None, None]).clamp(0, 255)
        for table in tables
    ]
    for scale in bank.scales:
        values = textures(seen[0][: min(3, bank.channels)], seen[0].mean(dim=0), scale)
        yield Layer(values, size)
    for picture in seen:
        x = frozen.seen(encoder, picture.round().to(torch.uint8), bank.zoom)
        padded = tuple(side / bank.zoom for side in x.shape[2:])
        for stage in encoder.net(x):
            yield Layer(stage[0], padded)


def textures(
    channels: Float32[Tensor, "m h w"], grey: Float32[Tensor, "h w"], scale: int
) -> Float32[Tensor, "m+7 h w"]:
    """See `texture.bank`."""
    smooth, first, second = map(torch.from_numpy, texture.kernels(scale))

    def filtered(images: Sequence[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        x = torch.stack(list(images))[:, None]
        x = F.conv2d(_mirrored(x, len(rows) // 2, 2), rows[None, None, :, None])
        return F.conv2d(_mirrored(x, len(columns) // 2, 3), columns[None, None, None])[:, 0]

    centred = grey - grey.mean()
    *blurred, mean, square = filtered([*channels, centred, centred**2], smooth, smooth)
    ((y,), (x,), (yy,), (xx,), (xy,)) = (
        filtered([grey], *pair)
        for pair in ((first, smooth), (smooth, first), (second, smooth), (smooth, second),
                     (first, first))
    )  # fmt: skip
    structure = _eigenvalues(*filtered([y * y, x * x, x * y], smooth, smooth))
    return torch.stack([
        *blurred, (square - mean**2).clamp_min(0).sqrt(), (y * y + x * x).sqrt(), yy + xx,
        *(part.clamp_min(0).sqrt() for part in structure), *_eigenvalues(yy, xx, xy),
    ])  # fmt: skip


def _mirrored(x: Tensor, radius: int, side: int) -> Tensor:
    """Continue images beyond both ends of a side, the last pixel first, as SciPy's `reflect`."""
    size = x.shape[side]
    at = np.arange(-radius, size + radius) % (2 * size)
    return x.index_select(side, torch.from_numpy(np.minimum(at, 2 * size - 1 - at)))


def _eigenvalues(yy: Tensor, xx: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    middle, apart = (yy + xx) / 2, (((yy - xx) / 2) ** 2 + xy * xy).sqrt()
    return middle + apart, middle - apart
