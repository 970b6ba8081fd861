"""How fast labels are drawn and expanded, each against the plain way to do it.

`python bench/labels.py` takes about two minutes on two cores. One process, one thread.
"""

from functools import partial

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import line
from timing import alternate, record, summary

from fewlabels.labels import expansion, sampling
from fewlabels.types import IGNORE

MASKS = 2400  # as many as system D linked
CLASSES, EACH, SIDE = 6, 500, 300


def spots(seed: int, side: int = SIDE, classes: int = CLASSES, each: int = EACH) -> np.ndarray:
    """Labels at random places, so many of each class."""
    labels = np.full(side * side, IGNORE, np.uint8)
    at = np.random.default_rng(seed).choice(labels.size, classes * each, replace=False)
    labels[at] = np.repeat(np.arange(classes), each)
    return labels.reshape(side, side)


def plain_link(labels: np.ndarray, distance: float) -> np.ndarray:
    """Every pair that a k-d tree finds, one line after another, class after class."""
    count = np.zeros(labels.shape, np.uint8)
    joined = np.full(labels.shape, IGNORE, np.uint8)
    for value in np.unique(labels[labels != IGNORE]):
        mine = np.zeros(labels.shape, bool)
        at = np.argwhere(labels == value)
        for i, j in cKDTree(at).query_pairs(distance):
            mine[line(*at[i], *at[j])] = True
        count += mine
        joined[mine] = value
    joined[count > 1] = IGNORE
    joined[labels != IGNORE] = labels[labels != IGNORE]
    return joined


def plain_disc(labels: np.ndarray, radius: float) -> np.ndarray:
    """SciPy's Euclidean transform with the index of the nearest label; ties go to either."""
    unlabelled = labels == IGNORE
    distance, nearest = ndimage.distance_transform_edt(unlabelled, return_indices=True)
    return np.where(distance <= radius, labels[tuple(nearest)], IGNORE)


def land(side: int = 512, seed: int = 0) -> np.ndarray:
    """A mask of six classes in ragged patches: smooth noise cut at its quantiles."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 12)
    cuts = np.quantile(noise, np.linspace(0, 1, CLASSES + 1)[1:-1])
    return np.digitize(noise, cuts).astype(np.uint8)


def linking() -> pd.DataFrame:
    labels, rows = [spots(seed) for seed in range(10)], []
    for distance in (5, 10, 20):
        fast = partial(expansion.expand, how="link", distance=distance)
        assert all((fast(x) == plain_link(x, distance)).all() for x in labels)
        times = alternate(
            {
                "ours": lambda fast=fast: [fast(x) for x in labels],
                "line by line": lambda d=distance: [plain_link(x, d) for x in labels],
            }
        )
        rows.append(summary(times, against="line by line").assign(distance=distance))
    return pd.concat(rows)


def all_masks() -> pd.DataFrame:
    labels = [spots(seed) for seed in range(MASKS)]
    times = alternate(
        {
            f"{MASKS} masks, D = 5": lambda: [
                expansion.expand(x, "link", distance=5) for x in labels
            ]
        },
        repeats=3,
        warm=0,
    )
    return summary(times, against=times.columns[0])


def discs() -> pd.DataFrame:
    rows = []
    for share in (0.001, 0.01, 0.1):
        labels = spots(0, 512, CLASSES, round(share * 512 * 512 / CLASSES))
        for radius in (3, 5, 10, 20, 40):
            times = alternate(
                {
                    "ours": partial(expansion.expand, labels, "disc", radius=radius),
                    "SciPy's transform": partial(plain_disc, labels, radius),
                }
            )
            table = summary(times, against="SciPy's transform")
            rows.append(table.assign(labelled=share, radius=radius).loc[["ours"]])
    return pd.concat(rows)


def draws() -> pd.DataFrame:
    mask = land()
    kinds = {"random": (0.01, 0.5), "stratified": (0.01, 0.5), "per_class": (500,), "grid": (0.01,)}
    kinds |= dict.fromkeys(sampling.MARKS, (20, 0.01))
    sides = {
        f"{how}, {amount}": partial(sampling.draw, mask, how, amount, seed=0, tile="t")
        for how, amounts in kinds.items()
        for amount in amounts
    }
    return summary(alternate(sides, repeats=15), against="random, 0.01")


if __name__ == "__main__":
    tables = {
        "link, 10 masks of 300 x 300 with 6 x 500 labels": linking(),
        "link, as many masks as system D": all_masks(),
        "disc, 512 x 512": discs(),
        "draws, one mask of 512 x 512": draws(),
    }
    record("labels", tables, {"threads": 1, "masks": MASKS})
