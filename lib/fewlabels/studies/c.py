"""System C: an ablation of a U-Net from scratch on terrain that people labelled in part."""

from fewlabels.studies.design import Claim, Study, scales
from fewlabels.studies.run import Start

NETWORK = (Start("unet:depth=4,width=8{blocks}", "none"),)
WIDE = (Start("unet:depth=4,width=64{blocks}", "none"),)
THIN = (Start("unet:depth=4,width=4{blocks}", "none"),)
SE = {"blocks": ",se,spatial_dropout=0.1"}
INCEPTION = {"blocks": ",encoder=inception,bottleneck=inception,skip=inception"}
TAUGHT = {"blocks": "", "class_weights": "inverse", "weight_bound": 100.0}
PLAIN = TAUGHT | {"ignored": ("background",)}
UNWEIGHTED = PLAIN | {"class_weights": "none"}
RARE = {"rare_below": 0.03, "rare_times": 4, "rare_augmentation": "flips+shift_scale_rotate"}
CONDITIONS = {
    "plain, background taught": TAUGHT,
    "SE + dropout, background taught": TAUGHT | SE,
    "plain": PLAIN,
    "SE + dropout": PLAIN | SE,
    "full inception": PLAIN | INCEPTION,
    "attention gates": PLAIN | {"blocks": ",attention"},
    "unweighted": UNWEIGHTED,
    "Dice": UNWEIGHTED | {"loss": "partial_dice"},
    "Tversky": UNWEIGHTED | {"loss": "partial_tversky"},
    "focal Tversky": UNWEIGHTED | {"loss": "partial_focal_tversky"},
    "CutMix": PLAIN | {"cutmix": 0.5},
    "rare class augmented": PLAIN | RARE,
    "outliers left out": PLAIN | {"data": "{data}:cleaned"},
}
ALONE = (
    "SE + dropout", "full inception", "attention gates", "CutMix", "rare class augmented",
    "outliers left out",
)  # fmt: skip
HOME = {
    "data": "{data}:background", "sampler": "all", "amount": 1.0, "validation": "dense",
    "augmentation": "flips+rotate", "rotation": 15.0,
}  # fmt: skip
MARS = {"grid": 96, "crop": 96, "batch": 8, "steps": 800, "lr": 1.5e-3, "watch": 4}  # whole frames
LONG = {"steps": 4000, "watch": 10}
REPORTED = {  # they give no epochs: 40 of 2,500 frames, each with a validation, and may stop early
    "steps": 12_500, "watch": 40, "patience": 10, "keep": "best", "schedule": "plateau",
    "plateau_patience": 5,
}  # fmt: skip
SMALL = {"grid": 128, "crop": 32, "batch": 4}
STUDY = Study(
    title="Ablation of a U-Net from scratch, labels as people gave them",
    question=(
        "What does a U-Net from scratch gain when the loss ignores unlabelled pixels, and what do "
        "blocks, losses and augmentation add?"
    ),
    bounds=CONDITIONS,
    claims={
        "C1": Claim(
            "Ignoring background in the loss brings the largest single gain.",
            "test mIoU from 51 to 67",
            ("plain", "SE + dropout"),
            ("plain, background taught", "SE + dropout, background taught"), measure="largest",
            rivals=(
                ("SE + dropout, background taught", "plain, background taught"),
                *((condition, "plain") for condition in ALONE),
                ("plain", "unweighted"),
            ),
        ),
        "C2": Claim(
            "Squeeze-and-excitation with spatial dropout reduces over-fitting.",
            "test mIoU from 45 to 51, where validation had said about 70",
            ("SE + dropout, background taught", "SE + dropout"),
            ("plain, background taught", "plain"), metric="gap", sign=-1,
        ),
        "C3": Claim(
            "Full inception does not help: it gains less than one point.", "no number given",
            ("full inception",), ("plain",), measure="no_gain", sign=-1,
        ),
        "C4": Claim(
            "Targeted augmentation raises the IoU of the rare class.",
            "big rock at 0.13 % of the area: final IoU 71.46, no earlier one given",
            ("rare class augmented",), ("plain",), metric="rarest_iou",
        ),
        "C5": Claim(
            "Weighted cross-entropy beats each of Dice, Tversky and focal Tversky.",
            "no numbers given",
            ("plain",), ("unweighted",), measure="largest",
            rivals=tuple((loss, "unweighted") for loss in ("Dice", "Tversky", "focal Tversky")),
        ),
    },
    deviations=(
        "about 2,500 frames of 64 x 128 pixels (about as many as 96 x 96) with background at "
        "20 % of the area; a wider U-Net whose size they do not give; early stopping and a "
        "plateau scheduler, where here all conditions have equal steps; losses and blocks tried "
        "on the best network so far, where here each is added alone to the plain one"
    ),
    scales=scales(
        {
            "synthetic": THIN, "real": NETWORK, "smoke": THIN, "full": WIDE, "home": WIDE,
            ("full", "synthetic"): NETWORK,
        },
        {
            "synthetic": HOME, "real": HOME,
            ("smoke", "synthetic"): SMALL,
            ("quick", "synthetic"): SMALL | {"steps": 12},
            ("quick", "real"): MARS,
            ("full", "real"): MARS | LONG,
            "home": MARS | REPORTED,
            "published": MARS | {"data": "ai4mars:background"},
        },
        replicates={"full": 15, ("full", "synthetic"): 6, "home": 15, "published": 15},
        folds=(0,),
    ),
)  # fmt: skip
