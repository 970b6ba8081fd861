"""DeepGlobe Land Cover (2018): 803 satellite images with masks painted in colours.

    deepglobe_land_cover/train/ID_sat.jpg     2448 x 2448, RGB, 0.5 m a pixel
    deepglobe_land_cover/train/ID_mask.png    the same, a colour a class

Only the training part has public masks, so the folds are cut from it and the images of `valid` and
`test` are not read. Where an image was taken is not published, and its id is a random number. So
no split by place can be proven: two ids may show neighbouring or even the same ground. What the
folds do keep is that all chips of one image are on one side; image k in the order of ids is in
test group k modulo 5.

Source: Demir et al. 2018, https://arxiv.org/abs/1805.06561;
https://www.kaggle.com/datasets/balraj98/deepglobe-land-cover-classification-dataset
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data import chips, colours
from fewlabels.data.download import Download
from fewlabels.data.source import Source
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
IMAGES = 803
CHIP = 612
"""Side of a chip in pixels: 4 x 4 chips are a whole image of 2448 x 2448."""
FOLDS = 5


def archive() -> Download:
    """Kaggle's copy of the challenge's data; nothing is fetched yet."""
    return Download("balraj98/deepglobe-land-cover-classification-dataset")


def source(root: Path) -> Source:
    """The chips of the 803 images in `root`/deepglobe_land_cover, in five folds of whole images.

    Raises:
        DataError: an image or a mask is missing, or a pair is not of one size.
    """
    sheets = _sheets(root / FOLDER)
    cut = chips.cut("deepglobe", sheets, CHIP, mask_classes)
    places = [sheet.id for sheet in sheets]
    return Source(
        name="deepglobe",
        classes=CLASSES,
        synthetic=False,
        ids=cut.ids,
        places=cut.places,
        folds=tuple(tuple(places[i::FOLDS]) for i in range(FOLDS)),
        fingerprint=cut.fingerprint,
        decode=cut.decode,
    )


def mask_classes(rgb: UInt8[np.ndarray, "h w 3"], file: Path) -> UInt8[np.ndarray, "h w"]:
    """Class indices of painted pixels, IGNORE where the mask is black.

    Each channel is first read as 0 or 255, split at 128, as the publisher asks: the masks are not
    all of pure colours.

    Raises:
        DataError: a colour that is then none of the seven (only red is left).
    """
    return colours.indices(colours.rounded(rgb), COLOURS, "deepglobe", file)


def _sheets(folder: Path) -> list[chips.Sheet]:
    images = {_id(file): file for file in folder.glob("**/train/*_sat.jpg")}
    if len(images) != IMAGES:
        raise DataError(
            f"deepglobe: found {len(images)} of {IMAGES} images in '{folder}' (train/ID_sat.jpg); "
            "run `fewlabels data deepglobe`, or set DATA_ROOT to the folder that holds "
            f"{FOLDER} (data/README.md says how to get it by hand)"
        )
    masks = {id_: file.with_name(f"{id_}_mask.png") for id_, file in images.items()}
    for id_, mask in masks.items():
        if not mask.is_file():
            raise DataError(f"deepglobe: image '{images[id_]}' has no mask; expected '{mask}'")
    return [chips.Sheet(str(id_), images[id_], masks[id_]) for id_ in sorted(images)]


def _id(file: Path) -> int:
    match = re.fullmatch(r"(\d+)_sat\.jpg", file.name)
    if not match:
        raise DataError(
            f"deepglobe: '{file}' is none of the published images, which are named ID_sat.jpg with "
            "a number for ID; move it away"
        )
    return int(match[1])
