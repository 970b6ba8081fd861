"""What a data set declares of itself, and what its loader finds before any pixel is decoded."""

import hashlib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from fewlabels.data.download import Download
from fewlabels.types import DataError

Pair = tuple[UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]
KINDS = {
    "header": ((), ""),
    "image": (("L", "RGB", "RGBA", "P"), "8-bit RGB or grey"),
    "RGB": (("RGB", "RGBA", "P"), "8-bit RGB"),
    "classes": (("L", "P", "1"), "8-bit grey, its values classes"),
}
"""Pillow's modes of what a file may hold, and the same in words."""


@dataclass(frozen=True)
class Source:
    """A data set as its loader found it.

    Attributes:
        name: the name in `data.NAMES`.
        classes: class names; a class's index is its value in the masks.
        synthetic: True where the images are generated.
        ids: one identity a tile, unique, in the order of `decode`.
        sites: the site that each tile shows, aligned with `ids`.
        folds: the sites of each test group, no site twice. In cross-validation every site is in
            some group. A published split is one group; the other sites only train.
        fingerprint: SHA-256 of what the tiles are decoded from.
        decode: tile index -> (image u8[h w c], mask u8[h w]) at the data's own resolution.
        validation: the training sites that each fold holds out for choices; by default the test
            group of the next fold.
    """

    name: str
    classes: tuple[str, ...]
    synthetic: bool
    ids: tuple[str, ...]
    sites: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    fingerprint: str
    decode: Callable[[int], Pair]
    validation: tuple[tuple[str, ...], ...] | None = None

    def held_out(self, fold: int) -> tuple[str, ...]:
        """The validation sites of a fold."""
        after = (*self.folds[1:], self.folds[0])
        return (self.validation or after)[fold]


@dataclass(frozen=True)
class Declaration:
    """All that the package knows of a data set; `registry.SOURCES` holds one of each.

    Attributes:
        name: what `data.load` calls it.
        find: data root -> `Source`; raises DataError where files are missing.
        notice: one sentence on what the images are; printed wherever a number from them is.
        citation, licence: of the publisher.
        folder: its folder under the data root.
        download: where to get it, if it can be downloaded.
    """

    name: str
    find: Callable[[Path], Source]
    notice: str
    citation: str = ""
    licence: str = ""
    folder: str = ""
    download: Download | None = None


def way_out(name: str, folder: str) -> str:
    """How to get a data set that can be downloaded."""
    return (
        f"run `fewlabels data {name}`, or set DATA_ROOT to the folder that holds {folder} "
        "(data/README.md says how to get it by hand)"
    )


def mixed(source: Source) -> Source:
    """Deal the tiles at random into as many test groups: the split that leaks.

    Every tile becomes a site of its own. The deal depends on nothing but the number of tiles.

    Raises:
        DataError: there is one test group only.
    """
    if len(source.folds) < 2:
        raise DataError(
            f"{source.name} has one published test group, so its tiles cannot be dealt into several"
        )
    dealt = np.random.default_rng(0).permutation(len(source.ids))
    groups = np.array_split(dealt, len(source.folds))
    folds = tuple(tuple(source.ids[i] for i in group) for group in groups)
    return replace(source, sites=source.ids, folds=folds, validation=None)


def fingerprint_files(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over the relative names and the bytes of files, in sorted order."""
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.relative_to(root).as_posix()} {content(file)}\n".encode())
    return total.hexdigest()


def content(file: Path) -> str:
    """SHA-256 of a file's bytes, read again only if its size or time has changed.

    A run asks for it three times, and a large data set has gigabytes.
    """
    found = file.stat()
    return _content(file.absolute(), found.st_size, found.st_mtime_ns)


@cache
def _content(file: Path, size: int, time: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def opened(name: str, file: Path, kind: str) -> Image.Image:
    """Decode an image file of data set `name`; of kind "header", only its size can be read.

    Args:
        kind: what the file must hold, one of KINDS.

    Raises:
        DataError: it is no image, a damaged one, or of another kind.
    """
    modes, said = KINDS[kind]
    try:
        with warnings.catch_warnings():  # of more than 89 million pixels: an orthophoto may have
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                if kind != "header":
                    image.load()
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{name}: '{file}' does not open as an image ({error})") from error
    if modes and image.mode not in modes:
        raise DataError(f"{name}: '{file}' has pixels of kind {image.mode}; it must be {said}")
    return image


def colours(name: str, file: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image in colour or grey to three bands."""
    return np.asarray(opened(name, file, "image").convert("RGB"))
