"""ISPRS Potsdam: 38 patches of one true orthophoto with dense masks, in their published split.

    potsdam/2_Ortho_RGB/top_potsdam_R_C_RGB.tif       6000 x 6000, RGB, 5 cm a pixel
    potsdam/5_Labels_all/top_potsdam_R_C_label.tif    the same, a colour a class

R and C are a patch's row and column in the mosaic. The published split has 24 patches to train and
14 to test. Patches do not overlap, but training and test patches touch, and all show one city.
Validation is the training patches of columns 7 to 9: one block, which no test patch touches.

Two masks are known to hold colours beside the six pure ones: 4_12 (compressed with loss) and 6_7
(cars with red 252). In these two, each channel is read as 0 or 255, split at 128; in the others
any other colour is an error.

Source: https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab/Default.aspx
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data import chips
from fewlabels.data.source import Declaration, Source
from fewlabels.types import DataError

CLASSES = ("impervious surface", "building", "low vegetation", "tree", "car", "clutter")
COLOURS = {
    (255, 255, 255): 0,
    (0, 0, 255): 1,
    (0, 255, 255): 2,
    (0, 255, 0): 3,
    (255, 255, 0): 4,
    (255, 0, 0): 5,
}
ROUNDED = ("4_12", "6_7")
"""Patches whose masks are not of pure colours."""
FOLDER = "potsdam"
PAGE = "https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab/Default.aspx"
IMAGES = "2_Ortho_RGB/top_potsdam_*_RGB.tif"
MASKS = (
    "5_Labels_all/top_potsdam_*_label.tif",
    "5_Labels_for_participants/top_potsdam_*_label.tif",
)
ADVICE = (
    "2_Ortho_RGB.zip has all images, 5_Labels_all.zip all masks, 5_Labels_for_participants.zip "
    "only the 24 masks of the training patches (data/README.md)"
)
CHIP = 600
"""Side of a chip in pixels: 10 x 10 chips, 30 m a side, are a whole patch."""
TRAIN = (
    *(f"{row}_{column}" for row in (2, 3, 4, 5) for column in range(10, 13)),
    *(f"{row}_{column}" for row in (6, 7) for column in range(7, 13)),
)
TEST = (
    *(f"{row}_{column}" for row in (2, 3) for column in (13, 14)),
    *(f"{row}_{column}" for row in (4, 5, 6) for column in (13, 14, 15)),
    "7_13",
)
VALIDATION = tuple(patch for patch in TRAIN if patch[-2:] in ("_7", "_8", "_9"))


def source(root: Path) -> Source:
    """The chips of the 38 patches in `root`/potsdam in their published split, as one fold.

    Raises:
        DataError: a patch or its mask is missing, unknown, or not of its pair's size.
    """
    folder = root / FOLDER
    if not any(folder.glob(f"**/{IMAGES}")):
        raise DataError(
            f"potsdam: no {IMAGES} in '{folder}', and it cannot be downloaded without asking: "
            f"fill in ISPRS's form, linked at {PAGE}, and unpack 2_Ortho_RGB.zip and "
            f"5_Labels_all.zip into '{folder}', or set DATA_ROOT to the folder that holds "
            f"{FOLDER} (data/README.md)"
        )
    sheets = chips.sheets("potsdam", folder, IMAGES, MASKS, (*TRAIN, *TEST), ADVICE)
    return chips.source("potsdam", CLASSES, sheets, CHIP, mask_classes, folds=(TEST,),
                        validation=(VALIDATION,))  # fmt: skip


def mask_classes(rgb: UInt8[np.ndarray, "h w 3"], file: Path) -> UInt8[np.ndarray, "h w"]:
    """Class indices of painted pixels; no pixel is void.

    Raises:
        DataError: a colour is none of the six; says which, where and how often.
    """
    patch = file.name.removeprefix("top_potsdam_").removesuffix("_label.tif")
    return chips.painted(rgb, COLOURS, "potsdam", file, rounded=patch in ROUNDED)


DECLARATION = Declaration(
    name="potsdam",
    find=source,
    notice="The images are chips of the 38 aerial patches of ISPRS Potsdam, all of one city.",
    citation=f"ISPRS 2D Semantic Labeling Contest: Potsdam, {PAGE}",
    licence="the terms of ISPRS's form",
    folder=FOLDER,
)
