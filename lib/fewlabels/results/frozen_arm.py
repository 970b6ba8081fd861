"""What the rows of the frozen arm say: claims by site over data sets, decisions, learners.

As in study W a site is the independent unit, and data sets are fixed and count alike. A claim has
to pass the same rule as with networks: an interval on its side and Holm's p within its study.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.stats import t
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from fewlabels import paths
from fewlabels.results import whole_maps
from fewlabels.results.statistics.decisions import SCALE, decisions
from fewlabels.results.statistics.intervals import Interval, interval
from fewlabels.results.statistics.verdicts import ALPHA
from fewlabels.studies import STUDIES, frozen_arm
from fewlabels.studies.design import Claim
from fewlabels.studies.frozen_arm import HEAD
from fewlabels.studies.run import Run

NETWORKS, PATCHES = "_networks", "_patches"
PARTS = ("", NETWORKS, PATCHES)
"""Ends of the names of a data set's tables: heads and learners, `fold_networks`, heads where single
tiles are dealt into the folds."""

ARMS = MappingProxyType({"frozen head": HEAD, "fine-tuned network": frozen_arm.NETWORK})
"""Who is asked the claims across sites, as readers know them."""


def folder() -> Path:
    """The folder of the committed rows, one table a data set."""
    return paths.published_root() / "frozen_arm"


def scored(root: Path | None = None) -> pd.DataFrame:
    """Read the rows of all data sets and score each: mIoU over the classes of the site's truth."""
    files = [(root or folder()) / f"{data}{part}.parquet"
             for data in frozen_arm.DATA for part in PARTS]  # fmt: skip
    table = pd.concat(
        [_by_site(pd.read_parquet(f)) for f in files if f.exists()], ignore_index=True
    )
    table["miou"] = [whole_maps.miou(np.asarray(counts)) for counts in table["confusion"]]
    return table


def _by_site(table: pd.DataFrame) -> pd.DataFrame:
    """Add up the counts of a site whose tiles are tested in several folds."""
    key = ["data", "site", "replicate", "learner", "condition"]
    if not table.duplicated(key).any():
        return table
    counts = table.groupby(key)["confusion"].agg(lambda each: np.sum(each.tolist(), axis=0))
    return counts.reset_index()


def differences(table: pd.DataFrame, claim: Claim, learner: str = HEAD) -> pd.DataFrame:
    """Compute a claim's value for each replicate on each site: columns `data`, `site`, `replicate`
    and `value`.

    The value is mean(plus) - mean(minus); for `share`, mean(plus) - threshold * mean(minus).

    Args:
        learner: who is asked, where the claim names none.
    """
    factor = claim.threshold if claim.measure == "share" else 1.0

    def mean(part: pd.DataFrame, data: str, names: Sequence[str]) -> pd.Series:
        return sum(_scores(part, data, name, learner) for name in names) / len(names)

    parts = [
        mean(part, data, claim.plus) - factor * mean(part, data, claim.minus)
        for data, part in table.groupby(table["data"].str.partition(":")[0])
    ]
    return pd.concat(parts).dropna().rename("value").reset_index()


def claims(
    table: pd.DataFrame, asked: Mapping[str, Claim] | None = None, scale: float = SCALE,
    learner: str = HEAD,
) -> pd.DataFrame:  # fmt: skip
    """Decide each claim: a row of `claim`, `effect` (data set or `all` -> interval of the value),
    `p_holm` within its study, `verdict`, and `decision` under priors of `scale`.

    Args:
        learner: see `differences`.
    """
    asked = frozen_arm.claims() if asked is None else asked
    asked = asked if len(table) else {}
    values = {name: differences(table, claim, learner) for name, claim in asked.items()}
    values = {name: rows for name, rows in values.items() if len(rows)}
    means = {name: rows.groupby(["data", "site"])["value"].mean() for name, rows in values.items()}
    effects = {name: whole_maps.pooled(each) for name, each in means.items()}
    over = {name: whole_maps.moments(each) for name, each in means.items()}
    holm, decided = {}, {}
    for names in _families(values):
        tests = [_p(over[name]) for name in names]
        holm |= dict(zip(names, multipletests(tests, method="holm")[1], strict=True))
        decided |= decisions({name: values[name] for name in names}, scale=scale)
    found = [
        (name, effects[name], holm[name],
         verdict(asked[name], effects[name], holm[name], over[name]), decided[name])
        for name in values
    ]  # fmt: skip
    return pd.DataFrame(found, columns=["claim", "effect", "p_holm", "verdict", "decision"])


def verdict(
    claim: Claim, effect: Mapping[str, Interval], p_holm: float, over: whole_maps.Moments
) -> str:
    """Apply the rule of the networks' claims over data sets; where two data sets are clear by
    themselves and disagree in sign, say it by data set.
    """
    each = {data: one for data, one in effect.items() if data != whole_maps.ALL}
    clear = {d: claim.sign * one.mean > 0 for d, one in each.items() if one.low * one.high > 0}
    if len(set(clear.values())) > 1:
        said = {True: "holds", False: "does not hold"}
        return "; ".join(f"{data}: {said.get(clear.get(data), 'cannot tell')}" for data in each)
    whole = effect[whole_maps.ALL]
    low, high = sorted((claim.sign * whole.low, claim.sign * whole.high))
    if low > 0 and p_holm < ALPHA:
        return "holds"
    small = claim.measure == "difference" and _within(over, claim.margin)
    return "does not hold" if high < 0 or small else "cannot tell"


def text(claim: Claim, effect: Interval, of: float = 1.0) -> str:
    """Write an effect for readers: points of mIoU, or a share in %.

    Args:
        of: for a share, the mean of its bound.
    """
    if claim.measure != "share":
        return effect.text()
    ends = ((value / of + claim.threshold) for value in (effect.mean, effect.low, effect.high))
    return Interval(*ends, effect.units, effect.blocks).text(100, 0) + " %"


def table(judged: pd.DataFrame, rows: pd.DataFrame, learner: str = HEAD) -> pd.DataFrame:
    """Tabulate `claims` for readers: claim, effect over data sets, sites, verdict, and what to do
    where the claim is on a difference of mIoU.
    """
    asked = frozen_arm.claims() | frozen_arm.CLAIMS
    found = []
    for one in judged.itertuples():
        claim, effect = asked[one.claim], one.effect[whole_maps.ALL]
        of = bound(rows, claim, learner) if claim.measure == "share" else 1.0
        found.append(
            {"claim": f"{one.claim}: {claim.text}", "effect": text(claim, effect, of),
             "sites": effect.units, "verdict": one.verdict,
             "what to do": one.decision.advice if claim.measure == "difference" else "-"}
        )  # fmt: skip
    return pd.DataFrame(found, columns=["claim", "effect", "sites", "verdict", "what to do"])


def sensitivity(
    table: pd.DataFrame, asked: Mapping[str, Claim], learner: str = HEAD
) -> pd.DataFrame:
    """Pool the claims on a difference in other ways, none of which decides: a row a claim, in
    points with 95 % intervals.

    `p of heterogeneity` is Cochran's, of one effect in all data sets. `Hartung-Knapp` takes data
    sets as random (DerSimonian and Laird's weights), and so speaks of other data sets.
    `Nadeau-Bengio` is over folds, whose variance is raised by tests / training sites (1/4 of five
    folds), since folds share training sites.

    Sources: Hartung and Knapp 2001, https://doi.org/10.1002/sim.791; Nadeau and Bengio 2003,
    https://doi.org/10.1023/A:1024068626366
    """
    folds = table[table["data"].isin(frozen_arm.DATA)].drop_duplicates(["data", "site"])
    found = []
    for name, claim in asked.items():
        values = differences(table, claim, learner)
        if claim.measure != "difference" or values.empty:
            continue
        sites = values.groupby(["data", "site"])["value"].mean()
        each = sites.groupby(level="data").agg(["mean", "var", "size"])
        said = {"claim": name, "over sites": whole_maps.pooled(sites)[whole_maps.ALL].text()}
        if len(each) > 1:
            over = combine_effects(each["mean"].to_numpy(), (each["var"] / each["size"]).to_numpy(),
                                   method_re="dl", use_t=True)  # fmt: skip
            ends = over.conf_int()[3]  # random effects, scaled as Hartung and Knapp do
            known = Interval(over.mean_effect_re, *ends, len(sites), len(each))
            said |= {"p of heterogeneity": f"{over.test_homogeneity().pvalue:.3f}",
                     "Hartung-Knapp": known.text()}  # fmt: skip
        within = sites.reset_index().merge(folds[["data", "site", "fold"]])
        means = within.groupby(["data", "fold"])["value"].mean()
        mean, error, freedom = whole_maps.moments(means)
        number = means.groupby(level="data").size().max()
        half = float(t.ppf(0.975, freedom) * error * (1 + number / (number - 1)) ** 0.5)
        corrected = Interval(mean, mean - half, mean + half, len(sites), len(means))
        found.append(said | {"Nadeau-Bengio": corrected.text()})
    return pd.DataFrame(found).fillna("-")


def findings(networks: pd.DataFrame) -> list[str]:
    """Say in plain sentences what the published rows show, each with its interval of 95 % and n.

    Args:
        networks: see `beside_networks`.
    """
    if not any(folder().glob("*.parquet")):
        return []
    beside = beside_networks(by_fold(scored(), "dubai"), networks).set_index("labels")
    own = beside.loc["100 px"]
    return [
        f"On new ground the head scores {own['frozen head']} % mIoU with 100 labelled pixels an "
        f"image. U-Nets of 250 steps, as in the five studies, score {own['network']} % with the "
        f"same labels and {beside.loc['dense', 'network']} % with every pixel; the differences are "
        f"{own['head - network']} and {own['head - network of every pixel']} points ({own['n']} "
        "runs on the 5 places of Dubai)."
    ]


def beside_networks(head: pd.DataFrame, networks: pd.DataFrame) -> pd.DataFrame:
    """Compare the head with published networks on the same folds: labels, mIoU of both in %, and
    what the head gains over the network with as many labels and over the one with every pixel.

    Args:
        head: from `by_fold`.
        networks: the budget study's `records.table`.
    """
    key, found = ["fold", "replicate"], []
    scores = {name: part.set_index(key)["miou"] for name, part in networks.groupby("condition")}
    drawn, runs = networks.groupby("condition")["pixels"].mean(), frozen_arm.runs("dubai")
    for name in drawn.sort_values().index:
        run = runs.get(name) or Run(amount=int(name.split()[0].replace(",", "")))
        own = head[head["condition"] == frozen_arm.described(run)].set_index(key)["miou"]
        own = own[own.index.isin(scores[name].index)]
        if len(own):
            gains = [_over_folds(own - scores[of][own.index]) for of in (name, "dense")]
            found.append(
                {"labels": name, "frozen head": f"{100 * own.mean():.1f}",
                 "network": f"{100 * scores[name][own.index].mean():.1f}",
                 "head - network": gains[0].text(),
                 "head - network of every pixel": gains[1].text(), "n": len(own)}
            )  # fmt: skip
    return pd.DataFrame(found)


def _over_folds(values: pd.Series) -> Interval:
    return interval(values.to_numpy(), values.index.get_level_values("fold").to_numpy())


def bound(table: pd.DataFrame, claim: Claim, learner: str = HEAD) -> float:
    """Average the bound of a share over sites, then over the data sets that have it."""
    return float(np.nanmean([
        _scores(part, data, claim.minus[0], learner).groupby(level="site").mean().mean()
        for data, part in table.groupby("data")
    ]))  # fmt: skip


def by_fold(table: pd.DataFrame, data: str, learner: str = HEAD) -> pd.DataFrame:
    """Score a learner on all test sites of a fold together, as networks are scored: columns
    `condition` (the text of its labels), `fold`, `replicate` and `miou`.
    """
    own = table[(table["data"] == data) & (table["learner"] == learner)]
    grouped = own.groupby(["condition", "fold", "replicate"])["confusion"]
    return grouped.agg(lambda each: whole_maps.miou(np.sum(each.tolist(), axis=0))).rename(
        "miou").reset_index()  # fmt: skip


def _scores(part: pd.DataFrame, data: str, condition: str, learner: str) -> pd.Series:
    """Look up mIoU by (data, site, replicate) of a study's condition, or of `LEARNER, LABELS`."""
    named, _, budget = condition.partition(", ")
    if named in frozen_arm.LEARNERS:
        learner, run = named, Run(data=data, amount=int(budget.removesuffix(" px")))
    elif named in frozen_arm.TUNED:
        learner, run = named, frozen_arm.runs(data)[budget]
    else:
        run = frozen_arm.runs(data)[condition]
    wanted = {"learner": learner, "condition": frozen_arm.described(run), "data": run.data}
    own = part[(part[list(wanted)] == list(wanted.values())).all(axis=1)]
    return own.assign(data=data).set_index(["data", "site", "replicate"])["miou"]


def _families(names: Iterable[str]) -> list[list[str]]:
    every = list(names)
    found = [[name for name in every if frozen_arm.family(name) == of]
             for of in (*STUDIES, *frozen_arm.OWN)]  # fmt: skip
    return [names for names in found if names]


def _p(found: whole_maps.Moments) -> float:
    """Of the two-sided t test that a mean is 0."""
    return float(2 * t.sf(abs(found.mean) / found.error, found.freedom)) if found.error else 0.0


def _within(found: whole_maps.Moments, margin: float) -> bool:
    """Whether two one-sided t tests show that a mean lies within the margin."""
    half = t.ppf(1 - ALPHA, found.freedom) * found.error
    return bool(max(abs(found.mean - half), abs(found.mean + half)) < margin)
