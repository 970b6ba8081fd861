"""Our own questions on the protocol: what each of its rules changes against the usual way."""

from fewlabels.studies.budget import ONCE, SCALES
from fewlabels.studies.design import Claim, Study
from fewlabels.studies.e import FACTORS
from fewlabels.studies.profiles import FOLDS, RESNET18, SCRATCH, scales

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
