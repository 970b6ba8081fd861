"""What the rows on the area of applicability say: does a map err more outside it than inside?

A site is the independent unit. It counts where 50 scored pixels or more lie on each side.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from fewlabels.results.statistics.intervals import Interval
from fewlabels.results.whole_maps import ALL, APPLICABILITY, folder, judged, pooled
from fewlabels.studies.w import APPLIED, APPLIES, CALLED

LEAST = 50  # scored pixels on a side


def scored(root: Path | None = None) -> pd.DataFrame:
    """Read the rows, with shares of wrong pixels; these are NaN for a site that does not count.

    `difference` is the share `outside` the area minus that `inside`. `unsure` is such a difference,
    too: of as many pixels of least probability and the others. `share` is that of pixels outside.
    """
    table = pd.read_parquet((root or folder()) / APPLICABILITY)
    few = table[["inside", "outside"]].min(axis=1) < LEAST
    within, beyond = (table[side].mask(few) for side in ("inside", "outside"))
    wrong = table["wrong_inside"] + table["wrong_outside"]
    table["share"] = table["outside"] / (table["inside"] + table["outside"])
    table["inside"] = table["wrong_inside"] / within
    table["outside"] = table["wrong_outside"] / beyond
    table["unsure"] = table["unsure"] / beyond - (wrong - table["unsure"]) / within
    return table.assign(difference=table["outside"] - table["inside"])


def tests(table: pd.DataFrame) -> pd.DataFrame:
    """One row a ground and number of labels: points of difference in each data set and over them,
    sites, the verdict, in how many sites of 100 it is above 0, and the same for unsure pixels.
    """
    rows = []
    for (ground, budget), own in _cells(table):
        found, unsure = _effect(own, "difference"), _effect(own, "unsure")
        more = 100 * (own["difference"].dropna() > 0).mean()
        rows.append(
            {"ground": ground, "labels": budget}
            | {name: interval.text() for name, interval in found.items()}
            | {"sites": found[ALL].units, "verdict": judged(found), "above 0, %": round(more)}
            | {"unsure pixels": unsure[ALL].text()}
        )
    return pd.DataFrame(rows)


def drawn(table: pd.DataFrame, budget: int = APPLIED[0]) -> Figure:
    """Draw the error inside and outside of each site, one panel a ground."""
    figure, axes = plt.subplots(1, len(APPLIES), figsize=(9.6, 3.4), sharex=True, sharey=True)
    cells = [(ground, own) for (ground, number), own in _cells(table) if number == budget]
    for axis, (ground, own) in zip(axes, cells, strict=True):
        for data, sites in own.groupby("data"):
            axis.plot(100 * sites["inside"], 100 * sites["outside"], "o", ms=3, alpha=0.7,
                      label=CALLED[data])  # fmt: skip
        axis.plot([0, 100], [0, 100], color="grey", lw=0.8)
        axis.set(title=ground, xlabel="wrong pixels inside, %")
    axes[0].set_ylabel("wrong pixels outside, %")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _cells(table: pd.DataFrame) -> list[tuple[tuple[str, int], pd.DataFrame]]:
    return [((ground, n), table[(table["ground"] == ground) & (table["budget"] == n)])
            for ground in APPLIES for n in APPLIED]  # fmt: skip


def _effect(rows: pd.DataFrame, column: str) -> dict[str, Interval]:
    return pooled(rows.groupby(["data", "site"])[column].mean())
