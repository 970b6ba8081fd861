"""Drawn labels rasterized window by window, so that a scene may have any size."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import shapely
from jaxtyping import Int32, UInt8
from rasterio.features import rasterize
from rasterio.transform import Affine

from fewlabels.mapping.vector_labels import Marks
from fewlabels.types import IGNORE

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
