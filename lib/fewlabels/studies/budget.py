"""Our own questions on the number of labels: how few are enough, which, and from which weights."""

from types import MappingProxyType

from fewlabels.studies import e
from fewlabels.studies.common import FOLDS, HALF, RESNET18, SCRATCH, SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study, budget

FEW = (5, 10, 30, 100, 300, 1000)
DENSE = "dense"
NOT_THEIRS = "not asked by the five"
AS_E = HALF | e.ALPHA  # alpha plays no part here; with it, cells that E has are run once
SHORT = SYNTHETIC | {"steps": 20, "watch": 2}


REAL = {
    ("smoke", "real"): Scale(RESNET18, (0,), 1, {"grid": 128} | TINY),
    ("quick", "real"): Scale(RESNET18, (0,), 1, AS_E),
    ("full", "real"): Scale(RESNET18, FOLDS, 5, e.ALPHA),
    ("published", "real"): Scale(RESNET18, FOLDS, 3, AS_E),
}
SCALES = REAL | {
    ("smoke", "synthetic"): Scale(SCRATCH, (0,), 1, SYNTHETIC | TINY),
    ("quick", "synthetic"): Scale(SCRATCH, (0,), 1, SHORT),
    ("full", "synthetic"): Scale(SCRATCH, FOLDS, 3, SYNTHETIC | {"steps": 900, "watch": 10}),
}


BUDGET = Study(
    title="Label budget",
    question="How many labelled pixels does an image need?",
    varies={},
    bounds={budget(n): {"amount": n} for n in (*FEW, 0.01)} | {DENSE: {"sampler": "all"}},
    claims=MappingProxyType(
        {
            "N1": Claim(
                text="100 labelled pixels an image reach 95 % of the dense score.",
                theirs=NOT_THEIRS,
                plus=("100 px",),
                minus=(DENSE,),
                measure="share",
                threshold=0.95,
            ),
            "N2": Claim(
                text="1,000 labelled pixels an image beat 30.",
                theirs=NOT_THEIRS,
                plus=("1,000 px",),
                minus=("30 px",),
            ),
        }
    ),
    departs="nothing: the question is ours",
    scales=SCALES,
)

BALANCE = Study(
    title="Labels even over the classes",
    question="Do labels spread evenly over the classes help, and at which budget?",
    varies={"sampler": ("random", "stratified"), "amount": (10, 100, 1000, 0.01)},
    bounds={},
    claims=MappingProxyType(
        {
            f"S{i}": Claim(
                text=f"At {budget(amount)} an image, labels even over the classes win.",
                theirs=NOT_THEIRS,
                plus=(f"stratified, {budget(amount)}",),
                minus=(f"random, {budget(amount)}",),
            )
            for i, amount in enumerate((10, 100, 1000), 1)
        }
    ),
    departs="nothing: the question is ours",
    scales=SCALES,
)

PRETRAINING = Study(
    title="Pretrained weights",
    question="What are pretrained weights worth, at few labels and at many?",
    varies={},
    bounds={
        f"{start}, {budget(n)}": {"amount": n} | weights
        for start, weights in {"pretrained": {}, "from scratch": {"weights": "none"}}.items()
        for n in (30, 0.01)
    },
    claims=MappingProxyType(
        {
            f"P{i}": Claim(
                text=f"At {budget(amount)} an image, pretrained weights beat weights from scratch.",
                theirs=NOT_THEIRS,
                plus=(f"pretrained, {budget(amount)}",),
                minus=(f"from scratch, {budget(amount)}",),
            )
            for i, amount in enumerate((30, 0.01), 1)
        }
    ),
    departs="nothing: the question is ours",
    scales=REAL,  # on synthetic scenes nothing is pretrained
)
