"""System A: two encoders by two label fractions."""

from types import MappingProxyType

from fewlabels.studies.common import FOLDS, HALF, SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study
from fewlabels.studies.run import Start

HOME = {"optimiser": "adam", "schedule": "constant", "weight_decay": 0.0}
THEIRS = {  # 10 epochs of 640 images, each with a validation; the best checkpoint was kept
    "steps": 800, "watch": 10, "validation": "dense", "keep": "best",
}  # fmt: skip
SCRATCH = (Start("smp:Unet:{encoder}:3", "none"),)
REBUILT = {"resnet18": "resnet18-imagenet-fp16", "resnet50": "resnet50-imagenet-pqf-fp16"}
IMAGENET = (
    Start("smp:Unet:{encoder}", "none", REBUILT),
    Start("smp:Unet:{encoder}", "imagenet"),
)
CLAIMS = MappingProxyType(
    {
        "A1": Claim(
            text="ResNet-50 beats ResNet-18 at both fractions.",
            theirs="best validation loss 0.755 and 0.746 against 0.835 and 0.843",
            plus=("ResNet-50, 20 %", "ResNet-50, 50 %"),
            minus=("ResNet-18, 20 %", "ResNet-18, 50 %"),
            measure="each",
        ),
        "A2": Claim(
            text="ResNet-50 gains from 50 % over 20 %.",
            theirs="best validation loss 0.746 against 0.755",
            plus=("ResNet-50, 50 %",),
            minus=("ResNet-50, 20 %",),
        ),
        "A3": Claim(
            text="ResNet-18 is better with 20 % than with 50 %.",
            theirs="best validation loss 0.835 against 0.843",
            plus=("ResNet-18, 20 %",),
            minus=("ResNet-18, 50 %",),
        ),
        "A4": Claim(
            text="The deeper encoder gains more from more labels.",
            theirs="0.009 gained against 0.008 lost",
            plus=("ResNet-50, 50 %", "ResNet-50, 20 %"),
            minus=("ResNet-18, 50 %", "ResNet-18, 20 %"),
            measure="interaction",
        ),
    }
)

STUDY = Study(
    title="Encoder by label fraction",
    question=(
        "Does a deeper encoder pay, does a larger share of labelled pixels pay, and does the one "
        "depend on the other?"
    ),
    varies={"encoder": ("resnet18", "resnet50"), "amount": (0.2, 0.5)},
    bounds={},
    claims=CLAIMS,
    departs=(
        "satellite images of seven classes they do not name, a network they do not name (here "
        "U-Net), torchvision's weights (ours are rebuilt ones, of another origin for each "
        "encoder, which stands in the way of A1), 10 epochs, validation loss for a score"
    ),
    scales={
        ("smoke", "synthetic"): Scale(SCRATCH, (0,), 2, SYNTHETIC | TINY | HOME),
        ("smoke", "real"): Scale(SCRATCH, (0,), 2, {"grid": 128} | TINY | HOME),
        ("quick", "synthetic"): Scale(
            SCRATCH, (0,), 2, SYNTHETIC | {"steps": 14, "watch": 2} | HOME
        ),
        ("quick", "real"): Scale(IMAGENET, (0,), 2, HALF | HOME),
        ("full", "synthetic"): Scale(
            SCRATCH, FOLDS, 3, SYNTHETIC | {"steps": 900, "watch": 10} | HOME
        ),
        ("full", "real"): Scale(IMAGENET, FOLDS, 5, HOME),
        ("home", "real"): Scale(IMAGENET, FOLDS, 5, HOME | THEIRS),
        ("published", "real"): Scale(IMAGENET, FOLDS, 3, HALF | HOME),
    },
)
