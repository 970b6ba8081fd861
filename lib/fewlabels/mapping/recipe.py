"""How a network is trained on labels of one's own, and what of the labels is held out for scoring.

Steps, batch and crop are those of the published runs; the rest is a place to start. No record of
this project compares them on such scenes.
"""

import math
from dataclasses import dataclass

from fewlabels.training import augmentation, losses
from fewlabels.training.networks import STRIDE
from fewlabels.types import FewLabelsError, unknown

SEEDS = 2**32  # what a random forest takes


class RecipeError(FewLabelsError, ValueError):
    """A recipe that cannot be carried out."""


@dataclass(frozen=True)
class Recipe:
    """What is decided before a training; lengths are in pixels.

    Attributes:
        method: `network`, `forest` (random forest of single pixels), or `best`: the one that scores
            higher on held-out labels.
        trees: of a forest.
        model, weights: of a network, see `networks.build`.
        loss, class_weights: see `losses`.
        augmentation: see `augmentation.augmentation`.
        crop: side of what the network sees in training.
        side: of the pieces that the scene is cut into around its labels.
        window: side of what the network is given at once in scoring and prediction.
        folds: parts that are held out in turn, each by a training of its own; 0 scores nothing.
        unit: what is held out together: `shape` (drawn lines and polygons), `block`, or `auto`
            (shapes where all labels are lines or polygons, else blocks).
        block: side of a block.
        gap: labels that are not more than this from a held-out one do not train.
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


def check(recipe: Recipe) -> None:
    """Nothing, if the recipe can be carried out as far as it alone says.

    Raises:
        UnknownName: no such method, loss, class weighting, augmentation or unit.
        RecipeError: a length or a number that cannot be.
    """
    tables = {
        "method": (recipe.method, ("best", "network", "forest")),
        "loss": (recipe.loss, losses.LOSSES),
        "class weighting": (recipe.class_weights, losses.WEIGHTINGS),
        "unit": (recipe.unit, ("auto", "shape", "block")),
    }
    for kind, (found, known) in tables.items():
        if found not in known:
            raise unknown(kind, found, known)
    augmentation.augmentation(recipe.augmentation)
    for name in ("steps", "trees", "batch", "crop", "side", "window", "block"):
        if getattr(recipe, name) < 1:
            raise RecipeError(f"{name} must be 1 or more, found {getattr(recipe, name)}")
    if recipe.crop % STRIDE or recipe.side < recipe.crop:
        raise RecipeError(
            f"crop {recipe.crop} must be a multiple of {STRIDE} and side {recipe.side} no less"
        )
    if not 0 <= recipe.seed < SEEDS:
        raise RecipeError(f"seed must be 0 or more and below {SEEDS}, found {recipe.seed}")
    right = recipe.lr > 0 and math.isfinite(recipe.lr)
    if recipe.folds < 0 or recipe.folds == 1 or recipe.gap < 0 or not right:
        raise RecipeError(
            f"folds must be 0, or 2 or more, gap 0 or more, lr above 0; found folds "
            f"{recipe.folds}, gap {recipe.gap}, lr {recipe.lr}"
        )
