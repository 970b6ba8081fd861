"""From units to verdicts. A unit is one (pair, fold). Units of one fold share their ground, so the
interval is over folds, the independent blocks; the permutation test is over units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import t
from statsmodels.stats.multitest import multipletests

from fewlabels.studies import Claim
from fewlabels.types import unknown

UNITS = 15  # below it a comparison decides nothing (3 pairs x 5 folds)
MARGIN = 0.01  # a difference of 1 mIoU point or less counts as none


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

    def text(self, scale: float = 100, digits: int = 1) -> str:
        """As `mean [low, high]`, multiplied by `scale`."""
        shown = [round(scale * v, digits) + 0.0 for v in (self.mean, self.low, self.high)]  # no -0
        ends = [f"{v:.{digits}f}" for v in shown]
        inside = ", ".join(ends[1:]) if np.isfinite(self.low) else "no interval"
        return f"{ends[0]} [{inside}]"


def interval(
    values: Float[np.ndarray, " n"], blocks: Shaped[np.ndarray, " n"], level: float = 0.95
) -> Interval:
    """Mean of the block means with Student's t interval over blocks.

    With a single block the units stand in for blocks: the interval then covers label draws and
    seeds on that one place, not other places. (With so few blocks a percentile bootstrap would
    cover too little: resampling 2 or 5 values cannot reach beyond them.)

    Raises:
        ValueError: no values, or as many blocks as values are not given.
    """
    if len(values) == 0 or len(values) != len(blocks):
        raise ValueError(f"{len(values)} values, {len(blocks)} block names; one each, at least one")
    means = pd.Series(values).groupby(np.asarray(blocks)).mean().to_numpy()
    over = means if len(means) > 1 else np.asarray(values, float)
    mean, n = float(means.mean()), len(over)
    if n < 2:
        return Interval(mean, np.nan, np.nan, len(values), n)
    half = float(t.ppf((1 + level) / 2, n - 1) * over.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, len(values), n)


def sign_flip(values: Float[np.ndarray, " n"]) -> float:
    """Two-sided p of "the mean is 0": share of all sign flips of the units whose mean is at least
    as far from 0.

    All flips are tried up to 15 units, 100,000 drawn ones (the data's own counted in) above that.
    The smallest p that n units can give is 2 / 2^n.
    """
    n = len(values)
    if n <= UNITS:
        flips = np.array(list(product((1, -1), repeat=n)), np.int8)
    else:
        drawn = np.random.default_rng(0).choice(np.array([1, -1], np.int8), (99_999, n))
        flips = np.vstack([np.ones((1, n), np.int8), drawn])
    return float((np.abs(flips @ values) >= abs(values.sum()) * (1 - 1e-12)).mean())


def paired(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """A claim's value for each unit: columns `fold`, `pair`, `value`.

    `value` is the mean of `claim.metric` over the cells `claim.plus` less that over `claim.minus`
    (measure "difference"), or their quotient less `claim.threshold` (measure "share").
    """
    wide = table.pivot(index=["fold", "pair"], columns="cell", values=claim.metric)
    plus, minus = (wide[list(cells)].mean(axis=1) for cells in (claim.plus, claim.minus))
    value = plus - minus if claim.measure == "difference" else plus / minus - claim.threshold
    return value.rename("value").reset_index()


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


def verdicts(table: pd.DataFrame, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """One row a claim: effect with interval, p after Holm over these claims, units and verdict.

    *holds*: Holm p below 0.05 and the whole interval on the claimed side of 0. *does not hold*:
    the interval on the other side, or within the margin where a difference was claimed. *cannot
    tell*: otherwise, and always below 15 units.
    """
    units = {name: paired(table, claim) for name, claim in claims.items()}
    columns = {name: (u["value"].to_numpy(), u["fold"].to_numpy()) for name, u in units.items()}
    effects = {name: interval(*mine) for name, mine in columns.items()}
    raw = [sign_flip(values) for values, _ in columns.values()]
    holm = dict(zip(claims, multipletests(raw, method="holm")[1], strict=True))
    rows = [
        {"claim": name, "effect": effects[name], "p_holm": holm[name]}
        | {"units": effects[name].units, "verdict": verdict(claim, effects[name], holm[name])}
        for name, claim in claims.items()
    ]
    return pd.DataFrame(rows)


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


def claims_table(table: pd.DataFrame, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """`verdicts` for readers: claim, theirs, ours (effect with interval), p, n and verdict."""
    judged = verdicts(table, claims).set_index("claim")
    ours = [_in_words(claim, judged.loc[name, "effect"]) for name, claim in claims.items()]
    return pd.DataFrame(
        {
            "claim": [f"{name}: {claim.text}" for name, claim in claims.items()],
            "theirs": [claim.theirs for claim in claims.values()],
            "ours": ours,
            "p (Holm)": [f"{p:.2f}" for p in judged["p_holm"]],
            "n": judged["units"].to_list(),
            "verdict": judged["verdict"].to_list(),
        }
    )


def verdict(claim: Claim, effect: Interval, p_holm: float) -> str:
    """The decision rule of `verdicts` for one claim."""
    if effect.units < UNITS or not np.isfinite(effect.low):
        return f"cannot tell ({effect.units} of {UNITS} units)"
    low, high = sorted((claim.sign * effect.low, claim.sign * effect.high))
    if low > 0 and p_holm < 0.05:
        return "holds"
    none = claim.metric == "miou" and max(abs(low), abs(high)) < MARGIN
    return "does not hold" if high < 0 or none else "cannot tell"


def _in_words(claim: Claim, effect: Interval) -> str:
    if claim.measure == "share":
        at = claim.threshold
        share = replace(effect, mean=effect.mean + at, low=effect.low + at, high=effect.high + at)
        return f"{share.text(digits=0)} %"
    return (
        effect.text(1, 0) + " steps" if claim.metric == "steps_to_95" else f"{effect.text()} points"
    )
