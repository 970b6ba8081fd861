"""Rules, fixed in advance, that find the images unlike the rest of their data set.

    clipped      more than CLIPPED of the values are black (0) or white (255), or all are equal
    repeated     another image of the set is the same, byte for byte
    brightness   the image's mean lies more than FAR robust deviations from the set's median
    contrast     the image's standard deviation does
    labels       fewer than LABELLED of the pixels carry a class

The robust deviation is 1.4826 times the median absolute deviation from the median. For normal
values it is the standard deviation, and outliers hardly move it.

Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers (FAR is theirs).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from fewlabels.types import IGNORE, Tile

RULES = ("clipped", "repeated", "brightness", "contrast", "labels")
CLIPPED = 0.25
FAR = 3.5
LABELLED = 0.01


def outliers(tiles: Sequence[Tile]) -> pd.DataFrame:
    """Which tiles each rule finds, one row a tile, in order; one tile is in memory at a time.

    Columns: `tile` (its id); `mean` and `deviation` of the image's values in grey levels, over
    all bands; and one for each of RULES, True where it finds the tile.
    """
    table = pd.DataFrame([_measured(tile) for tile in tiles])
    found = {
        "clipped": (table["clipped"] > CLIPPED) | (table["deviation"] == 0),
        "repeated": table["content"].duplicated(keep=False),
        "brightness": far(table["mean"].to_numpy()),
        "contrast": far(table["deviation"].to_numpy()),
        "labels": table["labelled"] < LABELLED,
    }
    return table[["tile", "mean", "deviation"]].assign(**found)


def _measured(tile: Tile) -> dict[str, object]:
    return {
        "tile": tile.id,
        "mean": np.mean(tile.image),
        "deviation": np.std(tile.image),
        "clipped": np.isin(tile.image, (0, 255)).mean(),
        "labelled": (tile.mask != IGNORE).mean(),
        "content": hashlib.sha256(np.ascontiguousarray(tile.image)).digest(),
    }


def far(values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which values lie more than FAR robust deviations from the median; none where it is 0."""
    off = np.abs(values - np.median(values))
    deviation = 1.4826 * np.median(off)
    return (off > FAR * deviation) & (deviation > 0)
