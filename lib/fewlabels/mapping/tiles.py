"""A scene cut into squares around its labels: what a training reads of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, UInt8

from fewlabels.mapping import bands, label_image, rasterize
from fewlabels.mapping.label_image import Painted
from fewlabels.mapping.rasterize import NOBODY, Burn, Burnt
from fewlabels.mapping.scene import Read, Scene
from fewlabels.mapping.vector_labels import Marks
from fewlabels.types import IGNORE, NoLabelsError

Zeros = Callable[[tuple[int, ...]], UInt8[np.ndarray, "..."]]


@dataclass(frozen=True)
class Piece:
    """A square of the scene that holds labels, cut off at the scene's edge.

    Attributes:
        labels: class in [0, k) or IGNORE; IGNORE where the scene has no valid pixel.
        units: what is held out together with each labelled pixel; NOBODY elsewhere.
        around: the same for the piece and the pixels around it that a gap may reach.
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
        contradictory: pixels that labels of different classes share; they train nothing.
        void: labelled pixels where the scene has no valid pixel; they train nothing.
        shapes: numbers of the drawn labels that have a pixel.
    """

    pieces: tuple[Piece, ...]
    contradictory: int
    void: int
    shapes: frozenset[int]


@contextmanager
def labelling(given: Marks | Painted, scene: Scene) -> Iterator[Burn]:
    """Labels of either kind as a function of a window; of a label image no pixel has a shape."""
    if isinstance(given, Marks):
        yield rasterize.burning(given)
        return
    with label_image.reading(given, scene) as read:

        def labels(rows: slice, columns: slice) -> Burnt:
            found = read(rows, columns)
            return Burnt(found, np.where(found == IGNORE, NOBODY, 0).astype(np.int32), 0)

        yield labels


def cut(scene: Scene, read: Read, labels: Burn, *, side: int, gap: int, block: int | None) -> Cut:
    """The pieces of `scene` that hold a label, row after row.

    Args:
        side: of a piece, in pixels.
        gap: pixels around a piece that are looked at for what is held out.
        block: side of the squares of the scene that are held out together; the drawn label of a
            pixel if None.

    Raises:
        NoLabelsError: no label lies on a valid pixel.
    """
    pieces, shapes, lost = [], set(), Counter[str]()
    for rows, columns in _squares(scene, side):
        found = labels(rows, columns)
        lost["contradictory"] += found.contradictory
        if (found.labels == IGNORE).all():
            continue
        shapes |= set(np.unique(found.units).tolist()) - {NOBODY}
        valid = read(rows, columns)[1]
        lost["void"] += int(((found.labels != IGNORE) & ~valid).sum())
        kept = np.where(valid, found.labels, np.uint8(IGNORE))
        if (kept != IGNORE).any():
            pieces.append(_piece(scene, labels, rows, columns, kept, gap, block))
    if not pieces:
        raise NoLabelsError(
            f"no label lies on a valid pixel of '{scene.file}': {lost['void']} labelled pixels are "
            f"nodata there, {lost['contradictory']} have labels of two classes"
        )
    return Cut(tuple(pieces), lost["contradictory"], lost["void"], frozenset(shapes))


def images(
    pieces: Iterable[Piece], read: Read, ranges: bands.Ranges, zeros: Zeros
) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """The bytes of each piece, in arrays that `zeros` makes."""
    for piece in pieces:
        image = bands.to_bytes(*read(piece.rows, piece.columns), ranges)
        stored = zeros(image.shape)
        stored[:] = image
        yield stored


def ranges(pieces: Sequence[Piece], read: Read) -> bands.Ranges:
    """The ranges of the bands over these pieces."""
    pixels = sum(piece.labels.size for piece in pieces)
    return bands.measured((read(piece.rows, piece.columns) for piece in pieces), pixels)


def inventory(pieces: tuple[Piece, ...], classes: int) -> dict[int, Int[np.ndarray, " k"]]:
    """Labelled pixels of each class, for each unit."""
    found: dict[int, np.ndarray] = {}
    for piece in pieces:
        here = piece.labels != IGNORE
        pairs = np.stack([piece.units[here].astype(np.int64), piece.labels[here]], axis=1)
        for (unit, value), number in zip(
            *np.unique(pairs, axis=0, return_counts=True), strict=True
        ):
            found.setdefault(int(unit), np.zeros(classes, np.int64))[value] += number
    return dict(sorted(found.items()))


def _squares(scene: Scene, side: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, scene.height, side):
        for left in range(0, scene.width, side):
            yield (
                slice(top, min(top + side, scene.height)),
                slice(left, min(left + side, scene.width)),
            )


def _piece(
    scene: Scene,
    labels: Burn,
    rows: slice,
    columns: slice,
    kept: UInt8[np.ndarray, "h w"],
    gap: int,
    block: int | None,
) -> Piece:
    down = slice(max(0, rows.start - gap), min(scene.height, rows.stop + gap))
    across = slice(max(0, columns.start - gap), min(scene.width, columns.stop + gap))
    around = labels(down, across).units
    if block is not None:
        numbers = label_image.blocks(down, across, scene.width, block)
        around = np.where(around == NOBODY, np.int32(NOBODY), numbers)
    inside = (
        slice(rows.start - down.start, rows.stop - down.start),
        slice(columns.start - across.start, columns.stop - across.start),
    )
    units = np.where(kept == IGNORE, np.int32(NOBODY), around[inside])
    return Piece(rows, columns, kept, units, around, inside)
