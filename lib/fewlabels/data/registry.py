"""The table of data sets, and the one way to load them.

To add a data set, write a module that ends in a `Declaration` and add it to `SOURCES`.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from fewlabels import paths
from fewlabels.data import cache, dataset, download, synthetic
from fewlabels.data.dataset import Dataset
from fewlabels.data.source import Declaration, Source, mixed
from fewlabels.data.sources import ai4mars, dubai, folder, grouped, sheets
from fewlabels.types import DataError, unknown

SOURCES: dict[str, Declaration] = {
    declared.name: declared
    for declared in (
        synthetic.DECLARATION,
        dubai.DECLARATION,
        ai4mars.DECLARATION,
        *sheets.DECLARATIONS,
        *grouped.DECLARATIONS,
        folder.DECLARATION,
    )
}
NAMES = tuple(SOURCES)
SPLITS = ("train", "test", "all", "fit", "val")
GRID = 700
BACKGROUND, CLEANED, PATCHES = VARIANTS = ("background", "cleaned", "patches")
"""What may follow a data set's name, each after a colon; see `load`."""


def load(
    name: str,
    root: Path | None = None,
    fold: int = 0,
    split: str = "train",
    *,
    grid: int = GRID,
    cache_root: Path | None = None,
) -> Dataset:
    """Load one split of one fold, decoding the data set first if it is not in the cache.

    Tiles without any labelled pixel are skipped: they cannot train, and no score counts them.

    Args:
        name: of the data set, with any of these after it. `:background` makes unlabelled pixels
            one more class, the last, in all splits but `test`; in the dense synthetic masks,
            pixels within `dataset.MARGIN` of another class count as unlabelled. `:cleaned` drops
            the outliers (see `dataset`) from `train` and `fit`. `:patches` deals single tiles into
            the test groups, so that a site is on both sides: the usual split, which leaks.
        root: folder that holds the data sets' folders (default: `paths.data_root()`); for
            `folder`, the folder of images and masks itself.
        fold: which group of sites is the test.
        split: `test` is that group, `train` every other site, `all` both. `val` is the part of
            the training sites that is held out for choices, and `fit` is `train` without it.
        grid: longest side of a tile in pixels; larger tiles are shrunk once, when decoded.

    Raises:
        UnknownName: no such data set or split.
        DataError: files are missing, damaged or misplaced; no such fold; no site is left to
            `fit`; no tile of the split has a labelled pixel.
    """
    base, variants = _parts(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    source = SOURCES[base].find(root or paths.data_root())
    if fold not in range(len(source.folds)):
        raise DataError(f"{name} has folds 0 to {len(source.folds) - 1}, not {fold}")
    tiles = cache.opened(source, cache_root or paths.cache_root(), grid=grid)
    if PATCHES in variants:
        source = mixed(source)
    members = _members(source, tiles, _sites(source, fold, split))
    if not members:
        raise DataError(f"{name}: no tile of '{split}' in fold {fold} has a pixel with a class")
    classes, fingerprint = source.classes, source.fingerprint
    if BACKGROUND in variants:
        classes = (*classes, BACKGROUND)
    if variants:
        fingerprint = hashlib.sha256(f"{fingerprint} {' '.join(variants)}".encode()).hexdigest()
    found = Dataset(
        name, classes, source.synthetic, fingerprint, grid, source.folds, fold, split, tiles,
        members, SOURCES[base].notice, BACKGROUND in variants,
    )  # fmt: skip
    return _cleaned(found, source, fold) if CLEANED in variants else found


def fetch(name: str, root: Path) -> Path:
    """Download a data set into `root` if it is not there and can be downloaded; returns `root`.

    Raises:
        UnknownName: no such data set.
        DataError: the download failed; says how to get the data by hand.
    """
    base, _ = _parts(name)
    declared = SOURCES[base]
    if declared.download:
        download.fetch(declared.download, root / declared.folder)
    return root


def groups(name: str, root: Path | None = None) -> int | None:
    """Count the groups of test sites in a folder of the user's own; None for other data, of which
    the studies know.

    Raises:
        DataError: as `load`.
    """
    if name.partition(":")[0] != "folder":
        return None
    return len(SOURCES["folder"].find(root or paths.data_root()).folds)


def check_name(name: str) -> None:
    """Raise UnknownName unless a data set has this name; variants are allowed."""
    _parts(name)


def _parts(name: str) -> tuple[str, list[str]]:
    """The data set and the variants in a name."""
    base, *variants = name.split(":")
    if base not in SOURCES or set(variants) - set(VARIANTS):
        raise unknown("data set", name, (*NAMES, *(f"<name>:{v}" for v in VARIANTS)))
    return base, variants


def _cleaned(found: Dataset, source: Source, fold: int) -> Dataset:
    """Drop the outliers among all training tiles; `val` and `test` stay whole."""
    if found.split not in ("train", "fit"):
        return found
    train = _members(source, found.tiles, _sites(source, fold, "train"))
    table = dataset.outliers(replace(found, members=train, background=False))
    odd = {i for i, out in zip(train, table[list(dataset.RULES)].any(axis=1), strict=True) if out}
    return replace(found, members=tuple(i for i in found.members if i not in odd))


def _members(source: Source, tiles: cache.Cache, sites: set[str]) -> tuple[int, ...]:
    """The numbers of the tiles of some sites that have a labelled pixel."""
    numbered = zip(source.sites, tiles.entries, strict=True)
    return tuple(i for i, (site, e) in enumerate(numbered) if site in sites and e.labelled)


def _sites(source: Source, fold: int, split: str) -> set[str]:
    every, test, val = set(source.sites), set(source.folds[fold]), set(source.held_out(fold))
    train = every - test
    wanted = {"all": every, "test": test, "train": train, "val": val, "fit": train - val}[split]
    if not wanted:
        raise DataError(
            f"{source.name}: of {len(every)} sites, {len(test)} are the test and {len(val)} the "
            f"validation of fold {fold}, and none is left to fit; add a site"
        )
    return wanted
