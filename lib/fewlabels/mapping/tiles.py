"""A scene cut into squares around its labels: what a training reads of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from jaxtyping import Int, Int32, UInt8
from rasterio.features import rasterize
from rasterio.transform import Affine
from tqdm.auto import tqdm

from fewlabels.mapping import label_image
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.label_image import SOON, Painted
from fewlabels.mapping.scene import Ranges, Read, Scene
from fewlabels.mapping.vector_labels import Marks
from fewlabels.types import IGNORE, NoLabelsError

Zeros = Callable[[tuple[int, ...]], UInt8[np.ndarray, "..."]]
NOBODY = -1
"""Unit of a pixel without a label."""


class Burnt(NamedTuple):
    """The labels of one window.

    Attributes:
        labels: class in [0, k) or IGNORE.
        units: number of the drawn label of each labelled pixel; NOBODY elsewhere.
        contradictory: pixels that labels of different classes share; they are IGNORE.
    """

    labels: UInt8[np.ndarray, "h w"]
    units: Int32[np.ndarray, "h w"]
    contradictory: int


Burn = Callable[[slice, slice], Burnt]


@dataclass(frozen=True)
class Piece:
    """A square of the scene that holds labels, clipped at the scene's edge.

    Attributes:
        labels: class in [0, k) or IGNORE; IGNORE where the scene has no valid pixel.
        units: what each labelled pixel is held out together with; NOBODY elsewhere.
        around: the same for the piece with a margin as wide as the gap.
        inside: rows and columns of `around` that are the piece.
    """

    rows: slice
    columns: slice
    labels: UInt8[np.ndarray, "h w"]
    units: Int32[np.ndarray, "h w"]
    around: Int32[np.ndarray, "H W"]
    inside: tuple[slice, slice]

    @property
    def id(self) -> str:
        return f"row {self.rows.start}, column {self.columns.start}"


@dataclass(frozen=True)
class Cut:
    """All pieces of a scene.

    Attributes:
        contradictory: pixels that labels of different classes share; they are not used.
        void: labelled pixels where the scene has no valid pixel; they are not used.
        void_bands: how many of those have no value in each band, by its name; those that have any.
        shapes: numbers of the drawn labels that have a pixel.
    """

    pieces: tuple[Piece, ...]
    contradictory: int
    void: int
    void_bands: Mapping[str, int]
    shapes: frozenset[int]


@contextmanager
def labelling(given: Marks | Painted, scene: Scene) -> Iterator[Burn]:
    """Open labels of either kind as a function of a window; all pixels of an image are shape 0."""
    if isinstance(given, Marks):
        yield burning(given)
        return
    with label_image.reading(given, scene) as read:

        def labels(rows: slice, columns: slice) -> Burnt:
            found = read(rows, columns)
            return Burnt(found, np.where(found == IGNORE, NOBODY, 0).astype(np.int32), 0)

        yield labels


def burning(marks: Marks) -> Burn:
    """A function (rows, columns) -> Burnt.

    A polygon labels the pixels whose centre it holds, a point the pixel it lies in, a line those
    it runs through by Bresenham's rule. Where shapes of one class overlap, the last has the pixel.
    """
    tree = shapely.STRtree(marks.shapes)

    def burn(rows: slice, columns: slice) -> Burnt:
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        corner = Affine.translation(columns.start, rows.start)
        labels = np.full(shape, IGNORE, np.uint8)
        units = np.full(shape, NOBODY, np.int32)
        shared = np.zeros(shape, bool)
        here = np.sort(tree.query(shapely.box(columns.start, rows.start, columns.stop, rows.stop)))
        for value in np.unique(marks.values[here]):
            own = [(marks.shapes[i], int(i)) for i in here[marks.values[here] == value]]
            found = rasterize(own, shape, fill=NOBODY, transform=corner, dtype="int32")
            there = found != NOBODY
            shared |= there & (labels != IGNORE)
            labels[there], units[there] = value, found[there]
        labels[shared], units[shared] = IGNORE, NOBODY
        return Burnt(labels, units, int(shared.sum()))

    return burn


def cut(scene: Scene, read: Read, labels: Burn, *, side: int, gap: int, block: int | None) -> Cut:
    """The pieces of `scene` that hold a label, row after row.

    Args:
        side: of a piece, in pixels.
        gap: width of the margin around a piece in which held-out labels matter.
        block: side of the squares of the scene that are held out together; None holds out the
            drawn labels.

    Raises:
        NoLabelsError: no label lies on a valid pixel.
    """
    pieces, shapes, contradictory, void = [], set(), 0, 0
    bands = np.zeros(len(scene.names), int)
    for top in tqdm(range(0, scene.height, side), "labels on the scene", unit="row", delay=SOON):
        for left in range(0, scene.width, side):
            rows, down, inner = _span(top, side, gap, scene.height)
            columns, across, inner_columns = _span(left, side, gap, scene.width)
            found = labels(rows, columns)
            contradictory += found.contradictory
            if (found.labels == IGNORE).all():
                continue
            shapes |= set(np.unique(found.units).tolist()) - {NOBODY}
            values, valid = read(rows, columns)
            lost = (found.labels != IGNORE) & ~valid
            void += int(lost.sum())
            bands += (~np.isfinite(values[lost])).sum(axis=0)
            kept = np.where(valid, found.labels, np.uint8(IGNORE))
            if (kept == IGNORE).all():
                continue
            around, inside = labels(down, across).units, (inner, inner_columns)
            if block is not None:
                numbers = blocks(down, across, scene.width, block)
                around = np.where(around == NOBODY, np.int32(NOBODY), numbers)
            units = np.where(kept == IGNORE, np.int32(NOBODY), around[inside])
            pieces.append(Piece(rows, columns, kept, units, around, inside))
    voids = {name: n for name, n in zip(scene.names, bands.tolist(), strict=True) if n}
    if not pieces:
        raise NoLabelsError(
            f"no label lies on a valid pixel of '{scene.file}': {void} labelled pixels are nodata "
            f"there (by band: {voids or 'none'}), {contradictory} have labels of two classes; a "
            "band without values can be left out with --bands"
        )
    return Cut(tuple(pieces), contradictory, void, voids, frozenset(shapes))


def blocks(rows: slice, columns: slice, width: int, side: int) -> Int32[np.ndarray, "h w"]:
    """For each pixel of a window the number of its block of `side` x `side` pixels of the scene,
    row after row of blocks. `width` is the scene's.
    """
    down, across = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    return (down[:, None] // side * -(-width // side) + across // side).astype(np.int32)


def images(
    pieces: Iterable[Piece], read: Read, ranges: Ranges, zeros: Zeros
) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """The bytes of each piece, in arrays that `zeros` makes."""
    for piece in pieces:
        image = scenes.to_bytes(*read(piece.rows, piece.columns), ranges)
        stored = zeros(image.shape)
        stored[:] = image
        yield stored


def ranges(pieces: Sequence[Piece], read: Read) -> Ranges:
    """The ranges of the bands over these pieces."""
    pixels = sum(piece.labels.size for piece in pieces)
    return scenes.measured((read(piece.rows, piece.columns) for piece in pieces), pixels)


def inventory(pieces: Iterable[Piece], classes: int) -> dict[int, Int[np.ndarray, " k"]]:
    """Labelled pixels of each class, for each unit."""
    found: dict[int, np.ndarray] = {}
    for piece in pieces:
        for unit in np.unique(piece.units[piece.labels != IGNORE]).tolist():
            own = piece.labels[piece.units == unit]
            found[unit] = found.get(unit, 0) + np.bincount(own, minlength=classes)
    return dict(sorted(found.items()))


def _span(start: int, side: int, gap: int, size: int) -> tuple[slice, slice, slice]:
    """A piece along one side, the same with a margin of `gap`, and the piece within that."""
    stop = min(start + side, size)
    wide = slice(max(0, start - gap), min(size, stop + gap))
    return slice(start, stop), wide, slice(start - wide.start, stop - wide.start)
