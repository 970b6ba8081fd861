"""Proximity linking: labelled pixels of one class that lie close together are joined by lines."""

from functools import cache

import numpy as np
from jaxtyping import Int, UInt8
from scipy.spatial import cKDTree
from skimage.draw import line

from fewlabels.types import IGNORE


def link(labels: UInt8[np.ndarray, "h w"], *, distance: float = 5) -> UInt8[np.ndarray, "h w"]:
    """Labels with a line between every two labelled pixels of one class within `distance` pixels.

    Lines are Bresenham's, from the upper pixel (on one row, the left one) to the other. Where
    lines of two classes cross, the pixel stays IGNORE; a labelled pixel keeps its own label
    whatever crosses it. The pairs come from a k-d tree, so the cost grows with their number, not
    with the square of the labels'.

    Source: system D (proximity linking); Bentley 1975, https://doi.org/10.1145/361002.361007
    """
    flat, width = labels.ravel(), labels.shape[1]
    at = np.flatnonzero(flat != IGNORE)
    first, second = _pairs(at, flat[at], distance, width)
    here, line_of = _inner_pixels(at[first], at[second], int(distance), width)
    value = flat[at[first]][line_of]
    joined = np.full(labels.size, IGNORE, np.uint8)
    joined[here] = value
    joined[here[joined[here] != value]] = IGNORE  # of two classes on a pixel one was overwritten
    joined[at] = flat[at]
    return joined.reshape(labels.shape)


def _pairs(
    at: Int[np.ndarray, " n"], value: UInt8[np.ndarray, " n"], distance: float, width: int
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Pairs of labels of one class within the distance, the first the earlier one in the tile."""
    # Classes lie in planes farther apart than the distance, so that one tree serves all.
    plane = value.astype(np.float64) * (2 * distance + 1)
    tree = cKDTree(np.column_stack([*np.divmod(at, width), plane]), balanced_tree=False)
    pairs = tree.query_pairs(distance, output_type="ndarray")
    return pairs.min(axis=1), pairs.max(axis=1)


def _inner_pixels(
    start: Int[np.ndarray, " p"], end: Int[np.ndarray, " p"], reach: int, width: int
) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]]:
    """The pixels of all lines less their ends, and the line that each belongs to."""
    (top, left), (bottom, right) = np.divmod(start, width), np.divmod(end, width)
    shift = (bottom - top) * (2 * reach + 1) + right - left + reach
    along, begin, steps = _bresenham(reach, width)
    length = steps[shift]
    line_of = np.repeat(np.arange(len(start)), length)
    step = np.arange(len(line_of)) + np.repeat(begin[shift] - (length.cumsum() - length), length)
    return start[line_of] + along[step], line_of


@cache
def _bresenham(
    reach: int, width: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " shifts"], Int[np.ndarray, " shifts"]]:
    """Lines from a pixel to all that are at most `reach` rows below and columns to either side:
    the index offsets of their inner pixels, one line after another, where each line begins and
    how many it has.
    """
    lines = [
        (lambda rows, columns: (rows * width + columns)[1:-1])(*line(0, 0, down, right))
        for down in range(reach + 1)
        for right in range(-reach, reach + 1)
    ]
    length = np.array([len(inner) for inner in lines])
    return np.concatenate(lines), length.cumsum() - length, length
