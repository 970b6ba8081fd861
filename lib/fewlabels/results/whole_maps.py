"""What the rows of study W say: scores by site, paired differences, claims and the label saving.

A site is the independent unit: replicates are averaged within it. Data sets are fixed and count
alike, so an effect over all of them is the mean of the data sets' effects, and its interval speaks
of other sites of such kinds.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t

from fewlabels import paths
from fewlabels.results.statistics.decisions import SCALE, decisions
from fewlabels.results.statistics.intervals import Interval, interval
from fewlabels.scoring import boundaries, metrics
from fewlabels.studies.w import CLAIMS, DATA, VARIANTS, Condition

ALL = "all"  # data sets together
SCRIBBLED, VARIED = "_scribbled", "_varied"
PARTS = ("", "_added", SCRIBBLED, VARIED, "_networks")
"""Ends of the names of a data set's tables: cheap learners, `additions`, scribbles, the learners on
a `Variant` of its images, `site_networks`."""
APPLICABILITY = "applicability.parquet"  # see `applied`


def folder() -> Path:
    """The folder of the committed rows, one table a data set."""
    return paths.published_root() / "whole_maps"


def scored(root: Path | None = None) -> pd.DataFrame:
    """Read the rows of all data sets and score them.

    `boundary_f1` is of maps of whole sites; NaN in other rows.

    `miou` is over all scored pixels, `miou_far` over those more than 16 pixels from every label;
    both are fractions, means over the classes that the site's truth has.
    """
    tables = []
    for data, part in product(DATA, PARTS):
        file = (root or folder()) / f"{data}{part}.parquet"
        if file.exists():
            tables.append(pd.read_parquet(file))
            if part == VARIED:
                tables[-1]["learner"] += f", {VARIANTS[data].called}"
    table = pd.concat(tables, ignore_index=True)
    if "boundary" in table:
        table["boundary_f1"] = [_f1(each) for each in table["boundary"]]
    for name, column in (("miou", "confusion"), ("miou_far", "far")):
        table[name] = [miou(np.asarray(counts)) for counts in table[column]]
    return table


def by_site(table: pd.DataFrame, column: str = "miou") -> pd.DataFrame:
    """Mean over replicates: one row a (data set, site), one column a condition."""
    wide = table.pivot_table(
        index=["data", "site"], columns=["learner", "budget", "labels"], values=column
    )
    wide.columns = [str(Condition(*name)) for name in wide.columns]
    return wide


def effect(
    table: pd.DataFrame, one: Condition, other: Condition, metric: str = "miou"
) -> dict[str, Interval]:
    """The mean over sites of the difference of two conditions, of each data set and of `all`.

    Conditions are compared within a label draw, and draws averaged within a site. Student's t over
    sites; over data sets the degrees of freedom are Satterthwaite's. Sites that lack one of the
    conditions, since they have too few labelled pixels for it, are in neither.

    Args:
        table: from `scored`.
    """
    apart = differences(table, one, other, metric)
    return pooled(apart.groupby(["data", "site"])["value"].mean())


def pooled(values: pd.Series) -> dict[str, Interval]:
    """The same of any value of each (data set, site); sites without a value are left out."""
    parts = {data: part.to_numpy() for data, part in values.dropna().groupby(level="data")}
    found = {data: spread(part) for data, part in parts.items()}
    mean, error, freedom = moments(values)
    half, number = float(t.ppf(0.975, freedom)) * error, sum(map(len, parts.values()))
    return found | {ALL: Interval(mean, mean - half, mean + half, number, number)}


def verdict(found: Interval, margin: float = 0.0) -> str:
    """`holds` where the interval lies above minus the margin, `does not hold` below it."""
    if found.low > -margin:
        return "holds"
    return "does not hold" if found.high < -margin else "cannot tell"


def judged(found: Mapping[str, Interval], margin: float = 0.0) -> str:
    """The verdict over all data sets; where their effects differ in sign, that of each."""
    each = {data: interval for data, interval in found.items() if data != ALL}
    if len({interval.mean > -margin for interval in each.values()}) == 1:
        return verdict(found[ALL], margin)
    return "; ".join(f"{data}: {verdict(one, margin)}" for data, one in each.items())


def differences(
    table: pd.DataFrame, one: Condition, other: Condition, metric: str = "miou"
) -> pd.DataFrame:
    """The difference of two conditions in each replicate of each site: columns `data`, `site`,
    `replicate` and `value`.
    """
    key = ["data", "site", "replicate"]
    mine, theirs = (rows_of(table, each).set_index(key)[metric] for each in (one, other))
    return (mine - theirs).dropna().rename("value").reset_index()


def rows_of(table: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    """The rows of one condition."""
    key = ["learner", "budget", "labels"]
    return table[(table[key] == [getattr(condition, name) for name in key]).all(axis=1)]


def claims(table: pd.DataFrame, scale: float = SCALE) -> pd.DataFrame:
    """One row a test: claim, conditions, effect over data sets and of each, sites, verdict, and
    what to do by the posterior (`decisions`).

    Args:
        table: from `scored`.
        scale: of the priors of `decisions`.
    """
    rows, decided = [], {}
    tests = {(key, *pair): c for key, c in CLAIMS.items() for pair in c.pairs if _run(table, *pair)}
    for family in {claim.family for claim in tests.values()}:
        asked = [test for test, claim in tests.items() if claim.family == family]
        decided |= decisions(
            {t: differences(table, *t[1:], tests[t].metric) for t in asked}, scale=scale
        )
    for (key, one, other), claim in tests.items():
        found = effect(table, one, other, claim.metric)
        rows.append(
            {"claim": key, "better": str(one), "than": str(other)}
            | {name: interval.text() for name, interval in found.items()}
            | {"sites": found[ALL].units, "verdict": judged(found, claim.margin)}
            | {"expected gain, and what to do": decided[key, one, other].text()}
        )
    return pd.DataFrame(rows).fillna("-")


def _run(table: pd.DataFrame, *pair: Condition) -> bool:
    there = set(zip(table["learner"], table["budget"], table["labels"], strict=True))
    return {(each.learner, each.budget, each.labels) for each in pair} <= there


def claim_verdict(judged: pd.DataFrame, claim: str) -> str:
    """The verdict on a claim: that of its tests, or `in part` where these differ.

    Args:
        judged: from `claims`.
    """
    found = set(judged.loc[judged["claim"] == claim, "verdict"])
    return "not run yet" if not found else found.pop() if len(found) == 1 else "in part"


def _f1(counts: np.ndarray | float) -> float:
    if isinstance(counts, float) or not np.any(counts):  # a row without a whole map
        return np.nan
    return boundaries.scores(np.reshape(counts, (-1, len(boundaries.COUNTS)))).mean_f1


def miou(counts: np.ndarray) -> float:
    """Of a flat matrix of counts; nan where it is empty."""
    k = round(len(counts) ** 0.5)
    return metrics.scores(counts.reshape(k, k)).miou if counts.any() else np.nan


def spread(values: np.ndarray) -> Interval:
    """The mean with Student's interval of 95 %."""
    return interval(values, np.arange(len(values)))


class Moments(NamedTuple):
    """A mean over data sets, its standard error, and the degrees of freedom of that."""

    mean: float
    error: float
    freedom: float


def moments(values: pd.Series) -> Moments:
    """The mean of the data sets' means of a value of each (data set, site).

    Variances of means add up; the degrees of freedom are Satterthwaite's. NaN where a data set has
    a single site.
    """
    parts = [part.to_numpy() for _, part in values.dropna().groupby(level="data")]
    mean = float(np.mean([part.mean() for part in parts]))
    if min(map(len, parts)) < 2:
        return Moments(mean, np.nan, np.nan)
    variances = np.array([part.var(ddof=1) / len(part) for part in parts]) / len(parts) ** 2
    if not variances.any():
        return Moments(mean, 0.0, np.inf)
    freedom = variances.sum() ** 2 / sum(
        v**2 / (len(part) - 1) for v, part in zip(variances, parts, strict=True)
    )
    return Moments(mean, float(variances.sum() ** 0.5), float(freedom))
