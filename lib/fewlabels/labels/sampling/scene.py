"""What a simulated annotator sees of a tile: its classes, its objects, a rank for each pixel.

Ranks come from a counter-based generator keyed on (seed, tile id).

Source: Philox, Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt64
from scipy import ndimage
from skimage import measure

from fewlabels.types import IGNORE, NoLabelsError


@dataclass(frozen=True)
class Scene:
    """A dense mask with the random order in which its pixels would be labelled.

    Attributes:
        key: 128 bits that name the draw; whatever is random about it is derived from them.
    """

    mask: UInt8[np.ndarray, "h w"]
    key: int

    @cached_property
    def rank(self) -> UInt64[np.ndarray, " n"]:
        """One 64-bit number a pixel, row after row; lower is drawn earlier."""
        return _ranks(self.mask.size, self.key)

    @property
    def known(self) -> Bool[np.ndarray, " n"]:
        """Which pixels carry a class, row after row."""
        return self.mask.ravel() != IGNORE

    @cached_property
    def classes(self) -> Mapping[int, int]:
        """Pixels of each class that is present."""
        count = np.bincount(self.mask.ravel(), minlength=IGNORE + 1)[:IGNORE]
        return {int(c): int(count[c]) for c in np.flatnonzero(count)}

    @cached_property
    def carrying(self) -> int:
        """How many pixels carry a class."""
        return sum(self.classes.values())

    def of(self, value: int) -> Bool[np.ndarray, " n"]:
        """Which pixels are of a class, row after row."""
        return self.mask.ravel() == value

    @cached_property
    def components(self) -> Int[np.ndarray, "h w"]:
        """Number of the object that a pixel belongs to, from 1; 0 where there is no class.

        An object is a connected piece of one class; pixels that touch at a corner are connected.
        """
        return measure.label(self.mask, background=IGNORE, connectivity=2)

    @cached_property
    def objects(self) -> tuple["Object", ...]:
        """The objects in the order of their first pixel's rank, so that a large one tends to be
        met before a small one.
        """
        boxes = ndimage.find_objects(self.components)
        numbers = self.components.ravel()[np.argsort(self.rank)]
        found, first = np.unique(numbers, return_index=True)
        met = found[np.argsort(first)].tolist()
        return tuple(Object(self, number, boxes[number - 1]) for number in met if number)


@dataclass(frozen=True)
class Object:
    """One connected piece of a class, seen through its bounding box (h w below)."""

    scene: Scene
    number: int
    box: tuple[slice, slice]

    @cached_property
    def inside(self) -> Bool[np.ndarray, "h w"]:
        """Where the object is."""
        return self.scene.components[self.box] == self.number

    @cached_property
    def depth(self) -> Int[np.ndarray, "h w"]:
        """Steps (also diagonal) to the nearest pixel that is not the object's.

        1 at its border, 0 outside it. Beyond the tile's edge nothing is known and nothing counts.
        """
        rows, columns = self.box
        h, w = self.scene.mask.shape
        edges = (rows.start > 0, rows.stop < h), (columns.start > 0, columns.stop < w)
        padded = np.pad(self.inside, [tuple(map(int, e)) for e in edges], constant_values=False)
        if padded.all():  # the whole tile is one object
            return np.full(padded.shape, max(padded.shape))
        depth = ndimage.distance_transform_cdt(padded, metric="chessboard")
        (top, bottom), (left, right) = edges
        return depth[top : depth.shape[0] - bottom, left : depth.shape[1] - right]

    @cached_property
    def rank(self) -> UInt64[np.ndarray, "h w"]:
        """The pixels' ranks."""
        return self.scene.rank.reshape(self.scene.mask.shape)[self.box]

    def first(self, where: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
        """Row and column in the box of the pixel of lowest rank where `where` holds."""
        at = np.flatnonzero(where)
        row, column = divmod(int(at[self.rank[where].argmin()]), where.shape[1])
        return row, column

    def click(self, where: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "1"]:
        """Index in the tile of that pixel."""
        pixels = self.indexes(where)
        return pixels[[self.rank[where].argmin()]]

    def indexes(self, where: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, " n"]:
        """Indexes in the tile of the box's pixels where `where` holds, row after row."""
        rows, columns = np.nonzero(where)
        width = self.scene.mask.shape[1]
        return (rows + self.box[0].start) * width + columns + self.box[1].start


def scene(mask: UInt8[np.ndarray, "h w"], *, seed: int, tile: str) -> Scene:
    """Make the scene of a mask; its ranks are a pure function of (seed, tile).

    Raises:
        NoLabelsError: no pixel of the mask carries a class.
    """
    if not (mask != IGNORE).any():
        raise NoLabelsError(
            f"tile '{tile}': 0 of {mask.size} pixels carry a class, so none can be drawn; "
            "drop the tile from the split (see data/README.md)"
        )
    return Scene(mask, key_of(seed, tile))


def ranks(pixels: int, *, seed: int, tile: str) -> UInt64[np.ndarray, " n"]:
    """Return one 64-bit rank a pixel, a pure function of (seed, tile, position)."""
    return _ranks(pixels, key_of(seed, tile))


def _ranks(pixels: int, key: int) -> UInt64[np.ndarray, " n"]:
    return np.random.Philox(key=key).random_raw(pixels)


def key_of(*parts: object) -> int:
    """Hash what names a draw to 128 bits, the same on every machine."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
