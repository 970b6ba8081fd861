"""System C: an ablation of a U-Net from scratch on terrain that people labelled in part."""

from types import MappingProxyType

from fewlabels.studies.common import SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study
from fewlabels.studies.run import Start

NETWORK = (Start("unet:depth=4,width=8{blocks}", "none"),)
WIDE = (Start("unet:depth=4,width=64{blocks}", "none"),)
THIN = (Start("unet:depth=4,width=4{blocks}", "none"),)
BLOCKS = MappingProxyType(
    {
        "SE": ",se,spatial_dropout=0.1",
        "inception": ",encoder=inception,bottleneck=inception,skip=inception",
        "attention": ",attention",
    }
)
WEIGHTED = {"class_weights": "inverse", "weight_bound": 100.0}
IGNORED = {"left_out": ("background",)} | WEIGHTED
PLAIN = {"blocks": ""} | IGNORED
RARE = {"rare_below": 0.03, "rare_times": 4, "rare_augmentation": "flips+shift_scale_rotate"}
CELLS = MappingProxyType(
    {
        "plain, background taught": {"blocks": ""} | WEIGHTED,
        "SE + dropout, background taught": {"blocks": BLOCKS["SE"]} | WEIGHTED,
        "plain": PLAIN,
        "SE + dropout": PLAIN | {"blocks": BLOCKS["SE"]},
        "full inception": PLAIN | {"blocks": BLOCKS["inception"]},
        "attention gates": PLAIN | {"blocks": BLOCKS["attention"]},
        "unweighted": PLAIN | {"class_weights": "none"},
        "Dice": PLAIN | {"loss": "partial_dice", "class_weights": "none"},
        "Tversky": PLAIN | {"loss": "partial_tversky", "class_weights": "none"},
        "focal Tversky": PLAIN | {"loss": "partial_focal_tversky", "class_weights": "none"},
        "CutMix": PLAIN | {"cutmix": 0.5},
        "rare class augmented": PLAIN | RARE,
        "outliers left out": PLAIN | {"data": "{data}:cleaned"},
    }
)
SINGLE = tuple(
    (cell, "plain")
    for cell in ("SE + dropout", "full inception", "attention gates", "CutMix",
                 "rare class augmented", "outliers left out")
)  # fmt: skip
CLAIMS = MappingProxyType(
    {
        "C1": Claim(
            text="Leaving background out of the loss is the largest single gain.",
            theirs="test mIoU from 51 to 67",
            plus=("plain", "SE + dropout"),
            minus=("plain, background taught", "SE + dropout, background taught"),
            measure="largest",
            rivals=(
                ("SE + dropout, background taught", "plain, background taught"),
                *SINGLE,
                ("plain", "unweighted"),
            ),
        ),
        "C2": Claim(
            text="Squeeze-and-excitation with spatial dropout cuts over-fitting.",
            theirs="test mIoU from 45 to 51, where validation had said about 70",
            plus=("SE + dropout, background taught", "SE + dropout"),
            minus=("plain, background taught", "plain"),
            metric="gap",
            sign=-1,
        ),
        "C3": Claim(
            text="Full inception does not help: it gains less than one point.",
            theirs="no number given",
            plus=("full inception",),
            minus=("plain",),
            measure="no_gain",
            sign=-1,
        ),
        "C4": Claim(
            text="Targeted augmentation lifts the rare class.",
            theirs="big rock at 0.13 % of the area: IoU 71.46 in the end, none before it given",
            plus=("rare class augmented",),
            minus=("plain",),
            metric="rarest_iou",
        ),
        "C5": Claim(
            text="Weighted cross-entropy beats Dice, Tversky and focal Tversky, each of them.",
            theirs="no numbers given",
            plus=("plain",),
            minus=("unweighted",),
            measure="largest",
            rivals=(
                ("Dice", "unweighted"),
                ("Tversky", "unweighted"),
                ("focal Tversky", "unweighted"),
            ),
        ),
    }
)
HOME = {
    "data": "{data}:background", "sampler": "all", "amount": 1.0, "validation": "dense",
    "augmentation": "flips+rotate", "rotation": 15.0,
}  # fmt: skip
MARS = {"grid": 96, "crop": 96, "batch": 8, "steps": 800, "lr": 1.5e-3, "watch": 4}  # whole frames
THEIRS = {  # they give no epochs: 40 of 2,500 frames, each with a validation, and may stop early
    "steps": 12_500, "watch": 40, "patience": 10, "keep": "best", "schedule": "plateau",
    "plateau_patience": 5,
}  # fmt: skip
SCENES = SYNTHETIC | {"grid": 128, "crop": 32, "steps": 12, "batch": 4, "watch": 2}

STUDY = Study(
    title="Ablation of a U-Net from scratch, labels as people gave them",
    question=(
        "What does a U-Net from scratch gain from leaving out of the loss what nobody labelled, "
        "and what from blocks, losses and augmentation?"
    ),
    varies={},
    bounds=CELLS,
    claims=CLAIMS,
    departs=(
        "about 2,500 frames of 64 x 128 pixels (about as many as 96 x 96) with background at "
        "20 % of the area; a wider U-Net they do not size; early "
        "stopping and a plateau scheduler, where here all conditions have equal steps; losses and "
        "blocks tried on the best network so far, here each alone on the plain one"
    ),
    scales={
        ("smoke", "synthetic"): Scale(THIN, (0,), 2, SCENES | {"steps": 4} | HOME),
        ("smoke", "real"): Scale(THIN, (0,), 2, {"grid": 128} | TINY | HOME),
        ("quick", "synthetic"): Scale(THIN, (0,), 2, SCENES | HOME),
        ("quick", "real"): Scale(NETWORK, (0,), 2, MARS | HOME),
        ("full", "synthetic"): Scale(
            NETWORK, (0,), 6, SYNTHETIC | {"steps": 900, "watch": 10} | HOME
        ),
        ("full", "real"): Scale(WIDE, (0,), 15, MARS | {"steps": 4000, "watch": 10} | HOME),
        ("home", "real"): Scale(WIDE, (0,), 15, MARS | HOME | THEIRS),
        ("published", "real"): Scale(
            NETWORK, (0,), 15, MARS | HOME | {"data": "ai4mars:background"}
        ),
    },
)  # fmt: skip
