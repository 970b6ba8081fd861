"""From units to verdicts. A unit is one (fold, replicate).

Units of one fold share their ground, so intervals are over folds, the independent blocks. The
permutation test is over units.
"""

from fewlabels.results.statistics.intervals import UNITS, Interval, interval
from fewlabels.results.statistics.summaries import (
    budget_table,
    by_class,
    shares_of_bound,
    summary,
)
from fewlabels.results.statistics.verdicts import claims_table, declared, in_points, verdicts

__all__ = [
    "UNITS", "Interval", "budget_table", "by_class", "claims_table", "declared", "in_points",
    "interval", "shares_of_bound", "summary", "verdicts",
]  # fmt: skip
