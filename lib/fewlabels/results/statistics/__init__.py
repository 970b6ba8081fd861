"""From units to verdicts. A unit is one (fold, replicate).

Units of one fold share their ground, so intervals are over folds, the independent blocks. The
permutation test is over units.
"""

from fewlabels.results.statistics.intervals import (
    UNITS,
    Interval,
    Spread,
    binomial,
    equivalence,
    interval,
    proportion,
    quotient,
    sign_flip,
    smallest_effect,
    smallest_p,
    spread,
)
from fewlabels.results.statistics.summaries import (
    budget_table,
    by_class,
    shares_of_bound,
    summary,
)
from fewlabels.results.statistics.verdicts import (
    claims_table,
    declared,
    evidence,
    in_points,
    paired,
    verdict,
    verdicts,
)

__all__ = [
    "UNITS", "Interval", "Spread", "binomial", "budget_table", "by_class", "claims_table",
    "declared", "equivalence", "evidence", "in_points", "interval", "paired", "proportion",
    "quotient", "shares_of_bound", "sign_flip", "smallest_effect", "smallest_p", "spread",
    "summary", "verdict", "verdicts",
]  # fmt: skip
