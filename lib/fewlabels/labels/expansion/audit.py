"""What an expansion added, held against the dense mask. For study only: training has no mask."""

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from fewlabels.types import IGNORE


def audit(
    labels: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], classes: int
) -> pd.DataFrame:
    """One row a class: how many pixels are labelled so, and how many of them rightly.

    Pixels that are IGNORE in the mask count nowhere.

    Returns:
        columns `pixels` (of the class in the mask), `labelled` (with the class), `correct` (both);
        `coverage`: correct / pixels; `purity`: correct / labelled. NaN where the denominator is 0.

    Raises:
        ValueError: labels and mask differ in size, or hold a value that is no class.
    """
    if labels.shape != mask.shape:
        raise ValueError(f"labels are {labels.shape}, the mask is {mask.shape}; one size is needed")
    true = mask != IGNORE
    for name, values in (("labels", labels[true & (labels != IGNORE)]), ("mask", mask[true])):
        if values.size and values.max() >= classes:
            raise ValueError(f"the {name} hold class {values.max()}, but there are {classes}")
    given = true & (labels != IGNORE)
    rows = {
        "pixels": np.bincount(mask[true], minlength=classes),
        "labelled": np.bincount(labels[given], minlength=classes),
        "correct": np.bincount(mask[given & (labels == mask)], minlength=classes),
    }
    return with_shares(pd.DataFrame(rows).rename_axis("class"))


def with_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Counts of `audit`, of one tile or summed over tiles, with `coverage` and `purity` anew."""
    pixels, labelled = (counts[c].astype(float).replace(0, np.nan) for c in ("pixels", "labelled"))
    return counts.assign(coverage=counts["correct"] / pixels, purity=counts["correct"] / labelled)
