"""Summarise the runs of a study: means of conditions, shares of the dense bound, budget curves."""

from collections.abc import Mapping, Sequence

import pandas as pd

from fewlabels.results.statistics.intervals import Interval, interval, quotient
from fewlabels.types import unknown


def shares_of_bound(table: pd.DataFrame, bound: str, metric: str = "miou") -> dict[str, Interval]:
    """Divide each condition's mean `metric` by that of `bound`, on the units that have both.

    A fraction, with the interval of `quotient` over folds.

    Raises:
        UnknownName: no such condition.
    """
    if bound not in set(table["condition"]):
        raise unknown("condition", bound, table["condition"].unique())
    wide = table.pivot(index=["fold", "replicate"], columns="condition", values=metric)
    both = {name: wide[[name, bound]].dropna() for name in wide if name != bound}
    return {
        name: quotient(*units.to_numpy(float).T, units.index.get_level_values("fold").to_numpy())
        for name, units in both.items()
    }


def budget_table(table: pd.DataFrame, bound: str) -> pd.DataFrame:
    """Tabulate budgets for readers, from few labels to the condition `bound`, which has all.

    Columns: mean labelled pixels an image, their share of the bound's, the mIoU's share of the
    bound's and mIoU, both with a 95 % interval over folds; n, the runs.

    Raises:
        UnknownName: no such condition.
    """
    of_bound = {name: s.text(digits=0) for name, s in shares_of_bound(table, bound).items()}
    pixels = table.groupby("condition")["pixels_a_tile"].mean().sort_values()
    said = {
        "pixels an image": pixels.map("{:,.0f}".format),
        "% of its pixels": (100 * pixels / pixels[bound]).map("{:.3g}".format),
        "% of the dense score": pd.Series(of_bound | {bound: "100"}),
    }
    scores = summary(table, {"mIoU in %": ("miou", 100, 1)})
    return pd.DataFrame(said).join(scores).loc[pixels.index]


def by_class(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Tabulate precision, recall, F1 and IoU of each class for readers, in % with a 95 % interval
    over folds, as text.

    Runs without a score are left out of it (a class that was never predicted has no precision);
    "-" where none is left.
    """
    scores = {"precision": "precision", "recall": "recall", "F1": "f1", "IoU": "iou"}
    rows = {
        name: {shown: _text(table[[f"{score}_{name}", "fold"]]) for shown, score in scores.items()}
        for name in classes
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _text(scored: pd.DataFrame) -> str:
    there = scored.dropna().to_numpy(float)
    return interval(there[:, 0], there[:, 1]).text() if len(there) else "-"


def summary(table: pd.DataFrame, columns: Mapping[str, tuple[str, float, int]]) -> pd.DataFrame:
    """Tabulate means of columns for readers: for each condition with a 95 % interval over folds, as
    text, and n, its runs.

    Args:
        columns: heading -> column of `records.table`, what it is multiplied by, digits.
    """
    rows = {
        condition: {
            heading: interval(mine[name].to_numpy(float), mine["fold"].to_numpy()).text(
                scale, digits
            )
            for heading, (name, scale, digits) in columns.items()
        }
        | {"n": len(mine)}
        for condition, mine in table.groupby("condition", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index")
