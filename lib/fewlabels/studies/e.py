"""System E: which pixels are labelled, and which loss is trained; and its learning rates."""

from fewlabels.studies.design import Claim, Study
from fewlabels.studies.profiles import RESNET18, SCRATCH, scales
from fewlabels.studies.run import Start

DEEPLAB = (Start("deeplabv3_resnet50", "coco"), *RESNET18)
FACTORS = {"real": {"alpha": 0.25}, "smoke": {"alpha": None}}
"""Also those of our own studies: of the two losses only focal loss reads alpha, but with it the
conditions that they share with system E are trained once."""
REPORTED = {  # their learning rate is `Run`'s
    "optimiser": "adam", "schedule": "constant", "weight_decay": 1e-4, "class_weights": "inverse",
    "batch": 4, "crop": 512, "steps": 110,  # 10 epochs of 45 images
}  # fmt: skip
EVEN, RANDOM = ("stratified, PCE", "stratified, focal"), ("random, PCE", "random, focal")
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
    claims={
        "E1": Claim(
            "Stratified labels beat random ones.",
            "best IoU 39.8 against 38.0, final 37.3 against 37.9",
            EVEN, RANDOM,
        ),
        "E2": Claim(
            "Training on stratified labels converges sooner.", "epoch 6 against epoch 8",
            EVEN, RANDOM, metric="steps_to_95", sign=-1,
        ),
        "E3": Claim(
            "Focal loss beats cross-entropy by far.",
            "final IoU 40.1 against 0.6, both on stratified labels",
            ("random, focal", "stratified, focal"), ("random, PCE", "stratified, PCE"),
        ),
        "E4": Claim(
            "1 % of the labels reaches at most two thirds of the dense score.",
            "about 40 IoU where full supervision is said to reach 60 to 80",
            ("random, PCE",), ("dense, PCE",), sign=-1, measure="share", threshold=2 / 3,
        ),
    },
    deviations=(
        "DeepLabV3-ResNet-50 with COCO weights, 10 epochs at a constant learning rate, "
        "class weights from the labels, one random split of the images, colours decoded "
        "wrongly, one run a condition"
    ),
    scales=scales(
        {
            "synthetic": SCRATCH, "real": RESNET18, "smoke": SCRATCH, "home": DEEPLAB,
            ("full", "real"): DEEPLAB,
        },
        FACTORS | {("quick", "synthetic"): {"steps": 60, "watch": 6}, "home": REPORTED},
    ),
)  # fmt: skip

SPARSE = {"validation": "sparse", "watch": 1}  # what somebody with few labels can choose by
RATES = Study(
    title="The learning rate of system E",
    question="Is the learning rate that all conditions of system E share the best of each?",
    bounds={
        f"{condition}, {rate:g}": factors | {"lr": rate}
        for condition, factors in STUDY.conditions().items()
        for rate in (3e-4, 1e-3, 3e-3)
    },
    claims={},  # one run a condition chooses a rate and compares nothing
    scales=scales(
        {("smoke", "synthetic"): SCRATCH, ("full", "real"): DEEPLAB, "published": RESNET18},
        FACTORS | {"synthetic": SPARSE | {"steps": 1}, "full": SPARSE, "published": SPARSE},
        replicates={"smoke": 1, "full": 1, "published": 1},
        folds=(0,),
    ),
)  # fmt: skip
