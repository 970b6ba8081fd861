"""Decide the claims of a study from its units, and tabulate the verdicts for readers.

A unit is one (fold, replicate).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from fewlabels.results.statistics.intervals import (
    UNITS,
    Interval,
    binomial,
    block_means,
    equivalence,
    interval,
    proportion,
    quotient,
    sign_flip,
    smallest_effect,
    smallest_p,
    spread,
)
from fewlabels.studies.design import Claim

ALPHA = 0.05
SHOWN = {
    "steps_to_95": (1, 0, " steps"),
    "step_seconds": (1, 3, " s"),
    "rarest_iou": (100, 1, " points of its IoU"),
}  # else points: (100, 1)


@dataclass(frozen=True)
class Evidence:
    """What is measured of one claim, before the correction for its family.

    Attributes:
        effect: the interval that decides, over blocks.
        p: of the test of the claim's measure.
        p_none: of the test that the effect lies within the margin; NaN where it has none.
        detectable: `smallest_effect` at this spread, these blocks and units.
    """

    effect: Interval
    p: float
    p_none: float
    detectable: float


def evidence(table: pd.DataFrame, claim: Claim) -> Evidence:
    """Measure a claim on its units; all NaN where there is no unit.

    For `largest` and `each`, every contrast has to hold. So the effect is the smallest mean, low
    and high end of all contrasts, each interval at 1 - 0.05 / contrasts so that together they
    cover, and p is the largest. For `share` and `ratio` the interval is that of `quotient`.
    """
    units = paired(table, claim)
    if units.empty:
        nothing = Interval(np.nan, np.nan, np.nan, 0, 0)
        return Evidence(nothing, np.nan, np.nan, np.nan)
    values, blocks = units["value"].to_numpy(), units["fold"].to_numpy()
    bounded = claim.measure == "equivalence" or _of_miou(claim)
    p_none = equivalence(values, blocks, claim.margin) if bounded else np.nan
    effect, p = _tested(table, claim, p_none)
    return Evidence(effect, p, p_none, _detectable(table, claim))


def _tested(table: pd.DataFrame, claim: Claim, p_none: float) -> tuple[Interval, float]:
    """Compute the deciding interval and the p that goes with it."""
    tables = contrasts(table, claim)
    every = [(units["value"].to_numpy(), units["fold"].to_numpy()) for units in tables]
    (values, blocks), at = every[0], claim.threshold
    if claim.measure == "property":
        return _moved(proportion(values + at, blocks), -at), binomial(values + at, at)
    if claim.measure in ("share", "ratio"):
        plus, of = (tables[0][side].to_numpy() for side in ("plus", "of"))
        return _moved(quotient(plus, of, blocks), -at), sign_flip(values)
    found = [interval(values, blocks, 1 - ALPHA / len(every)) for values, blocks in every]
    ends = (min(getattr(i, end) for i in found) for end in ("mean", "low", "high"))
    effect = Interval(*ends, found[0].units, found[0].blocks)
    return effect, p_none if claim.measure == "equivalence" else max(sign_flip(v) for v, _ in every)


def verdicts(table: pd.DataFrame, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """Decide each claim: a row of `claim`, the fields of `Evidence`, `p_holm` over these claims,
    `units` and `verdict`.
    """
    found = {name: evidence(table, claim) for name, claim in claims.items()}
    tests = [1.0 if np.isnan(e.p) else e.p for e in found.values()]
    holm = dict(zip(claims, multipletests(tests, method="holm")[1], strict=True))
    rows = [
        {"claim": name, **vars(mine), "p_holm": holm[name], "units": mine.effect.units}
        | {"verdict": verdict(claims[name], mine.effect, holm[name], mine.p_none)}
        for name, mine in found.items()
    ]
    return pd.DataFrame(rows)


def verdict(claim: Claim, effect: Interval, p_holm: float, p_none: float = np.nan) -> str:
    """Apply the decision rule to one claim; the first of these that is true.

    *holds*: Holm p below 0.05 and the whole interval on the claimed side of 0 (`equivalence`:
    within the margin). *does not hold*: the interval on the other side (`equivalence`: beyond the
    margin), or equivalence shown where a difference of mIoU was claimed. *cannot tell*: otherwise,
    and always below 15 units or without an interval.
    """
    if effect.units < UNITS or not np.isfinite([effect.low, effect.high]).all():
        return f"cannot tell ({effect.units} of {UNITS} units)"
    low, high = sorted((claim.sign * effect.low, claim.sign * effect.high))
    if claim.measure == "equivalence":
        holds, fails = max(-low, high) < claim.margin, low > claim.margin or high < -claim.margin
    else:
        holds, fails = low > 0, high < 0 or (_of_miou(claim) and p_none < ALPHA)
    if holds and p_holm < ALPHA:
        return "holds"
    return "does not hold" if fails else "cannot tell"


def declared(claims: Mapping[str, Claim], folds: int, pairs: int) -> pd.DataFrame:
    """Tabulate what is fixed before the runs: `claim`, `rule`, `units`, and the `smallest p` that
    the units can give after Holm (NaN for equivalence, whose t test has none).
    """
    units, rows = folds * pairs, []
    for name, claim in claims.items():
        least = np.nan if claim.measure == "equivalence" else smallest_p(units) * len(claims)
        rows.append(
            {"claim": name, "rule": claim.rule, "units": units, "smallest p": min(least, 1)}
        )
    return pd.DataFrame(rows)


def claims_table(table: pd.DataFrame, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """Tabulate `verdicts` for readers: claim (with the closest of several contrasts), reported,
    ours (effect with interval), the smallest detectable effect, p, n and verdict.
    """
    judged = verdicts(table, claims)
    rows = []
    for (name, claim), mine in zip(claims.items(), judged.itertuples(), strict=True):
        against = closest(table, claim)
        near = f" (Closest: {against}.)" if against else ""
        rows.append(
            {"claim": f"{name}: {claim.text}{near}", "reported": claim.reported}
            | {"ours": _in_words(claim, mine.effect), "detectable": _amount(claim, mine.detectable)}
            | {"p (Holm)": _p(mine.p_holm, mine.units), "n": mine.units, "verdict": mine.verdict}
        )
    return pd.DataFrame(rows)


def _detectable(table: pd.DataFrame, claim: Claim) -> float:
    """Compute the smallest effect that a claim's units can detect with the interval that decides.

    With one fold the units replace folds, as in `interval`. NaN where no difference is claimed or
    the spread is unknown.
    """
    units, every = paired(table, claim), contrasts(table, claim)
    values, blocks = units["value"].to_numpy(), units["fold"].to_numpy()
    if len(set(blocks)) == 1:
        blocks = np.arange(len(values))
    if claim.measure == "equivalence" or len(values) < 2:
        return np.nan
    sites = len(set(blocks))
    return smallest_effect(*spread(values, blocks), sites, len(values), alpha=ALPHA / len(every))


def _of_miou(claim: Claim) -> bool:
    """Whether the claim says that mIoU differs, so that the margin applies to it."""
    differs = claim.measure in ("difference", "each", "interaction", "largest")
    return differs and claim.metric.endswith("miou")


def in_points(claim: Claim) -> bool:
    """Whether the claim is on a difference that is shown in points, so that a plot can share it."""
    return _shown(claim)[2].startswith(" points")


def _shown(claim: Claim) -> tuple[float, int, str]:
    """What a claim's value is multiplied by for readers, its digits, and its unit."""
    by_measure = {"share": (100, 0, " %"), "property": (100, 0, " %"), "ratio": (1, 2, " times")}
    return by_measure.get(claim.measure) or SHOWN.get(claim.metric, (100, 1, " points"))


def _moved(found: Interval, by: float) -> Interval:
    return replace(found, mean=found.mean + by, low=found.low + by, high=found.high + by)


def _in_words(claim: Claim, effect: Interval) -> str:
    if not effect.units:
        return "-"
    at = claim.threshold if claim.measure in ("share", "ratio", "property") else 0.0
    at = claim.margin if claim.measure == "no_gain" else at
    scale, digits, unit = _shown(claim)
    return _moved(effect, at).text(scale, digits) + unit


def _p(value: float, units: int) -> str:
    if not units:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _amount(claim: Claim, value: float) -> str:
    scale, digits, unit = _shown(claim)
    return f"{scale * value:.{digits}f}{unit}" if np.isfinite(value) else "-"


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
    against = [
        f"the gain of {condition} over {of}" for condition, of in claim.rivals
    ] or claim.minus
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
    held = table.reindex(columns=["condition", "fold", "replicate", claim.metric])
    wide = held.pivot(index=["fold", "replicate"], columns="condition", values=claim.metric)
    return wide.reindex(columns=list(claim.conditions)).astype(float)


def _gain(wide: pd.DataFrame, condition: str, without: str) -> pd.Series:
    return wide[condition] - wide[without]


def _units(plus: pd.Series, minus: pd.Series, of: pd.Series | None = None) -> pd.DataFrame:
    columns = {"plus": plus, "minus": minus, "value": plus - minus}
    columns |= {} if of is None else {"of": of}
    return pd.DataFrame(columns).dropna().reset_index()
