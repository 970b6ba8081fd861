"""What study W says to somebody with so many labels on such a scene."""

import numpy as np
import pandas as pd

from fewlabels.results import whole_maps
from fewlabels.results.statistics.intervals import Interval
from fewlabels.studies.w import BUDGETS, LEARNERS, Condition
from fewlabels.types import FewLabelsError

KINDS = ("points", "scribbles", "polygons")
COARSE = 5.0  # metres; Sentinel-2's pixels and larger are compared with `india_s2_nir`
BASE = "pixel_forest"


class AdviceError(FewLabelsError, ValueError):
    """A question that study W cannot answer."""


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
        AdviceError: there are fewer than one label or band, no pixel size, or no such kind.
    """
    if labels < 1 or bands < 1 or not pixel > 0 or kind not in KINDS:
        raise AdviceError(
            f"{labels} labels of kind '{kind}', pixels of {pixel} m and {bands} bands: needed are "
            f"at least 1 label and 1 band, a size above 0, and one of {', '.join(KINDS)}"
        )
    rows = whole_maps.scored() if table is None else table
    wanted = ("india_s2_nir",) if pixel >= COARSE else ("cz_ortho", "usgs_coast")
    sites = whole_maps.by_site(rows[rows["data"].isin(wanted)])
    known = [name for name in LEARNERS if name in set(rows["learner"])]
    inside = int(np.clip(labels, BUDGETS[0], BUDGETS[-1]))
    means = {name: _mean(_at(sites, name, inside)) for name in known}
    best = max(means, key=means.get)
    gain, more = _effects(sites, best, inside)
    names = " and ".join(wanted)
    said = [
        f"{best}: {gain.text()} points of mIoU more than {BASE} with {inside} labels "
        f"({gain.units} sites of {names}); start with `fewlabels train SCENE LABELS MODEL`, which "
        "also scores the other quick learners on labels that are held out",
        f"twice the labels: {more.text()} points more",
    ]
    if inside != labels:
        said.append(f"the study has {BUDGETS[0]} to {BUDGETS[-1]} labels a site, not {labels}")
    if kind != "points":
        said.append(
            f"the study drew single pixels; {kind} hold fewer independent labels than pixels"
        )
    if bands > 4 or (bands > 3 and pixel < COARSE):
        said.append(f"the study has no such images with {bands} bands: trust the held-out scores")
    return said


def _at(sites: pd.DataFrame, learner: str, labels: int) -> pd.Series:
    """The score of each site with so many labels, interpolated."""
    names = [str(Condition(learner, budget)) for budget in BUDGETS]
    whole = sites[names].dropna()
    found = [np.interp(np.log(labels), np.log(BUDGETS), row) for row in whole.to_numpy()]
    return pd.Series(found, index=whole.index)


def _effects(sites: pd.DataFrame, best: str, labels: int) -> tuple[Interval, Interval]:
    """The gain over the baseline, and of twice the labels (at most as many as the study has)."""
    twice = min(2 * labels, BUDGETS[-1])
    one, other = Condition(best, labels), Condition(BASE, labels)
    more = Condition(best, twice, "even")  # a name of its own where the budget is the largest
    made = pd.DataFrame(
        {str(one): _at(sites, best, labels), str(other): _at(sites, BASE, labels),
         str(more): _at(sites, best, twice)}
    )  # fmt: skip
    return (
        whole_maps.effect(made, one, other)[whole_maps.ALL],
        whole_maps.effect(made, more, one)[whole_maps.ALL],
    )


def _mean(values: pd.Series) -> float:
    return float(values.groupby(level="data").mean().mean())
