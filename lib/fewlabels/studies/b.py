"""System B: U-Net against U-Net++, both from scratch, by label fraction."""

from types import MappingProxyType

from fewlabels.studies.common import FOLDS, HALF, SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study
from fewlabels.studies.run import Start

HOME = {
    "optimiser": "adam", "schedule": "constant", "weight_decay": 1e-4, "class_weights": "inverse",
    "augmentation": "flips+shift_scale_rotate", "validation": "dense",
}  # fmt: skip
THEIRS = {"lr": 1e-5, "batch": 32, "crop": 384, "steps": 2800}  # 12 epochs of 7,470 chips
WIDE = (Start("{network}:depth=5,width=64", "none"),)
NARROW = (Start("{network}:depth=5,width=16", "none"),)
SMALL = (Start("{network}:depth=4,width=8", "none"),)
CLAIMS = MappingProxyType(
    {
        "B1": Claim(
            text="U-Net++ beats U-Net at 10 %.",
            theirs="final mIoU 50.54 against 47.75",
            plus=("U-Net++, 10 %",),
            minus=("U-Net, 10 %",),
        ),
        "B2": Claim(
            text="U-Net++ gets worse from 10 % to 15 %.",
            theirs="final mIoU 46.30 against 50.54",
            plus=("U-Net++, 15 %",),
            minus=("U-Net++, 10 %",),
            sign=-1,
        ),
        "B3": Claim(
            text="U-Net gains next to nothing from 10 % to 15 %.",
            theirs="final mIoU 47.64 against 47.75",
            plus=("U-Net, 15 %",),
            minus=("U-Net, 10 %",),
            measure="equivalence",
        ),
        "B4": Claim(
            text="U-Net++ costs about twice the time (asked here: of a step, more than 1.5 times).",
            theirs="3 min an epoch against 1.5 min",
            plus=("U-Net++, 10 %", "U-Net++, 15 %"),
            minus=("U-Net, 10 %", "U-Net, 15 %"),
            metric="step_seconds",
            measure="ratio",
            threshold=1.5,
        ),
        "B5": Claim(
            text=(
                "The lowest validation loss is not the best mIoU (asked here: of the steps of one "
                "run, in more than half of the runs)."
            ),
            theirs="lowest loss 0.0360 for U-Net at 15 %, best mIoU 50.54 for U-Net++ at 10 %",
            plus=("U-Net, 10 %", "U-Net, 15 %", "U-Net++, 10 %", "U-Net++, 15 %"),
            metric="lowest_loss_elsewhere",
            measure="property",
            threshold=0.5,
        ),
        "B6": Claim(
            text="10 % of the labels may be enough: 95 % of the dense score.",
            theirs="final mIoU 47.75 and 50.54, without a dense bound",
            plus=("U-Net, 10 %",),
            minus=("U-Net, dense",),
            measure="share",
            threshold=0.95,
        ),
    }
)

STUDY = Study(
    title="U-Net and U-Net++ by label fraction",
    question=(
        "Does U-Net++ beat U-Net when 10 % of the pixels are labelled, is 15 % better than 10 %, "
        "and is 10 % enough?"
    ),
    varies={"network": ("unet", "unetpp"), "amount": (0.1, 0.15)},
    bounds={"U-Net, dense": {"network": "unet", "sampler": "all"}},
    claims=CLAIMS,
    departs=(
        "LandCover.ai by random chips, 384 x 384 pixels, width 64 (16 in the published runs), "
        "learning rate 1e-5 for 12 epochs of 7,470 chips in batches of 32, scores on the "
        "validation set"
    ),
    scales={
        ("smoke", "synthetic"): Scale(SMALL, (0,), 2, SYNTHETIC | TINY | HOME),
        ("smoke", "real"): Scale(SMALL, (0,), 2, {"grid": 128} | TINY | HOME),
        ("quick", "synthetic"): Scale(SMALL, (0,), 2, SYNTHETIC | {"steps": 20, "watch": 2} | HOME),
        ("quick", "real"): Scale(NARROW, (0,), 2, HALF | HOME),
        ("full", "synthetic"): Scale(
            NARROW, FOLDS, 3, SYNTHETIC | {"steps": 900, "watch": 10} | HOME
        ),
        ("full", "real"): Scale(WIDE, FOLDS, 5, HOME),
        ("home", "real"): Scale(WIDE, FOLDS, 5, HOME | THEIRS),
        ("published", "real"): Scale(NARROW, FOLDS, 3, HALF | HOME),
    },
)
