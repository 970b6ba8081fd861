"""Our own questions on the number of labels: how few are enough, which, and from which weights."""

from fewlabels.studies.design import Claim, Study, budget
from fewlabels.studies.e import FACTORS
from fewlabels.studies.profiles import RESNET18, SCRATCH, scales

DENSE = "dense"
ONCE = {"smoke": 1, "quick": 1}  # replicates a fold
REAL = scales({"real": RESNET18}, FACTORS, replicates=ONCE)
SCALES = scales({"synthetic": SCRATCH, "real": RESNET18}, FACTORS, replicates=ONCE)

BUDGET = Study(
    title="Label budget",
    question="How many labelled pixels does an image need?",
    bounds={budget(n): {"amount": n} for n in (5, 10, 30, 100, 300, 1000, 0.01)}
    | {DENSE: {"sampler": "all"}},
    claims={
        "N1": Claim(
            "100 labelled pixels an image reach 95 % of the dense score.",
            plus=("100 px",), minus=(DENSE,), measure="share", threshold=0.95,
        ),
        "N2": Claim(
            "1,000 labelled pixels an image beat 30.",
            plus=("1,000 px",), minus=("30 px",),
        ),
    },
    scales=SCALES,
)  # fmt: skip

BALANCE = Study(
    title="Labels spread evenly over the classes",
    question="Do labels spread evenly over the classes help, and at which budget?",
    varies={"sampler": ("random", "stratified"), "amount": (10, 100, 1000, 0.01)},
    claims={
        f"S{i}": Claim(
            f"At {budget(amount)} an image, labels spread evenly over the classes score higher.",
            plus=(f"stratified, {budget(amount)}",), minus=(f"random, {budget(amount)}",),
        )
        for i, amount in enumerate((10, 100, 1000), 1)
    },
    scales=SCALES,
)  # fmt: skip

PRETRAINING = Study(
    title="Pretrained weights",
    question="What do pretrained weights gain, with few labels and with many?",
    bounds={
        f"{start}, {budget(n)}": {"amount": n} | weights
        for start, weights in {"pretrained": {}, "from scratch": {"weights": "none"}}.items()
        for n in (30, 0.01)
    },
    claims={
        f"P{i}": Claim(
            f"At {budget(amount)} an image, pretrained weights beat weights from scratch.",
            plus=(f"pretrained, {budget(amount)}",), minus=(f"from scratch, {budget(amount)}",),
        )
        for i, amount in enumerate((30, 0.01), 1)
    },
    scales=REAL,  # on synthetic scenes nothing is pretrained
)  # fmt: skip
