"""The recipe of a training, and a training loop on some of a scene's labels by it.

Steps and rate of `fine_tuned` were chosen on the development sites of study W. The defaults of a
`network` are a place to start: no record of this project compares them on such scenes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8

from fewlabels.devices import Compute
from fewlabels.files import Shelf
from fewlabels.learners import LEARNERS, Predictor, frozen
from fewlabels.mapping import tiles
from fewlabels.mapping.scene import Ranges, Read
from fewlabels.mapping.tiles import Piece
from fewlabels.training import augmentation, loop, losses
from fewlabels.training.networks import STRIDE
from fewlabels.training.state import Checkpoints
from fewlabels.types import IGNORE, FewLabelsError, NoLabelsError, unknown

CHEAP = ("frozen_linear", "pixel_forest", "texture_forest", "frozen_forest")
"""Learners that take seconds, those first whose maps cost least."""
LOOPED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fine_tuned": ("encoder", "zoom"),
        "network": ("model", "weights", "window"),
    }
)
"""Learners with a training loop, which take minutes, and which options only they have."""
METHODS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"auto": CHEAP}
    | {name: (name,) for name in CHEAP}
    | {name: ("frozen_linear", name) for name in LOOPED}
)
"""The learners that a method scores; all but `auto` keep the one that they are named after."""
SEEDS = 2**32  # scikit-learn takes no larger seed
CHECKPOINT_EVERY = 100  # steps
_TRAINING = ("loss", "class_weights", "augmentation", "steps", "batch", "crop", "lr")


class RecipeError(FewLabelsError, ValueError):
    """A recipe that cannot be carried out."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained and scored; lengths are in pixels.

    Attributes:
        method: a learner, or `auto`: of those that take seconds the one that scores highest on
            held-out labels. Those with a training loop are scored beside the first of these.
        trees: of a forest.
        encoder, zoom: what frozen features come from, see `learners.frozen`, and how many times the
            image is enlarged for it.
        model, weights: of a network, see `networks.build`.
        loss: of a training loop, see `losses`.
        class_weights: of a training loop see `losses`; of other learners `none` or `balanced`.
        augmentation: see `augmentation.augmentation`.
        steps, lr: of the training loop; the learner's own where None.
        crop: side of what is seen in a step of the training loop.
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

    method: str = "auto"
    trees: int = 100
    encoder: str = frozen.LITE0
    zoom: int = 1
    model: str = "smp:Unet:tu-tf_efficientnet_lite0"
    weights: str = "lite0"
    loss: str = "partial_cross_entropy"
    class_weights: str = "none"
    augmentation: str = "d4"
    steps: int | None = None
    batch: int = 8
    crop: int = 128
    side: int = 1024
    window: int = 256
    lr: float | None = None
    folds: int = 5
    unit: str = "auto"
    block: int = 64
    gap: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        tables = {
            "method": (self.method, METHODS),
            "loss": (self.loss, losses.LOSSES),
            "class weighting": (
                self.class_weights,
                losses.WEIGHTINGS if self.method in LOOPED else ("none", "balanced"),
            ),
            "unit": (self.unit, ("auto", "shape", "block")),
        }
        for kind, (found, known) in tables.items():
            if found not in known:
                raise unknown(kind, found, known)
        augmentation.augmentation(self.augmentation)
        for name in ("steps", "trees", "zoom", "batch", "crop", "side", "window", "block"):
            if (found := getattr(self, name)) is not None and found < 1:
                raise RecipeError(f"{name} must be 1 or more, found {found}")
        rules = {
            f"crop must be a multiple of {STRIDE}, found {self.crop}": self.crop % STRIDE == 0,
            f"side {self.side} must not be less than crop {self.crop}": self.side >= self.crop,
            f"seed must be 0 or more and below {SEEDS}, found {self.seed}": 0 <= self.seed < SEEDS,
            f"folds must be 0, or 2 or more, found {self.folds}": self.folds == 0 or self.folds > 1,
            f"gap must be 0 or more, found {self.gap}": self.gap >= 0,
            f"lr must be above 0 and finite, found {self.lr}": self.lr is None
            or 0 < self.lr < math.inf,
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
        shape: rows and columns of the scene.
        scratch: folder of files that are only needed until the model is written.
        owner: identifies this scene, these labels and this recipe.
        bands: the names of the scene's bands.
    """

    read: Read
    shape: tuple[int, int]
    pieces: Sequence[Piece]
    classes: tuple[str, ...]
    recipe: Recipe
    compute: Compute
    scratch: Path
    owner: str
    bands: tuple[str, ...] = ()


def learn(
    ground: Ground,
    labels: Sequence[UInt8[np.ndarray, "_ _"]],
    name: str,
    watch: loop.Watch | None = None,
) -> Learned:
    """Train the recipe's learner, which has a training loop, on these labels, one array for each
    piece of the ground.

    A training that was interrupted resumes from its last checkpoint, kept under `name` every 100
    steps.

    Args:
        watch: called after every step, see `loop.fit`.

    Raises:
        NoLabelsError: no piece has a label.
        FewLabelsError: as the learner's `fit`.
    """
    recipe = ground.recipe
    pairs = zip(ground.pieces, labels, strict=True)
    used = [(piece, drawn) for piece, drawn in pairs if (drawn != IGNORE).any()]
    if not used:
        raise NoLabelsError(f"{name}: no label is left to train on")
    found = tiles.ranges([piece for piece, _ in used], ground.read)
    made = tiles.images(
        [piece for piece, _ in used], ground.read, found, Shelf(ground.scratch).zeros
    )
    drawn = [part for _, part in used]
    asked = {name: getattr(recipe, name) for name in (*_TRAINING, *LOOPED[recipe.method])}
    if recipe.method == "fine_tuned":
        asked["bands"] = ground.bands
    predictor = LEARNERS[recipe.method].fit(
        list(made), drawn, len(ground.classes), seed=recipe.seed, compute=ground.compute,
        ids=[piece.id for piece, _ in used], watch=watch,
        checkpoints=Checkpoints(ground.scratch / name, f"{ground.owner} {name}", CHECKPOINT_EVERY),
        **{name: value for name, value in asked.items() if value is not None},
    )  # fmt: skip
    values = np.concatenate([part[part != IGNORE] for part in drawn])
    labelled = np.bincount(values, minlength=len(ground.classes)).tolist()
    return Learned(predictor, found, labelled, predictor.history[-1]["seconds"])
