"""System E: which pixels are labelled, and which loss is trained."""

from types import MappingProxyType

from fewlabels.studies.common import FOLDS, HALF, RESNET18, SCRATCH, SYNTHETIC, TINY
from fewlabels.studies.design import Claim, Scale, Study
from fewlabels.studies.run import Start

HOME = (Start("deeplabv3_resnet50", "coco"), *RESNET18)
ALPHA = {"alpha": 0.25}
THEIRS = {  # their learning rate is `Run`'s
    "optimiser": "adam", "schedule": "constant", "weight_decay": 1e-4, "class_weights": "inverse",
    "batch": 4, "crop": 512, "steps": 110,  # 10 epochs of 45 images
}  # fmt: skip
CLAIMS = MappingProxyType(
    {
        "E1": Claim(
            text="Stratified labels beat random ones.",
            theirs="best IoU 39.8 against 38.0, final 37.3 against 37.9",
            plus=("stratified, PCE", "stratified, focal"),
            minus=("random, PCE", "random, focal"),
        ),
        "E2": Claim(
            text="Stratified labels get there sooner.",
            theirs="epoch 6 against epoch 8",
            plus=("stratified, PCE", "stratified, focal"),
            minus=("random, PCE", "random, focal"),
            metric="steps_to_95",
            sign=-1,
        ),
        "E3": Claim(
            text="Focal loss beats cross-entropy by far.",
            theirs="final IoU 40.1 against 0.6, both on stratified labels",
            plus=("random, focal", "stratified, focal"),
            minus=("random, PCE", "stratified, PCE"),
        ),
        "E4": Claim(
            text="1 % of the labels reaches at most two thirds of the dense score.",
            theirs="about 40 IoU where full supervision is said to reach 60 to 80",
            plus=("random, PCE",),
            minus=("dense, PCE",),
            sign=-1,
            measure="share",
            threshold=2 / 3,
        ),
    }
)

STUDY = Study(
    title="Point supervision: sampling strategy and loss",
    question=(
        "At 1 % of the pixels, does it matter which pixels are labelled (at random or "
        "evenly over the classes) and which loss is trained (cross-entropy or focal)?"
    ),
    varies={
        "sampler": ("random", "stratified"),
        "loss": ("partial_cross_entropy", "partial_focal"),
    },
    bounds={"dense, PCE": {"sampler": "all", "loss": "partial_cross_entropy"}},
    claims=CLAIMS,
    departs=(
        "DeepLabV3-ResNet-50 with COCO weights, 10 epochs at a constant learning rate, "
        "class weights from the labels, one random split of the images, colours decoded "
        "wrongly, one run a condition"
    ),
    scales={
        ("smoke", "synthetic"): Scale(SCRATCH, (0,), 2, SYNTHETIC | TINY),
        ("smoke", "real"): Scale(SCRATCH, (0,), 2, {"grid": 128} | TINY),
        ("quick", "synthetic"): Scale(SCRATCH, (0,), 2, SYNTHETIC | {"steps": 60}),
        ("quick", "real"): Scale(RESNET18, (0,), 2, HALF | ALPHA),
        ("full", "synthetic"): Scale(SCRATCH, FOLDS, 3, SYNTHETIC | {"steps": 900, "watch": 10}),
        ("full", "real"): Scale(HOME, FOLDS, 5, ALPHA),
        ("home", "real"): Scale(HOME, FOLDS, 5, ALPHA | THEIRS),
        ("published", "real"): Scale(RESNET18, FOLDS, 3, HALF | ALPHA),
    },
)
