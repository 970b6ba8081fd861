"""System D: pixels a class, regularisation, and joins between labels."""

from types import MappingProxyType

from fewlabels.studies.common import FOLDS, HALF, RESNET18, SCRATCH, SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study, Timing

HOME = {  # no schedule, no decay, which is what their third experiment adds
    "loss": "partial_focal", "optimiser": "adam", "schedule": "constant", "weight_decay": 0.0,
}  # fmt: skip
REGULARISED = {"weight_decay": 1e-4, "schedule": "cosine", "clip": 1.0}  # values not given
LINKED = {"expansion": "link", "reach": 10.0}  # they do not give the distance
CELLS = MappingProxyType(
    {
        "700 a class": {"sampler": "per_class", "amount": 700},
        "2,100 a class": {"sampler": "per_class", "amount": 2100},
        "500 a class": {"sampler": "per_class", "amount": 500},
        "500 a class, linked": {"sampler": "per_class", "amount": 500} | LINKED,
        "2,100 a class, regularised": {"sampler": "per_class", "amount": 2100} | REGULARISED,
    }
)
CLAIMS = MappingProxyType(
    {
        "D1": Claim(
            text="2,100 labelled pixels a class beat 700.",
            theirs="700: poor, not recorded; 2,100: validation loss 0.235",
            plus=("2,100 a class",),
            minus=("700 a class",),
        ),
        "D2": Claim(
            text="2,100 over-fit; regularisation narrows the gap between training and test.",
            theirs="training loss 0.0545, validation loss 0.2350; regularised, the latter 0.0614",
            plus=("2,100 a class, regularised",),
            minus=("2,100 a class",),
            metric="gap",
            sign=-1,
        ),
        "D3": Claim(
            text="500 linked pixels a class beat 2,100 unlinked ones.",
            theirs="test IoU 83.4 against 73.4, the latter with regularisation",
            plus=("500 a class, linked",),
            minus=("2,100 a class",),
        ),
    }
)
TIMINGS = MappingProxyType(
    {
        "D4": Timing(
            text="Linking is affordable (they: thanks to the k-d tree): under 1 s a mask.",
            theirs="40 to 45 minutes for 2,400 masks, about 1 s each, on hardware they do not name",
            bench="linking",
            table="seconds a mask of 300 x 300 with 6 x 500 labels",
            side="k-d tree",
            other="all pairs",
            limit=1.0,
        )
    }
)

STUDY = Study(
    title="Pixels per class and proximity linking",
    question=(
        "How many labelled pixels a class does an image need, does regularisation keep a network "
        "from over-fitting them, and do joins between few of them stand in for more?"
    ),
    varies={},
    bounds=CELLS,
    claims=CLAIMS,
    departs=(
        "ISPRS Potsdam in 2,400 images, a network they do not name, 10 epochs, the "
        "distance of linking not given (here 10 pixels), nor what regularises (here weight decay "
        "1e-4, a cosine schedule and gradients clipped at 1), one run a condition"
    ),
    scales={
        ("smoke", "synthetic"): Scale(SCRATCH, (0,), 2, SYNTHETIC | TINY | HOME),
        ("smoke", "real"): Scale(SCRATCH, (0,), 2, {"grid": 128} | TINY | HOME),
        ("quick", "synthetic"): Scale(
            SCRATCH, (0,), 2, SYNTHETIC | {"steps": 30, "watch": 3} | HOME
        ),
        ("quick", "real"): Scale(RESNET18, (0,), 2, HALF | HOME),
        ("full", "synthetic"): Scale(
            SCRATCH, FOLDS, 3, SYNTHETIC | {"steps": 900, "watch": 10} | HOME
        ),
        ("full", "real"): Scale(RESNET18, FOLDS, 5, HOME),
        ("home", "real"): Scale(RESNET18, FOLDS, 5, HOME | {"steps": 2400}),  # 10 epochs of 1,920
        ("published", "real"): Scale(RESNET18, FOLDS, 3, HALF | HOME),
    },
    later=("2,100 a class, regularised",),
    timings=TIMINGS,
)
