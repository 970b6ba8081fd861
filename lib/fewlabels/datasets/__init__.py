"""Data sets as sequences of tiles, split by place.

`load` is the only door: it finds the files, decodes them once into a cache and returns the tiles
of one side of one fold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from fewlabels import paths
from fewlabels.datasets import (
    ai4mars,
    cache,
    deepglobe,
    download,
    dubai,
    folder,
    landcoverai,
    potsdam,
    synthetic,
)
from fewlabels.datasets.source import Source
from fewlabels.types import DataError, Tile, unknown

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
ARCHIVES: dict[str, tuple[Callable[[], download.Download], str]] = {
    "dubai": (download.dubai, dubai.FOLDER),
    "landcoverai": (landcoverai.archive, landcoverai.FOLDER),
    "deepglobe": (deepglobe.archive, deepglobe.FOLDER),
}
BY_HAND: dict[str, Callable[[Path], Path]] = {"ai4mars": ai4mars.found, "potsdam": potsdam.found}
SPLITS = ("train", "test", "all", "fit", "val")
GRID = 700


@dataclass(frozen=True)
class Dataset(Sequence[Tile]):
    """The tiles of one split, read from the cache as they are asked for.

    Attributes:
        fingerprint: SHA-256 of what the whole data set is decoded from.
        grid: longest side in pixels that a tile can have.
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
        return Tile(entry.id, entry.place, *self.tiles.read(self.members[index]))

    @property
    def notice(self) -> str:
        """One sentence on what the images are; stands wherever a number from them does."""
        return NOTICES["synthetic" if self.synthetic else self.name]

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
    if name not in SOURCES:
        raise unknown("data set", name, NAMES)
    if name in ARCHIVES:
        archive, inside = ARCHIVES[name]
        download.fetch(archive(), root / inside)
    if name in BY_HAND:
        BY_HAND[name](root)
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
    if name not in SOURCES:
        raise unknown("data set", name, NAMES)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    source = SOURCES[name](root or paths.data_root())
    if fold not in range(len(source.folds)):
        raise DataError(f"{name} has folds 0 to {len(source.folds) - 1}, not {fold}")
    tiles = cache.opened(source, cache_root or paths.cache_root(), grid=grid)
    wanted = _places(source, fold, split)
    members = tuple(
        i for i, e in enumerate(tiles.entries) if source.places[i] in wanted and e.labelled
    )
    if not members:
        raise DataError(f"{name}: no tile of '{split}' in fold {fold} has a pixel with a class")
    return Dataset(
        name, source.classes, source.synthetic, source.fingerprint, grid, source.folds, fold, split,
        tiles, members,
    )  # fmt: skip


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
