"""The one factor that is tuned: the learning rate of each condition, on one fold and one pair."""

from fewlabels.studies import e
from fewlabels.studies.common import HALF, RESNET18, SCRATCH, SYNTHETIC, TINY
from fewlabels.studies.design import Scale, Study

GRID = (3e-4, 1e-3, 3e-3)
CHOOSES = {"validation": "sparse", "watch": 1}  # by what somebody with few labels has
RATES = Study(
    title="The learning rate of system E",
    question="Is the learning rate that all conditions of system E share the best of each?",
    varies={},
    bounds={
        f"{cell}, {rate:g}": factors | {"lr": rate}
        for cell, factors in e.STUDY.cells().items()
        for rate in GRID
    },
    claims={},  # one run a condition chooses, and compares nothing
    departs="nothing: they did not tune",
    scales={
        ("smoke", "synthetic"): Scale(SCRATCH, (0,), 1, SYNTHETIC | TINY | CHOOSES | {"steps": 1}),
        ("full", "real"): Scale(e.HOME, (0,), 1, e.ALPHA | CHOOSES),
        ("published", "real"): Scale(RESNET18, (0,), 1, HALF | e.ALPHA | CHOOSES),
    },
)
