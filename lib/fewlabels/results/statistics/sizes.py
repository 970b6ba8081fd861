"""How large is it: effect sizes, and the smallest effect that a design can see."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from statsmodels.stats.power import TTestPower


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a paired difference, in its unit.

    Attributes:
        between: of the true means of places.
        within: of the units of one place (label draws and seeds); 0 where there is one each, since
            `between` then holds both.
    """

    between: float
    within: float


def d_z(values: Float[np.ndarray, " n"]) -> float:
    """Cohen's d for pairs: mean of the differences over their standard deviation (n - 1).

    NaN for one value; infinite where all are equal and not 0.

    Source: Lakens 2013, https://doi.org/10.3389/fpsyg.2013.00863
    """
    if len(values) < 2:
        return np.nan
    mean, deviation = values.mean(), values.std(ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(mean, deviation if deviation > 1e-12 * abs(mean) else 0.0))


def cliffs_delta(plus: Float[np.ndarray, " n"], minus: Float[np.ndarray, " m"]) -> float:
    """Share of all n * m comparisons in which `plus` is higher, less the share in which it is
    lower: from -1 to 1. Pairing is ignored, so it says how far the two sides overlap.

    Source: Cliff 1993, https://doi.org/10.1037/0033-2909.114.3.494
    """
    return float(np.sign(plus[:, None] - minus[None, :]).mean())


def spread(values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"]) -> Spread:
    """Components of variance by analysis of variance, from units in at least two blocks.

    The variance of the block means is that between places plus that within over the units a block;
    where the latter alone exceeds it, `between` is 0.

    Raises:
        ValueError: fewer than two blocks.
    """
    groups = pd.Series(values).groupby(np.asarray(blocks))
    if groups.ngroups < 2:
        raise ValueError(f"{groups.ngroups} block; the spread of places needs at least two")
    sizes, free = groups.size(), len(values) - groups.ngroups
    within = (groups.var(ddof=1) * (sizes - 1)).sum() / free if free else 0.0
    between = groups.mean().var(ddof=1) - within * (1 / sizes).mean()
    return Spread(float(max(between, 0) ** 0.5), float(within**0.5))


def smallest_effect(
    spread: Spread, blocks: int, units: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The true mean difference that an interval at 1 - alpha over blocks excludes 0 for so often.

    From the noncentral t of the one-sample test over `blocks` means of `units / blocks` units each,
    in the unit of the spread; Holm's correction, which asks for more, is not in it. NaN below two
    blocks.
    """
    if blocks < 2:
        return np.nan
    deviation = (spread.between**2 + spread.within**2 * blocks / units) ** 0.5
    sizes = TTestPower().solve_power(effect_size=None, nobs=blocks, alpha=alpha, power=power)
    return float(np.squeeze(sizes) * deviation)
