"""Test whether an effect could be chance, and say how large it is and what a design can detect."""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Int8, Shaped
from scipy.stats import beta
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from fewlabels.results.statistics.intervals import Interval, block_means, interval

UNITS = 15  # below it a comparison decides nothing (3 replicates x 5 folds)
DRAWN = 100_000  # sign flips where there are more than UNITS units


def sign_flip(values: Float[np.ndarray, " n"]) -> float:
    """Compute the two-sided p of "the mean is 0" by flipping the signs of the units.

    It is the share of all flips whose mean is at least as far from 0; above 15 units, of 100,000
    drawn ones, the data's own among them.
    """
    n = len(values)
    flips = _all_flips(n) if n <= UNITS else _drawn_flips(n)
    return float((np.abs(flips @ values) >= abs(values.sum()) * (1 - 1e-12)).mean())


def smallest_p(units: int) -> float:
    """Compute the smallest p that `sign_flip` can give: 2 / 2^units, or that of one drawn flip."""
    return max(2 / 2**units, 1 / DRAWN if units > UNITS else 0)


def equivalence(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"], margin: float
) -> float:
    """Compute the p of two one-sided t tests over blocks: the mean lies within `margin` of 0.

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
    """Average shares in [0, 1], one a unit, with the wider of two intervals at either end.

    Student's t over blocks allows for runs of one site being alike, but shrinks to a point where
    all agree. Clopper and Pearson's exact interval does not, but assumes independent units.
    """
    over = interval(values, blocks, level)
    low, high = proportion_confint(float(values.sum()), len(values), 1 - level, "beta")
    if not np.isfinite(over.low):
        return over
    ends = min(over.low, float(low)), max(over.high, float(high))
    return Interval(over.mean, *np.clip(ends, 0, 1).tolist(), over.units, over.blocks)


def binomial(values: Float[np.ndarray, " n"], share: float) -> float:
    """Compute the two-sided p of "a unit has the property with probability `share`".

    Twice the smaller exact tail, at most 1, units independent. A unit may be a fraction: the mean
    of several runs.
    """
    n, k = len(values), float(values.sum())
    at_least = beta.cdf(share, k, n - k + 1) if k > 0 else 1.0
    at_most = beta.sf(share, k + 1, n - k) if k < n else 1.0
    return float(min(1, 2 * min(at_least, at_most)))


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a paired difference, in its unit.

    Attributes:
        between: of the true means of sites.
        within: of the units of one site (label draws and seeds); 0 where each has one unit, since
            `between` then includes both.
    """

    between: float
    within: float


def d_z(values: Float[np.ndarray, " n"]) -> float:
    """Compute Cohen's d for pairs: the mean difference over its standard deviation (n - 1).

    NaN for one value; infinite where all are equal and not 0.

    Source: Lakens 2013, https://doi.org/10.3389/fpsyg.2013.00863
    """
    if len(values) < 2:
        return np.nan
    mean, deviation = values.mean(), values.std(ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(mean, deviation if deviation > 1e-12 * abs(mean) else 0.0))


def cliffs_delta(plus: Float[np.ndarray, " n"], minus: Float[np.ndarray, " m"]) -> float:
    """Compute how often `plus` is higher minus how often it is lower, in all n * m comparisons.

    From -1 to 1. Pairing is ignored, so it says how far the two sides overlap.

    Source: Cliff 1993, https://doi.org/10.1037/0033-2909.114.3.494
    """
    return float(np.sign(plus[:, None] - minus[None, :]).mean())


def spread(values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"]) -> Spread:
    """Estimate the components of variance by analysis of variance.

    The variance of the block means is that between sites plus that within, divided by the units a
    block. Where the latter alone exceeds it, `between` is 0.

    Raises:
        ValueError: fewer than two blocks.
    """
    groups = pd.Series(values).groupby(np.asarray(blocks))
    if groups.ngroups < 2:
        raise ValueError(f"{groups.ngroups} block; the spread of sites needs at least two")
    sizes, free = groups.size(), len(values) - groups.ngroups
    within = (groups.var(ddof=1) * (sizes - 1)).sum() / free if free else 0.0
    between = groups.mean().var(ddof=1) - within * (1 / sizes).mean()
    return Spread(float(max(between, 0) ** 0.5), float(within**0.5))


def smallest_effect(
    spread: Spread, blocks: int, units: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Compute the true mean difference that an interval over blocks detects with this `power`.

    From the noncentral t of the one-sample test over `blocks` means of `units / blocks` units each,
    in the unit of the spread, without Holm's correction, which needs a larger one. NaN below two
    blocks.
    """
    if blocks < 2:
        return np.nan
    deviation = (spread.between**2 + spread.within**2 * blocks / units) ** 0.5
    sizes = TTestPower().solve_power(effect_size=None, nobs=blocks, alpha=alpha, power=power)
    return float(np.squeeze(sizes) * deviation)


@cache
def _all_flips(n: int) -> Int8[np.ndarray, "flips n"]:
    return np.array(list(product((1, -1), repeat=n)), np.int8)


@cache
def _drawn_flips(n: int) -> Int8[np.ndarray, "flips n"]:
    drawn = np.random.default_rng(0).choice(np.array([1, -1], np.int8), (DRAWN - 1, n))
    return np.vstack([np.ones((1, n), np.int8), drawn])
