"""The tiles of one split of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import maximum_filter, minimum_filter

from fewlabels.data.cache import Cache
from fewlabels.types import IGNORE, Tile

MARGIN = 2
"""A pixel of a synthetic tile this close to another class counts as unlabelled."""
UNLABELLED = "Unlabelled pixels are a class of their own in training, and are ignored in the test."


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
