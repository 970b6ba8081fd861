"""Compute intervals of means over independent sites, test effects, and say what can be detected.

Units of one site share their ground, so intervals count sites (blocks), not units; the permutation
test is over units.
"""

from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Int8, Shaped
from scipy.stats import beta, permutation_test, t
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

UNITS = 15  # below it a comparison decides nothing (3 pairs x 5 folds)
DRAWN = 100_000  # sign flips where there are more than UNITS units


@dataclass(frozen=True)
class Interval:
    """A mean with its interval, in the unit of the values; NaN ends where n allows none.

    Attributes:
        units: values that went in.
        blocks: independent means that the interval is over.
    """

    mean: float
    low: float
    high: float
    units: int
    blocks: int

    def turned(self, sign: int) -> "Interval":
        """Return it as it stands, or its negative where the sign is -1."""
        return self if sign > 0 else replace(self, mean=-self.mean, low=-self.high, high=-self.low)

    def text(self, scale: float = 100, digits: int = 1) -> str:
        """Write it as `mean [low, high]`, multiplied by `scale`."""
        shown = [round(scale * v, digits) + 0.0 for v in (self.mean, self.low, self.high)]  # no -0
        ends = [f"{v:.{digits}f}" for v in shown]
        inside = ", ".join(ends[1:]) if np.isfinite(self.low) else "no interval"
        return f"{ends[0]} [{inside}]"


def interval(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"], level: float = 0.95
) -> Interval:
    """Average the block means, with Student's t interval over blocks: the interval that decides.

    With a single block the units replace blocks: the interval then covers label draws and seeds on
    that one site, not other sites.

    Raises:
        ValueError: no values, or as many blocks as values are not given.
    """
    over = block_means(values, blocks)
    mean, n = float(over.mean()), len(over)
    if n < 2:
        return Interval(mean, np.nan, np.nan, len(values), n)
    half = float(t.ppf((1 + level) / 2, n - 1) * over.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, len(values), n)


def quotient(
    plus: Float[np.ndarray, " n"],
    minus: Float[np.ndarray, " n"],
    blocks: Shaped[np.ndarray, " n"],
    level: float = 0.95,
) -> Interval:
    """Divide the mean of `plus` by that of `minus`, both over block means, with Fieller's interval.

    The interval holds the quotients q for which Student's t over blocks does not tell
    plus - q * minus from 0. A mean of quotients would be too high where `minus` is noisy. Ends are
    infinite where `minus` cannot be told from 0; blocks as in `interval`.

    Source: Fieller 1954, https://doi.org/10.1111/j.2517-6161.1954.tb00159.x

    Raises:
        ValueError: as `interval`.
    """
    over, under = block_means(plus, blocks), block_means(minus, blocks)
    n, found = len(over), float(over.mean() / under.mean())
    if n < 2:
        return Interval(found, np.nan, np.nan, len(plus), n)
    (pp, pm), (_, mm) = np.cov(over, under) * t.ppf((1 + level) / 2, n - 1) ** 2 / n
    a, b, c = (x * y - v for x, y, v in (
        (under.mean(), under.mean(), mm), (over.mean(), under.mean(), pm),
        (over.mean(), over.mean(), pp),
    ))  # fmt: skip
    if a <= 0:
        return Interval(found, -np.inf, np.inf, len(plus), n)
    half = max(b * b - a * c, 0) ** 0.5
    return Interval(found, float((b - half) / a), float((b + half) / a), len(plus), n)


def block_means(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """Average each block; with a single block, return the values themselves, as float64.

    Raises:
        ValueError: no values, or as many blocks as values are not given.
    """
    if len(values) == 0 or len(values) != len(blocks):
        raise ValueError(f"{len(values)} values, {len(blocks)} block names; one each, at least one")
    means = pd.Series(values).groupby(np.asarray(blocks)).mean().to_numpy()
    return means if len(means) > 1 else np.asarray(values, float)


def sign_flip(values: Float[np.ndarray, " n"]) -> float:
    """Compute the two-sided p of "the mean is 0" by flipping the signs of the units: all flips, or
    99,999 drawn ones above 15 units.
    """
    if len(values) <= UNITS:  # SciPy takes a second for what one product of matrices gives
        means = np.abs(_all_flips(len(values)) @ values)
        return float((means >= abs(values.sum()) * (1 - 1e-12)).mean())
    found = permutation_test((values,), np.mean, permutation_type="samples", vectorized=True,
                             n_resamples=DRAWN - 1, rng=np.random.default_rng(0))  # fmt: skip
    return float(found.pvalue)


@cache
def _all_flips(n: int) -> Int8[np.ndarray, "flips n"]:
    return np.array(list(product((1, -1), repeat=n)), np.int8)


def smallest_p(units: int) -> float:
    """Compute the smallest p that `sign_flip` can give: that of units which all agree."""
    return 2 / (2**units if units <= UNITS else DRAWN)


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


def spread(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"]
) -> tuple[float, float]:
    """Estimate the standard deviations of a paired difference by analysis of variance: of the true
    means of sites (`between`), and of the units of one site (`within`: label draws and seeds).

    The variance of the block means is that between sites plus that within, divided by the units a
    block. Where the latter alone exceeds it, `between` is 0. Where each site has one unit, `within`
    is 0, since `between` then includes both.

    Raises:
        ValueError: fewer than two blocks.
    """
    groups = pd.Series(values).groupby(np.asarray(blocks))
    if groups.ngroups < 2:
        raise ValueError(f"{groups.ngroups} block; the spread of sites needs at least two")
    sizes, free = groups.size(), len(values) - groups.ngroups
    within = (groups.var(ddof=1) * (sizes - 1)).sum() / free if free else 0.0
    between = groups.mean().var(ddof=1) - within * (1 / sizes).mean()
    return float(max(between, 0) ** 0.5), float(within**0.5)


def smallest_effect(
    between: float, within: float, blocks: int, units: int, alpha: float = 0.05
) -> float:
    """Compute the true mean difference that an interval over blocks detects with power 0.8.

    From the noncentral t of the one-sample test over `blocks` means of `units / blocks` units each,
    in the unit of the spread, without Holm's correction, which needs a larger one. NaN below two
    blocks.
    """
    if blocks < 2:
        return np.nan
    deviation = (between**2 + within**2 * blocks / units) ** 0.5
    sizes = TTestPower().solve_power(effect_size=None, nobs=blocks, alpha=alpha, power=0.8)
    return float(np.squeeze(sizes) * deviation)
