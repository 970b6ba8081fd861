"""Compute a claim's value for each unit of a table of runs. A unit is one (fold, replicate)."""

import pandas as pd

from fewlabels.results.statistics.intervals import block_means
from fewlabels.studies.design import Claim


def paired(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """Compute a claim's value for each unit: columns `fold`, `replicate`, `plus`, `minus`, `value`.

    `plus` and `minus` are the two sides that the claim says differ: means of `claim.metric` over
    conditions, gains, or a threshold. `value` is their difference. For `share` and `ratio`, `minus`
    is the threshold times the column `of`, and `value` is divided by the mean of `of`, so that its
    mean is the quotient of the means minus the threshold. For `largest` and `each`, the contrast
    with the smallest mean. Units without a value are left out; without any run of a condition, or
    any record with the metric, that is all of them.
    """
    return min(contrasts(table, claim), key=lambda units: units["value"].mean())


def closest(table: pd.DataFrame, claim: Claim) -> str:
    """Name what a claim is compared with in its smallest contrast: a rival's gain or a condition.

    Empty where there is one contrast, or no unit.
    """
    means = [units["value"].mean() for units in contrasts(table, claim)]
    if len(means) < 2 or pd.isna(means).any():
        return ""
    against = [f"the gain of {one} over {of}" for one, of in claim.rivals] or claim.minus
    return against[means.index(min(means))]


def contrasts(table: pd.DataFrame, claim: Claim) -> list[pd.DataFrame]:
    """Compute tables as `paired` does: for `largest` one a rival, for `each` one a pair of
    conditions, else one.
    """
    wide = _wide(table, claim)
    plus, minus = (wide[list(c)].mean(axis=1, skipna=False) for c in (claim.plus, claim.minus))
    match claim.measure:
        case "share" | "ratio":
            units = _units(plus, claim.threshold * minus, minus)
            if len(units):
                units["value"] /= block_means(
                    units["of"].to_numpy(), units["fold"].to_numpy()
                ).mean()
            return [units]
        case "no_gain":
            return [_units(plus, minus + claim.margin)]
        case "property":
            return [_units(plus, plus * 0 + claim.threshold)]
        case "interaction":
            return [_units(*(_gain(wide, *conditions) for conditions in (claim.plus, claim.minus)))]
        case "each":
            sides = zip(claim.plus, claim.minus, strict=True)
            return [_units(wide[one], wide[other]) for one, other in sides]
        case "largest":
            return [_units(plus - minus, _gain(wide, *rival)) for rival in claim.rivals]
        case _:
            return [_units(plus, minus)]


def _wide(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """Arrange the claim's metric, a row for each unit, a column for each condition."""
    held = table.reindex(columns=["condition", "fold", "replicate", claim.metric])
    wide = held.pivot(index=["fold", "replicate"], columns="condition", values=claim.metric)
    return wide.reindex(columns=list(claim.conditions)).astype(float)


def _gain(wide: pd.DataFrame, condition: str, without: str) -> pd.Series:
    return wide[condition] - wide[without]


def _units(plus: pd.Series, minus: pd.Series, of: pd.Series | None = None) -> pd.DataFrame:
    columns = {"plus": plus, "minus": minus, "value": plus - minus}
    columns |= {} if of is None else {"of": of}
    return pd.DataFrame(columns).dropna().reset_index()
