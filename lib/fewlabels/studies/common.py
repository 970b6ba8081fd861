"""What several studies share: networks to start from, folds, sizes."""

from fewlabels.studies.run import Start

SCRATCH = (Start("smp:Unet:resnet18:3", "none"),)  # learns from nothing in few steps
RESNET18 = (
    Start("smp:Unet:resnet18", "resnet18-imagenet-fp16"),
    Start("smp:Unet:resnet18", "imagenet"),
)
FOLDS = (0, 1, 2, 3, 4)
SYNTHETIC = {"grid": 256, "crop": 128, "lr": 5e-3, "watch": 6}
HALF = {"grid": 350, "crop": 128}  # half of 700: the same ground a crop, a quarter of the cost
TINY = {"steps": 4, "batch": 2, "crop": 64, "watch": 2}
