"""What the k-d tree saves proximity linking: the same lines between pairs found by it, and by
looking at all pairs.

`python bench/linking.py` takes some minutes on one core. One process, one thread. Of each mask the
fastest of several calls is kept, since whatever else the machine does only adds time.
"""

import importlib
from unittest.mock import patch

import numpy as np
import pandas as pd
from labels import CLASSES, EACH, SIDE, spots
from scipy.spatial.distance import pdist
from timing import alternate, record

from fewlabels.labels import expansion

DISTANCE = 10  # as in the runs of system D, which does not say
MASKS = 20
module = importlib.import_module("fewlabels.labels.nearest")


def every_pair(
    at: np.ndarray, value: np.ndarray, distance: float, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `link._pairs` finds, from the distances of all pairs of a class."""
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for one in np.unique(value):
        mine = np.flatnonzero(value == one)
        n, apart = len(mine), pdist(np.column_stack(np.divmod(at[mine], width)))
        near = np.flatnonzero(apart <= distance)  # pdist lists row after row, each one shorter
        begin = np.arange(n) * (2 * n - np.arange(n) - 1) // 2
        row = np.searchsorted(begin, near, side="right") - 1
        first.append(mine[row])
        second.append(mine[near - begin[row] + row + 1])
    return np.concatenate(first), np.concatenate(second)


def tree(labels: np.ndarray) -> np.ndarray:
    return expansion.expand(labels, "link", distance=DISTANCE)


def all_pairs(labels: np.ndarray) -> np.ndarray:
    with patch.object(module, "_pairs", every_pair):
        return tree(labels)


def seconds(each: int, masks: int, repeats: int) -> pd.DataFrame:
    """One row a mask: seconds of the fastest call of either side."""
    rows = []
    for seed in range(masks):
        labels = spots(seed, SIDE, CLASSES, each)
        assert (tree(labels) == all_pairs(labels)).all()
        sides = {
            "k-d tree": lambda x=labels: tree(x),
            "all pairs": lambda x=labels: all_pairs(x),
        }
        rows.append(alternate(sides, repeats=repeats).min())
    return pd.DataFrame(rows).reset_index(drop=True)


if __name__ == "__main__":
    tables = {
        f"seconds a mask of {SIDE} x {SIDE} with {CLASSES} x {each:,} labels": seconds(each, *how)
        for each, how in {EACH: (MASKS, 7), 2100: (MASKS // 2, 5), 5000: (5, 3)}.items()
    }
    record("linking", tables, {"threads": 1, "distance": DISTANCE, "side": SIDE})
