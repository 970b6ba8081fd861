"""Dubai aerial imagery (MBRSC, Humans in the Loop): 8 tiles of 9 images with dense masks.

What the files hold, against what their documentation says, was checked pixel by pixel:
the colours of `classes.json` are not those of the masks; the masks of tiles 2 and 4 are palette
PNGs; black pixels mean nothing and are void; the nine parts of a tile are one mosaic, and tiles
1-3, 4-8 and 7-8 show partly the same ground, so a split by image or by tile leaks.

Source: https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data import colours
from fewlabels.data.source import Source, fingerprint_files, opened
from fewlabels.types import IGNORE, DataError

CLASSES = ("building", "land", "road", "vegetation", "water")
COLOURS = {
    (60, 16, 152): 0,
    (132, 41, 246): 1,
    (110, 193, 228): 2,
    (254, 221, 58): 3,
    (226, 169, 41): 4,
    (155, 155, 155): IGNORE,  # "unlabeled"
    (0, 0, 0): IGNORE,  # undocumented: ground that nobody painted
}
FOLDS = (
    ("tile1", "tile3"),
    ("tile4", "tile7", "tile8"),
    ("tile2",),
    ("tile5",),
    ("tile6",),
)
"""Leak-free test groups: tiles that share ground stay together."""
OVERLAPS = {
    ("tile1", "tile3"): ((1.0, 0.0, -1506.057), (0.0, 1.0, -1613.991)),
    ("tile4", "tile8"): ((0.973, 0.003, 1642.128), (-0.002, 1.002, -2438.694)),
    ("tile7", "tile8"): ((1.0, 0.0, -3427.024), (0.0, 1.0, -3744.942)),
}
"""Tiles that show partly the same ground, and the affine map that takes a pixel (x, y, 1) of the
second one's mosaic to the first one's (SIFT features matched by RANSAC; found for this project)."""

FOLDER = "dubai_aerial"


def source(root: Path) -> Source:
    """The 72 image and mask pairs under `root`/dubai_aerial, at any depth the archive chose.

    Raises:
        DataError: the folder or one of its files is missing.
    """
    images = _images(root / FOLDER)
    masks = [p.parent.parent / "masks" / f"{p.stem}.png" for p in images]
    for mask in masks:
        if not mask.is_file():
            raise DataError(
                f"dubai: '{mask}' is missing; fetch the data set again (data/README.md)"
            )
    places = tuple(f"tile{_number(p)}" for p in images)
    return Source(
        name="dubai",
        classes=CLASSES,
        synthetic=False,
        ids=tuple(f"{place}-{int(p.stem[-3:])}" for place, p in zip(places, images, strict=True)),
        places=places,
        folds=FOLDS,
        fingerprint=fingerprint_files([*images, *masks], images[0].parents[2]),
        decode=lambda i: (_image(images[i]), mask_classes(masks[i])),
    )


def mask_classes(file: Path) -> UInt8[np.ndarray, "h w"]:
    """Class indices of one mask file, IGNORE where it is grey or black.

    Raises:
        DataError: a colour that is none of the seven: says which, where and how often.
    """
    return colours.indices(_image(file), COLOURS, "dubai", file)


def _images(folder: Path) -> list[Path]:
    images = sorted(
        folder.glob("**/Tile */images/image_part_*.jpg"), key=lambda p: (_number(p), p.name)
    )
    if len(images) != 72:
        raise DataError(
            f"dubai: found {len(images)} of 72 images in '{folder}' "
            "(Tile N/images/image_part_00P.jpg); run `fewlabels data dubai`, or set DATA_ROOT to "
            "the folder that holds dubai_aerial "
            "(data/README.md says how to get it by hand)"
        )
    return images


def _number(image: Path) -> int:
    match = re.fullmatch(r"Tile (\d+)", image.parents[1].name)
    return int(match[1]) if match else 0


def _image(file: Path) -> UInt8[np.ndarray, "h w 3"]:
    return np.asarray(opened("dubai", file).convert("RGB"))
