"""DeepGlobe Land Cover (2018): 803 satellite images with masks painted in colours.

    deepglobe_land_cover/train/ID_sat.jpg     2448 x 2448, RGB, 0.5 m a pixel
    deepglobe_land_cover/train/ID_mask.png    the same, a colour a class

Only the training part has public masks, so the images of `valid` and `test` are not read. It is not
published where an image was taken, and its id is a random number. So no split by site can be
proven: two ids may show neighbouring or even the same ground. The folds keep all chips of one image
on one side; image k in the order of ids is in test group k modulo 5.

Source: Demir et al. 2018, https://arxiv.org/abs/1805.06561;
https://www.kaggle.com/datasets/balraj98/deepglobe-land-cover-classification-dataset
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data import chips
from fewlabels.data.download import Download
from fewlabels.data.source import Declaration, Source, way_out
from fewlabels.types import IGNORE, DataError

CLASSES = ("urban", "agriculture", "rangeland", "forest", "water", "barren")
COLOURS = {
    (0, 255, 255): 0,
    (255, 255, 0): 1,
    (255, 0, 255): 2,
    (0, 255, 0): 3,
    (0, 0, 255): 4,
    (255, 255, 255): 5,
    (0, 0, 0): IGNORE,  # "unknown": clouds and others
}
FOLDER = "deepglobe_land_cover"
ADVICE = way_out("deepglobe", FOLDER)
IMAGES = 803
CHIP = 612
"""Side of a chip in pixels: 4 x 4 chips are a whole image of 2448 x 2448."""
FOLDS = 5


def source(root: Path) -> Source:
    """The chips of the 803 images in `root`/deepglobe_land_cover, in five folds of whole images.

    Raises:
        DataError: an image or a mask is missing, or a pair is not of one size.
    """
    ids = _ids(root / FOLDER)
    sheets = chips.sheets(
        "deepglobe", root / FOLDER, "train/*_sat.jpg", ["train/*_mask.png"], ids, ADVICE
    )
    folds = tuple(tuple(ids[i::FOLDS]) for i in range(FOLDS))
    return chips.source("deepglobe", CLASSES, sheets, CHIP, mask_classes, folds=folds)


def mask_classes(rgb: UInt8[np.ndarray, "h w 3"], file: Path) -> UInt8[np.ndarray, "h w"]:
    """Class indices of painted pixels, IGNORE where the mask is black.

    Each channel is first read as 0 or 255, split at 128, as the publisher asks: not all masks are
    of pure colours.

    Raises:
        DataError: a colour is then none of the seven (only red is left).
    """
    return chips.painted(rgb, COLOURS, "deepglobe", file, rounded=True)


def _ids(folder: Path) -> list[str]:
    """The ids of the images, in the order of their numbers."""
    images = {
        file.name.removesuffix("_sat.jpg"): file for file in folder.glob("**/train/*_sat.jpg")
    }
    if odd := [file for id_, file in images.items() if not id_.isdecimal()]:
        raise DataError(
            f"deepglobe: '{odd[0]}' is none of the published images, which are named ID_sat.jpg "
            "with a number for ID; move it away"
        )
    if len(images) != IMAGES:
        raise DataError(
            f"deepglobe: found {len(images)} of {IMAGES} images in '{folder}' (train/ID_sat.jpg); "
            f"{ADVICE}"
        )
    return sorted(images, key=int)


DECLARATION = Declaration(
    name="deepglobe",
    find=source,
    notice="The images are chips of the 803 satellite images of DeepGlobe Land Cover (2018) that "
    "have public masks; where they were taken is not published, so no split by site is proven.",
    citation="Demir et al. 2018, https://arxiv.org/abs/1805.06561",
    licence="not known; read the terms of the Kaggle page and of the challenge before use",
    folder=FOLDER,
    download=Download(
        members=("train/*_sat.jpg", "train/*_mask.png"),
        kaggle="balraj98/deepglobe-land-cover-classification-dataset",
    ),
)
