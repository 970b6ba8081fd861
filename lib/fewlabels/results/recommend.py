"""What study W says to somebody with so many labels on such a scene."""

from types import MappingProxyType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fewlabels.labels.sampling import NEXT_CLICK
from fewlabels.results import whole_maps
from fewlabels.results.figures import LEARNERS
from fewlabels.results.statistics.decisions import SAME, Decision, decisions
from fewlabels.results.statistics.intervals import Interval
from fewlabels.studies.w import (
    BUDGETS,
    CORRECTED,
    NETWORK_BUDGETS,
    SCRIBBLED_FOR,
    SCRIBBLES,
    Condition,
)
from fewlabels.types import FewLabelsError

KINDS = ("points", "scribbles", "polygons")
COARSE = 5.0  # metres; Sentinel-2's pixels and larger are compared with `india_s2_nir`
BASE = "pixel_forest"
ALIKE = MappingProxyType(
    {"fine RGB": ("cz_ortho", "usgs_coast"), "10 m, four bands": ("india_s2_nir",)}
)
"""Kind of image -> the data sets that speak for it."""
CHEAPEST = ("pixel_forest", "frozen_linear", "texture_forest", "frozen_forest")
"""The learners by their seconds in study W."""


class AdviceError(FewLabelsError, ValueError):
    """A question that study W cannot answer."""


def there() -> bool:
    """Whether the rows of study W are here; a package that is installed alone has none."""
    return any(whole_maps.folder().glob("*.parquet"))


def recommend(
    labels: int, kind: str = "points", pixel: float = 0.5, bands: int = 3,
    table: pd.DataFrame | None = None,
) -> list[str]:  # fmt: skip
    """Say which learner to use, what it gains, and what twice the labels would, in lines.

    Scores are interpolated between the study's budgets on the logarithm of the number of labels,
    site by site.

    Args:
        labels: labelled pixels on the scene.
        kind: of the labels.
        pixel: side of a pixel in metres.
        bands: of the scene.
        table: rows of study W; the published ones if None.

    Raises:
        AdviceError: fewer than one label or band, no pixel size, no such kind, or no rows.
    """
    if labels < 1 or bands < 1 or not pixel > 0 or kind not in KINDS:
        raise AdviceError(
            f"{labels} labels of kind '{kind}', pixels of {pixel} m and {bands} bands: needed are "
            f"at least 1 label and 1 band, a size above 0, and one of {', '.join(KINDS)}"
        )
    if table is None and not there():
        raise AdviceError(
            f"there are no rows of study W in '{whole_maps.folder()}'; ask in a checkout of the "
            "project, where they are"
        )
    rows = whole_maps.scored() if table is None else table
    wanted = ALIKE["10 m, four bands" if pixel >= COARSE else "fine RGB"]
    sites = whole_maps.by_site(rows[rows["data"].isin(wanted)])
    known = _complete(rows[rows["data"].isin(wanted)])
    inside = int(np.clip(labels, BUDGETS[0], BUDGETS[-1]))
    means = {name: _mean(_at(sites, name, inside)) for name in known}
    best = max(means, key=means.get)
    gain, more = _effects(sites, best, inside)
    names = " and ".join(wanted)
    said = [
        f"{best}: {gain.text()} points of mIoU more than {BASE} with {inside} labels "
        f"({gain.units} sites of {names}, study W)",
        f"twice the labels: {more.text()} points more",
    ]
    said += _tuned(rows[rows["data"].isin(wanted)], inside)
    said += _unsure(rows[rows["data"].isin(wanted)], inside)
    if inside != labels:
        said.append(f"the study has {BUDGETS[0]} to {BUDGETS[-1]} labels a site, not {labels}")
    if kind != "points":
        said.append(
            f"these scores are of single pixels; {kind} hold fewer independent labels than pixels"
        )
    if kind == "scribbles":
        said += _clicked(rows)
    if bands > 4 or (bands > 3 and pixel < COARSE):
        said.append(f"the study has no such images with {bands} bands: trust the held-out scores")
    return said


def _tuned(rows: pd.DataFrame, labels: int) -> list[str]:
    """What training the encoder, too, adds at the nearest budget of the study; empty if not run."""
    budget = min(NETWORK_BUDGETS, key=lambda each: abs(np.log(each / labels)))
    pair = [Condition(name, budget) for name in ("fine_tuned", "frozen_linear")]
    return [
        f"fine_tuned, which takes minutes: {gain.text()} points more than frozen_linear with "
        f"{budget} labels ({gain.units} sites)"
        for gain in _gains(rows, *pair)
    ]


def _unsure(rows: pd.DataFrame, labels: int) -> list[str]:
    """What it adds to label where the map is least sure, as `_tuned`."""
    budget = min(CORRECTED, key=lambda each: abs(np.log(each / labels)))
    pair = [Condition("frozen_linear", budget, kind) for kind in ("unsure", "random")]
    return [
        "half of the labels where the map of the others is least sure (predict --next): "
        f"{gain.text()} points more than all at random, {budget} labels ({gain.units} sites)"
        for gain in _gains(rows, *pair)
    ]


def _clicked(rows: pd.DataFrame) -> list[str]:
    """What clicks gain over scribbles in the same time; empty if not run."""
    pair = [Condition(SCRIBBLED_FOR, SCRIBBLES[0], kind) for kind in ("clicks", "scribbles")]
    return [
        f"single clicks, even over the classes: {gain.text()} points more than {SCRIBBLES[0]} "
        f"scribbles a class that take as long ({gain.units} sites)"
        for gain in _gains(rows, *pair)
    ]


def _gains(rows: pd.DataFrame, *pair: Condition) -> list[Interval]:
    """What the first condition gains over the second; empty if not run on two sites."""
    run = len(whole_maps.differences(rows, *pair)) > 1
    return [whole_maps.effect(rows, *pair)[whole_maps.ALL]] if run else []


def advice(table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Tabulate what to do with the labels one has: a row a kind of image and budget.

    To take is the learner of the best mean score, or a cheaper one that is within a point of it by
    the rule of `decisions`. `saves` is how many more labels the single-pixel forest needs for the
    same score, and what these clicks would take.

    Args:
        table: rows of study W; the published ones if None.
    """
    rows = whole_maps.scored() if table is None else table
    found = []
    for kind, wanted in ALIKE.items():
        own = rows[rows["data"].isin(wanted)]
        known = _complete(own)
        for budget in BUDGETS:
            means = {name: _mean(_at(whole_maps.by_site(own), name, budget)) for name in known}
            take = best = max(means, key=means.get)
            for name in reversed(known[: known.index(best)]):
                if _decided(own, best, name, budget).same > SAME:
                    take = name
            gain = _decided(own, take, BASE, budget) if take != BASE else None
            found.append(
                {"image": kind, "labels": f"{budget:,}", "take": take,
                 "gain, points": "-" if gain is None else gain.ends(),
                 "P(gain above 1)": "-" if gain is None else f"{100 * gain.better:.0f} %",
                 "saves": _saves(own, take, budget),
                 "sites": own["site"].nunique()}
            )  # fmt: skip
    return pd.DataFrame(found)


def drawn(table: pd.DataFrame) -> Figure:
    """Draw the scores of learners by the number of labels, one panel a kind of image, and mark how
    many times fewer labels the linear head needs than the 1,000 of the single-pixel forest.
    """
    looks = {
        "frozen_linear": ("linear head on frozen features", "o"),
        "texture_forest": ("forest on texture", "^"),
        BASE: ("forest of single pixels", "s"),
    }
    figure, axes = plt.subplots(1, len(ALIKE), figsize=(7.2, 2.6), sharey=True)
    for axis, (kind, wanted) in zip(axes, ALIKE.items(), strict=True):
        sites = whole_maps.by_site(table[table["data"].isin(wanted)])
        curves = {}
        for number, (name, (label, marker)) in enumerate(looks.items()):
            found = [whole_maps.pooled(sites[str(Condition(name, n))])[whole_maps.ALL]
                     for n in BUDGETS]  # fmt: skip
            curves[name] = [100 * each.mean for each in found]
            ends = [100 * (each.high - each.mean) for each in found]
            at = np.array(BUDGETS) * 1.04**number  # set apart, so that intervals do not cover
            axis.errorbar(at, curves[name], ends, marker=marker, ms=5, capsize=2, label=label,
                          color=LEARNERS[name])  # fmt: skip
        level = curves[BASE][-1]
        mine = np.maximum.accumulate(curves["frozen_linear"])
        needed = float(np.exp(np.interp(level, mine, np.log(BUDGETS))))
        axis.annotate("", (needed, level), (BUDGETS[-1], level),
                      arrowprops={"arrowstyle": "->", "color": "#000000", "lw": 1})  # fmt: skip
        least = "at least " if level <= mine[0] else ""
        saved = f"{least}{BUDGETS[-1] / needed:.0f} times fewer labels"
        axis.set(xscale="log", title=f"{kind}, {len(sites)} sites: {saved}",
                 xlabel="labelled pixels on the scene")  # fmt: skip
        axis.set_xticks(BUDGETS, [f"{budget:,}" for budget in BUDGETS])
        axis.minorticks_off()
    axes[0].set_ylabel("mIoU, %")
    axes[1].legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _complete(rows: pd.DataFrame) -> list[str]:
    """The learners that are run on every site, from the cheapest on."""
    run = rows.drop_duplicates(["data", "site", "learner"]).groupby("learner").size()
    return [name for name in CHEAPEST if run.get(name) == run.max()]


def _decided(rows: pd.DataFrame, one: str, other: str, budget: int) -> Decision:
    pair = Condition(one, budget), Condition(other, budget)
    return decisions({"": whole_maps.differences(rows, *pair)})[""]


def _saves(rows: pd.DataFrame, take: str, budget: int) -> str:
    sites = whole_maps.by_site(rows)
    if take == BASE:
        return "-"
    reached = _mean(_at(sites, take, budget))
    curve = np.maximum.accumulate([_mean(_at(sites, BASE, n)) for n in BUDGETS])
    needed = float(np.exp(np.interp(reached, curve, np.log(BUDGETS))))
    more = round(needed - budget)
    least = "> " if reached > curve[-1] else ""
    if more <= 0:
        return "not reached with 1,000" if least else "none"
    return f"{least}{more:,} labels, {least}{more * NEXT_CLICK / 60:.0f} min"


def _at(sites: pd.DataFrame, learner: str, labels: int) -> pd.Series:
    """The score of each site with so many labels, interpolated."""
    names = [str(Condition(learner, budget)) for budget in BUDGETS]
    whole = sites[names].dropna()
    found = [np.interp(np.log(labels), np.log(BUDGETS), row) for row in whole.to_numpy()]
    return pd.Series(found, index=whole.index)


def _effects(sites: pd.DataFrame, best: str, labels: int) -> tuple[Interval, Interval]:
    """The gain over the baseline, and of twice the labels (at most as many as the study has)."""
    twice = min(2 * labels, BUDGETS[-1])
    own, base, more = (
        _at(sites, name, n) for name, n in ((best, labels), (BASE, labels), (best, twice))
    )
    return tuple(whole_maps.pooled(each)[whole_maps.ALL] for each in (own - base, more - own))


def _mean(values: pd.Series) -> float:
    return float(values.groupby(level="data").mean().mean())
