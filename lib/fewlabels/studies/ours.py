"""Our own questions: how few labels are enough, which, and from which weights; and what each rule
of the protocol changes against the usual way.
"""

from fewlabels.studies.design import FOLDS, RESNET18, SCRATCH, Claim, Study, budget, scales
from fewlabels.studies.systems import FACTORS

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

ROUNDS = {"amount": 50, "rounds": 5, "watch": 5}
CLICKS = Study(
    title="Clicks where the network is undecided",
    question="Does it pay to label where the network is undecided, at equal cost?",
    bounds={query: {"query": query} for query in ("random", "margin")},
    claims={
        "K1": Claim(
            "Clicks where the margin is smallest beat random ones.",
            "PixelPick: uncertain pixels beat random ones on CamVid, Cityscapes and VOC",
            ("margin",), ("random",),
        )
    },
    scales=scales(
        {"synthetic": SCRATCH, "real": RESNET18},
        {
            "synthetic": ROUNDS, "real": FACTORS["real"] | ROUNDS,
            "smoke": FACTORS["smoke"] | {"steps": 5}, ("quick", "synthetic"): {"steps": 60},
        },
    ),
)  # fmt: skip

LEAK = Study(
    title="The leak",
    question="How much does a random split of the patches inflate the score?",
    bounds={"places apart": {}, "patches at random": {"data": "{data}:patches"}},
    claims={
        "L1": Claim(
            "With 1 % of the pixels, a random split of the patches scores higher.",
            plus=("patches at random",), minus=("places apart",),
        )
    },
    scales=scales(  # each tile has to be tested once, so all folds at every profile
        {("smoke", "synthetic"): SCRATCH, "real": RESNET18},
        {"real": FACTORS["real"], "smoke": FACTORS["smoke"] | {"steps": 1}},
        replicates=ONCE,
        folds=FOLDS,
    ),
    tested_like="places apart",
)  # fmt: skip

REDRAWING = Study(
    title="Labels drawn anew",
    question="How much does it inflate the score to draw new labels in every round of the tiles?",
    bounds={"drawn once": {"amount": 10}, "drawn each round": {"amount": 10, "redrawn": True}},
    claims={
        "R1": Claim(
            "At a stated 10 px an image, labels drawn each round score higher.",
            plus=("drawn each round",), minus=("drawn once",),
        )
    },
    scales=SCALES,
)  # fmt: skip

SELECTION = Study(
    title="Choosing the weights",
    question="What is lost when weights can be validated on few labels only?",
    bounds={"last step": {"amount": 30, "validation": "sparse"}},
    readings={
        "best by sparse labels": ("last step", "val_sparse_miou"),
        "best by dense masks": ("last step", "val_dense_miou"),
    },
    claims={
        "V1": Claim(
            "Weights chosen by dense masks beat those chosen by sparse labels.",
            plus=("best by dense masks",), minus=("best by sparse labels",),
        ),
        "V2": Claim(
            "Weights chosen by sparse labels beat those of the last step.",
            plus=("best by sparse labels",), minus=("last step",),
        ),
    },
    scales=SCALES,
)  # fmt: skip
