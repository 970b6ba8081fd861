"""System A: two encoders by two label fractions."""

from fewlabels.studies.design import Claim, Study
from fewlabels.studies.profiles import scales
from fewlabels.studies.run import Start

HOME = {"optimiser": "adam", "schedule": "constant", "weight_decay": 0.0}
REPORTED = {  # 10 epochs of 640 images, each with a validation; the best checkpoint was kept
    "steps": 800, "watch": 10, "validation": "dense", "keep": "best",
}  # fmt: skip
SCRATCH = (Start("smp:Unet:{encoder}:3", "none"),)
REBUILT = {"resnet18": "resnet18-imagenet-fp16", "resnet50": "resnet50-imagenet-pqf-fp16"}
IMAGENET = (
    Start("smp:Unet:{encoder}", "none", REBUILT),
    Start("smp:Unet:{encoder}", "imagenet"),
)  # fmt: skip
STUDY = Study(
    title="Encoder by label fraction",
    question=(
        "Does a deeper encoder pay off, does a larger share of labelled pixels pay off, and does "
        "the one depend on the other?"
    ),
    varies={"encoder": ("resnet18", "resnet50"), "amount": (0.2, 0.5)},
    claims={
        "A1": Claim(
            "ResNet-50 beats ResNet-18 at both fractions.",
            "best validation loss 0.755 and 0.746 against 0.835 and 0.843",
            ("ResNet-50, 20 %", "ResNet-50, 50 %"), ("ResNet-18, 20 %", "ResNet-18, 50 %"),
            measure="each",
        ),
        "A2": Claim(
            "ResNet-50 scores higher with 50 % of the labels than with 20 %.",
            "best validation loss 0.746 against 0.755",
            ("ResNet-50, 50 %",), ("ResNet-50, 20 %",),
        ),
        "A3": Claim(
            "ResNet-18 scores higher with 20 % of the labels than with 50 %.",
            "best validation loss 0.835 against 0.843",
            ("ResNet-18, 20 %",), ("ResNet-18, 50 %",),
        ),
        "A4": Claim(
            "The deeper encoder gains more from more labels.", "0.009 gained against 0.008 lost",
            ("ResNet-50, 50 %", "ResNet-50, 20 %"), ("ResNet-18, 50 %", "ResNet-18, 20 %"),
            measure="interaction",
        ),
    },
    deviations=(
        "satellite images of seven classes they do not name, a network they do not name (here "
        "U-Net), torchvision's weights (ours were rebuilt, from another source for each encoder, "
        "which weakens A1), 10 epochs, validation loss as the score"
    ),
    scales=scales(
        {"synthetic": SCRATCH, "smoke": SCRATCH, "real": IMAGENET},
        {"synthetic": HOME, "real": HOME, ("quick", "synthetic"): {"steps": 14}, "home": REPORTED},
    ),
)  # fmt: skip
