"""Decide the claims of a study from its units, and tabulate the verdicts for readers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from fewlabels.results.statistics.contrasts import closest, contrasts, paired
from fewlabels.results.statistics.intervals import Interval, block_bootstrap, interval, quotient
from fewlabels.results.statistics.significance import (  # fmt: skip
    UNITS,
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
        bootstrap: the interval of the block bootstrap, reported only.
        p: of the test of the claim's measure.
        p_none: of the test that the effect lies within the margin; NaN where it has none.
        d_z, delta: effect sizes; Cliff's delta compares the sides of `paired`.
        detectable: `smallest_effect` at this spread, these blocks and units.
    """

    effect: Interval
    bootstrap: Interval
    p: float
    p_none: float
    d_z: float
    delta: float
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
        return Evidence(nothing, nothing, *[np.nan] * 5)
    values, blocks = units["value"].to_numpy(), units["fold"].to_numpy()
    bounded = claim.measure == "equivalence" or _of_miou(claim)
    p_none = equivalence(values, blocks, claim.margin) if bounded else np.nan
    effect, p = _tested(table, claim, p_none)
    return Evidence(
        effect=effect,
        bootstrap=block_bootstrap(values, blocks),
        p=p,
        p_none=p_none,
        d_z=d_z(values),
        delta=cliffs_delta(units["plus"].to_numpy(), units["minus"].to_numpy()),
        detectable=_detectable(table, claim, units["fold"].nunique(), len(units)),
    )


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


def declared(
    claims: Mapping[str, Claim], folds: int, replicates: int, pilot: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Tabulate what is fixed before the runs: `claim`, `rule`, `units`, the `smallest p` that the
    units can give after Holm, and the effect that is `detectable` at the pilot's spread.

    Equivalence is tested by t, which has no smallest p: NaN. Detectable is the true effect, in the
    unit of the value, that 80 % of such studies detect; NaN without a pilot of two sites.
    """
    units, rows = folds * replicates, []
    for name, claim in claims.items():
        least = np.nan if claim.measure == "equivalence" else smallest_p(units) * len(claims)
        seen = np.nan if pilot is None else _detectable(pilot, claim, folds, units)
        rows.append(
            {"claim": name, "rule": claim.rule, "units": units}
            | {"smallest p": min(least, 1), "detectable": seen}
        )
    return pd.DataFrame(rows)


def promise(
    claims: Mapping[str, Claim], folds: int, replicates: int, pilot: pd.DataFrame | None = None
) -> str:
    """Say in one line what so many units can show, before anything is run.

    Args:
        pilot: runs that are recorded already, whose spread decides which effects are detectable.
    """
    table = declared(claims, folds, replicates, pilot).set_index("claim")
    p = table["smallest p"].min()
    units = f"{folds} fold(s) x {replicates} replicate(s) = {folds * replicates} units"
    line = f"{units}, of {UNITS} for a verdict"
    line += "" if np.isnan(p) else f"; smallest p after Holm {p:.2g}"
    seen = table["detectable"].dropna()
    if seen.empty:
        return line
    amounts = ", ".join(f"{name} {_amount(claims[name], v)}" for name, v in seen.items())
    return f"{line}; effects seen 4 times in 5, at the spread of the runs there are: {amounts}"


def claims_table(table: pd.DataFrame, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """Tabulate `verdicts` for readers: claim (with the closest of several contrasts), reported,
    ours (effect with interval), p, n and verdict.
    """
    judged = verdicts(table, claims)
    rows = []
    for (name, claim), mine in zip(claims.items(), judged.itertuples(), strict=True):
        against = closest(table, claim)
        near = f" (Closest: {against}.)" if against else ""
        rows.append(
            {"claim": f"{name}: {claim.text}{near}", "reported": claim.reported}
            | {"ours": _in_words(claim, mine.effect), "p (Holm)": _p(mine.p_holm, mine.units, 2)}
            | {"n": mine.units, "verdict": mine.verdict}
        )
    return pd.DataFrame(rows)


def evidence_table(table: pd.DataFrame, claims: Mapping[str, Claim]) -> pd.DataFrame:
    """Tabulate `verdicts` for readers who check them: effect with its interval, that of the
    bootstrap, effect sizes, the smallest detectable effect, p, n and verdict.
    """
    rows = [
        {
            "claim": mine.claim,
            "effect [95 %]": _in_words(claims[mine.claim], mine.effect),
            "bootstrap": _in_words(claims[mine.claim], mine.bootstrap).split(" ", 1)[-1],
            "d_z": _plain(mine.d_z),
            "Cliff's delta": _plain(mine.delta),
            "detectable": _amount(claims[mine.claim], mine.detectable),
            "p (Holm)": _p(mine.p_holm, mine.units, 3),
            "n": mine.units,
            "verdict": mine.verdict,
        }
        for mine in verdicts(table, claims).itertuples()
    ]
    return pd.DataFrame(rows)


def _detectable(table: pd.DataFrame, claim: Claim, folds: int, n: int) -> float:
    """Compute the smallest effect that `n` units in `folds` folds can detect, with the interval
    that decides, at the spread of the claim's units in `table`.

    With one fold the units replace folds, as in `interval`. NaN where no difference is claimed or
    the spread is unknown.
    """
    tables = contrasts(table, claim)
    units = min(tables, key=lambda these: these["value"].mean())
    values, blocks = units["value"].to_numpy(), units["fold"].to_numpy()
    if folds == 1:
        folds, blocks = n, np.arange(len(values))
    if claim.measure == "equivalence" or len(set(blocks)) < 2:
        return np.nan
    return smallest_effect(spread(values, blocks), folds, n, alpha=ALPHA / len(tables))


def _of_miou(claim: Claim) -> bool:
    """Whether the claim says that mIoU differs, so that the margin applies to it."""
    differs = claim.measure in ("difference", "each", "interaction", "largest")
    return differs and claim.metric.endswith("miou")


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


def _plain(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _p(value: float, units: int, digits: int) -> str:
    if not units:
        return "-"
    least = 10**-digits
    return f"< {least:g}" if value < least else f"{value:.{digits}f}"


def _amount(claim: Claim, value: float) -> str:
    scale, digits, unit = _shown(claim)
    return f"{scale * value:.{digits}f}{unit}" if np.isfinite(value) else "-"
