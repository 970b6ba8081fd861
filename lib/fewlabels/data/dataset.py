"""The tiles of one split of a data set, and the rules that find those unlike the rest.

The rules are fixed in advance. An image is an outlier where one of them holds:

    clipped      more than CLIPPED of the values are black (0) or white (255), or all are equal
    repeated     another image of the set is the same, byte for byte
    brightness   the image's mean lies more than FAR robust deviations from the set's median
    contrast     the image's standard deviation does
    labels       fewer than LABELLED of the pixels carry a class

The robust deviation is 1.4826 times the median absolute deviation from the median. For normal
values it is the standard deviation, and outliers hardly move it.

Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers (FAR is theirs).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import maximum_filter, minimum_filter

from fewlabels.data.cache import Cache
from fewlabels.types import IGNORE, Tile

MARGIN = 2
"""A pixel of a synthetic tile this close to another class counts as unlabelled."""
UNLABELLED = "Unlabelled pixels are a class of their own in training, and are ignored in the test."
RULES = ("clipped", "repeated", "brightness", "contrast", "labels")
CLIPPED = 0.25
FAR = 3.5
LABELLED = 0.01


@dataclass(frozen=True)
class Dataset(Sequence[Tile]):
    """The tiles of one split, read from the cache when they are asked for.

    Attributes:
        fingerprint: SHA-256 of what the whole data set is decoded from.
        grid: longest side in pixels that a tile can have.
        about: one sentence on what the images are.
        background: whether unlabelled pixels are a class of their own, the last.
    """

    name: str
    classes: tuple[str, ...]
    synthetic: bool
    fingerprint: str
    grid: int
    folds: tuple[tuple[str, ...], ...]
    fold: int
    split: str
    tiles: Cache
    members: tuple[int, ...]
    about: str
    background: bool = False

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tile]: ...
    def __getitem__(self, index: int | slice) -> Tile | list[Tile]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        entry = self.tiles.entries[self.members[index]]
        image, mask = self.tiles.read(self.members[index])
        if self.background and self.split != "test":
            mask = _with_background(mask, len(self.classes) - 1, self.synthetic)
        return Tile(entry.id, entry.place, image, mask)

    @property
    def notice(self) -> str:
        """What the images are, and what unlabelled pixels mean; printed with every number."""
        return f"{self.about} {UNLABELLED}" if self.background else self.about

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.tiles.entries[i].id for i in self.members)

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(self.tiles.entries[i].place for i in self.members)


def _with_background(
    mask: UInt8[np.ndarray, "h w"], background: int, dense: bool
) -> UInt8[np.ndarray, "h w"]:
    void = mask == IGNORE
    if dense:
        window = 2 * MARGIN + 1
        void |= minimum_filter(mask, window) != maximum_filter(mask, window)
    return np.where(void, np.uint8(background), mask)


def outliers(tiles: Sequence[Tile]) -> pd.DataFrame:
    """Which tiles each rule finds, one row a tile, in order; one tile is in memory at a time.

    Columns: `tile` (its id); `mean` and `deviation` of the image's values in grey levels, over
    all bands; and one for each of RULES, True where it finds the tile.
    """
    table = pd.DataFrame([_measured(tile) for tile in tiles])
    found = {
        "clipped": (table["clipped"] > CLIPPED) | (table["deviation"] == 0),
        "repeated": table["content"].duplicated(keep=False),
        "brightness": far(table["mean"].to_numpy()),
        "contrast": far(table["deviation"].to_numpy()),
        "labels": table["labelled"] < LABELLED,
    }
    return table[["tile", "mean", "deviation"]].assign(**found)


def _measured(tile: Tile) -> dict[str, object]:
    return {
        "tile": tile.id,
        "mean": np.mean(tile.image),
        "deviation": np.std(tile.image),
        "clipped": np.isin(tile.image, (0, 255)).mean(),
        "labelled": (tile.mask != IGNORE).mean(),
        "content": hashlib.sha256(np.ascontiguousarray(tile.image)).digest(),
    }


def far(values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which values lie more than FAR robust deviations from the median; none where it is 0."""
    off = np.abs(values - np.median(values))
    deviation = 1.4826 * np.median(off)
    return (off > FAR * deviation) & (deviation > 0)
