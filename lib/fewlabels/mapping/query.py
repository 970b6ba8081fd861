"""Where to click next: pixels on which two learners disagree though both are sure, and pixels and
blocks on which the model is least sure.

A pixel's margin is the probability of its most probable class minus that of the second. Pixels are
drawn at random from the 5 % of smallest margin, not the smallest of all, which lie side by side.
Margins miss what a learner is sure of and wrong about; there another learner often disagrees.

Source: Shin et al. 2021 (PixelPick), https://arxiv.org/abs/2104.06394
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import geopandas
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Float, UInt8

from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.stream import LEVELS, Strip

SHARE = 0.05
SURE = 50  # percent: each of two learners is sure of its class above it
UNDECIDED, APART = 0, 1  # why a pixel is named
FINE = 3  # squares along one side of the ground that each click would have to itself
PIXEL = ["row", "column", "margin", "first", "second"]


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
    across, top, parts = -(-width // side), 0, []
    counts = np.zeros((2, -(-height // side) * across))  # of each square: pixels, and their margins
    for strip in strips():
        rng, rows = np.random.default_rng((seed, top)), slice(top, top + len(strip.margin))
        row, column = here = np.nonzero(strip.margin != NODATA)
        cell = (row + top) // side * across + column // side
        margin = strip.margin[here]
        counts += [np.bincount(cell, each, counts.shape[1]) for each in (None, margin)]
        named = {UNDECIDED: (margin <= limit, strip.second)}
        if other is not None:
            theirs, sure = other[:, rows]
            apart = (strip.classes != theirs) & (theirs != NODATA)
            apart &= np.minimum(strip.confidence, sure) > SURE
            named[APART] = apart[here], theirs
        for why, (which, second) in named.items():
            at = row[which], column[which]
            values = [band[at] for band in (strip.margin, strip.classes, second)]
            found = pd.DataFrame(np.stack([at[0] + top, at[1], *values], axis=1), columns=PIXEL)
            found = found.assign(why=why, cell=cell[which], key=rng.random(len(found)))
            parts.append(found.sort_values("key").drop_duplicates("cell"))
        top = rows.stop
    drawn = pd.concat(parts).sort_values("key").drop_duplicates(["why", "cell"])
    blocks = _blocks(counts, side, across, height, width)
    return {"pixels": _pixels(drawn, number, side), "blocks": _ranked(blocks.head(number))}


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


def _pixels(drawn: pd.DataFrame, number: int, side: int) -> pd.DataFrame:
    at, why, taken = drawn[["row", "column"]].to_numpy(), drawn["why"].to_numpy(), []
    for reason, most in ((APART, -(-number // 2)), (UNDECIDED, number)):
        for one in np.flatnonzero(why == reason).tolist():
            if len(taken) == most:
                break
            if (np.hypot(*(at[taken] - at[one]).T) >= side).all():
                taken.append(one)
    found = drawn.iloc[taken][[*PIXEL, "why"]]
    found = found.assign(margin=found["margin"] / LEVELS)
    apart = found["why"] == APART
    return _ranked(pd.concat([found[apart], found[~apart].sort_values("margin", kind="stable")]))


def _blocks(
    counts: Float[np.ndarray, "2 n"], side: int, across: int, height: int, width: int
) -> pd.DataFrame:
    """Every square of which at least half is valid, that of the smallest mean margin first."""
    row, column = side * np.stack(np.divmod(np.arange(counts.shape[1]), across))
    bottom, right = np.minimum(row + side, height), np.minimum(column + side, width)
    mean = counts[1] / np.maximum(counts[0], 1) / LEVELS
    found = pd.DataFrame(
        {"row": row, "column": column, "bottom": bottom, "right": right, "margin": mean}
    )
    half = 2 * counts[0] >= (bottom - row) * (right - column)
    return found[half].sort_values("margin", kind="stable")


def _ranked(found: pd.DataFrame) -> pd.DataFrame:
    found = found.reset_index(drop=True)
    found.insert(0, "rank", np.arange(1, len(found) + 1))
    return found
