"""Large images (sheets) cut into chips: a chip is a tile, and its site is the sheet it is cut from.

Chips are squares on a grid from the upper left corner, without overlap. What is left at the right
and lower edge, less than one chip, is not used. One sheet is held decoded at a time, so the memory
needed does not grow with their number.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fewlabels.data.source import Pair, Source, content, opened
from fewlabels.types import IGNORE, DataError

HALF = 128
"""Channel value from which a rounded channel is full."""

Colours = Mapping[tuple[int, int, int], int]
Folds = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Sheet:
    """A large image and its mask; `id` is the site of its chips."""

    id: str
    image: Path
    mask: Path


def sheets(
    name: str, folder: Path, images: str, masks: Sequence[str], ids: Sequence[str], advice: str
) -> list[Sheet]:
    """Find the published sheets of a data set below `folder`, in the order of `ids`.

    Args:
        images: pattern of the images' paths; `*` in the file's name stands for the sheet's id.
        masks: patterns of the masks' paths; the first one that has a sheet's mask counts.
        advice: what to do where a file is missing.

    Raises:
        DataError: an image or a mask is missing, or is of no published sheet.
    """
    found = [_by_id(folder, images)]
    found.append({k: v for p in reversed(masks) for k, v in _by_id(folder, p).items()})
    for pattern, files in zip((images, masks[0]), found, strict=True):
        if odd := [file for id_, file in files.items() if id_ not in ids]:
            raise DataError(
                f"{name}: '{odd[0]}' is none of the {len(ids)} published files, so its site is "
                "unknown; move it away, or use it as a data set of your own (`folder`)"
            )
        if missing := [id_ for id_ in ids if id_ not in files]:
            raise DataError(
                f"{name}: found {len(files)} of {len(ids)} files {pattern} in '{folder}', that of "
                f"{missing[0]} is missing; {advice}"
            )
    return [Sheet(id_, found[0][id_], found[1][id_]) for id_ in ids]


def _by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Files by what `*` stands for in their names, at any depth the archive chose."""
    before, after = pattern.rsplit("/", 1)[-1].split("*")
    files = sorted(folder.glob(f"**/{pattern}"))
    return {file.name.removeprefix(before).removesuffix(after): file for file in files}


def source(
    name: str,
    classes: tuple[str, ...],
    sheets: Sequence[Sheet],
    side: int,
    read: Callable[[UInt8[np.ndarray, "h w 3"], Path], UInt8[np.ndarray, "h w"]] | None = None,
    *,
    folds: Folds,
    validation: Folds | None = None,
) -> Source:
    """The data set of all whole chips, in the order of sheets, rows and columns.

    Args:
        side: of a chip in pixels.
        read: from a chip of a painted mask, and the mask's file, to class indices; None where a
            mask's values are its classes.
        folds, validation: see `Source`.

    Raises:
        DataError: a file does not open, an image and its mask differ in size, or an image is
            smaller than a chip; `decode` raises it for pixels of a wrong kind, too.
    """
    chips = [(sheet, *at) for sheet in sheets for at in _whole(name, sheet, side)]

    @lru_cache(maxsize=1)
    def decoded(sheet: Sheet) -> tuple[Image.Image, Image.Image]:
        image = opened(name, sheet.image, "RGB").convert("RGB")
        if read is None:
            return image, opened(name, sheet.mask, "classes")
        return image, opened(name, sheet.mask, "RGB").convert("RGB")

    def decode(index: int) -> Pair:
        sheet, row, column = chips[index]
        left, top = column * side, row * side
        box = (left, top, left + side, top + side)
        image, mask = (np.asarray(part.crop(box)) for part in decoded(sheet))
        return image, read(mask, sheet.mask) if read else mask

    return Source(
        name=name,
        classes=classes,
        synthetic=False,
        ids=tuple(f"{sheet.id}_r{row:02d}c{column:02d}" for sheet, row, column in chips),
        sites=tuple(sheet.id for sheet, _, _ in chips),
        folds=folds,
        fingerprint=_fingerprint(sheets, side),
        decode=decode,
        validation=validation,
    )


def painted(
    rgb: UInt8[np.ndarray, "h w 3"], colours: Colours, name: str, file: Path, *, rounded=False
) -> UInt8[np.ndarray, "h w"]:
    """Class indices of a mask painted in colours.

    Args:
        rounded: read each channel as 0 or 255, whichever is nearer.

    Raises:
        DataError: a colour is not in the table; says which is the commonest and how often.
    """
    wide = np.where(rgb >= HALF, 255, 0) if rounded else rgb.astype(np.int64)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    mask, known = np.full(packed.shape, IGNORE, np.uint8), np.zeros(packed.shape, bool)
    for (r, g, b), value in colours.items():
        here = packed == (r << 16 | g << 8 | b)
        mask[here] = value
        known |= here
    if not known.all():
        odd, counts = np.unique(packed[~known], return_counts=True)
        most = int(counts.argmax())
        raise DataError(
            f"{name}: mask '{file}' holds {len(odd)} unknown colours; the commonest is "
            f"#{int(odd[most]):06X} on {int(counts[most]):,} pixels; "
            "the masks must be the published files, not re-coloured or re-compressed copies"
        )
    return mask


def _fingerprint(sheets: Sequence[Sheet], side: int) -> str:
    total = hashlib.sha256(f"chips of {side}\n".encode())
    for sheet in sheets:
        total.update(f"{sheet.id} {content(sheet.image)} {content(sheet.mask)}\n".encode())
    return total.hexdigest()


def _whole(name: str, sheet: Sheet, side: int) -> Iterator[tuple[int, int]]:
    """Row and column of each whole chip, from the files' headers."""
    (width, height), (across, down) = (
        opened(name, file, "header").size for file in (sheet.image, sheet.mask)
    )
    if (width, height) != (across, down):
        raise DataError(
            f"{name}: image '{sheet.image}' is {height} x {width} pixels and its mask {down} x "
            f"{across}; they must be of one size"
        )
    if min(width, height) < side:
        raise DataError(
            f"{name}: image '{sheet.image}' is {height} x {width} pixels, less than one chip of "
            f"{side} x {side}; it must be the published file, not a part or a smaller copy"
        )
    return product(range(height // side), range(width // side))
