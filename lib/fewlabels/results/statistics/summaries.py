"""Summarise the runs of a study: means of conditions, shares of the dense bound, budget curves."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

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


def area_under_budget_curve(
    budgets: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
) -> float:
    """Average the score over the logarithm of the budget, in the unit of the scores.

    The area under the points joined by straight lines over log10(budget) (the trapezoid rule),
    divided by the width of that range: a constant score is its own area. Curves are comparable only
    over the same range of budgets. Points may come in any order.

    Raises:
        ValueError: fewer than two different budgets, one twice, or one that is not above 0.
    """
    order = np.argsort(budgets)
    if len(budgets) < 2 or len(budgets) != len(scores) or budgets[order[0]] <= 0:
        raise ValueError(
            f"budgets {list(budgets)} with {len(scores)} scores; at least two, all above 0"
        )
    at = np.log10(budgets[order])
    if (np.diff(at) == 0).any():
        raise ValueError(f"budgets {list(budgets)}: each may stand once; average its scores first")
    return float(np.trapezoid(scores[order], at) / (at[-1] - at[0]))


def budget_reaching(
    budgets: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"], level: float
) -> float:
    """Find the smallest budget from which on the score stays at or above `level`.

    The points are joined by straight lines over log10(budget), and may come in any order. Infinite
    where the last score is below the level; the first budget where no score is.

    Raises:
        ValueError: as `area_under_budget_curve`.
    """
    area_under_budget_curve(budgets, scores)
    order = np.argsort(budgets)
    at, height = np.log10(budgets[order]), scores[order]
    below = np.flatnonzero(height < level)
    if not len(below):
        return float(budgets.min())
    last = below[-1]
    if last == len(at) - 1:
        return np.inf
    rise = (level - height[last]) / (height[last + 1] - height[last])
    return float(10 ** (at[last] + rise * (at[last + 1] - at[last])))


def budgets_reaching(
    budgets: Float[np.ndarray, " n"],
    scores: Float[np.ndarray, "units n"],
    blocks: Shaped[np.ndarray, " units"],
    level: float,
    *,
    resamples: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Apply `budget_reaching` to the mean of the block means, with the bootstrap of whole blocks.

    The interval is too narrow for few blocks, see `intervals.block_bootstrap`. An end is infinite
    where the curve does not reach the level; with one block the ends are NaN.
    """
    means = pd.DataFrame(scores).groupby(blocks).mean().to_numpy()
    found = budget_reaching(budgets, means.mean(axis=0), level)
    if len(means) < 2:
        return Interval(found, np.nan, np.nan, len(scores), len(means))
    chosen = np.random.default_rng(seed).integers(len(means), size=(resamples, len(means)))
    drawn = [budget_reaching(budgets, means[these].mean(axis=0), level) for these in chosen]
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return Interval(found, float(low), float(high), len(scores), len(means))


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
