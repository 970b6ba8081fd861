"""How many pixels to draw, and how many of them from each stratum, before anything is known.

Source: Olofsson et al. 2014, https://doi.org/10.1016/j.rse.2014.02.015, section 5.1
Source: Cochran 1977, Sampling Techniques, chapter 5
"""

import numpy as np
from jaxtyping import Float, Int

from fewlabels.types import FewLabelsError

RULES = ("proportional", "equal", "neyman")


class SampleError(FewLabelsError, ValueError):
    """A sample that cannot be drawn as asked."""


def allocated(
    n: int,
    sizes: Int[np.ndarray, " h"],
    rule: str,
    deviations: Float[np.ndarray, " h"],
    least: int,
) -> Int[np.ndarray, " h"]:
    """Share `n` pixels among strata: by their size, equally, or by size times deviation (Neyman).

    Each stratum gets at least `least` pixels, or all that it has; the others share the rest by the
    rule. The sum is `n`, rounded by largest remainders.

    Args:
        sizes: pixels of each stratum.
        deviations: expected standard deviation within each stratum, of what is estimated.

    Raises:
        SampleError: `n` is more than there is, or less than `least` for each stratum.
    """
    low = np.minimum(least, sizes)
    if not low.sum() <= n <= sizes.sum():
        raise SampleError(
            f"{n} points cannot be drawn: {len(sizes)} classes need at least {low.sum()} ({least} "
            f"each, or all pixels of a smaller class), and the map has {sizes.sum()} pixels; ask "
            "for a number between, or lower --least"
        )
    asked = {"proportional": sizes, "equal": np.ones(len(sizes)), "neyman": sizes * deviations}
    weights = np.maximum(asked[rule] / max(asked[rule].max(), 1e-300), 1e-9)
    under, over = 0.0, sizes.sum() / weights.min()
    for _ in range(200):  # the factor at which the bounded shares add up to n
        factor = (under + over) / 2
        shares = np.clip(factor * weights, low, sizes)
        under, over = (factor, over) if shares.sum() < n else (under, factor)
    whole = np.floor(shares + 1e-6).astype(np.int64)
    room = np.where(whole < sizes, shares - whole, -1.0)
    whole[np.argsort(-room, kind="stable")[: n - whole.sum()]] += 1
    return whole


def expected_error(
    drawn: Int[np.ndarray, " h"],
    sizes: Int[np.ndarray, " h"],
    deviations: Float[np.ndarray, " h"],
) -> float:
    """Compute the standard error of a proportion of the whole that such a sample would have."""
    share = sizes / sizes.sum()
    return float(np.sqrt((share**2 * deviations**2 * (1 / drawn - 1 / sizes)).sum()))


def smallest(
    se: float,
    sizes: Int[np.ndarray, " h"],
    rule: str,
    deviations: Float[np.ndarray, " h"],
    least: int,
) -> Int[np.ndarray, " h"]:
    """Find the smallest allocation whose expected standard error is at most `se`.

    Under Neyman's rule without a least number this is Olofsson's equation 13.
    """
    under, n = int(np.minimum(least, sizes).sum()) - 1, int(sizes.sum())
    while n - under > 1:
        middle = (under + n) // 2
        drawn = np.maximum(allocated(middle, sizes, rule, deviations, least), 1)
        enough = expected_error(drawn, sizes, deviations) <= se
        under, n = (under, middle) if enough else (middle, n)
    return allocated(n, sizes, rule, deviations, least)
