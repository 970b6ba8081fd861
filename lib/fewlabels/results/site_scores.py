"""Scores of study W by learner, budget and class, the labels saved, and the findings in words."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fewlabels.results import whole_maps
from fewlabels.results.figures import LEARNERS
from fewlabels.results.statistics.intervals import Interval
from fewlabels.results.whole_maps import (
    ALL,
    by_site,
    effect,
    folder,
    pooled,
    scored,
    spread,
    verdict,
)
from fewlabels.studies import w
from fewlabels.studies.w import BUDGETS, CALLED, CORRECTED, EVEN, NETWORK_DATA, Condition

RESAMPLES = 2000


def class_gains(table: pd.DataFrame, one: Condition, other: Condition) -> pd.DataFrame:
    """The mean over sites of the difference of each class's IoU, in points, with its interval.

    Replicates of a site are counted together. A site speaks for the classes that its truth has.

    Returns:
        Columns `data`, `class` (its number), `gain` and `sites`.
    """
    found = {each: _counts(table, each).map(_class_iou) for each in (one, other)}
    both = pd.concat(found.values(), axis=1, keys=["a", "b"]).dropna()
    rows = []
    for data, part in both.groupby(level="data"):
        apart = np.stack(part["a"]) - np.stack(part["b"])
        for number, values in enumerate(apart.T):
            known = values[~np.isnan(values)]
            if len(known) > 1:
                gain = spread(known)
                rows.append(
                    {"data": data, "class": number, "gain": gain.text(), "sites": len(known)}
                )
    return pd.DataFrame(rows)


def _counts(table: pd.DataFrame, condition: Condition) -> pd.Series:
    """The counts of each site, its replicates added up."""
    own = whole_maps.rows_of(table, condition).groupby(["data", "site"])["confusion"]
    return own.agg(lambda part: np.sum(part.tolist(), axis=0))


def _class_iou(counts: np.ndarray) -> np.ndarray:
    """IoU of each class; NaN where the truth has no pixel of it."""
    k = round(len(counts) ** 0.5)
    matrix = np.reshape(counts, (k, k))
    hits, truth = matrix.diagonal(), matrix.sum(axis=1)
    union = truth + matrix.sum(axis=0) - hits
    return np.where(truth > 0, hits / np.maximum(union, 1), np.nan)


def worst(
    table: pd.DataFrame, condition: Condition, names: Mapping[str, Sequence[str]], number: int = 3
) -> pd.DataFrame:
    """The sites of each data set with the lowest score, and the largest error on each.

    Replicates of a site are counted together.

    Args:
        names: the classes of each data set.

    Returns:
        Columns `data`, `site`, `mIoU, %`, and `largest error`: the class of the most wrong pixels,
        what they are mapped as, and which share of the class that is.
    """
    rows = []
    for (data, site), each in _counts(table, condition).items():
        matrix = np.reshape(each, (len(names[data]), -1))
        wrong = matrix - np.diag(matrix.diagonal())
        truth, guess = np.unravel_index(wrong.argmax(), wrong.shape)
        share = 100 * wrong[truth, guess] / max(matrix[truth].sum(), 1)
        error = f"{share:.0f} % of {names[data][truth]} mapped as {names[data][guess]}"
        rows.append((data, site, 100 * np.nanmean(_class_iou(each)), error))
    found = pd.DataFrame(rows, columns=["data", "site", "mIoU, %", "largest error"])
    return found.sort_values(["data", "mIoU, %"]).groupby("data").head(number)


def beside(table: pd.DataFrame, pairs: Iterable[Sequence[Condition]]) -> pd.DataFrame:
    """Mean mIoU of two conditions on the same draws, and the difference; data sets count alike."""
    rows, key = [], ["data", "site", "replicate"]
    for pair in pairs:
        names = [str(each) for each in pair]
        both = {str(n): whole_maps.rows_of(table, n).set_index(key)["miou"] for n in pair}
        own = pd.concat(both, axis=1).dropna().groupby(["data", "site"]).mean()
        if len(own):
            one, other = (pooled(own[name])[ALL] for name in names)
            rows.append({"first": names[0], "second": names[1], "mIoU of first": one.text(),
                         "of second": other.text(), "sites": one.units,
                         "difference": effect(table, *pair)[ALL].text()})  # fmt: skip
    return pd.DataFrame(rows)


def by_images(table: pd.DataFrame) -> pd.DataFrame:
    """What the linear head gains over the forest of single pixels on each `Variant` of images."""
    rows = []
    for data, other in w.VARIANTS.items():
        own = table[table["data"] == data]
        for more in ("", f", {other.called}"):
            names = [f"{name}{more}" for name in ("frozen_linear", "pixel_forest")]
            gains = {f"{n:,} labels": effect(own, *(Condition(name, n) for name in names))
                     for n in BUDGETS if set(names) <= set(own["learner"])}  # fmt: skip
            rows.append(
                {"images": data + more} | {n: gain[ALL].text() for n, gain in gains.items()}
            )
    return pd.DataFrame(rows)


def curve(sites: pd.DataFrame, learner: str, labels: str = "random") -> pd.DataFrame:
    """Mean score of a learner by data set and budget, with its interval over sites."""
    rows = []
    for data, part in sites.groupby(level="data"):
        for budget in BUDGETS:
            name = str(Condition(learner, budget, labels))
            if name in part and part[name].notna().any():
                found = spread(part[name].dropna().to_numpy())
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
    table = scored()
    sites = by_site(table)
    number = f"sites of {sites.index.get_level_values('data').nunique()} data sets"
    said, head, base = [], "frozen_linear", "pixel_forest"
    gain = effect(table, Condition(head, 100), Condition(base, 100))[ALL]
    more = effect(table, Condition(head, 1000), Condition(base, 1000))[ALL]
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
    even = [effect(table, Condition(head, n, "even"), Condition(head, n))[ALL] for n in EVEN]
    sure = [effect(table, Condition(head, n, "unsure"), Condition(head, n))[ALL] for n in CORRECTED]
    if {verdict(each) for each in (*even, *sure)} == {"holds"}:
        least = min(each.units for each in (*even, *sure))
        first, second = (
            " and ".join(f"{e.text()} with {n}" for e, n in zip(each, budgets, strict=True))
            for each, budgets in ((even, EVEN), (sure, CORRECTED))
        )
        said.append(
            f"Where you label matters. Labels even over the classes beat random ones: by {first} "
            "labels. So does a second half of the labels where the map of the first half is least "
            f"sure, as `predict --next` names them: by {second} ({least} or more {number})."
        )
    if any("fine_tuned" in name for name in sites):
        few, many = (
            effect(table, Condition("fine_tuned", n), Condition(head, n))[ALL] for n in (100, 1000)
        )
        said.append(
            "Training the encoder, too, which takes minutes (`--method fine_tuned`), changes the "
            f"head's map by {few.text()} points with 100 labels and by {many.text()} with 1,000 "
            f"({few.units} sites of {len(NETWORK_DATA)} data sets; above 0: better)."
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
