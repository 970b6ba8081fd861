"""The learner `fine_tuned`: first a linear head on frozen features, then head and encoder together.

Linear probing, then fine-tuning (Kumar et al. 2022, https://arxiv.org/abs/2202.10054): the head is
fitted before the encoder is trained, so few steps at a small rate adapt the encoder and do not
spoil it. Batch statistics stay those of the encoder's own training. Bands and texture do not change
and keep their part of the head.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.learners import bank as banks
from fewlabels.learners import features, frozen, heads, network, sound
from fewlabels.learners.bank import Layer
from fewlabels.learners.features import FeatureLearner, FeaturePredictor
from fewlabels.learners.heads import Linear
from fewlabels.training.networks import to_bytes
from fewlabels.types import IGNORE

NEVER = -1e4  # logit of a class without a training pixel


class Hypercolumns(nn.Module):
    """A linear head on bands, texture and all maps of an encoder, to be trained.

    The weights are those of standardised features, so one learning rate suits them all.

    Args:
        first: the head that training starts from, with its features.
        x: the features that it was fitted to; they are standardised by their mean and deviation.
    """

    def __init__(self, first: FeaturePredictor, x: Float32[np.ndarray, "n d"]) -> None:
        super().__init__()
        head, self.bank = first.head, first.bank
        own = frozen.encoder(self.bank.encoder)
        self.encoder = replace(own, net=copy.deepcopy(own.net))
        self.net = self.encoder.net.requires_grad_()
        _, middle, scale = heads.standardised(x)
        plain = head.weights.astype(np.float64)
        weights = torch.zeros(first.classes, x.shape[1])
        bias = torch.full((first.classes,), NEVER)
        factor = np.where(scale > 0, scale, 1)
        weights[head.known] = torch.from_numpy((plain / factor).astype(np.float32))
        bias[head.known] = torch.from_numpy((head.bias + plain @ middle).astype(np.float32))
        self.weights, self.bias = nn.Parameter(weights), nn.Parameter(bias)
        self.register_buffer("middle", torch.from_numpy(middle.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))

    def train(self, mode: bool = True) -> "Hypercolumns":
        super().train(mode)
        self.net.eval()  # batch statistics are not those of a few crops
        return self

    def plain(self) -> tuple[Float32[Tensor, "k d"], Float32[Tensor, " k"]]:
        """Weights and constants of the features as they are."""
        weights = self.weights * self.scale
        return weights, self.bias - weights @ self.middle

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float32[Tensor, "b k h w"]:
        shape, step, zoom = images.shape[2:], self.encoder.step, self.bank.zoom
        crops = to_bytes(images).permute(0, 2, 3, 1).cpu().numpy()
        fixed = replace(self.bank, groups=tuple(g for g in self.bank.groups if g != banks.FROZEN))
        compute = devices.compute("cpu", "fp32")
        found = [list(banks.layers(fixed, crop, compute)) for crop in crops]
        padded = tuple(-(-side * zoom // step) * step / zoom for side in shape)
        for pictures in zip(*(banks.pictures(self.bank, crop) for crop in crops), strict=True):
            seen = [frozen.seen(self.encoder, one.to(images.device), zoom) for one in pictures]
            for stage in self.net(torch.cat(seen)):
                for layers, values in zip(found, stage.float(), strict=True):
                    layers.append(Layer(values, padded))
        weights, bias = self.plain()
        logits = [banks.summed(layers, weights, tuple(shape)) for layers in found]
        return torch.stack(logits).to(images.device) + bias[:, None, None]


@dataclass(frozen=True)
class FineTuned:
    """See the module and `learners.Learner`.

    Attributes:
        first: the learner that training starts from; it has a linear head on frozen features.
    """

    first: FeatureLearner
    FILE: ClassVar[str] = "model.safetensors"

    def fit(
        self,
        images: Sequence[UInt8[np.ndarray, "_ _ c"]],
        labels: Sequence[UInt8[np.ndarray, "_ _"]],
        classes: int,
        *,
        seed: int = 0,
        compute: Compute | None = None,
        bands: Sequence[str] = (),
        encoder: str = frozen.LITE0,
        zoom: int = 1,
        steps: int = 100,
        lr: float = 1e-4,
        **training: object,
    ) -> FeaturePredictor:
        """Fit the head, then train all weights; see `learners.Learner.fit`.

        Args:
            bands, encoder, zoom: see `features.FeatureLearner.fit`.
            **training: see `network.train`.

        Raises:
            NoLabelsError: fewer than two classes have a label.
        """
        compute = compute or devices.compute("auto")
        bank = self.first.describe(images, bands, encoder=encoder, zoom=zoom)
        some = _some(labels, seed)
        x, y, units = features.labelled(bank, images, some, compute)
        first = self.first.fitted(bank, x, y, units, classes, compute, seed=seed)
        model = Hypercolumns(first, x)
        history = network.train(
            model, images, labels, classes, seed, compute, steps, lr, **training
        )
        weights, bias = (part.detach().cpu().numpy() for part in model.plain())
        known = first.head.known
        head = Linear(weights[known], bias[known], known, first.head.penalty)
        model.net.requires_grad_(False)
        origin = first.origin | {"fine_tuned_steps": steps}
        return FeaturePredictor(bank, head, classes, compute, origin, history, model.encoder)

    def read(self, file: Path, classes: int, channels: int, compute: Compute) -> FeaturePredictor:
        """The predictor in a file; see `FeatureLearner.read`.

        Raises:
            OSError, ValueError, TypeError, KeyError, UnknownName, WeightsError: as there, or the
                encoder's weights are damaged.
        """
        found = self.first.read(file, classes, channels, compute)
        own = frozen.encoder(found.bank.encoder)
        kept = {name.removeprefix(heads.ENCODER): value for name, value in load_file(file).items()
                if name.startswith(heads.ENCODER)}  # fmt: skip
        sound.tensors(kept, own.net.state_dict())
        net = copy.deepcopy(own.net)
        net.load_state_dict(kept)
        return replace(found, encoder=replace(own, net=compute.placed(net)))


def _some(labels: Sequence[UInt8[np.ndarray, "_ _"]], seed: int) -> list[UInt8[np.ndarray, "_ _"]]:
    """The labels that the first head is fitted to, see `heads.chosen`: features of them all may not
    fit the memory.
    """
    y = np.concatenate([drawn[drawn != IGNORE] for drawn in labels])
    kept = np.zeros(len(y), bool)
    kept[heads.chosen("linear", y, seed)] = True
    found, at = [], 0
    for drawn in labels:
        less, there = drawn.copy(), drawn != IGNORE
        number = int(there.sum())
        less[there] = np.where(kept[at : at + number], less[there], np.uint8(IGNORE))
        found.append(less)
        at += number
    return found
