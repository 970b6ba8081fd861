"""The one table of experiments: what each study asks, varies and keeps fixed.

An ablation is a row here, not new code elsewhere; `design` says what the words mean.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

from fewlabels.design import SHORT, Claim, Run, Scale, Start, Study
from fewlabels.types import unknown

__all__ = ["PROFILES", "SHORT", "STUDIES", "Claim", "Run", "Scale", "Start", "Study"]


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

_HOME_D = {  # no schedule, no decay, which is what their third experiment adds
    "loss": "partial_focal", "optimiser": "adam", "schedule": "constant", "weight_decay": 0.0,
}  # fmt: skip
_LINKED = {"expansion": "link", "reach": 10.0}  # they do not give the distance
_CELLS_D = MappingProxyType(
    {
        "700 a class": {"sampler": "per_class", "amount": 700},
        "2,100 a class": {"sampler": "per_class", "amount": 2100},
        "500 a class": {"sampler": "per_class", "amount": 500},
        "500 a class, linked": {"sampler": "per_class", "amount": 500} | _LINKED,
    }
)
_CLAIMS_D = MappingProxyType(
    {
        "D1": Claim(
            text="2,100 labelled pixels a class beat 700.",
            theirs="700: poor, not recorded; 2,100: validation loss 0.235",
            plus=("2,100 a class",),
            minus=("700 a class",),
        ),
        "D3": Claim(
            text="500 linked pixels a class beat 2,100 unlinked ones.",
            theirs="test IoU 83.4 against 73.4, the latter with regularisation",
            plus=("500 a class, linked",),
            minus=("2,100 a class",),
        ),
    }
)

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "D": Study(
            title="Pixels per class and proximity linking",
            question=(
                "How many labelled pixels a class does an image need, and do joins between few of "
                "them stand in for more?"
            ),
            varies={},
            bounds=_CELLS_D,
            claims=_CLAIMS_D,
            departs=(
                "ISPRS Potsdam in 2,400 images, a network they do not name, 10 epochs, the "
                "distance of linking not given (here 10 pixels), one run a condition"
            ),
            scales={
                ("smoke", "synthetic"): Scale(_SCRATCH, (0,), 2, _SYNTHETIC | _TINY | _HOME_D),
                ("smoke", "real"): Scale(_SCRATCH, (0,), 2, {"grid": 128} | _TINY | _HOME_D),
                ("quick", "synthetic"): Scale(
                    _SCRATCH, (0,), 2, _SYNTHETIC | {"steps": 120, "watch": 4} | _HOME_D
                ),
                ("quick", "real"): Scale(_RESNET18, (0,), 2, _HALF | _HOME_D),
                ("full", "synthetic"): Scale(
                    _SCRATCH, _FOLDS, 3, _SYNTHETIC | {"steps": 900, "watch": 10} | _HOME_D
                ),
                ("full", "real"): Scale(_RESNET18, _FOLDS, 3, _HOME_D),
                ("published", "real"): Scale(_RESNET18, _FOLDS, 3, _HALF | _HOME_D),
            },
        ),
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
                ("published", "real"): Scale(_RESNET18, _FOLDS, 3, _HALF | _ALPHA_E),
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
        ("beside the grid" if asked.varies else "conditions", "varies", "; ".join(asked.bounds)),
        ("folds x pairs", "units", units),
    ]
    rows += [(factor, "fixed", str(value)) for factor, value in shared.items()]
    return [dict(zip(("factor", "kind", "value"), row, strict=True)) for row in rows]


def digest(run: Run) -> str:
    """SHA-256 of a run's factors: the same text for the same run, in any process."""
    return hashlib.sha256(json.dumps(asdict(run), sort_keys=True).encode()).hexdigest()
