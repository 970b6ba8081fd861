"""The five systems' questions as studies, but for C, which is long: what each asks and claims.

A: two encoders by two label fractions. B: U-Net against U-Net++, both from scratch, by label
fraction. D: pixels a class, regularisation, and joins between labels. E: which pixels are labelled,
and which loss is trained; and its learning rates.
"""

from fewlabels.studies.design import RESNET18, SCRATCH, Claim, Study, scales
from fewlabels.studies.run import Start

HOME_A = {"optimiser": "adam", "schedule": "constant", "weight_decay": 0.0}
REPORTED_A = {  # 10 epochs of 640 images, each with a validation; the best checkpoint was kept
    "steps": 800, "watch": 10, "validation": "dense", "keep": "best",
}  # fmt: skip
SCRATCH_A = (Start("smp:Unet:{encoder}:3", "none"),)
REBUILT = {"resnet18": "resnet18-imagenet-fp16", "resnet50": "resnet50-imagenet-pqf-fp16"}
IMAGENET_A = (
    Start("smp:Unet:{encoder}", "none", REBUILT),
    Start("smp:Unet:{encoder}", "imagenet"),
)  # fmt: skip
A = Study(
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
        {"synthetic": SCRATCH_A, "smoke": SCRATCH_A, "real": IMAGENET_A},
        {
            "synthetic": HOME_A, "real": HOME_A, ("quick", "synthetic"): {"steps": 14},
            "home": REPORTED_A,
        },
    ),
)  # fmt: skip

HOME_B = {
    "optimiser": "adam", "schedule": "constant", "weight_decay": 1e-4, "class_weights": "inverse",
    "augmentation": "flips+shift_scale_rotate", "validation": "dense",
}  # fmt: skip
REPORTED_B = {"lr": 1e-5, "batch": 32, "crop": 384, "steps": 2800}  # 12 epochs of 7,470 chips
WIDE = (Start("{network}:depth=5,width=64", "none"),)
NARROW = (Start("{network}:depth=5,width=16", "none"),)
SMALL = (Start("{network}:depth=4,width=8", "none"),)
B = Study(
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
        {"synthetic": HOME_B, "real": HOME_B, "home": REPORTED_B},
    ),
)  # fmt: skip

HOME_D = {  # no schedule, no decay, which is what their third experiment adds
    "loss": "partial_focal", "optimiser": "adam", "schedule": "constant", "weight_decay": 0.0,
}  # fmt: skip
REGULARISED = {"weight_decay": 1e-4, "schedule": "cosine", "clip": 1.0}  # values not given
LINKED = {"expansion": "link", "reach": 10.0}  # they do not give the distance
D = Study(
    title="Pixels per class and proximity linking",
    question=(
        "How many labelled pixels of each class does an image need, does regularisation keep a "
        "network from over-fitting them, and can joins between few of them replace more?"
    ),
    bounds={
        "700 a class": {"sampler": "per_class", "amount": 700},
        "2,100 a class": {"sampler": "per_class", "amount": 2100},
        "500 a class": {"sampler": "per_class", "amount": 500},
        "500 a class, linked": {"sampler": "per_class", "amount": 500} | LINKED,
        "2,100 a class, regularised": {"sampler": "per_class", "amount": 2100} | REGULARISED,
    },
    claims={
        "D1": Claim(
            "2,100 labelled pixels a class beat 700.",
            "700: poor, not recorded; 2,100: validation loss 0.235",
            ("2,100 a class",), ("700 a class",),
        ),
        "D2": Claim(
            "With 2,100 pixels a class a network over-fits; regularisation narrows the gap between "
            "training and test.",
            "training loss 0.0545, validation loss 0.2350; regularised, the latter 0.0614",
            ("2,100 a class, regularised",), ("2,100 a class",), metric="gap", sign=-1,
        ),
        "D3": Claim(
            "500 linked pixels a class beat 2,100 unlinked ones.",
            "test IoU 83.4 against 73.4, the latter with regularisation",
            ("500 a class, linked",), ("2,100 a class",),
        ),
    },
    deviations=(
        "ISPRS Potsdam in 2,400 images, a network they do not name, 10 epochs, a linking distance "
        "they do not give (here 10 pixels), regularisation they do not specify (here weight decay "
        "1e-4, a cosine schedule and gradients clipped at 1), one run a condition"
    ),
    scales=scales(
        {"synthetic": SCRATCH, "smoke": SCRATCH, "real": RESNET18},
        {
            "synthetic": HOME_D, "real": HOME_D,
            ("quick", "synthetic"): {"steps": 30, "watch": 3},
            "home": {"steps": 2400},  # 10 epochs of 1,920
        },
    ),
    later=("2,100 a class, regularised",),
)  # fmt: skip

DEEPLAB = (Start("deeplabv3_resnet50", "coco"), *RESNET18)
FACTORS = {"real": {"alpha": 0.25}, "smoke": {"alpha": None}}
"""Also those of our own studies: of the two losses only focal loss reads alpha, but with it the
conditions that they share with system E are trained once."""
REPORTED_E = {  # their learning rate is `Run`'s
    "optimiser": "adam", "schedule": "constant", "weight_decay": 1e-4, "class_weights": "inverse",
    "batch": 4, "crop": 512, "steps": 110,  # 10 epochs of 45 images
}  # fmt: skip
EVEN, RANDOM = ("stratified, PCE", "stratified, focal"), ("random, PCE", "random, focal")
E = Study(
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
        FACTORS | {("quick", "synthetic"): {"steps": 60, "watch": 6}, "home": REPORTED_E},
    ),
)  # fmt: skip

SPARSE = {"validation": "sparse", "watch": 1}  # what somebody with few labels can choose by
RATES = Study(
    title="The learning rate of system E",
    question="Is the learning rate that all conditions of system E share the best of each?",
    bounds={
        f"{condition}, {rate:g}": factors | {"lr": rate}
        for condition, factors in E.conditions().items()
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
