"""What the runs of a study say before any claim: a mean a condition, shares of the dense bound, the
area under a budget curve.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from fewlabels.stats.intervals import interval
from fewlabels.types import unknown


def percent_of_bound(table: pd.DataFrame, bound: str, metric: str = "miou") -> pd.DataFrame:
    """`metric` as per cent of that of the cell `bound`: one row a unit (fold, pair), one column a
    cell, the bound itself left out.

    Each unit is divided by the bound of its own fold and pair, so that an easy place does not count
    for more. NaN where a unit lacks a run; `interval` over the rows' folds gives the interval.

    Raises:
        UnknownName: no such cell.
    """
    if bound not in set(table["cell"]):
        raise unknown("cell", bound, table["cell"].unique())
    wide = table.pivot(index=["fold", "pair"], columns="cell", values=metric)
    return 100 * wide.div(wide[bound], axis=0).drop(columns=bound)


def area_under_budget_curve(
    budgets: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
) -> float:
    """Mean height of the score over the logarithm of the budget, in the unit of the scores.

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


def summary(table: pd.DataFrame, columns: Mapping[str, tuple[str, float, int]]) -> pd.DataFrame:
    """For readers: of each condition (`cell`) the mean of some columns with its 95 % interval over
    folds, as text, and n, its runs.

    Args:
        columns: heading -> column of `records.table`, what it is multiplied by, digits.
    """
    rows = {
        cell: {
            heading: interval(mine[name].to_numpy(float), mine["fold"].to_numpy()).text(
                scale, digits
            )
            for heading, (name, scale, digits) in columns.items()
        }
        | {"n": len(mine)}
        for cell, mine in table.groupby("cell", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index")
