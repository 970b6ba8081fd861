"""The recipe of a training, and a learner fitted to some of a scene's labels by it.

Steps, batch and crop are those of the published runs. The other defaults are a place to start: no
record of this project compares them on such scenes.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8

from fewlabels.devices import Compute
from fewlabels.files import Shelf
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.mapping import tiles
from fewlabels.mapping.scene import Ranges, Read
from fewlabels.mapping.tiles import Piece
from fewlabels.training import augmentation, loop, losses
from fewlabels.training.networks import STRIDE
from fewlabels.training.state import Checkpoints
from fewlabels.types import IGNORE, FewLabelsError, NoLabelsError, unknown

METHODS: Mapping[str, str] = MappingProxyType({"network": "network", "forest": "pixel_forest"})
"""The learner of each method of a recipe."""
SEEDS = 2**32  # scikit-learn takes no larger seed
CHECKPOINT_EVERY = 100  # steps
_NETWORK = ("model", "weights", "loss", "class_weights", "augmentation", "steps", "batch", "crop",
            "lr", "window")  # fmt: skip


class RecipeError(FewLabelsError, ValueError):
    """A recipe that cannot be carried out."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained and scored; lengths are in pixels.

    Attributes:
        method: `network`, `forest` (random forest of single pixels), or `best`: the one that scores
            higher on held-out labels.
        trees: of a forest.
        model, weights: of a network, see `networks.build`.
        loss, class_weights: see `losses`.
        augmentation: see `augmentation.augmentation`.
        crop: side of what the network sees in training.
        side: of the squares that the scene is cut into around its labels.
        window: side of what the network is given at once in scoring and prediction.
        folds: parts that are held out in turn, each by a training of its own; 0 scores nothing.
        unit: what is held out together: `shape` (drawn lines and polygons), `block`, or `auto`
            (shapes where all labels are lines or polygons, else blocks).
        block: side of a block.
        gap: labels that are not more than this from a held-out one do not train.

    Raises:
        UnknownName: no such method, loss, class weighting, augmentation or unit.
        RecipeError: a number that is out of range.
    """

    method: str = "best"
    trees: int = 100
    model: str = "smp:Unet:resnet18"
    weights: str = "none"
    loss: str = "partial_cross_entropy"
    class_weights: str = "none"
    augmentation: str = "d4"
    steps: int = 250
    batch: int = 8
    crop: int = 128
    side: int = 512
    window: int = 256
    lr: float = 1e-3
    folds: int = 5
    unit: str = "auto"
    block: int = 64
    gap: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        tables = {
            "method": (self.method, ("best", *METHODS)),
            "loss": (self.loss, losses.LOSSES),
            "class weighting": (self.class_weights, losses.WEIGHTINGS),
            "unit": (self.unit, ("auto", "shape", "block")),
        }
        for kind, (found, known) in tables.items():
            if found not in known:
                raise unknown(kind, found, known)
        augmentation.augmentation(self.augmentation)
        for name in ("steps", "trees", "batch", "crop", "side", "window", "block"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be 1 or more, found {getattr(self, name)}")
        rules = {
            f"crop must be a multiple of {STRIDE}, found {self.crop}": self.crop % STRIDE == 0,
            f"side {self.side} must not be less than crop {self.crop}": self.side >= self.crop,
            f"seed must be 0 or more and below {SEEDS}, found {self.seed}": 0 <= self.seed < SEEDS,
            f"folds must be 0, or 2 or more, found {self.folds}": self.folds == 0 or self.folds > 1,
            f"gap must be 0 or more, found {self.gap}": self.gap >= 0,
            f"lr must be above 0 and finite, found {self.lr}": 0 < self.lr < math.inf,
        }
        for rule, kept in rules.items():
            if not kept:
                raise RecipeError(rule)


@dataclass(frozen=True)
class Learned:
    """A fitted learner, and how its bytes follow from the scene's values.

    Attributes:
        labelled: pixels of each class that it could train on.
        seconds: of training.
    """

    predictor: Predictor
    ranges: Ranges
    labelled: Sequence[int]
    seconds: float


@dataclass(frozen=True)
class Ground:
    """What all trainings on one scene have in common.

    Attributes:
        scratch: folder of files that are only needed until the model is written.
        owner: identifies this scene, these labels and this recipe.
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
    method: str,
    watch: loop.Watch | None = None,
) -> Learned:
    """Fit the learner of a method to these labels, one array for each piece of the ground.

    A network's training that was interrupted resumes from its last checkpoint, kept under `name`
    every 100 steps. Loss, class weights and augmentation do not apply to a forest.

    Args:
        watch: called after every step of a network, see `loop.fit`.

    Raises:
        NoLabelsError: no piece has a label.
        FewLabelsError: as the learner's `fit`.
    """
    began, recipe = time.perf_counter(), ground.recipe
    pairs = zip(ground.pieces, labels, strict=True)
    used = [(piece, drawn) for piece, drawn in pairs if (drawn != IGNORE).any()]
    if not used:
        raise NoLabelsError(f"{name}: no label is left to train on")
    found = tiles.ranges([piece for piece, _ in used], ground.read)
    made = tiles.images(
        [piece for piece, _ in used], ground.read, found, Shelf(ground.scratch).zeros
    )
    options = {"trees": recipe.trees} if method == "forest" else {
        "ids": [piece.id for piece, _ in used],
        "checkpoints": Checkpoints(
            ground.scratch / name, f"{ground.owner} {name}", CHECKPOINT_EVERY
        ),
        "watch": watch,
        **{option: getattr(recipe, option) for option in _NETWORK},
    }  # fmt: skip
    drawn = [part for _, part in used]
    predictor = LEARNERS[METHODS[method]].fit(
        list(made), drawn, len(ground.classes), seed=recipe.seed, compute=ground.compute, **options
    )
    values = np.concatenate([part[part != IGNORE] for part in drawn])
    labelled = np.bincount(values, minlength=len(ground.classes)).tolist()
    history = predictor.history
    seconds = history[-1]["seconds"] if history else time.perf_counter() - began
    return Learned(predictor, found, labelled, seconds)
