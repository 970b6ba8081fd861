"""Large images cut into chips: each chip is a tile, and its place is the image it was cut from.

Chips are squares on a grid from the upper left corner, without overlap. Only whole chips count:
what is left over at the right and lower edge, less than one chip, is not used. One image with its
mask is held decoded at a time, so the memory needed does not grow with their number.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fewlabels.data.source import Pair, content, opened
from fewlabels.types import DataError


@dataclass(frozen=True)
class Sheet:
    """A large image and its mask; `id` is the place of the chips."""

    id: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Chips:
    """What a `Source` needs of chips: aligned ids and places, how to decode one, a fingerprint."""

    ids: tuple[str, ...]
    places: tuple[str, ...]
    decode: Callable[[int], Pair]
    fingerprint: str


@dataclass(frozen=True)
class _Chip:
    sheet: Sheet
    row: int
    column: int


def cut(
    name: str,
    sheets: Sequence[Sheet],
    side: int,
    classes: Callable[[UInt8[np.ndarray, "h w *c"], Path], UInt8[np.ndarray, "h w"]],
    *,
    masks: str = "RGB",
) -> Chips:
    """The whole chips of all sheets, in the order of sheets, rows and columns.

    Args:
        name: of the data set, for messages.
        side: of a chip in pixels.
        classes: from a chip of a mask as it is stored, and the mask's file, to class indices.
        masks: how the masks are stored: "RGB", or "L" where a pixel's value is its class.

    Raises:
        DataError: a file that does not open, an image and a mask of different size, or an image
            smaller than a chip; `decode` raises it for pixels of a wrong kind, too.
    """
    chips = [_Chip(s, r, c) for s in sheets for r, c in _whole(name, s, side)]

    @lru_cache(maxsize=1)
    def decoded(sheet: Sheet) -> tuple[Image.Image, Image.Image]:
        return _raster(name, sheet.image, "RGB"), _raster(name, sheet.mask, masks)

    def decode(index: int) -> Pair:
        chip = chips[index]
        left, top = chip.column * side, chip.row * side
        box = (left, top, left + side, top + side)
        image, mask = (np.asarray(part.crop(box)) for part in decoded(chip.sheet))
        return image, classes(mask, chip.sheet.mask)

    return Chips(
        ids=tuple(f"{chip.sheet.id}_r{chip.row:02d}c{chip.column:02d}" for chip in chips),
        places=tuple(chip.sheet.id for chip in chips),
        decode=decode,
        fingerprint=_fingerprint(sheets, side),
    )


def _fingerprint(sheets: Sequence[Sheet], side: int) -> str:
    total = hashlib.sha256(f"chips of {side}\n".encode())
    for sheet in sheets:
        total.update(f"{sheet.id} {content(sheet.image)} {content(sheet.mask)}\n".encode())
    return total.hexdigest()


def _whole(name: str, sheet: Sheet, side: int) -> Iterator[tuple[int, int]]:
    """Row and column of each whole chip, from the files' headers."""
    (width, height), (across, down) = (_size(name, f) for f in (sheet.image, sheet.mask))
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


def _size(name: str, file: Path) -> tuple[int, int]:
    with _of_any_size():
        return opened(name, file, pixels=False).size


def _raster(name: str, file: Path, mode: str) -> Image.Image:
    with _of_any_size():
        image = opened(name, file)
    wanted = {"RGB": ("RGB", "RGBA", "P"), "L": ("L", "P")}[mode]
    if image.mode not in wanted:
        raise DataError(
            f"{name}: '{file}' has pixels of kind {image.mode}; it must be 8-bit "
            + {"RGB": "RGB", "L": "grey, its values classes"}[mode]
        )
    return image.convert("RGB") if mode == "RGB" and image.mode != "RGB" else image


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Pillow warns of files above 89 million pixels; an orthophoto may have more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
