"""Data sets as sequences of tiles, split by place.

`load` is the only door: it finds the files, decodes them once into a cache and returns the tiles
of one side of one fold.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import UInt8
from scipy.ndimage import maximum_filter, minimum_filter

from fewlabels import paths
from fewlabels.data import cache, download, outliers, synthetic
from fewlabels.data.source import Source, mixed
from fewlabels.data.sources import ai4mars, deepglobe, dubai, folder, landcoverai, potsdam
from fewlabels.types import IGNORE, DataError, Tile, unknown

SOURCES: dict[str, Callable[[Path], Source]] = {
    "synthetic": lambda root: synthetic.source(),
    "dubai": dubai.source,
    "ai4mars": ai4mars.source,
    "landcoverai": landcoverai.source,
    "deepglobe": deepglobe.source,
    "potsdam": potsdam.source,
    "folder": folder.source,
}
NAMES = tuple(SOURCES)
NOTICES = {
    "synthetic": (
        "All images here are synthetic scenes: their numbers show how the method behaves, not how "
        "well it maps real ground."
    ),
    "dubai": "The images are the 72 Dubai aerial images (Humans in the Loop, MBRSC; CC0).",
    "ai4mars": (
        "The images are frames of the Curiosity rover's navigation cameras (AI4Mars; "
        "NASA/JPL-Caltech), taken on the ground of Mars; people labelled a part of each."
    ),
    "landcoverai": (
        "The images are chips of 41 aerial orthophotos of Poland (LandCover.ai v1; CC BY-NC-SA)."
    ),
    "deepglobe": (
        "The images are chips of the 803 satellite images of DeepGlobe Land Cover (2018) that have "
        "public masks; where they were taken is not published, so no split by place is proven."
    ),
    "potsdam": "The images are chips of the 38 aerial patches of ISPRS Potsdam, all of one city.",
    "folder": "The images are from a folder of the user's own.",
}
UNLABELLED = (
    "In training, what nobody labelled is a class, background; in the test it counts for nothing."
)
ARCHIVES: dict[str, tuple[Callable[[], download.Download], str]] = {
    "dubai": (download.dubai, dubai.FOLDER),
    "landcoverai": (landcoverai.archive, landcoverai.FOLDER),
    "deepglobe": (deepglobe.archive, deepglobe.FOLDER),
}
BY_HAND: dict[str, Callable[[Path], Path]] = {"ai4mars": ai4mars.found, "potsdam": potsdam.found}
SPLITS = ("train", "test", "all", "fit", "val")
GRID = 700
BACKGROUND, CLEANED, PATCHES = VARIANTS = ("background", "cleaned", "patches")
"""What may stand after a data set's name, each after a colon, see `load`."""
MARGIN = 2
"""Pixels of a synthetic tile this close to another class are what nobody labelled."""


@dataclass(frozen=True)
class Dataset(Sequence[Tile]):
    """The tiles of one split, read from the cache as they are asked for.

    Attributes:
        fingerprint: SHA-256 of what the whole data set is decoded from.
        grid: longest side in pixels that a tile can have.
        background: whether what nobody labelled is a class of its own, the last.
    """

    name: str
    classes: tuple[str, ...]
    synthetic: bool
    fingerprint: str
    grid: int
    folds: tuple[tuple[str, ...], ...]
    fold: int
    split: str
    tiles: cache.Cache
    members: tuple[int, ...]
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
        """One sentence on what the images are; stands wherever a number from them does."""
        notice = NOTICES["synthetic" if self.synthetic else self.name.partition(":")[0]]
        return f"{notice} {UNLABELLED}" if self.background else notice

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.tiles.entries[i].id for i in self.members)

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(self.tiles.entries[i].place for i in self.members)


def fetch(name: str, root: Path) -> Path:
    """`root`, after downloading into it what is missing and can be downloaded.

    Raises:
        UnknownName: no such data set.
        DataError: it is missing and cannot be had; says how to get it by hand.
    """
    base, _ = _parts(name)
    if base in ARCHIVES:
        archive, inside = ARCHIVES[base]
        download.fetch(archive(), root / inside)
    if base in BY_HAND:
        BY_HAND[base](root)
    return root


def load(
    name: str,
    root: Path | None = None,
    fold: int = 0,
    split: str = "train",
    *,
    grid: int = GRID,
    cache_root: Path | None = None,
) -> Dataset:
    """The tiles of one split of one leak-free fold, but those whose mask is wholly void.

    A tile without any class cannot train, and adds nothing to a confusion matrix.

    Args:
        name: a data set's, or that with `:background`: then what nobody labelled is one class more,
            the last, in all splits but `test`, whose masks stay as they are. Synthetic masks are
            dense; theirs count as not labelled within MARGIN pixels of another class. With
            `:cleaned`, training tiles that `outliers` finds are left out of `train` and `fit`. With
            `:patches`, the test groups are not places but tiles dealt at random, so that tiles of
            one place lie on both sides: the usual split, which leaks.
        root: folder that holds the data sets' folders (default: `paths.data_root()`); for
            `folder`, the folder of images and masks itself.
        fold: which group of places is the test.
        split: `test` is that group, `train` every other place, `all` both. Where something has
            to be chosen, `val` is a part of the training places, by default the next group, and
            `fit` is `train` without it.
        grid: longest side of a tile in pixels; larger ones are shrunk, once, when cached.

    Raises:
        UnknownName: no such data set or split.
        DataError: files are missing, damaged or not in the layout; no such fold; no place is
            left to `fit`; no tile of the split holds a class.
    """
    base, variants = _parts(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    source = SOURCES[base](root or paths.data_root())
    if fold not in range(len(source.folds)):
        raise DataError(f"{name} has folds 0 to {len(source.folds) - 1}, not {fold}")
    tiles = cache.opened(source, cache_root or paths.cache_root(), grid=grid)
    if PATCHES in variants:
        source = mixed(source)
    wanted = _places(source, fold, split)
    members = _members(source, tiles, wanted)
    if not members:
        raise DataError(f"{name}: no tile of '{split}' in fold {fold} has a pixel with a class")
    classes, fingerprint = source.classes, source.fingerprint
    if BACKGROUND in variants:
        classes = (*classes, BACKGROUND)
    if variants:
        fingerprint = hashlib.sha256(f"{fingerprint} {' '.join(variants)}".encode()).hexdigest()
    found = Dataset(
        name, classes, source.synthetic, fingerprint, grid, source.folds, fold, split, tiles,
        members, BACKGROUND in variants,
    )  # fmt: skip
    return _cleaned(found, source, fold) if CLEANED in variants else found


def check_name(name: str) -> None:
    """Nothing, if there is a data set of this name, varied or not.

    Raises:
        UnknownName: there is none.
    """
    _parts(name)


def _parts(name: str) -> tuple[str, list[str]]:
    """The data set of a name, and how it is varied."""
    base, *variants = name.split(":")
    if base not in SOURCES or set(variants) - set(VARIANTS):
        raise unknown("data set", name, (*NAMES, *(f"<name>:{v}" for v in VARIANTS)))
    return base, variants


def _cleaned(found: Dataset, source: Source, fold: int) -> Dataset:
    """Without the training tiles that are outliers among all of them; val and test stay whole."""
    if found.split not in ("train", "fit"):
        return found
    train = _members(source, found.tiles, _places(source, fold, "train"))
    table = outliers.outliers(replace(found, members=train, background=False))
    odd = {i for i, out in zip(train, table[list(outliers.RULES)].any(axis=1), strict=True) if out}
    return replace(found, members=tuple(i for i in found.members if i not in odd))


def _members(source: Source, tiles: cache.Cache, places: set[str]) -> tuple[int, ...]:
    """The tiles of some places that carry a class, by number."""
    numbered = zip(source.places, tiles.entries, strict=True)
    return tuple(i for i, (p, e) in enumerate(numbered) if p in places and e.labelled)


def _with_background(
    mask: UInt8[np.ndarray, "h w"], background: int, dense: bool
) -> UInt8[np.ndarray, "h w"]:
    void = mask == IGNORE
    if dense:
        window = 2 * MARGIN + 1
        void |= minimum_filter(mask, window) != maximum_filter(mask, window)
    return np.where(void, np.uint8(background), mask)


def _places(source: Source, fold: int, split: str) -> set[str]:
    every, test, val = set(source.places), set(source.folds[fold]), set(source.held_out(fold))
    train = every - test
    wanted = {"all": every, "test": test, "train": train, "val": val, "fit": train - val}[split]
    if not wanted:
        raise DataError(
            f"{source.name}: of {len(every)} places, {len(test)} are the test and {len(val)} the "
            f"validation of fold {fold}, and none is left to fit; add a place"
        )
    return wanted
