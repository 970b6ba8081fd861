"""Large images (sheets) cut into chips: a chip is a tile, and its site is the sheet it is cut from.

Chips are squares on a grid from the upper left corner, without overlap. What is left at the right
and lower edge, less than one chip, is not used. One sheet is held decoded at a time, so the memory
needed does not grow with their number.
"""

import hashlib
from collections.abc import Iterator, Mapping
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
FOLDS = 5

Colours = Mapping[tuple[int, int, int], int]


@dataclass(frozen=True)
class Sheet:
    """A large image and its mask; `id` is the site of its chips."""

    id: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Sheets:
    """A published data set of large images with masks; `source` finds it.

    Attributes:
        name, classes: see `Source`.
        folder: its folder under the data root.
        images: pattern of the images' paths, at any depth the archive chose; `*` in the file's name
            stands for the sheet's id.
        masks: patterns of the masks' paths; the first one that has a sheet's mask counts.
        ids: of the published sheets, in order; or how many there are, where numbers name them.
        side: of a chip in pixels.
        advice: what to do where a file is missing.
        colours: what the masks are painted in; None where a mask's values are its classes.
        rounded: ids of the sheets whose masks are not of pure colours, see `painted`; None: all.
        together: sheets that show partly the same ground, which no fold splits; every fifth of
            these groups and single sheets, in order, is in one test group.
        test, validation: the published split, as one fold, instead.
    """

    name: str
    classes: tuple[str, ...]
    folder: str
    images: str
    masks: tuple[str, ...]
    ids: tuple[str, ...] | int
    side: int
    advice: str
    colours: Colours | None = None
    rounded: tuple[str, ...] | None = ()
    together: tuple[tuple[str, ...], ...] = ()
    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()

    def source(self, root: Path) -> Source:
        """The data set of all whole chips, in the order of sheets, rows and columns.

        Raises:
            DataError: an image or a mask is missing, of no published sheet, or does not open; they
                differ in size, or are smaller than a chip. `decode` raises it for pixels of a wrong
                kind, too.
        """
        sheets = self._found(root / self.folder)
        chips = [(sheet, *at) for sheet in sheets for at in self._whole(sheet)]

        @lru_cache(maxsize=1)
        def decoded(sheet: Sheet) -> tuple[Image.Image, Image.Image]:
            image = opened(self.name, sheet.image, "RGB").convert("RGB")
            if self.colours is None:
                return image, opened(self.name, sheet.mask, "classes")
            return image, opened(self.name, sheet.mask, "RGB").convert("RGB")

        def decode(index: int) -> Pair:
            sheet, row, column = chips[index]
            left, top = column * self.side, row * self.side
            box = (left, top, left + self.side, top + self.side)
            image, mask = (np.asarray(part.crop(box)) for part in decoded(sheet))
            return image, mask if self.colours is None else self.read(mask, sheet)

        return Source(
            name=self.name,
            classes=self.classes,
            synthetic=False,
            ids=tuple(f"{sheet.id}_r{row:02d}c{column:02d}" for sheet, row, column in chips),
            sites=tuple(sheet.id for sheet, _, _ in chips),
            folds=self._folds([sheet.id for sheet in sheets]),
            fingerprint=self._fingerprint(sheets),
            decode=decode,
            validation=(self.validation,) if self.validation else None,
        )

    def read(self, rgb: UInt8[np.ndarray, "h w 3"], sheet: Sheet) -> UInt8[np.ndarray, "h w"]:
        """Class indices of a sheet's painted pixels; raises as `painted`."""
        rounded = self.rounded is None or sheet.id in self.rounded
        return painted(rgb, self.colours, self.name, sheet.mask, rounded=rounded)

    def _found(self, folder: Path) -> list[Sheet]:
        masks = {k: v for p in reversed(self.masks) for k, v in _by_id(folder, p).items()}
        found = _by_id(folder, self.images), masks
        ids = self._ids(found[0]) if isinstance(self.ids, int) else self.ids
        for pattern, files in zip((self.images, self.masks[0]), found, strict=True):
            if odd := [file for id_, file in files.items() if id_ not in ids]:
                raise DataError(
                    f"{self.name}: '{odd[0]}' is none of the {len(ids)} published files, so its "
                    "site is unknown; move it away, or use it as a data set of your own (`folder`)"
                )
            if missing := [id_ for id_ in ids if id_ not in files]:
                raise DataError(
                    f"{self.name}: found {len(files)} of {len(ids)} files {pattern} in '{folder}', "
                    f"that of {missing[0]} is missing; {self.advice}"
                )
        return [Sheet(id_, found[0][id_], masks[id_]) for id_ in ids]

    def _ids(self, images: Mapping[str, Path]) -> tuple[str, ...]:
        """Those that are numbers, in their order."""
        named = [id_ for id_ in images if id_.isdecimal()]
        if len(named) != self.ids:
            raise DataError(
                f"{self.name}: found {len(named)} of {self.ids} images {self.images} with a number "
                f"for *; {self.advice}"
            )
        return tuple(sorted(named, key=int))

    def _folds(self, ids: list[str]) -> tuple[tuple[str, ...], ...]:
        if self.test:
            return (self.test,)
        groups = {id_: next((g for g in self.together if id_ in g), (id_,)) for id_ in ids}
        dealt = list(dict.fromkeys(groups.values()))
        return tuple(tuple(s for group in dealt[i::FOLDS] for s in group) for i in range(FOLDS))

    def _fingerprint(self, sheets: list[Sheet]) -> str:
        total = hashlib.sha256(f"chips of {self.side}\n".encode())
        for sheet in sheets:
            total.update(f"{sheet.id} {content(sheet.image)} {content(sheet.mask)}\n".encode())
        return total.hexdigest()

    def _whole(self, sheet: Sheet) -> Iterator[tuple[int, int]]:
        """Row and column of each whole chip, from the files' headers."""
        (width, height), (across, down) = (
            opened(self.name, file, "header").size for file in (sheet.image, sheet.mask)
        )
        if (width, height) != (across, down):
            raise DataError(
                f"{self.name}: image '{sheet.image}' is {height} x {width} pixels and its mask "
                f"{down} x {across}; they must be of one size"
            )
        if min(width, height) < self.side:
            raise DataError(
                f"{self.name}: image '{sheet.image}' is {height} x {width} pixels, less than one "
                f"chip of {self.side} x {self.side}; it must be the published file, not a part or "
                "a smaller copy"
            )
        return product(range(height // self.side), range(width // self.side))


def _by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Files by what `*` stands for in their names."""
    before, after = pattern.rsplit("/", 1)[-1].split("*")
    files = sorted(folder.glob(f"**/{pattern}"))
    return {file.name.removeprefix(before).removesuffix(after): file for file in files}


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
