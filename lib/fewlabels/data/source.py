"""What a loader knows of a data set before any pixel is decoded."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from fewlabels.types import DataError

Pair = tuple[UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]


@dataclass(frozen=True)
class Source:
    """A data set as its loader found it.

    Attributes:
        name: the name in `data.NAMES`.
        classes: class names; a class's index is its value in the masks.
        synthetic: True where the images are generated.
        ids: one identity a tile, unique, in the order of `decode`.
        places: the ground each tile shows, aligned with `ids`.
        folds: the places of each leak-free test group, no place twice. Cross-validation has them
            all in some group; a published split is one group, and the other places only train.
        fingerprint: SHA-256 of what the tiles are decoded from: the same bytes, the same text.
        decode: tile index -> (image u8[h w c], mask u8[h w]) at the data's own resolution.
        validation: for each fold, the training places that are held out where something has to
            be chosen; not given, they are the next fold's test group.
    """

    name: str
    classes: tuple[str, ...]
    synthetic: bool
    ids: tuple[str, ...]
    places: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    fingerprint: str
    decode: Callable[[int], Pair]
    validation: tuple[tuple[str, ...], ...] | None = None

    def held_out(self, fold: int) -> tuple[str, ...]:
        """The places of a fold's validation."""
        after = (*self.folds[1:], self.folds[0])
        return (self.validation or after)[fold]


def mixed(source: Source) -> Source:
    """The same tiles with every one a place of its own, dealt at random into as many test groups:
    the split that leaks, to measure how much.

    The deal depends on nothing but the number of tiles.

    Raises:
        DataError: there is one test group only.
    """
    if len(source.folds) < 2:
        raise DataError(
            f"{source.name} has one published test group: nothing to deal its tiles into"
        )
    dealt = np.random.default_rng(0).permutation(len(source.ids))
    groups = np.array_split(dealt, len(source.folds))
    folds = tuple(tuple(source.ids[i] for i in group) for group in groups)
    return replace(source, places=source.ids, folds=folds, validation=None)


def fingerprint_files(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over the relative names and the bytes of files, in sorted order."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.relative_to(root).as_posix()} {content(file)}\n".encode())
    return total.hexdigest()


def content(file: Path) -> str:
    """SHA-256 of a file's bytes, read once in a process unless its size or time has changed.

    A large set has gigabytes, and a run asks for their fingerprint three times.
    """
    found = file.stat()
    return _content(file.absolute(), found.st_size, found.st_mtime_ns)


@cache
def _content(file: Path, size: int, time: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def opened(name: str, file: Path, *, pixels: bool = True) -> Image.Image:
    """A file of data set `name`, decoded; without `pixels` only its header is read.

    Raises:
        DataError: it is no image, or a damaged one.
    """
    try:
        with Image.open(file) as image:
            if pixels:
                image.load()
            return image
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{name}: '{file}' does not open as an image ({error})") from error
