"""The learner `network`: any network of `models`, trained by the one training loop."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.labels import sampling
from fewlabels.learners import sound
from fewlabels.scoring import inference
from fewlabels.training import loop, losses, networks
from fewlabels.training.augmentation import augmentation as augmentation_of
from fewlabels.training.batches import Batches, LabelledTile
from fewlabels.training.optimisation import Optimisation
from fewlabels.training.state import Checkpoints, History
from fewlabels.types import IGNORE

FILE = "model.safetensors"


@dataclass(frozen=True)
class NetworkPredictor:
    """A trained network; see `learners.Predictor`.

    Attributes:
        window: largest side in pixels that the network is given at once; None for whole images.
    """

    model: nn.Module
    compute: Compute
    window: int | None = None
    origin: Mapping[str, object] = field(default_factory=dict)
    history: History = field(default_factory=list)
    halo: ClassVar[None] = None

    def probabilities(self, image: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "k h w"]:
        return inference.probabilities(self.model, image, self.compute, window=self.window)

    def write(self, file: Path) -> None:
        state = {k: v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}
        file.write_bytes(save(state))


def fit(
    images: Sequence[UInt8[np.ndarray, "_ _ c"]],
    labels: Sequence[UInt8[np.ndarray, "_ _"]],
    classes: int,
    *,
    seed: int = 0,
    compute: Compute | None = None,
    model: str = "smp:Unet:resnet18",
    weights: str = "none",
    steps: int = 250,
    lr: float = 1e-3,
    window: int | None = None,
    **training: object,
) -> NetworkPredictor:
    """Train a network on the images that have a label; see `learners.Learner.fit`.

    Args:
        model, weights: see `networks.build`.
        window: see `NetworkPredictor`.
        **training: see `train`.

    Raises:
        NoLabelsError: no pixel has a label.
    """
    compute = compute or devices.compute("auto")
    network, origin = networks.build_with_provenance(
        model, classes, channels=images[0].shape[2], weights=weights, seed=seed
    )
    history = train(network, images, labels, classes, seed, compute, steps, lr, **training)
    return NetworkPredictor(network, compute, window, asdict(origin), history)


def train(
    model: nn.Module,
    images: Sequence[UInt8[np.ndarray, "_ _ c"]],
    labels: Sequence[UInt8[np.ndarray, "_ _"]],
    classes: int,
    seed: int,
    compute: Compute,
    steps: int,
    lr: float,
    *,
    ids: Sequence[str] = (),
    loss: str = "partial_cross_entropy",
    class_weights: str = "none",
    augmentation: str = "d4",
    batch: int = 8,
    crop: int = 128,
    checkpoints: Checkpoints | None = None,
    watch: loop.Watch | None = None,
) -> History:
    """Train a network in place on crops of the images that have a label.

    Args:
        ids: names of the images in error messages; their numbers if empty.
        loss, class_weights: see `losses`.
        augmentation: see `augmentation.augmentation`.
        batch, crop: crops in a step, and their side in pixels.
        checkpoints: where training is saved and resumed from.
        watch: called after every step; see `loop.fit`.

    Raises:
        NoLabelsError: no pixel has a label.
    """
    names = ids or [str(number) for number in range(len(images))]
    tiles = [
        LabelledTile(name, image, drawn)
        for name, image, drawn in zip(names, images, labels, strict=True)
        if (drawn != IGNORE).any()
    ]
    batches = Batches(tiles, crop, batch, steps, seed, augmentation_of(augmentation))
    counts = sampling.counts((tile.labels for tile in tiles), classes)
    weighting = losses.class_weights(counts, class_weights)
    weighting = None if weighting is None else weighting.to(compute.device)
    return loop.fit(
        model, batches, partial(losses.LOSSES[loss], class_weights=weighting),
        Optimisation(lr=lr), compute, seed=seed, watch=watch,
        watch_at=frozenset(range(1, steps + 1)), checkpoints=checkpoints,
    )  # fmt: skip


def read(
    file: Path,
    classes: int,
    channels: int,
    compute: Compute,
    *,
    model: str,
    window: int | None = None,
) -> NetworkPredictor:
    """The network in a file; see `learners.Learner.read`.

    Raises:
        OSError, ValueError, RuntimeError: the file is not there, damaged or for another network.
        UnknownName: this version has no such network.
    """
    asked = {"channels": channels, "weights": "none"}
    try:
        found = load_file(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    with suppress(networks.OptionError), torch.device("meta"):  # on which some of smp's cannot be
        sound.tensors(found, networks.build(model, classes, **asked).state_dict())
    network = networks.build(model, classes, **asked)
    sound.tensors(found, network.state_dict())
    network.load_state_dict(found, strict=True)
    return NetworkPredictor(compute.placed(network), compute, window)
