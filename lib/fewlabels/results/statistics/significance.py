"""Could it be chance: signs flipped, two one-sided tests, a count held against a share."""

from functools import cache
from itertools import product

import numpy as np
from jaxtyping import Float, Int8, Shaped
from scipy.stats import beta
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from fewlabels.results.statistics.intervals import Interval, block_means, interval

UNITS = 15  # below it a comparison decides nothing (3 pairs x 5 folds)
DRAWN = 100_000  # sign flips where there are more than UNITS units


def sign_flip(values: Float[np.ndarray, " n"]) -> float:
    """Two-sided p of "the mean is 0": share of all sign flips of the units whose mean is at least
    as far from 0.

    All flips are tried up to 15 units, 100,000 drawn ones (the data's own counted in) above that.
    """
    n = len(values)
    flips = _all_flips(n) if n <= UNITS else _drawn_flips(n)
    return float((np.abs(flips @ values) >= abs(values.sum()) * (1 - 1e-12)).mean())


def smallest_p(units: int) -> float:
    """The smallest p that `sign_flip` can give: 2 / 2^units, but no less than one flip drawn."""
    return max(2 / 2**units, 1 / DRAWN if units > UNITS else 0)


def equivalence(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"], margin: float
) -> float:
    """The p of two one-sided t tests over blocks: that the mean lies within `margin` of 0.

    Below 0.05 exactly where the 90 % interval of `interval` lies within the margin. NaN where
    there is no interval.

    Source: Schuirmann 1987, https://doi.org/10.1007/BF01068419
    """
    over = block_means(values, blocks)
    if len(over) < 2:
        return np.nan
    if over.std() == 0:  # the statistic divides by it
        return float(abs(over.mean()) >= margin)
    return float(DescrStatsW(over).ttost_mean(-margin, margin)[0])


def proportion(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"], level: float = 0.95
) -> Interval:
    """Mean of shares in [0, 1], one a unit, with the wider of two intervals at either end.

    Student's t over blocks sees that runs of one place are alike, but shrinks to a point where all
    agree; Clopper and Pearson's exact interval over units stays open there, but takes units for
    independent.
    """
    over = interval(values, blocks, level)
    low, high = proportion_confint(float(values.sum()), len(values), 1 - level, "beta")
    if not np.isfinite(over.low):
        return over
    ends = min(over.low, float(low)), max(over.high, float(high))
    return Interval(over.mean, *np.clip(ends, 0, 1).tolist(), over.units, over.blocks)


def binomial(values: Float[np.ndarray, " n"], share: float) -> float:
    """Two-sided p of "a unit has the property with probability `share`", units independent.

    Twice the smaller exact tail, at most 1; a unit may count in part, as the mean of several runs.
    """
    n, k = len(values), float(values.sum())
    at_least = beta.cdf(share, k, n - k + 1) if k > 0 else 1.0
    at_most = beta.sf(share, k + 1, n - k) if k < n else 1.0
    return float(min(1, 2 * min(at_least, at_most)))


@cache
def _all_flips(n: int) -> Int8[np.ndarray, "flips n"]:
    return np.array(list(product((1, -1), repeat=n)), np.int8)


@cache
def _drawn_flips(n: int) -> Int8[np.ndarray, "flips n"]:
    drawn = np.random.default_rng(0).choice(np.array([1, -1], np.int8), (DRAWN - 1, n))
    return np.vstack([np.ones((1, n), np.int8), drawn])
