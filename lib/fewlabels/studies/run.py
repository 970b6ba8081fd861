"""What a run is: a row of factors, by which it is trained and by which it is known again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from types import MappingProxyType

from fewlabels.types import FactorError

FROM_ONE = "1 or more", lambda value: 1 <= value < math.inf
FROM_ZERO = "0 or more", lambda value: 0 <= value < math.inf
ABOVE_ZERO = "above 0", lambda value: 0 < value < math.inf
SHARE = "from 0 to 1", lambda value: 0 <= value <= 1
BELOW_ONE = "from 0 to below 1", lambda value: 0 <= value < 1
LIMITS = MappingProxyType(
    dict.fromkeys(("grid", "crop", "batch", "steps", "watch", "rare_times"), FROM_ONE)
    | dict.fromkeys(("fold", "draw", "seed", "warm_up", "patience", "rotation"), FROM_ZERO)
    | dict.fromkeys(("gamma", "alpha", "weight_decay", "plateau_patience"), FROM_ZERO)
    | dict.fromkeys(("tversky_alpha", "tversky_beta"), FROM_ZERO)
    | dict.fromkeys(("lr", "clip", "reach", "tversky_gamma", "plateau_factor"), ABOVE_ZERO)
    | dict.fromkeys(("motion_share", "cutmix", "rare_below", "shift"), SHARE)
    | dict.fromkeys(("ema", "zoom"), BELOW_ONE)
    | {"weight_bound": FROM_ONE}
)
"""Factor -> what its numbers are in words, and whether one of them is such."""


@dataclass(frozen=True)
class Run:
    """One training, completely: equal factors give the same run.

    Attributes:
        amount: label budget of a tile, see `sampling.draw`.
        grid: longest side of a tile in pixels, on which labels are drawn and scores computed.
        crop, batch: side of a crop in pixels, crops a step.
        gamma, alpha: of `partial_focal`; ignored by the other losses.
        tversky_alpha, tversky_beta: weight of false positives and of false negatives in
            `partial_tversky` and `partial_focal_tversky`; ignored by the other losses.
        tversky_gamma: of `partial_focal_tversky`; ignored by the other losses.
        weight_bound: how many times another's weight a class may weigh, see
            `losses.class_weights`.
        expansion: how drawn labels are expanded for training, see `expand`; scores never are.
        reach: how far: the distance, radius, size or scale of that method (`expansion.METHODS`).
        left_out: names of classes whose pixels count as unlabelled in the loss, see `losses`.
        draw: seed of the label draw. Runs that are compared share it.
        redrawn: draw new labels for every round of the tiles, as much public code does: training
            then sees many times the budget. Only to measure what that flatters.
        seed: of weights, crops and augmentation.
        watch: how many times on the way the test tiles are scored, evenly spaced, the last step
            included. The curve is shown, never used to choose.
        augmentation: see `augmentation.augmentation`.
        motion_share, rotation, shift, zoom, fill: of its `rotate` and `shift_scale_rotate`, see
            `augmentation.Motion`.
        cutmix: share of the crops that get a box of another crop, see `augmentation.cutmix`.
        rare_below: a class is rare if it has labels, but fewer than this fraction of those drawn
            for all training tiles, classes left out not counted; 0 calls none rare.
        rare_times: how often a tile with a label of a rare class comes in a round of the tiles;
            from the second on the crop is placed around such a label.
        rare_augmentation: of those tiles; `same` as the others.
        clip, warm_up, ema, patience, keep, plateau_patience, plateau_factor: see
            `optimisation.Optimisation`.
        validation: what decides where something is chosen (`patience`, `keep`, `plateau`): `none`;
            or `sparse` or `dense` labels of the validation places, which then do not train. Both
            scores are recorded, at the watched steps; the test tiles never decide.
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
    left_out: tuple[str, ...] = ()
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

    def __post_init__(self) -> None:
        """
        Raises:
            FactorError: a number that its factor cannot have.
        """
        for factor, (words, holds) in LIMITS.items():
            value = getattr(self, factor)
            if value is not None and not holds(value):
                raise FactorError(f"{factor} must be {words}, found {value}")


@dataclass(frozen=True)
class Start:
    """A model with the weights it starts from.

    Attributes:
        model: may have places, as in `smp:Unet:{encoder}`, that the factors of a cell fill.
        weights_of: the weights of what fills a place, instead of `weights`.
    """

    model: str
    weights: str
    weights_of: Mapping[str, str] = field(default_factory=dict)

    def filled(self, factors: Mapping[str, object]) -> dict[str, object]:
        """Factors of a run: those of a cell, with the model and weights that they lead to."""
        places = {key: factors[key] for _, key, _, _ in Formatter().parse(self.model) if key}
        weights = [self.weights_of[v] for v in places.values() if v in self.weights_of]
        named = {"model": self.model.format(**places), "weights": [*weights, self.weights][0]}
        return named | {k: v for k, v in factors.items() if k not in places}
