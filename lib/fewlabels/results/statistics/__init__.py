"""From units to verdicts. A unit is one (fold, replicate).

Units of one fold share their ground, so intervals are over folds, the independent blocks. The
permutation test is over units.
"""

from fewlabels.results.statistics.contrasts import contrasts, paired
from fewlabels.results.statistics.intervals import Interval, block_bootstrap, interval, quotient
from fewlabels.results.statistics.judge import (  # fmt: skip
    Evidence,
    claims_table,
    declared,
    evidence,
    evidence_table,
    promise,
    verdict,
    verdicts,
)
from fewlabels.results.statistics.significance import (
    UNITS,
    Spread,
    binomial,
    cliffs_delta,
    d_z,
    equivalence,
    proportion,
    sign_flip,
    smallest_effect,
    smallest_p,
    spread,
)
from fewlabels.results.statistics.summaries import (  # fmt: skip
    area_under_budget_curve,
    budget_reaching,
    budget_table,
    budgets_reaching,
    by_class,
    shares_of_bound,
    summary,
)

__all__ = [
    "UNITS", "Evidence", "Interval", "Spread", "area_under_budget_curve", "binomial",
    "block_bootstrap", "budget_reaching", "budget_table", "budgets_reaching", "by_class",
    "claims_table", "cliffs_delta", "contrasts", "d_z", "declared", "equivalence", "evidence",
    "evidence_table", "interval", "paired", "promise", "proportion", "quotient", "shares_of_bound",
    "sign_flip", "smallest_effect", "smallest_p", "spread", "summary", "verdict", "verdicts",
]  # fmt: skip
