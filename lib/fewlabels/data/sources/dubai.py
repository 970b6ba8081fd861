"""Dubai aerial imagery (MBRSC, Humans in the Loop): 8 tiles of 9 images with dense masks.

The files differ from their documentation, as a check of every pixel showed. The colours of
`classes.json` are not those of the masks. The masks of tiles 2 and 4 are palette PNGs. Black pixels
have no documented meaning and are void. The nine parts of a tile are one mosaic, and tiles 1-3, 4-8
and 7-8 show partly the same ground, so a split by image or by tile leaks.

Source: https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data.chips import painted
from fewlabels.data.download import Download
from fewlabels.data.source import Declaration, Source, colours, fingerprint_files, way_out
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
FOLDER = "dubai_aerial"


def source(root: Path) -> Source:
    """The 72 pairs of image and mask under `root`/dubai_aerial, at any depth the archive chose.

    Raises:
        DataError: the folder or one of its files is missing.
    """
    images = _images(root / FOLDER)
    masks = [p.parent.parent / "masks" / f"{p.stem}.png" for p in images]
    if missing := [mask for mask in masks if not mask.is_file()]:
        raise DataError(
            f"dubai: '{missing[0]}' is missing; fetch the data set again (data/README.md)"
        )
    sites = tuple(f"tile{_number(p)}" for p in images)
    return Source(
        name="dubai",
        classes=CLASSES,
        synthetic=False,
        ids=tuple(f"{site}-{int(p.stem[-3:])}" for site, p in zip(sites, images, strict=True)),
        sites=sites,
        folds=FOLDS,
        fingerprint=fingerprint_files([*images, *masks], images[0].parents[2]),
        decode=lambda i: (colours("dubai", images[i]), mask_classes(masks[i])),
    )


def mask_classes(file: Path) -> UInt8[np.ndarray, "h w"]:
    """Class indices of one mask file, IGNORE where it is grey or black.

    Raises:
        DataError: a colour is none of the seven; says which, where and how often.
    """
    return painted(colours("dubai", file), COLOURS, "dubai", file)


def _images(folder: Path) -> list[Path]:
    images = sorted(
        folder.glob("**/Tile */images/image_part_*.jpg"), key=lambda p: (_number(p), p.name)
    )
    if len(images) != 72:
        raise DataError(
            f"dubai: found {len(images)} of 72 images in '{folder}' "
            f"(Tile N/images/image_part_00P.jpg); {way_out('dubai', FOLDER)}"
        )
    return images


def _number(image: Path) -> int:
    match = re.fullmatch(r"Tile (\d+)", image.parents[1].name)
    return int(match[1]) if match else 0


DECLARATION = Declaration(
    name="dubai",
    find=source,
    notice="The images are the 72 Dubai aerial images (Humans in the Loop, MBRSC; CC0).",
    citation="Humans in the Loop and Mohammed Bin Rashid Space Centre 2020, "
    "https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery",
    licence="CC0 1.0, as stated by the publisher on Kaggle",
    folder=FOLDER,
    download=Download(
        members=("Tile */images/image_part_*.jpg", "Tile */masks/image_part_*.png"),
        kaggle="humansintheloop/semantic-segmentation-of-aerial-imagery",
        manifest="dubai_manifest.txt",
    ),
)
