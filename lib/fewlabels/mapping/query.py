"""Where to click next: pixels on which two learners disagree though both are sure, and pixels and
blocks on which the model is least sure.

A pixel's margin is the probability of its most probable class minus that of the second. Pixels are
drawn at random from the 5 % of smallest margin, not the smallest of all, which lie side by side.
Margins miss what a learner is sure of and wrong about; there another learner often disagrees.

Source: Shin et al. 2021 (PixelPick), https://arxiv.org/abs/2104.06394
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import geopandas
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Float, Int, UInt8

from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.stream import LEVELS, Strip

SHARE = 0.05
SURE = 50  # percent: each of two learners is sure of its class above it
UNDECIDED, APART = 0, 1  # why a pixel is named
FINE = 3  # squares along one side of the ground that each click would have to itself


@dataclass
class _Cells:
    """What is kept of each square of the scene, row after row of squares.

    Attributes:
        key: for either reason the smallest number drawn for one of its pixels; 1 where it has none.
        pixel: those pixels: row, column, margin, first and second class.
        total, count: margin summed over its valid pixels, and their number.
    """

    side: int
    across: int
    key: Float[np.ndarray, "2 n"]
    pixel: Int[np.ndarray, "2 n 5"]
    total: Float[np.ndarray, " n"]
    count: Int[np.ndarray, " n"]


def chosen(
    strips: Callable[[], Iterable[Strip]],
    height: int,
    width: int,
    number: int,
    seed: int,
    other: UInt8[np.ndarray, "2 h w"] | None = None,
) -> Mapping[str, pd.DataFrame]:
    """Choose at most `number` `pixels`, and as many `blocks`, of a scene that is read twice.

    The scene is divided into nine times as many squares as clicks. From each square that holds
    pixels among the 5 % (more where margins are equal), one of them is drawn, and one of those
    where two learners disagree and give their classes more than 50 % each. Of these, pixels are
    taken in random order, at most half of them disagreements, if they lie at least a square's side
    from all taken before. Blocks are the squares of smallest mean margin of which at least half is
    valid.

    Args:
        other: class and confidence (percent) that another learner gives each pixel.

    Returns:
        Tables in the order of `rank`. In `pixels`, disagreements (`why` is 1) come before pixels of
        small margin (0), the smallest first; `first` and `second` are values of classes, and
        `second` is that of the other learner where the two disagree.

    Raises:
        RecipeError: `number` is below 1.
    """
    if number < 1:
        raise RecipeError(f"{number} clicks cannot be chosen; ask for 1 or more")
    levels = sum(np.bincount(s.margin.ravel(), minlength=NODATA + 1) for s in strips())[:NODATA]
    limit = int(np.searchsorted(np.cumsum(levels), SHARE * levels.sum()))
    side = max(1, round(float(np.sqrt(levels.sum() / number)) / FINE))
    across, top = -(-width // side), 0
    n = -(-height // side) * across
    pixel = np.zeros((2, n, 5), np.int64)
    cells = _Cells(side, across, np.ones((2, n)), pixel, np.zeros(n), np.zeros(n, np.int64))
    for strip in strips():
        rng, rows = np.random.default_rng((seed, top)), slice(top, top + len(strip.margin))
        _see(cells, strip, top, limit, rng)
        if other is not None:
            _compare(cells, strip, top, *other[:, rows], rng)
        top = rows.stop
    return {"pixels": _pixels(cells, number), "blocks": _blocks(cells, number, height, width)}


def frames(
    found: Mapping[str, pd.DataFrame], classes: Sequence[str], learners: tuple[str, str] = ("", "")
) -> dict[str, geopandas.GeoDataFrame]:
    """The result of `chosen` as points and squares in pixels of the scene, classes and reasons in
    words.

    The points have an empty column `class`: filled in, they are labels.
    """
    one, other = learners
    reasons = {
        UNDECIDED: "undecided between {0} and {1}",
        APART: f"{one} says {{0}}, {other} says {{1}}, both sure",
    }
    pixels, blocks = found["pixels"], found["blocks"]
    named = pixels.assign(
        **{name: [classes[i] for i in pixels[name]] for name in ("first", "second")}
    )
    rows = zip(named["why"], named["first"], named["second"], strict=True)
    named["why"] = [reasons[why].format(*pair) for why, *pair in rows]
    named.insert(0, "class", pd.Series([None] * len(named), dtype=object))
    points = shapely.points(pixels["column"] + 0.5, pixels["row"] + 0.5)
    squares = shapely.box(*(blocks[name] for name in ("column", "row", "right", "bottom")))
    return {
        "pixels": geopandas.GeoDataFrame(named, geometry=points),
        "blocks": geopandas.GeoDataFrame(
            blocks[["rank", "margin"]].assign(why="the smallest margins on average"),
            geometry=squares,
        ),
    }


def _see(cells: _Cells, strip: Strip, top: int, limit: int, rng: np.random.Generator) -> None:
    """Count one strip, and keep its pixels where their number is smaller than that kept so far."""
    rows, columns = np.nonzero(strip.margin != NODATA)
    margin = strip.margin[rows, columns]
    cell = (rows + top) // cells.side * cells.across + columns // cells.side
    first = top // cells.side * cells.across
    count = np.bincount(cell - first)
    there = slice(first, first + len(count))
    cells.count[there] += count
    cells.total[there] += np.bincount(cell - first, weights=margin)
    at = np.stack([rows, columns])[:, margin <= limit]
    _keep(cells, UNDECIDED, at, rng.random(at.shape[1]), strip, top, strip.second)


def _compare(
    cells: _Cells,
    strip: Strip,
    top: int,
    classes: UInt8[np.ndarray, "_ w"],
    confidence: UInt8[np.ndarray, "_ w"],
    rng: np.random.Generator,
) -> None:
    sure = np.minimum(strip.confidence, confidence)
    valid = (strip.margin != NODATA) & (classes != NODATA)
    at = np.stack(np.nonzero(valid & (strip.classes != classes) & (sure > SURE)))
    _keep(cells, APART, at, rng.random(at.shape[1]), strip, top, classes)


def _keep(
    cells: _Cells,
    why: int,
    at: Int[np.ndarray, "2 n"],
    key: Float[np.ndarray, " n"],
    strip: Strip,
    top: int,
    second: UInt8[np.ndarray, "_ w"],
) -> None:
    """Keep of these pixels (row, column) of a strip those with the smallest key of their square."""
    cell = (at[0] + top) // cells.side * cells.across + at[1] // cells.side
    order = np.lexsort((key, cell))
    order = order[np.r_[True, np.diff(cell[order]) > 0]] if len(order) else order
    order = order[key[order] < cells.key[why, cell[order]]]
    (rows, columns), cell = at[:, order], cell[order]
    cells.key[why, cell] = key[order]
    values = [band[rows, columns] for band in (strip.margin, strip.classes, second)]
    cells.pixel[why, cell] = np.stack([rows + top, columns, *values], axis=1)


def _pixels(cells: _Cells, number: int) -> pd.DataFrame:
    taken: list[np.ndarray] = []  # row, column, margin, first, second, reason
    for why, most in ((APART, -(-number // 2)), (UNDECIDED, number)):
        keys = cells.key[why]
        for cell in np.argsort(keys)[: int((keys < 1).sum())]:
            if len(taken) == most:
                break
            pixel = cells.pixel[why, cell]
            away = np.array([other[:2] - pixel[:2] for other in taken]).reshape(-1, 2)
            if (np.hypot(*away.T) >= cells.side).all():
                taken.append(np.r_[pixel, why])
    names = ["row", "column", "margin", "first", "second", "why"]
    found = pd.DataFrame(np.array(taken, np.int64).reshape(-1, 6), columns=names)
    found["margin"] /= LEVELS
    apart = found["why"] == APART
    return _ranked(pd.concat([found[apart], found[~apart].sort_values("margin", kind="stable")]))


def _blocks(cells: _Cells, number: int, height: int, width: int) -> pd.DataFrame:
    down, across = np.divmod(np.arange(len(cells.count)), cells.across)
    row, column = down * cells.side, across * cells.side
    bottom, right = np.minimum(row + cells.side, height), np.minimum(column + cells.side, width)
    whole = (bottom - row) * (right - column)
    mean = cells.total / np.maximum(cells.count, 1) / LEVELS
    found = pd.DataFrame(
        {"row": row, "column": column, "bottom": bottom, "right": right, "margin": mean}
    )
    found = found[2 * cells.count >= whole].sort_values("margin", kind="stable")
    return _ranked(found.head(number))


def _ranked(found: pd.DataFrame) -> pd.DataFrame:
    found = found.reset_index(drop=True)
    found.insert(0, "rank", np.arange(1, len(found) + 1))
    return found
