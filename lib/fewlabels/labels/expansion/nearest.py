"""Expansion by distance: straight (`disc`), or along paths that avoid edges (`geodesic`)."""

import numpy as np
from jaxtyping import Float, Int, Int64, Shaped, UInt8, UInt16
from scipy import ndimage
from skimage.graph import MCP_Geometric

from fewlabels.types import IGNORE

Keys = UInt16[np.ndarray, "h w"] | Int64[np.ndarray, "h w"]


def disc(labels: UInt8[np.ndarray, "h w"], *, radius: float = 5) -> UInt8[np.ndarray, "h w"]:
    """Each pixel within `radius` pixels of a label takes the nearest one's class.

    Where labels of two classes are nearest at the same distance, the pixel stays IGNORE. Exact:
    few labels draw their discs one by one; for more, the squared distance, which is a sum over
    rows and columns, is minimised along the columns and then along the rows, in at most 4 radius
    passes over the tile.
    """
    classes = np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORE + 1)[:IGNORE])
    known = len(classes)
    far = known * (int(radius**2) + 1)
    kind = np.uint16 if 2 * far < 2**16 else np.int64  # a quarter of the memory, and faster
    nearest = _drawn if _few(labels, radius) else _passed
    place = np.full(IGNORE + 1, far, kind)
    # Equal distances are told apart by class: the lowest wins here, the highest there.
    place[classes] = np.arange(known)
    low = nearest(place[labels], known, radius)
    place[classes] = np.arange(known)[::-1]
    high = nearest(place[labels], known, radius)
    low_class, high_class = low % kind(known), kind(known - 1) - high % kind(known)
    one = (low < far) & (low_class == high_class)
    return np.where(one, classes.astype(np.uint8)[low_class], np.uint8(IGNORE))


def geodesic(
    labels: UInt8[np.ndarray, "h w"],
    image: Shaped[np.ndarray, "h w c"],
    *,
    radius: float = 5,
    edge: float = 10.0,
) -> UInt8[np.ndarray, "h w"]:
    """Each pixel whose cheapest path to a label costs at most `radius` takes that label's class.

    A path costs its length in pixels, each stretch multiplied by 1 + `edge` * g. g is the image's
    gradient magnitude there (the largest of its bands, of derivatives of a Gaussian with sigma 1),
    divided by the 95th percentile of the tile: flat ground costs 1 a pixel, an edge about
    1 + `edge`. Exact on the grid of 8 neighbours.

    Source: Criminisi et al. 2008, https://doi.org/10.1007/978-3-540-88682-2_9
    """
    if not (labels != IGNORE).any():
        return labels.copy()
    starts = np.argwhere(labels != IGNORE)
    paths = MCP_Geometric(1.0 + edge * _edges(image))
    costs, moves = paths.find_costs(starts)
    owner = _owners(moves, np.array([*paths.offsets, (0, 0)]))
    reached = costs <= radius
    return np.where(reached, labels.ravel()[owner].reshape(labels.shape), IGNORE).astype(np.uint8)


def _few(labels: UInt8[np.ndarray, "h w"], radius: float) -> bool:
    """Whether drawing each disc is faster than passes over the tile; a disc's call costs as much
    as ten thousand pixels.
    """
    discs = int(np.count_nonzero(labels != IGNORE)) * (10_000 + 2 * (2 * int(radius) + 1) ** 2)
    return discs < 3 * int(radius) * labels.size


def _drawn(best: Keys, known: int, radius: float) -> Keys:
    """As `_passed`, label by label."""
    r = int(radius)
    squares = np.arange(-r, r + 1) ** 2
    disc = (known * (squares[:, None] + squares)).astype(best.dtype)
    rows, columns = np.nonzero(best < known)
    padded = np.pad(best, r)
    for y, x, place in zip(rows.tolist(), columns.tolist(), best[rows, columns], strict=True):
        window = padded[y : y + 2 * r + 1, x : x + 2 * r + 1]
        np.minimum(window, disc + place, out=window)
    return padded[r : r + best.shape[0], r : r + best.shape[1]]


def _passed(best: Keys, known: int, radius: float) -> Keys:
    """Keys of the nearest labels: squared distance times `known`, plus the label's place in
    [0, known); the lowest on a tie. Changes `best`, which holds the labels' places, or a key that
    is larger than all within the radius.
    """
    for along in (best, best.T):
        before, shifted = along.copy(order="K"), np.empty_like(along)
        for shift in range(1, int(min(radius, len(along) - 1)) + 1):
            more = best.dtype.type(known * shift * shift)
            if shift % 4 == 0 and along.max() <= more:
                break  # no label this far away is nearer than what each pixel has
            np.add(before, more, out=shifted)
            np.minimum(along[shift:], shifted[:-shift], out=along[shift:])
            np.minimum(along[:-shift], shifted[shift:], out=along[:-shift])
    return best


def _edges(image: Shaped[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w"]:
    bands = np.moveaxis(image.astype(np.float64), -1, 0)
    slope = np.max([ndimage.gaussian_gradient_magnitude(b, sigma=1) for b in bands], axis=0)
    scale = np.percentile(slope, 95)
    return slope / scale if scale > 0 else np.zeros_like(slope)


def _owners(moves: Int[np.ndarray, "h w"], offsets: Int[np.ndarray, "n 2"]) -> np.ndarray:
    """For each pixel, the index of the pixel where its cheapest path starts.

    `moves` says by which offset each pixel was reached; following them is done for all pixels at
    once, twice as far in each round.
    """
    h, w = moves.shape
    step = offsets[np.where(moves < 0, len(offsets) - 1, moves)]
    owner = (np.arange(h * w).reshape(h, w) - step[..., 0] * w - step[..., 1]).ravel()
    while (owner != (further := owner[owner])).any():
        owner = further
    return owner
