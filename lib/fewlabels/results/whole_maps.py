"""What the rows of study W say: scores by site, paired differences, claims and the label saving.

A site is the independent unit: replicates are averaged within it. Data sets are fixed and count
alike, so an effect over all of them is the mean of the data sets' effects, and its interval speaks
of other sites of such kinds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import t

from fewlabels import paths
from fewlabels.results.figures import LEARNERS
from fewlabels.results.statistics.decisions import SCALE, decisions
from fewlabels.results.statistics.intervals import Interval
from fewlabels.scoring import boundaries, metrics
from fewlabels.studies.w import BUDGETS, CALLED, CLAIMS, DATA, EVEN, Condition

ALL = "all"  # data sets together
ADDED, NETWORKS = "_added", "_networks"  # end the names of tables of `additions`, `site_networks`
RESAMPLES = 2000


def folder() -> Path:
    """The folder of the committed rows, one table a data set."""
    return paths.published_root() / "whole_maps"


def scored(root: Path | None = None) -> pd.DataFrame:
    """Read the rows of all data sets and score them.

    `boundary_f1` is of maps of whole sites; NaN in other rows.

    `miou` is over all scored pixels, `miou_far` over those more than 16 pixels from every label;
    both are fractions, means over the classes that the site's truth has.
    """
    files = [(root or folder()) / f"{data}{part}.parquet" for data in DATA 
             for part in ("", ADDED, NETWORKS)]  # fmt: skip
    table = pd.concat([pd.read_parquet(file) for file in files if file.exists()], ignore_index=True)
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


def effect(sites: pd.DataFrame, one: Condition, other: Condition) -> dict[str, Interval]:
    """The mean over sites of the difference of two conditions, of each data set and of `all`.

    Student's t over sites; over data sets the degrees of freedom are Satterthwaite's. Sites that
    lack one of the conditions, since they have too few labelled pixels for it, are in neither.
    """
    return pooled(sites[str(one)] - sites[str(other)])


def pooled(values: pd.Series) -> dict[str, Interval]:
    """The same of any value of each (data set, site); sites without a value are left out."""
    parts = {data: part.to_numpy() for data, part in values.dropna().groupby(level="data")}
    found = {data: _interval(part) for data, part in parts.items()}
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
    mine, theirs = (
        table[(table["learner"] == each.learner) & (table["budget"] == each.budget)
              & (table["labels"] == each.labels)].set_index(key)[metric]
        for each in (one, other)
    )  # fmt: skip
    return (mine - theirs).dropna().rename("value").reset_index()


def claims(table: pd.DataFrame, scale: float = SCALE) -> pd.DataFrame:
    """One row a test: claim, conditions, effect over data sets and of each, sites, verdict, and
    what to do by the posterior (`decisions`).

    Args:
        table: from `scored`.
        scale: of the priors of `decisions`.
    """
    rows, decided, by_metric = [], {}, {}
    tests = {(key, *pair): c for key, c in CLAIMS.items() for pair in c.pairs if _run(table, *pair)}
    for family in {claim.family for claim in tests.values()}:
        asked = [test for test, claim in tests.items() if claim.family == family]
        decided |= decisions(
            {t: differences(table, *t[1:], tests[t].metric) for t in asked}, scale=scale
        )
    for (key, one, other), claim in tests.items():
        if claim.metric not in by_metric:
            by_metric[claim.metric] = by_site(table, claim.metric)
        found = effect(by_metric[claim.metric], one, other)
        rows.append(
            {"claim": key, "better": str(one), "than": str(other)}
            | {name: interval.text() for name, interval in found.items()}
            | {"sites": found[ALL].units, "verdict": judged(found, claim.margin)}
            | {"expected gain, and what to do": decided[key, one, other].text()}
        )
    return pd.DataFrame(rows).fillna("-")


def _run(table: pd.DataFrame, *pair: Condition) -> bool:
    """Whether there are rows of each condition."""
    there = set(zip(table["learner"], table["budget"], table["labels"], strict=True))
    return {(each.learner, each.budget, each.labels) for each in pair} <= there


def claim_verdict(judged: pd.DataFrame, claim: str) -> str:
    """The verdict on a claim: that of its tests, or `in part` where these differ.

    Args:
        judged: from `claims`.
    """
    found = set(judged.loc[judged["claim"] == claim, "verdict"])
    return "not run yet" if not found else found.pop() if len(found) == 1 else "in part"


def curve(sites: pd.DataFrame, learner: str, labels: str = "random") -> pd.DataFrame:
    """Mean score of a learner by data set and budget, with its interval over sites."""
    rows = []
    for data, part in sites.groupby(level="data"):
        for budget in BUDGETS:
            name = str(Condition(learner, budget, labels))
            if name in part and part[name].notna().any():
                found = _interval(part[name].dropna().to_numpy())
                rows.append({"data": data, "learner": learner, "budget": budget,
                             "mean": found.mean, "low": found.low, "high": found.high,
                             "sites": found.units})  # fmt: skip
    return pd.DataFrame(rows)


def drawn(sites: pd.DataFrame, learners: Sequence[str]) -> Figure:
    """Draw the scores of learners by the number of labels, one panel a data set."""
    known = sites.index.get_level_values("data").unique()
    figure, axes = plt.subplots(1, len(known), figsize=(3.2 * len(known), 3.2), sharey=True)
    for axis, data in zip(np.atleast_1d(axes), known, strict=True):
        for number, learner in enumerate(learners):
            rows = curve(sites.loc[[data]], learner)
            if rows.empty:
                continue
            mean, colour = 100 * rows["mean"], LEARNERS.get(learner)
            ends = np.abs(100 * rows[["low", "high"]].T.to_numpy() - mean.to_numpy())
            at = rows["budget"] * 1.04**number  # set apart, so that intervals do not cover
            axis.errorbar(at, mean, ends, fmt="o-", ms=4, capsize=2, label=learner, color=colour)
        number = int((sites.index.get_level_values("data") == data).sum())
        axis.set(xscale="log", title=f"{data} ({number} sites)", xlabel="labelled pixels a site")
        axis.set_xticks(BUDGETS, [f"{budget:,}" for budget in BUDGETS])
        axis.minorticks_off()
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("mIoU, %")
    first.legend(frameon=False, fontsize=9)
    return figure


def findings() -> list[str]:
    """What the published rows say, in plain sentences, each with its interval of 95 % and n."""
    if not any(folder().glob("*.parquet")):
        return []
    sites = by_site(scored())
    number = f"sites of {sites.index.get_level_values('data').nunique()} data sets"
    said, head, base = [], "frozen_linear", "pixel_forest"
    gain = effect(sites, Condition(head, 100), Condition(base, 100))[ALL]
    more = effect(sites, Condition(head, 1000), Condition(base, 1000))[ALL]
    if verdict(gain) == verdict(more) == "holds":
        said.append(
            "On your own scene a linear head on frozen features maps better than a forest of "
            f"single pixels: by {gain.text()} points of mIoU with 100 labelled pixels and by "
            f"{more.text()} with 1,000 ({gain.units} {number})."
        )
    times = [f"{s.mean:.0f} [{s.low:.0f}, {s.high:.0f}] times fewer on {CALLED[data]}"
             for data, s in saving(sites, head).items()]  # fmt: skip
    said.append(
        f"For the score that this forest has with {BUDGETS[-1]:,} labels, the head needs "
        f"{', '.join(times[:-1])} and {times[-1]}."
    )
    even = [effect(sites, Condition(head, n, "even"), Condition(head, n))[ALL] for n in EVEN]
    if {verdict(each) for each in even} == {"holds"}:
        said.append(
            "Labels spread evenly over the classes beat random ones: by "
            + " and ".join(f"{e.text()} points with {n}" for e, n in zip(even, EVEN, strict=True))
            + f" labels ({even[0].units} {number})."
        )
    return said


def saving(
    sites: pd.DataFrame, learner: str, than: str = "pixel_forest", budget: int = BUDGETS[-1],
    seed: int = 0,
) -> dict[str, Interval]:  # fmt: skip
    """How many times fewer labels a learner needs for the score that another has with `budget`.

    The learner's mean score over sites is interpolated on the logarithm of the budget. Where its
    smallest budget is already enough the saving is at least what is said; where its largest is not
    it is nan. The interval is the percentile bootstrap of sites.
    """
    found = {}
    for data, part in sites.groupby(level="data"):
        names = [str(Condition(learner, n)) for n in BUDGETS]
        whole = part[[*names, str(Condition(than, budget))]].dropna().to_numpy()
        if not len(whole):
            continue
        rng = np.random.default_rng(seed)
        drawn = [_saved(whole[rng.integers(0, len(whole), len(whole))], budget)
                 for _ in range(RESAMPLES)]  # fmt: skip
        low, high = np.nanpercentile(drawn, (2.5, 97.5)) if np.isfinite(drawn).any() else (
            np.nan, np.nan
        )  # fmt: skip
        value = _saved(whole, budget)
        found[data] = Interval(value, float(low), float(high), len(whole), len(whole))
    return found


def _saved(scores: np.ndarray, budget: int) -> float:
    *mine, wanted = scores.mean(axis=0)
    if wanted > max(mine):
        return np.nan
    needed = np.exp(np.interp(wanted, np.maximum.accumulate(mine), np.log(BUDGETS)))
    return float(budget / needed)


def _f1(counts: np.ndarray | float) -> float:
    if isinstance(counts, float) or not np.any(counts):  # a row without a whole map
        return np.nan
    return boundaries.scores(np.reshape(counts, (-1, len(boundaries.COUNTS)))).mean_f1


def miou(counts: np.ndarray) -> float:
    """Of a flat matrix of counts; nan where it is empty."""
    k = round(len(counts) ** 0.5)
    return metrics.scores(counts.reshape(k, k)).miou if counts.any() else np.nan


def _interval(values: np.ndarray) -> Interval:
    n = len(values)
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5 if n > 1 else np.nan
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half, n, n)


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
