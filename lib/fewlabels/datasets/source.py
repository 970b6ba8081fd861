"""What a loader knows of a data set before any pixel is decoded."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

Pair = tuple[UInt8[np.ndarray, "h w c"], UInt8[np.ndarray, "h w"]]


@dataclass(frozen=True)
class Source:
    """A data set as its loader found it.

    Attributes:
        name: the name in `datasets.NAMES`.
        classes: class names; a class's index is its value in the masks.
        synthetic: True where the images are generated.
        ids: one identity a tile, unique, in the order of `decode`.
        places: the ground each tile shows, aligned with `ids`.
        folds: the places of each leak-free test group; together they hold every place once.
        fingerprint: SHA-256 of what the tiles are decoded from: the same bytes, the same text.
        decode: tile index -> (image u8[h w c], mask u8[h w]) at the data's own resolution.
    """

    name: str
    classes: tuple[str, ...]
    synthetic: bool
    ids: tuple[str, ...]
    places: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    fingerprint: str
    decode: Callable[[int], Pair]


def fingerprint_files(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over the relative names and the bytes of files, in sorted order."""
    total = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()
