"""A folder of the user's own: images and masks of the same name, and a list of classes.

    folder/classes.json    {"classes": ["water", "road"], "void": [255]}
    folder/images/SITE/NAME.png|jpg|tif     RGB or grey, 8 bit
    folder/masks/SITE/NAME.png              8 bit, a pixel's value is its class

Images in one sub-folder of images/ show one site and are never split between training and test;
an image directly under images/ is a site of its own. Mask values in `void` (255 by default) carry
no class.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels.data.source import Declaration, Source, colours, fingerprint_files, opened
from fewlabels.types import IGNORE, DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
FOLDS = 5


def source(root: Path) -> Source:
    """The pairs of image and mask in `root`, in at most five folds of whole sites.

    Raises:
        DataError: the layout, `classes.json` or a pair is not as this module says.
    """
    classes, void = _classes(root / "classes.json")
    images = sorted(p for p in (root / "images").glob("**/*") if p.suffix.lower() in SUFFIXES)
    masks = [_mask_of(image, root) for image in images]
    if twice := [p for p, before in zip(images[1:], images, strict=False)
                 if p.with_suffix("") == before.with_suffix("")]:  # fmt: skip
        raise DataError(f"folder: two images for one mask: '{twice[0]}' and another; keep one")
    ids = tuple(p.relative_to(root / "images").with_suffix("").as_posix() for p in images)
    sites = tuple(i.rsplit("/", 1)[0] for i in ids)
    known = sorted(set(sites))
    if len(known) < 2:
        raise DataError(
            f"folder '{root}': found {len(known)} sites in images/ ({len(images)} images); a test "
            "needs a second site: put each site's images in a sub-folder of their own"
        )
    return Source(
        name="folder",
        classes=classes,
        synthetic=False,
        ids=ids,
        sites=sites,
        folds=tuple(tuple(known[i::FOLDS]) for i in range(min(FOLDS, len(known)))),
        fingerprint=fingerprint_files([root / "classes.json", *images, *masks], root),
        decode=lambda i: (colours("folder", images[i]), _mask(masks[i], void)),
    )


def _classes(file: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    try:
        text = json.loads(file.read_text())
        classes, void = _list_of(str, text["classes"]), _list_of(int, text.get("void", [IGNORE]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"folder: '{file}' cannot be read ({error!r}); it must hold "
            '{"classes": ["first", "second"], "void": [255]}'
        ) from error
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise DataError(
            f"folder: '{file}' must name at least two different classes, found {classes}"
        )
    return classes, void


def _list_of(kind: type, found: object) -> tuple:
    if not isinstance(found, list) or not all(type(one) is kind and one != "" for one in found):
        raise TypeError(f"{found!r} is no list of {kind.__name__}")
    return tuple(found)


def _mask_of(image: Path, root: Path) -> Path:
    mask = (root / "masks" / image.relative_to(root / "images")).with_suffix(".png")
    if not mask.is_file():
        raise DataError(f"folder: image '{image}' has no mask; expected '{mask}'")
    return mask


def _mask(file: Path, void: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    mask = np.array(opened("folder", file, "classes"), dtype=np.uint8)
    mask[np.isin(mask, void)] = IGNORE
    return mask


DECLARATION = Declaration(
    name="folder", find=source, notice="The images are from a folder of the user's own."
)
