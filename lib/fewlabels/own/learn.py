"""One training on some of the labels: ranges, bytes, a network, and the one training loop."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import nn

from fewlabels import augment, losses, models, sparsify, train
from fewlabels.checkpoint import Checkpoints
from fewlabels.devices import Compute
from fewlabels.files import Shelf
from fewlabels.geo.bands import Ranges
from fewlabels.geo.scene import Read
from fewlabels.loaders import Batches, LabelledTile
from fewlabels.optimise import Optimisation
from fewlabels.own import pieces
from fewlabels.own.pieces import Piece
from fewlabels.own.recipe import Recipe
from fewlabels.progress import History
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
    watch: train.Watch | None = None,
) -> Learned:
    """A network trained on these labels, one array for each piece of the ground.

    A training that was cut off goes on from its last checkpoint, every 100 steps, under `name`.

    Args:
        watch: called after every step, see `train.fit`.

    Raises:
        NoLabelsError: no piece has a label.
        FewLabelsError: as `models.build` and `train.fit`.
    """
    recipe, compute = ground.recipe, ground.compute
    used = [
        (piece, drawn)
        for piece, drawn in zip(ground.pieces, labels, strict=True)
        if (drawn != IGNORE).any()
    ]
    found = pieces.ranges([piece for piece, _ in used], ground.read)
    made = pieces.images(
        [piece for piece, _ in used], ground.read, found, Shelf(ground.scratch).zeros
    )
    tiles = [
        LabelledTile(piece.id, image, drawn)
        for (piece, drawn), image in zip(used, made, strict=True)
    ]
    counts = sparsify.counts((tile.labels for tile in tiles), len(ground.classes))
    network, origin = models.build_with_provenance(
        recipe.model, len(ground.classes), channels=len(found.low), weights=recipe.weights,
        seed=recipe.seed,
    )  # fmt: skip
    batches = Batches(
        tiles, recipe.crop, recipe.batch, recipe.steps, recipe.seed,
        augment.augmentation(recipe.augmentation),
    )  # fmt: skip
    weights = losses.class_weights(counts, recipe.class_weights)
    loss = partial(
        losses.LOSSES[recipe.loss],
        class_weights=None if weights is None else weights.to(compute.device),
    )
    kept = Checkpoints(ground.scratch / name, f"{ground.owner} {name}", CHECKPOINT_EVERY)
    history = train.fit(
        network, batches, loss, replace(Optimisation(), lr=recipe.lr), compute,
        seed=recipe.seed, watch=watch, watch_at=frozenset(range(1, recipe.steps + 1)),
        checkpoints=kept,
    )  # fmt: skip
    seconds = history[-1]["seconds"]
    return Learned(network, found, history, asdict(origin), counts.tolist(), seconds)
