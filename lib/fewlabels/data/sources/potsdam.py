"""ISPRS Potsdam: 38 patches of one true orthophoto with dense masks, in their published split.

    potsdam/2_Ortho_RGB/top_potsdam_R_C_RGB.tif       6000 x 6000, RGB, 5 cm a pixel
    potsdam/5_Labels_all/top_potsdam_R_C_label.tif    the same, a colour a class

R and C are a patch's row and column in the mosaic. The published split has 24 patches to train and
14 to test. Patches do not overlap, but training and test patches touch, and all show one city.
Validation is the training patches of columns 7 to 9: one block, which no test patch touches.

Two masks are known to hold other than the six pure colours: 4_12 (re-encoded with loss) and 6_7
(cars with red 252). In these two, each channel is read as 0 or 255, split at 128; in the others
only the six colours are taken.

Source: https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab/Default.aspx
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data import chips, colours
from fewlabels.data.source import Source
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
IMAGES, LABELS = "2_Ortho_RGB", ("5_Labels_all", "5_Labels_for_participants")
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
    sheets = _sheets(found(root))
    cut = chips.cut("potsdam", sheets, CHIP, mask_classes)
    return Source(
        name="potsdam",
        classes=CLASSES,
        synthetic=False,
        ids=cut.ids,
        places=cut.places,
        folds=(TEST,),
        fingerprint=cut.fingerprint,
        decode=cut.decode,
        validation=(VALIDATION,),
    )


def found(root: Path) -> Path:
    """The data set's folder in `root`.

    Raises:
        DataError: it holds no patch; says how to get it by hand.
    """
    if not any((root / FOLDER).glob(f"**/{IMAGES}/top_potsdam_*_RGB.tif")):
        raise DataError(
            f"potsdam: no {IMAGES}/top_potsdam_R_C_RGB.tif in '{root / FOLDER}', and it cannot be "
            "downloaded without asking: fill in ISPRS's form, linked at "
            "https://www.isprs.org/resources/datasets/benchmarks/UrbanSemLab/Default.aspx, unpack "
            f"2_Ortho_RGB.zip and 5_Labels_all.zip into '{root / FOLDER}', or set DATA_ROOT to the "
            f"folder that holds {FOLDER} (data/README.md)"
        )
    return root / FOLDER


def mask_classes(rgb: UInt8[np.ndarray, "h w 3"], file: Path) -> UInt8[np.ndarray, "h w"]:
    """Class indices of painted pixels; no pixel is void.

    Raises:
        DataError: a colour that is none of the six: says which, where and how often.
    """
    rgb = colours.rounded(rgb) if _patch(file, "label") in ROUNDED else rgb
    return colours.indices(rgb, COLOURS, "potsdam", file)


def _sheets(folder: Path) -> list[chips.Sheet]:
    images = _files(folder, IMAGES, "RGB")
    masks = {k: v for place in reversed(LABELS) for k, v in _files(folder, place, "label").items()}
    for kind, files in (("images", images), ("masks", masks)):
        if missing := [patch for patch in (*TRAIN, *TEST) if patch not in files]:
            raise DataError(
                f"potsdam: found {len(files)} of 38 {kind} in '{folder}', that of patch "
                f"{missing[0]} is missing; {IMAGES}.zip has all images, {LABELS[0]}.zip all masks, "
                f"{LABELS[1]}.zip only the 24 of the training patches (data/README.md)"
            )
    return [chips.Sheet(patch, images[patch], masks[patch]) for patch in (*TRAIN, *TEST)]


def _files(folder: Path, place: str, kind: str) -> dict[str, Path]:
    """The files of one kind by patch, at any depth the archive chose."""
    files = {_patch(f, kind): f for f in folder.glob(f"**/{place}/top_potsdam_*_{kind}.tif")}
    for patch, file in files.items():
        if patch not in (*TRAIN, *TEST):
            raise DataError(
                f"potsdam: '{file}' is none of the 38 published patches, so its side of the split "
                "is unknown; move it away"
            )
    return files


def _patch(file: Path, kind: str) -> str:
    return file.name.removeprefix("top_potsdam_").removesuffix(f"_{kind}.tif")
