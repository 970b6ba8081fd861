"""Expansion by distance: lines between labels (`link`), discs around them (`disc`), or paths that
avoid edges (`geodesic`).
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import line
from skimage.graph import MCP_Geometric

from fewlabels.types import IGNORE


def link(labels: UInt8[np.ndarray, "h w"], *, distance: float = 5) -> UInt8[np.ndarray, "h w"]:
    """Draw a line between every two labelled pixels of one class within `distance` pixels.

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


def disc(labels: UInt8[np.ndarray, "h w"], *, radius: float = 5) -> UInt8[np.ndarray, "h w"]:
    """Give each pixel within `radius` pixels of a label the nearest label's class.

    Where labels of two classes are nearest at the same distance, the pixel stays IGNORE.
    """
    classes = np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORE + 1)[:IGNORE])
    away = np.stack([ndimage.distance_transform_edt(labels != c) for c in classes])
    nearest = away.min(axis=0)
    one = (nearest <= radius) & ((away == nearest).sum(axis=0) == 1)
    return np.where(one, classes.astype(np.uint8)[away.argmin(axis=0)], np.uint8(IGNORE))


def geodesic(
    labels: UInt8[np.ndarray, "h w"],
    image: Shaped[np.ndarray, "h w c"],
    *,
    radius: float = 5,
    edge: float = 10.0,
) -> UInt8[np.ndarray, "h w"]:
    """Give each pixel whose cheapest path to a label costs at most `radius` that label's class.

    A path costs its length in pixels, each stretch multiplied by 1 + `edge` * g. g is the image's
    gradient magnitude there (the largest of its bands, of derivatives of a Gaussian with sigma 1),
    divided by the 95th percentile of the tile: flat ground costs 1 a pixel, an edge about
    1 + `edge`. Exact on the grid of 8 neighbours.

    Source: Criminisi et al. 2008, https://doi.org/10.1007/978-3-540-88682-2_9
    """
    paths = MCP_Geometric(1.0 + edge * _edges(image))
    costs, moves = paths.find_costs(np.argwhere(labels != IGNORE))
    owner = _owners(moves, np.array([*paths.offsets, (0, 0)]))
    return np.where(costs <= radius, labels.ravel()[owner].reshape(labels.shape), np.uint8(IGNORE))


def _pairs(
    at: Int[np.ndarray, " n"], value: UInt8[np.ndarray, " n"], distance: float, width: int
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Find the pairs of labels of one class within the distance, the earlier label first."""
    # Classes lie in planes farther apart than the distance, so that one tree serves all.
    plane = value.astype(np.float64) * (2 * distance + 1)
    tree = cKDTree(np.column_stack([*np.divmod(at, width), plane]), balanced_tree=False)
    pairs = tree.query_pairs(distance, output_type="ndarray")
    return pairs.min(axis=1), pairs.max(axis=1)


def _inner_pixels(
    start: Int[np.ndarray, " p"], end: Int[np.ndarray, " p"], reach: int, width: int
) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]]:
    """List the pixels of all lines without their ends, and the line that each belongs to."""
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
    """Tabulate the lines from a pixel to all that are at most `reach` rows below and columns to
    either side: index offsets of their inner pixels, where each line begins, and its length.
    """
    lines = [
        (lambda rows, columns: (rows * width + columns)[1:-1])(*line(0, 0, down, right))
        for down in range(reach + 1)
        for right in range(-reach, reach + 1)
    ]
    length = np.array([len(inner) for inner in lines])
    return np.concatenate(lines), length.cumsum() - length, length


def _edges(image: Shaped[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w"]:
    bands = np.moveaxis(image.astype(np.float64), -1, 0)
    slope = np.max([ndimage.gaussian_gradient_magnitude(b, sigma=1) for b in bands], axis=0)
    scale = np.percentile(slope, 95)
    return slope / scale if scale > 0 else np.zeros_like(slope)


def _owners(moves: Int[np.ndarray, "h w"], offsets: Int[np.ndarray, "n 2"]) -> np.ndarray:
    """Find the pixel where each pixel's cheapest path starts.

    `moves` says by which offset each pixel was reached. All pixels follow them at once, twice as
    far in each round.
    """
    h, w = moves.shape
    step = offsets[np.where(moves < 0, len(offsets) - 1, moves)]
    owner = (np.arange(h * w).reshape(h, w) - step[..., 0] * w - step[..., 1]).ravel()
    while (owner != (further := owner[owner])).any():
        owner = further
    return owner
