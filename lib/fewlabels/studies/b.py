"""System B: U-Net against U-Net++, both from scratch, by label fraction."""

from fewlabels.studies.design import Claim, Study
from fewlabels.studies.profiles import scales
from fewlabels.studies.run import Start

HOME = {
    "optimiser": "adam", "schedule": "constant", "weight_decay": 1e-4, "class_weights": "inverse",
    "augmentation": "flips+shift_scale_rotate", "validation": "dense",
}  # fmt: skip
REPORTED = {"lr": 1e-5, "batch": 32, "crop": 384, "steps": 2800}  # 12 epochs of 7,470 chips
WIDE = (Start("{network}:depth=5,width=64", "none"),)
NARROW = (Start("{network}:depth=5,width=16", "none"),)
SMALL = (Start("{network}:depth=4,width=8", "none"),)
STUDY = Study(
    title="U-Net and U-Net++ by label fraction",
    question=(
        "Does U-Net++ beat U-Net when 10 % of the pixels are labelled, is 15 % better than 10 %, "
        "and is 10 % enough?"
    ),
    varies={"network": ("unet", "unetpp"), "amount": (0.1, 0.15)},
    bounds={"U-Net, dense": {"network": "unet", "sampler": "all"}},
    claims={
        "B1": Claim(
            "U-Net++ beats U-Net at 10 %.", "final mIoU 50.54 against 47.75",
            ("U-Net++, 10 %",), ("U-Net, 10 %",),
        ),
        "B2": Claim(
            "U-Net++ gets worse from 10 % to 15 %.", "final mIoU 46.30 against 50.54",
            ("U-Net++, 15 %",), ("U-Net++, 10 %",), sign=-1,
        ),
        "B3": Claim(
            "U-Net gains next to nothing from 10 % to 15 %.", "final mIoU 47.64 against 47.75",
            ("U-Net, 15 %",), ("U-Net, 10 %",), measure="equivalence",
        ),
        "B4": Claim(
            "U-Net++ takes about twice as long (tested here: more than 1.5 times per step).",
            "3 min an epoch against 1.5 min",
            ("U-Net++, 10 %", "U-Net++, 15 %"), ("U-Net, 10 %", "U-Net, 15 %"),
            metric="step_seconds", measure="ratio", threshold=1.5,
        ),
        "B5": Claim(
            "The step with the lowest validation loss is not the one with the best mIoU (tested "
            "here: in more than half of the runs).",
            "lowest loss 0.0360 for U-Net at 15 %, best mIoU 50.54 for U-Net++ at 10 %",
            ("U-Net, 10 %", "U-Net, 15 %", "U-Net++, 10 %", "U-Net++, 15 %"),
            metric="lowest_loss_elsewhere", measure="property", threshold=0.5,
        ),
        "B6": Claim(
            "10 % of the labels may be enough: they reach 95 % of the dense score.",
            "final mIoU 47.75 and 50.54, without a dense bound",
            ("U-Net, 10 %",), ("U-Net, dense",), measure="share", threshold=0.95,
        ),
    },
    deviations=(
        "LandCover.ai by random chips, 384 x 384 pixels, width 64 (16 in the published runs), "
        "learning rate 1e-5 for 12 epochs of 7,470 chips in batches of 32, scores on the "
        "validation set"
    ),
    scales=scales(
        {
            "synthetic": SMALL, "real": NARROW, "smoke": SMALL, "full": WIDE, "home": WIDE,
            ("full", "synthetic"): NARROW,
        },
        {"synthetic": HOME, "real": HOME, "home": REPORTED},
    ),
)  # fmt: skip
