"""A folder of the user's own: images and masks of the same name, and a list of classes.

    folder/classes.json    {"classes": ["water", "road"], "void": [255]}
    folder/images/SITE/NAME.png|jpg|tif     RGB or grey, 8 bit
    folder/masks/SITE/NAME.png|tif          8 bit, a pixel's value is its class

Images in one sub-folder of images/ show one site and are never split between training and test;
an image directly under images/ is a site of its own. Mask values in `void` (255 by default) carry
no class. Images lie as their EXIF orientation shows them; files whose names begin with a dot are
left alone.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ImageOps

from fewlabels.data.source import Declaration, Source, fingerprint_files, opened
from fewlabels.types import IGNORE, DataError

LOSSLESS = {".png", ".tif", ".tiff"}
SUFFIXES = LOSSLESS | {".jpg", ".jpeg"}
FOLDS = 5


def source(root: Path) -> Source:
    """The pairs of image and mask in `root`, in at most five folds of whole sites.

    Raises:
        DataError: the layout, `classes.json` or a pair is not as this module says.
    """
    classes, void = _classes(root / "classes.json")
    found, drawn = _files(root / "images", SUFFIXES), _files(root / "masks", LOSSLESS)
    if alone := sorted(found.keys() - drawn.keys()):
        expected = root / "masks" / f"{alone[0]}.png"
        raise DataError(f"folder: image '{found[alone[0]]}' has no mask; expected '{expected}'")
    images, masks = list(found.values()), [drawn[name] for name in found]
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
        decode=lambda i: (_upright(images[i], "image", "RGB"), _mask(masks[i], void)),
    )


def _classes(file: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    try:
        text = json.loads(file.read_text(encoding="utf-8-sig"))
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


def _files(root: Path, suffixes: set[str]) -> dict[str, Path]:
    """Image files by their path below `root` without the suffix, in order."""
    found: dict[str, Path] = {}
    for file in sorted(root.glob("**/*")):
        if file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        name = file.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"folder: '{found[name]}' and '{file}' have the same name; keep one")
        found[name] = file
    return found


def _upright(file: Path, kind: str, mode: str | None = None) -> UInt8[np.ndarray, "h w ..."]:
    """The pixels of an image file as a viewer shows them."""
    image = ImageOps.exif_transpose(opened("folder", file, kind))
    return np.array(image.convert(mode) if mode else image, dtype=np.uint8)


def _mask(file: Path, void: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    mask = _upright(file, "classes")
    mask[np.isin(mask, void)] = IGNORE
    return mask


DECLARATION = Declaration(
    name="folder", find=source, notice="The images are from a folder of the user's own."
)
