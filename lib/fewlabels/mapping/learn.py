"""One training on some of the labels: ranges, bytes, a network, and the one training loop."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import nn

from fewlabels.devices import Compute
from fewlabels.files import Shelf
from fewlabels.labels import sampling
from fewlabels.mapping.bands import Ranges
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.scene import Read
from fewlabels.mapping.tiles import Piece, images, ranges
from fewlabels.training import augmentation, loop, losses, networks
from fewlabels.training.batches import Batches, LabelledTile
from fewlabels.training.optimisation import Optimisation
from fewlabels.training.state import Checkpoints, History
from fewlabels.types import IGNORE

CHECKPOINT_EVERY = 100  # steps


@dataclass(frozen=True)
class Learned:
    """A trained network, or a forest, and the ranges that its bytes come from.

    Attributes:
        history: empty of a forest.
        weights: where the network started from.
        labelled: labelled pixels of each class that it was trained on.
        seconds: that it took.
    """

    network: nn.Module
    ranges: Ranges
    history: History
    weights: Mapping[str, object]
    labelled: Sequence[int]
    seconds: float


@dataclass(frozen=True)
class Ground:
    """What all trainings of one scene have in common.

    Attributes:
        scratch: folder of what is only needed until the model is written.
        owner: what tells this scene, these labels and this recipe from any other.
    """

    read: Read
    pieces: Sequence[Piece]
    classes: tuple[str, ...]
    recipe: Recipe
    compute: Compute
    scratch: Path
    owner: str


def learn(
    ground: Ground,
    labels: Sequence[UInt8[np.ndarray, "_ _"]],
    name: str,
    watch: loop.Watch | None = None,
) -> Learned:
    """A network trained on these labels, one array for each piece of the ground.

    A training that was cut off goes on from its last checkpoint, every 100 steps, under `name`.

    Args:
        watch: called after every step, see `loop.fit`.

    Raises:
        NoLabelsError: no piece has a label.
        FewLabelsError: as `networks.build` and `loop.fit`.
    """
    recipe, compute = ground.recipe, ground.compute
    used = [
        (piece, drawn)
        for piece, drawn in zip(ground.pieces, labels, strict=True)
        if (drawn != IGNORE).any()
    ]
    found = ranges([piece for piece, _ in used], ground.read)
    made = images([piece for piece, _ in used], ground.read, found, Shelf(ground.scratch).zeros)
    tiles = [
        LabelledTile(piece.id, image, drawn)
        for (piece, drawn), image in zip(used, made, strict=True)
    ]
    counts = sampling.counts((tile.labels for tile in tiles), len(ground.classes))
    network, origin = networks.build_with_provenance(
        recipe.model, len(ground.classes), channels=len(found.low), weights=recipe.weights,
        seed=recipe.seed,
    )  # fmt: skip
    batches = Batches(
        tiles, recipe.crop, recipe.batch, recipe.steps, recipe.seed,
        augmentation.augmentation(recipe.augmentation),
    )  # fmt: skip
    weights = losses.class_weights(counts, recipe.class_weights)
    loss = partial(
        losses.LOSSES[recipe.loss],
        class_weights=None if weights is None else weights.to(compute.device),
    )
    kept = Checkpoints(ground.scratch / name, f"{ground.owner} {name}", CHECKPOINT_EVERY)
    history = loop.fit(
        network, batches, loss, replace(Optimisation(), lr=recipe.lr), compute,
        seed=recipe.seed, watch=watch, watch_at=frozenset(range(1, recipe.steps + 1)),
        checkpoints=kept,
    )  # fmt: skip
    seconds = history[-1]["seconds"]
    return Learned(network, found, history, asdict(origin), counts.tolist(), seconds)
