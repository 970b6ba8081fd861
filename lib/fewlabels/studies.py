"""The one table of experiments: what each study asks, varies and keeps fixed.

A run is a row of factors; a study is a question with its cells (the conditions compared) and its
scales (how much of it a profile can afford). An ablation is a row here, not new code elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from types import MappingProxyType

from fewlabels.types import unknown


@dataclass(frozen=True)
class Run:
    """One training, completely: equal factors give the same run.

    Attributes:
        amount: label budget of a tile, see `sparsify.draw`.
        grid: longest side of a tile in pixels, on which labels are drawn and scores computed.
        crop, batch: side of a crop in pixels, crops a step.
        gamma, alpha: of `partial_focal`; ignored by the other losses.
        tversky_alpha, tversky_beta: weight of false positives and of false negatives in
            `partial_tversky` and `partial_focal_tversky`; ignored by the other losses.
        tversky_gamma: of `partial_focal_tversky`; ignored by the other losses.
        weight_bound: how many times another's weight a class may weigh, see
            `losses.class_weights`.
        expansion: how drawn labels are expanded for training, see `expand`; scores never are.
        reach: how far: the distance, radius, size or scale of that method (`expand.METHODS`).
        left_out: names of classes whose pixels count as unlabelled in the loss, see `losses`.
        draw: seed of the label draw. Runs that are compared share it.
        seed: of weights, crops and augmentation.
        watch: how many times on the way the test tiles are scored, evenly spaced, the last step
            included. The curve is shown, never used to choose.
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


@dataclass(frozen=True)
class Start:
    """A model with the weights it starts from."""

    model: str
    weights: str


@dataclass(frozen=True)
class Scale:
    """How much of a study one profile runs on one kind of data.

    Attributes:
        starts: in order of preference: the first whose weights can be had is the one that all
            runs use; it stands in every row, so a stand-in is never taken for the first choice.
        folds: which test groups.
        pairs: how many (label draw, training seed) pairs a fold; draw and seed are both 0, 1, ...
        fixed: factors that all runs share.
    """

    starts: tuple[Start, ...]
    folds: tuple[int, ...]
    pairs: int
    fixed: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """One sentence of the earlier study as a measurable contrast, declared before any run.

    Attributes:
        theirs: what they reported, in their words and numbers.
        plus, minus: cells whose means are compared, unit by unit.
        metric: column of `records.table`.
        sign: +1 where the claim says plus is higher, -1 where it says lower.
        measure: `difference` of the two means, or `share`: their quotient less `threshold`.
    """

    text: str
    theirs: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    metric: str = "miou"
    sign: int = 1
    measure: str = "difference"
    threshold: float = 0.0


@dataclass(frozen=True)
class Study:
    """A question, the conditions it compares, and what each profile affords.

    Attributes:
        varies: factor -> its levels; the cells are all their combinations.
        bounds: cells beside the grid, by name, such as the dense bound.
        claims: what the earlier study concluded, by its id.
        departs: where our setting differs from theirs, besides what the table of factors shows.
        scales: (profile, "synthetic" or "real") -> Scale.
    """

    title: str
    question: str
    varies: Mapping[str, tuple]
    bounds: Mapping[str, Mapping[str, object]]
    claims: Mapping[str, Claim]
    departs: str
    scales: Mapping[tuple[str, str], Scale]

    def cells(self) -> dict[str, dict[str, object]]:
        """Name -> factors of every condition, the grid first, then the bounds."""
        grid = {}
        for levels in product(*self.varies.values()):
            grid[", ".join(SHORT.get(str(v), str(v)) for v in levels)] = dict(
                zip(self.varies, levels, strict=True)
            )
        return grid | {name: dict(factors) for name, factors in self.bounds.items()}


SHORT = MappingProxyType(
    {
        "partial_cross_entropy": "PCE",
        "partial_focal": "focal",
        "partial_dice": "Dice",
        "partial_tversky": "Tversky",
        "partial_focal_tversky": "focal Tversky",
    }
)
PROFILES = ("smoke", "quick", "full", "published")

_SCRATCH = (Start("smp:Unet:resnet18:3", "none"),)  # learns from nothing in few steps
_RESNET18 = (
    Start("smp:Unet:resnet18", "resnet18-imagenet-fp16"),
    Start("smp:Unet:resnet18", "imagenet"),
)
_HOME_E = (Start("deeplabv3_resnet50", "coco"), *_RESNET18)
_FOLDS = (0, 1, 2, 3, 4)
_SYNTHETIC = {"grid": 256, "crop": 128, "lr": 5e-3, "watch": 6}
_HALF = {"grid": 350, "crop": 128}  # half of 700: the same ground a crop, a quarter of the cost
_ALPHA_E = {"alpha": 0.25}
_TINY = {"steps": 4, "batch": 2, "crop": 64, "watch": 2}

_CLAIMS_E = MappingProxyType(
    {
        "E1": Claim(
            text="Stratified labels beat random ones.",
            theirs="best IoU 39.8 against 38.0, final 37.3 against 37.9",
            plus=("stratified, PCE", "stratified, focal"),
            minus=("random, PCE", "random, focal"),
        ),
        "E2": Claim(
            text="Stratified labels get there sooner.",
            theirs="epoch 6 against epoch 8",
            plus=("stratified, PCE", "stratified, focal"),
            minus=("random, PCE", "random, focal"),
            metric="steps_to_95",
            sign=-1,
        ),
        "E3": Claim(
            text="Focal loss beats cross-entropy by far.",
            theirs="final IoU 40.1 against 0.6, both on stratified labels",
            plus=("random, focal", "stratified, focal"),
            minus=("random, PCE", "stratified, PCE"),
        ),
        "E4": Claim(
            text="1 % of the labels reaches at most two thirds of the dense score.",
            theirs="about 40 IoU where full supervision is said to reach 60 to 80",
            plus=("random, PCE",),
            minus=("dense, PCE",),
            sign=-1,
            measure="share",
            threshold=2 / 3,
        ),
    }
)

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "E": Study(
            title="Point supervision: sampling strategy and loss",
            question=(
                "At 1 % of the pixels, does it matter which pixels are labelled (at random or "
                "evenly over the classes) and which loss is trained (cross-entropy or focal)?"
            ),
            varies={
                "sampler": ("random", "stratified"),
                "loss": ("partial_cross_entropy", "partial_focal"),
            },
            bounds={"dense, PCE": {"sampler": "all", "loss": "partial_cross_entropy"}},
            claims=_CLAIMS_E,
            departs=(
                "DeepLabV3-ResNet-50 with COCO weights, 10 epochs at a constant learning rate, "
                "class weights from the labels, one random split of the images, colours decoded "
                "wrongly, one run a condition"
            ),
            scales={
                ("smoke", "synthetic"): Scale(_SCRATCH, (0,), 2, _SYNTHETIC | _TINY),
                ("smoke", "real"): Scale(_SCRATCH, (0,), 2, {"grid": 128} | _TINY),
                ("quick", "synthetic"): Scale(_SCRATCH, (0,), 2, _SYNTHETIC | {"steps": 300}),
                ("quick", "real"): Scale(_RESNET18, (0,), 2, _HALF | _ALPHA_E),
                ("full", "synthetic"): Scale(
                    _SCRATCH, _FOLDS, 3, _SYNTHETIC | {"steps": 900, "watch": 10}
                ),
                ("full", "real"): Scale(_HOME_E, _FOLDS, 3, _ALPHA_E),
                # 1 pair so far: 5 of the 15 units that a verdict needs
                ("published", "real"): Scale(_RESNET18, _FOLDS, 1, _HALF | _ALPHA_E),
            },
        ),
    }
)


def study(name: str) -> Study:
    """A study of the table by its letter.

    Raises:
        UnknownName: no such study.
    """
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    return STUDIES[name]


def scale(name: str, profile: str, data: str) -> Scale:
    """What `profile` runs of a study on `data`.

    Raises:
        UnknownName: no such study or profile, or the profile has nothing for this data.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    scales, kind = study(name).scales, "synthetic" if data == "synthetic" else "real"
    if (profile, kind) not in scales:
        raise unknown(f"profile for {kind} data", profile, (p for p, k in scales if k == kind))
    return scales[profile, kind]


def runs(name: str, profile: str, data: str, start: Start) -> dict[tuple[str, int, int], Run]:
    """Every run of a study at a profile: (cell, fold, pair) -> Run.

    A misspelt factor in the table is a TypeError here. All cells of one (fold, pair) share label
    draw, seed, steps and batches, so their differences are paired.
    """
    chosen = scale(name, profile, data)
    shared = {"data": data, "model": start.model, "weights": start.weights}
    base = replace(Run(), **shared | dict(chosen.fixed))
    return {
        (cell, fold, pair): replace(base, **factors, fold=fold, draw=pair, seed=pair)
        for pair in range(chosen.pairs)
        for fold in chosen.folds
        for cell, factors in study(name).cells().items()
    }


def shared_factors(runs: Iterable[Run]) -> dict[str, object]:
    """The factors, with their values, that all of these runs have in common."""
    every = [asdict(run) for run in runs]
    return {k: v for k, v in every[0].items() if all(other[k] == v for other in every)}


def factors(name: str, profile: str, data: str, start: Start) -> list[dict[str, str]]:
    """Rows `factor`, `kind` (varies, units or fixed) and `value` of a study at a profile."""
    chosen, asked = scale(name, profile, data), study(name)
    shared = shared_factors(runs(name, profile, data, start).values())
    units = f"{len(chosen.folds)} x {chosen.pairs}"
    rows = [(factor, "varies", ", ".join(map(str, v))) for factor, v in asked.varies.items()]
    rows += [
        ("beside the grid", "varies", ", ".join(asked.bounds)),
        ("folds x pairs", "units", units),
    ]
    rows += [(factor, "fixed", str(value)) for factor, value in shared.items()]
    return [dict(zip(("factor", "kind", "value"), row, strict=True)) for row in rows]


def digest(run: Run) -> str:
    """SHA-256 of a run's factors: the same text for the same run, in any process."""
    return hashlib.sha256(json.dumps(asdict(run), sort_keys=True).encode()).hexdigest()
