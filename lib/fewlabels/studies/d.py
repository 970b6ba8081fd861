"""System D: pixels a class, regularisation, and joins between labels."""

from fewlabels.studies.design import Claim, Study, Timing
from fewlabels.studies.profiles import RESNET18, SCRATCH, scales

HOME = {  # no schedule, no decay, which is what their third experiment adds
    "loss": "partial_focal", "optimiser": "adam", "schedule": "constant", "weight_decay": 0.0,
}  # fmt: skip
REGULARISED = {"weight_decay": 1e-4, "schedule": "cosine", "clip": 1.0}  # values not given
LINKED = {"expansion": "link", "reach": 10.0}  # they do not give the distance
STUDY = Study(
    title="Pixels per class and proximity linking",
    question=(
        "How many labelled pixels of each class does an image need, does regularisation keep a "
        "network from over-fitting them, and can joins between few of them replace more?"
    ),
    bounds={
        "700 a class": {"sampler": "per_class", "amount": 700},
        "2,100 a class": {"sampler": "per_class", "amount": 2100},
        "500 a class": {"sampler": "per_class", "amount": 500},
        "500 a class, linked": {"sampler": "per_class", "amount": 500} | LINKED,
        "2,100 a class, regularised": {"sampler": "per_class", "amount": 2100} | REGULARISED,
    },
    claims={
        "D1": Claim(
            "2,100 labelled pixels a class beat 700.",
            "700: poor, not recorded; 2,100: validation loss 0.235",
            ("2,100 a class",), ("700 a class",),
        ),
        "D2": Claim(
            "With 2,100 pixels a class a network over-fits; regularisation narrows the gap between "
            "training and test.",
            "training loss 0.0545, validation loss 0.2350; regularised, the latter 0.0614",
            ("2,100 a class, regularised",), ("2,100 a class",), metric="gap", sign=-1,
        ),
        "D3": Claim(
            "500 linked pixels a class beat 2,100 unlinked ones.",
            "test IoU 83.4 against 73.4, the latter with regularisation",
            ("500 a class, linked",), ("2,100 a class",),
        ),
    },
    timings={
        "D4": Timing(
            "Linking with a k-d tree is affordable: it takes less than 1 s a mask.",
            "40 to 45 minutes for 2,400 masks, about 1 s each, on hardware they do not name",
            bench="linking", table="seconds a mask of 300 x 300 with 6 x 500 labels",
            side="k-d tree", other="all pairs", limit=1.0,
        )
    },
    deviations=(
        "ISPRS Potsdam in 2,400 images, a network they do not name, 10 epochs, a linking distance "
        "they do not give (here 10 pixels), regularisation they do not specify (here weight decay "
        "1e-4, a cosine schedule and gradients clipped at 1), one run a condition"
    ),
    scales=scales(
        {"synthetic": SCRATCH, "smoke": SCRATCH, "real": RESNET18},
        {
            "synthetic": HOME, "real": HOME,
            ("quick", "synthetic"): {"steps": 30, "watch": 3},
            "home": {"steps": 2400},  # 10 epochs of 1,920
        },
    ),
    later=("2,100 a class, regularised",),
)  # fmt: skip
