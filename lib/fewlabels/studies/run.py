"""What a run is: all the factors of one training.

Two runs with equal factors are the same training. A recorded run is found again by its factors.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nextafter
from string import Formatter
from types import MappingProxyType

from fewlabels.types import FactorError

MOST, LEAST, ALMOST_ONE = sys.float_info.max, nextafter(0, 1), nextafter(1, 0)
RANGES = (
    ("1 or more", 1, MOST, "grid crop batch steps watch rounds rare_times weight_bound"),
    ("0 or more", 0, MOST, "fold draw seed warm_up patience rotation gamma alpha weight_decay "
     "plateau_patience tversky_alpha tversky_beta"),
    ("above 0", LEAST, MOST, "lr clip reach tversky_gamma plateau_factor"),
    ("from 0 to 1", 0, 1, "motion_share cutmix rare_below shift"),
    ("from 0 to below 1", 0, ALMOST_ONE, "ema zoom"),
)  # fmt: skip
LIMITS = MappingProxyType(
    {factor: (words, low, high) for words, low, high, of in RANGES for factor in of.split()}
)
"""Factor -> the numbers it can have: in words, the lowest, the highest."""


@dataclass(frozen=True)
class Run:
    """One training, completely declared.

    Attributes:
        amount: label budget of a tile, see `sampling.draw`.
        grid: longest side of a tile in pixels; labels are drawn and scores computed at this size.
        crop, batch: side of a crop in pixels, crops a step.
        gamma, alpha: of `partial_focal`; other losses ignore them.
        tversky_alpha, tversky_beta: weight of false positives and of false negatives in
            `partial_tversky` and `partial_focal_tversky`.
        tversky_gamma: of `partial_focal_tversky`.
        weight_bound: the largest ratio of two class weights, see `losses.class_weights`.
        expansion: how drawn labels are expanded for training, see `expand`; scores never use them.
        reach: distance, radius, size or scale of that method, see `expansion.METHODS`.
        ignored: names of classes that the loss ignores, see `losses`.
        draw: seed of the label draw. Runs that are compared share it.
        redrawn: draw new labels in every round of the tiles, as much public code does. Training
            then sees many times the budget; only to measure how much that inflates the score.
        rounds: annotation rounds, which share labels and steps evenly. After each but the last,
            every tile gets more labels and the network goes on from its weights; its learning rate
            begins anew.
        query: where the labels of later rounds are: `random` goes on with the draw, `margin` asks
            where the network can least decide, see `sampling.undecided`.
        seed: of weights, crops and augmentation.
        watch: how many times the test tiles are scored during training, evenly spaced and including
            the last step. The curve is shown, never used to choose.
        augmentation: see `augmentation.augmentation`.
        motion_share, rotation, shift, zoom, fill: of its `rotate` and `shift_scale_rotate`, see
            `augmentation.Motion`.
        cutmix: share of the crops that get a box of another crop, see `augmentation.cutmix`.
        rare_below: a class is rare if its labels are fewer than this fraction of all labels drawn
            for the training tiles, ignored classes not counted; 0 calls none rare.
        rare_times: how often a round of the tiles holds a tile with labels of a rare class; from
            the second time on, the crop is placed around such a label.
        rare_augmentation: of those tiles; `same` is that of the others.
        clip, warm_up, ema, patience, keep, plateau_patience, plateau_factor: see
            `optimisation.Optimisation`.
        validation: what chooses where something is chosen (`patience`, `keep`, `plateau`): `none`,
            or `sparse` or `dense` labels of the validation sites, which are then not trained on.
            Both scores are recorded at the watched steps. The test tiles never choose.
    """

    data: str = "synthetic"
    fold: int = 0
    grid: int = 700
    model: str = "smp:Unet:resnet18"
    weights: str = "none"
    sampler: str = "random"
    amount: float | int = 0.01
    draw: int = 0
    loss: str = "partial_cross_entropy"
    gamma: float = 2.0
    alpha: float | None = None
    class_weights: str = "none"
    augmentation: str = "d4"
    steps: int = 250
    batch: int = 8
    crop: int = 256
    optimiser: str = "adamw"
    schedule: str = "one_cycle"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    precision: str = "auto"
    seed: int = 0
    watch: int = 10
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    tversky_gamma: float = 4 / 3
    weight_bound: float = 10.0
    ignored: tuple[str, ...] = ()
    expansion: str = "none"
    reach: float = 5.0
    clip: float | None = None
    warm_up: int = 0
    ema: float = 0.0
    validation: str = "none"
    patience: int = 0
    keep: str = "last"
    plateau_patience: int = 5
    plateau_factor: float = 0.1
    motion_share: float = 0.5
    rotation: float = 45.0
    shift: float = 0.0625
    zoom: float = 0.1
    fill: str = "reflect"
    cutmix: float = 0.0
    rare_below: float = 0.0
    rare_times: int = 1
    rare_augmentation: str = "same"
    redrawn: bool = False
    rounds: int = 1
    query: str = "random"

    def __post_init__(self) -> None:
        """Check every number.

        Raises:
            FactorError: a number outside its limits.
        """
        for factor, (words, low, high) in LIMITS.items():
            value = getattr(self, factor)
            if value is not None and not low <= value <= high:
                raise FactorError(f"{factor} must be {words}, found {value}")


@dataclass(frozen=True)
class Start:
    """A model with the weights that training starts from.

    Attributes:
        model: may hold places, as in `smp:Unet:{encoder}`, which a condition's factors fill.
        weights_of: what fills a place -> the weights to use instead of `weights`.
    """

    model: str
    weights: str
    weights_of: Mapping[str, str] = field(default_factory=dict)

    def filled(self, factors: Mapping[str, object]) -> dict[str, object]:
        """Turn a condition's factors into those of a run, with model and weights."""
        places = {key: factors[key] for _, key, _, _ in Formatter().parse(self.model) if key}
        weights = [self.weights_of[v] for v in places.values() if v in self.weights_of]
        named = {"model": self.model.format(**places), "weights": [*weights, self.weights][0]}
        return named | {k: v for k, v in factors.items() if k not in places}
