"""What the protocol itself is worth: each of its rules against the usual way."""

from types import MappingProxyType

from fewlabels.studies.budget import AS_E, NOT_THEIRS, REAL, SCALES
from fewlabels.studies.common import FOLDS, RESNET18, SCRATCH, SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study

LEAK = Study(
    title="The leak",
    question="How much does a random split of the patches flatter the score?",
    varies={},
    bounds={"places apart": {}, "patches at random": {"data": "{data}:patches"}},
    claims=MappingProxyType(
        {
            "L1": Claim(
                text="With 1 % of the pixels, a random split of the patches scores higher.",
                theirs=NOT_THEIRS,
                plus=("patches at random",),
                minus=("places apart",),
            )
        }
    ),
    departs="nothing: the question is ours",
    scales=REAL  # each tile has to be tested once, so all folds at every profile
    | {
        ("smoke", "synthetic"): Scale(SCRATCH, FOLDS, 1, SYNTHETIC | TINY | {"steps": 1}),
        ("smoke", "real"): Scale(RESNET18, FOLDS, 1, {"grid": 128} | TINY | {"steps": 1}),
        ("quick", "real"): Scale(RESNET18, FOLDS, 1, AS_E),
    },
    tested_like="places apart",
)

REDRAWING = Study(
    title="Labels drawn anew",
    question="How much does it flatter the score to draw new labels in every round of the tiles?",
    varies={},
    bounds={"drawn once": {"amount": 10}, "drawn each round": {"amount": 10, "redrawn": True}},
    claims=MappingProxyType(
        {
            "R1": Claim(
                text="At a stated 10 px an image, labels drawn each round score higher.",
                theirs=NOT_THEIRS,
                plus=("drawn each round",),
                minus=("drawn once",),
            )
        }
    ),
    departs="nothing: the question is ours",
    scales=SCALES,
)

SELECTION = Study(
    title="Choosing the weights",
    question="What does it cost that somebody with few labels can validate on few labels only?",
    varies={},
    bounds={
        "last step": {"amount": 30, "validation": "sparse"},
    },
    readings={
        "best by sparse labels": ("last step", "val_sparse_miou"),
        "best by dense masks": ("last step", "val_dense_miou"),
    },
    claims=MappingProxyType(
        {
            "V1": Claim(
                text="Weights chosen by dense masks beat those chosen by sparse labels.",
                theirs=NOT_THEIRS,
                plus=("best by dense masks",),
                minus=("best by sparse labels",),
            ),
            "V2": Claim(
                text="Weights chosen by sparse labels beat the last ones.",
                theirs=NOT_THEIRS,
                plus=("best by sparse labels",),
                minus=("last step",),
            ),
        }
    ),
    departs="nothing: the question is ours",
    scales=SCALES,
)
