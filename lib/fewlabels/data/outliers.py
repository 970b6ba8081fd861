"""Images that are not like the rest of their set, by rules stated before one looks.

    clipped      more than CLIPPED of the values are black (0) or white (255), or all are equal
    repeated     another image of the set is the same, byte for byte
    brightness   the image's mean lies more than FAR robust deviations from the set's median
    contrast     so does its standard deviation
    labels       fewer than LABELLED of the pixels carry a class

The robust deviation is 1.4826 times the median absolute deviation from the median: the standard
deviation of normal values, and outliers hardly move it.

Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers (FAR is theirs).
"""

from collections import Counter
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
    """One row a tile, in order: its id as `tile`; `mean` and `deviation` of its values in grey
    levels, over all bands; and a column for each of RULES: whether it finds the tile.
    """
    images = [tile.image for tile in tiles]
    mean, deviation = (np.array([of(image) for image in images]) for of in (np.mean, np.std))
    clipped = np.array([np.isin(image, (0, 255)).mean() for image in images])
    labelled = np.array([(tile.mask != IGNORE).mean() for tile in tiles])
    content = [image.tobytes() for image in images]
    times = Counter(content)
    found = {
        "clipped": (clipped > CLIPPED) | (deviation == 0),
        "repeated": [times[one] > 1 for one in content],
        "brightness": far(mean),
        "contrast": far(deviation),
        "labels": labelled < LABELLED,
    }
    measured = {"tile": [tile.id for tile in tiles], "mean": mean, "deviation": deviation}
    return pd.DataFrame(measured | found)


def far(values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which values lie more than FAR robust deviations from the median; none where it is 0."""
    off = np.abs(values - np.median(values))
    deviation = 1.4826 * np.median(off)
    return (off > FAR * deviation) & (deviation > 0)
