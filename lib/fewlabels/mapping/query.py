"""Where to click next: the pixels and blocks of a scene on which the model is least sure.

A pixel's margin is the probability of its most probable class minus that of the second. Pixels are
drawn at random from the 5 % of smallest margin, not the smallest of all, which lie side by side.

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
FINE = 3  # squares along one side of the ground that each click would have to itself


@dataclass
class _Cells:
    """What is kept of each square of the scene, row after row of squares.

    Attributes:
        key: the smallest number drawn for one of its uncertain pixels; 1 where it has none.
        pixel: that pixel: row, column, margin, first and second class.
        total, count: margin summed over its valid pixels, and their number.
    """

    side: int
    across: int
    key: Float[np.ndarray, " n"]
    pixel: Int[np.ndarray, "n 5"]
    total: Float[np.ndarray, " n"]
    count: Int[np.ndarray, " n"]


def chosen(
    strips: Callable[[], Iterable[Strip]], height: int, width: int, number: int, seed: int
) -> Mapping[str, pd.DataFrame]:
    """Choose at most `number` `pixels`, and as many `blocks`, of a scene that is read twice.

    The scene is divided into nine times as many squares as clicks. From each square that holds
    pixels among the 5 % (more where margins are equal), one of them is drawn; of these, pixels are
    taken in random order if they lie at least a square's side from all taken before. `rank` 1 has
    the smallest margin; `first` and `second` are values of classes. Blocks are the squares of
    smallest mean margin of which at least half is valid.

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
    pixel = np.zeros((n, 5), np.int64)
    cells = _Cells(side, across, np.ones(n), pixel, np.zeros(n), np.zeros(n, np.int64))
    for strip in strips():
        _see(cells, strip, top, limit, np.random.default_rng((seed, top)))
        top += len(strip.margin)
    return {"pixels": _pixels(cells, number), "blocks": _blocks(cells, number, height, width)}


def frames(
    found: Mapping[str, pd.DataFrame], classes: Sequence[str]
) -> dict[str, geopandas.GeoDataFrame]:
    """The result of `chosen` as points and squares in pixels of the scene, classes by name.

    The points have an empty column `class`: filled in, they are labels.
    """
    pixels, blocks = found["pixels"], found["blocks"]
    named = pixels.assign(
        **{name: [classes[i] for i in pixels[name]] for name in ("first", "second")}
    )
    named.insert(0, "class", pd.Series([None] * len(named), dtype=object))
    points = shapely.points(pixels["column"] + 0.5, pixels["row"] + 0.5)
    squares = shapely.box(*(blocks[name] for name in ("column", "row", "right", "bottom")))
    return {
        "pixels": geopandas.GeoDataFrame(named, geometry=points),
        "blocks": geopandas.GeoDataFrame(blocks[["rank", "margin"]], geometry=squares),
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
    rows, columns, cell = (array[margin <= limit] for array in (rows, columns, cell))
    key = rng.random(len(rows))
    order = np.lexsort((key, cell))
    order = order[np.r_[True, np.diff(cell[order]) > 0]] if len(order) else order
    order = order[key[order] < cells.key[cell[order]]]
    rows, columns, cell = rows[order], columns[order], cell[order]
    cells.key[cell] = key[order]
    values: list[UInt8[np.ndarray, " m"]] = [
        band[rows, columns] for band in (strip.margin, strip.classes, strip.second)
    ]
    cells.pixel[cell] = np.stack([rows + top, columns, *values], axis=1)


def _pixels(cells: _Cells, number: int) -> pd.DataFrame:
    taken: list[int] = []
    for cell in np.argsort(cells.key)[: int((cells.key < 1).sum())]:
        away = cells.pixel[taken, :2] - cells.pixel[cell, :2]
        if (np.hypot(*away.T) >= cells.side).all():
            taken.append(cell)
        if len(taken) == number:
            break
    names = ["row", "column", "margin", "first", "second"]
    found = pd.DataFrame(cells.pixel[taken], columns=names)
    return _ranked(found.assign(margin=found["margin"] / LEVELS))


def _blocks(cells: _Cells, number: int, height: int, width: int) -> pd.DataFrame:
    down, across = np.divmod(np.arange(len(cells.count)), cells.across)
    row, column = down * cells.side, across * cells.side
    bottom, right = np.minimum(row + cells.side, height), np.minimum(column + cells.side, width)
    whole = (bottom - row) * (right - column)
    mean = cells.total / np.maximum(cells.count, 1) / LEVELS
    found = pd.DataFrame(
        {"row": row, "column": column, "bottom": bottom, "right": right, "margin": mean}
    )
    return _ranked(found[2 * cells.count >= whole]).head(number)


def _ranked(found: pd.DataFrame) -> pd.DataFrame:
    found = found.sort_values("margin", kind="stable", ignore_index=True)
    found.insert(0, "rank", np.arange(1, len(found) + 1))
    return found
