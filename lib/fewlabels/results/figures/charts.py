"""Draw scores, losses, times and areas as charts: means with their intervals, and single runs."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewlabels.results.statistics import Interval, interval

SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Colours of what is compared, in this order: Okabe and Ito's, as those of classes in `maps`."""
LEARNERS = {
    "frozen_linear": "#0072B2", "texture_forest": "#E69F00", "frozen_forest": "#009E73",
    "pixel_forest": "#000000",
}  # fmt: skip
LOOK = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "axes.titlesize": 10,
    "image.interpolation": "nearest",
}
ESTIMATE, MAPPED = "#0072B2", "#D55E00"  # colours of an assessment


def style() -> None:
    """Set the project's look for this process; notebooks call it once."""
    sns.set_theme(context="paper", style="ticks", palette=SERIES)
    mpl.rcParams.update(LOOK)


def bars(values: pd.DataFrame, classes: Sequence[str], *, label: str) -> Figure:
    """Draw grouped horizontal bars: a group for each class (row), a bar for each column.

    Up to two columns, the bars carry their values.
    """
    named = values.set_axis(list(classes)).rename_axis("class").reset_index()
    long = named.melt("class", var_name=" ")
    figure, axis = plt.subplots(figsize=(6.4, 0.34 * len(classes) + 0.9))
    sns.barplot(long, y="class", x="value", hue=" ", ax=axis, palette=SERIES[: len(values.columns)],
                saturation=1)  # fmt: skip
    if len(values.columns) <= 2:
        for bar in axis.containers:
            axis.bar_label(bar, fmt="{:.3g}", fontsize=7, padding=2)
    axis.set(xlabel=label, ylabel="")
    if len(values.columns) == 1:
        axis.get_legend().remove()
    else:
        axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def tradeoff(shares: pd.DataFrame) -> Figure:
    """Plot purity over coverage in %: a panel for each budget, a line for each method's reaches.

    Args:
        shares: `coverage` and `purity` as fractions, indexed by (budget, method, reach).
    """
    rows = (100 * shares[["coverage", "purity"]]).reset_index()
    rows["labels"] = (100 * rows["budget"]).map("{:g} % of the pixels".format)
    grid = sns.relplot(rows, x="coverage", y="purity", hue="method", style="method", col="labels",
                       kind="line", markers=True, dashes=False, sort=False, height=4)  # fmt: skip
    grid.set(xscale="log", xlabel="coverage in %", ylabel="purity in %")
    grid.set_titles("{col_name}")
    for axis in grid.axes.flat:
        axis.xaxis.set_major_formatter("{x:g}")
    return grid.figure


def compared(
    table: pd.DataFrame,
    conditions: Sequence[str],
    *,
    bound: str | None = None,
    label: str = "test mIoU in %",
) -> Figure:
    """Draw every row as a dot and each condition's mean as a bar with its 95 % interval, in %.

    The shape of a dot is its fold. With too few runs there is no interval.

    Args:
        table: `condition`, `fold` and `miou`, or another score under that name, see `label`.
        bound: the condition to draw in black.
    """
    figure, axis = plt.subplots(figsize=(6.8, 0.32 * len(conditions) + 1.0))
    markers = dict(zip(sorted(table["fold"].unique()), "osD^v", strict=False))
    for y, condition in enumerate(conditions):
        rows = table[table["condition"] == condition]
        for fold, mine in rows.groupby("fold"):
            shift = np.linspace(-0.12, 0.12, len(mine)) if len(mine) > 1 else [0]
            axis.scatter(100 * mine["miou"], y + 0.22 + np.array(shift), s=16, marker=markers[fold],
                         color="#999999", label=f"fold {fold}" if y == 0 else None)  # fmt: skip
        mean, colour = _mean_miou(rows), "#000000" if condition == bound else "#0072B2"
        axis.barh(y, 100 * mean.mean, height=0.24, color=colour, alpha=0.2, lw=0)
        _whisker(axis, y, mean, colour)
    axis.set(yticks=range(len(conditions)), yticklabels=conditions, xlabel=label)
    axis.invert_yaxis()
    if table["fold"].nunique() > 1:
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def budget_curve(
    series: Mapping[str, pd.DataFrame], *, bound: pd.DataFrame | None = None
) -> Figure:
    """Plot test mIoU over labelled pixels: means with 95 % intervals, runs as faint dots.

    Args:
        series: name -> rows with `pixels_a_tile`, `miou`, `fold`, one a run; runs of one budget
            share a `condition`.
        bound: rows of the dense bound, drawn as a line with its interval as a band.
    """
    figure, axis = plt.subplots(figsize=(6.8, 4))
    looks = zip(series.items(), "os^D", SERIES, strict=False)
    for number, ((name, rows), marker, colour) in enumerate(looks):
        shift = 1.06**number  # so that the intervals of two series stand side by side
        axis.scatter(
            rows["pixels_a_tile"] * shift, 100 * rows["miou"], s=9, color=colour, alpha=0.3, lw=0
        )
        budgets = rows.groupby("condition")["pixels_a_tile"].mean().sort_values()
        means = [_mean_miou(rows[rows["condition"] == condition]) for condition in budgets.index]
        heights = [100 * m.mean for m in means]
        ends = [[100 * (m.mean - m.low) for m in means], [100 * (m.high - m.mean) for m in means]]
        axis.errorbar(budgets * shift, heights, np.nan_to_num(ends), fmt=f"{marker}-", ms=6,
                      capsize=3, color=colour, label=name)  # fmt: skip
    if bound is not None:
        mean = _mean_miou(bound)
        axis.axhline(100 * mean.mean, color="#000000", lw=1, ls="--", label="every pixel labelled")
        axis.axhspan(100 * mean.low, 100 * mean.high, color="#000000", alpha=0.08, lw=0)
    axis.set(xscale="log", xlabel="labelled pixels an image", ylabel="test mIoU in %, dense masks")
    axis.set_ylim(0, None)
    axis.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _mean_miou(rows: pd.DataFrame) -> Interval:
    return interval(rows["miou"].to_numpy(), rows["fold"].to_numpy())


def curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Plot training loss (running mean over a tenth of the steps) and watched test mIoU: a line for
    each condition, the mean over its runs.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.0), layout="constrained")
    styles = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
    for (name, runs), line in zip(histories.items(), styles * 3, strict=False):
        every = pd.concat(runs).groupby("step")[["loss", "miou"]].mean()
        smooth = every["loss"].rolling(max(1, len(every) // 10), min_periods=1).mean()
        left.plot(smooth.index, smooth, ls=line, lw=1.2)
        watched = 100 * every["miou"].dropna()
        label = f"{name} (n = {len(runs)})"
        right.plot(watched.index, watched, ls=line, marker="o", ms=3, label=label)
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    right.set(xlabel="step", ylabel="test mIoU in %", ylim=(0, None))
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
    columns = min(3, len(histories))
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=columns)
    return figure


def forest(effects: Mapping[str, Mapping[str, Interval]], over: str = "sites") -> Figure:
    """Draw effects in points with their 95 % intervals: a row a claim, a mark a series.

    Args:
        effects: claim -> series -> effect as a fraction; the series `all` is black.
        over: what the intervals are over.
    """
    names = list(dict.fromkeys(name for row in effects.values() for name in row))
    colours = dict(zip(names, SERIES, strict=False)) | {"all": "#000000"}
    marks = dict(zip(names, "osD^v", strict=False))
    step, shown = 0.56 / max(len(names), 2), set()
    figure, axis = plt.subplots(figsize=(6.8, (0.16 + 0.06 * len(names)) * len(effects) + 0.7))
    for y, row in enumerate(effects.values()):
        for name, one in row.items():
            at = y + step * (names.index(name) - (len(names) - 1) / 2)
            axis.plot([100 * one.low, 100 * one.high], [at, at], color=colours[name], lw=1.5)
            axis.plot(100 * one.mean, at, marks[name], color=colours[name], ms=5,
                      label=None if name in shown else name)  # fmt: skip
            shown.add(name)
    axis.axvline(0, color="#999999", lw=0.8)
    axis.set(yticks=range(len(effects)), yticklabels=list(effects), ylim=(len(effects) - 0.5, -0.5),
             xlabel=f"difference in points, 95 % interval over {over}")  # fmt: skip
    if len(names) > 1:
        axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _whisker(axis: Axes, y: float, mean: Interval, colour: str) -> None:
    if np.isfinite(mean.low):
        axis.plot([100 * mean.low, 100 * mean.high], [y, y], color=colour, lw=2)
    axis.plot(100 * mean.mean, y, "o", color=colour, ms=7)


def heat_maps(panels: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Figure:
    """Draw confusion matrices in % of a true class's pixels, one panel a table of
    `failures.confused`.
    """
    side = 0.55 * len(classes)
    figure, axes = plt.subplots(
        1, len(panels), squeeze=False, sharey=True, figsize=(1.3 + side * len(panels), side + 1.4)
    )
    for axis, (title, table) in zip(axes.flat, panels.items(), strict=True):
        means = table.assign(mean=[100 * share.mean for share in table["share"]])
        wide = means.pivot(index="truth", columns="taken_for", values="mean")
        sns.heatmap(wide.reindex(index=classes, columns=classes), ax=axis, annot=True, fmt=".0f",
                    vmin=0, vmax=100, cmap="Blues", cbar=False, linewidths=0.5,
                    annot_kws={"size": 9})  # fmt: skip
        axis.set(title=title, xlabel="prediction", ylabel="")
        axis.tick_params(axis="x", rotation=45, length=0)
        axis.tick_params(axis="y", rotation=0, length=0)
    axes[0, 0].set_ylabel("truth, % of its pixels")
    return figure


def reliability(panels: Mapping[str, tuple[pd.DataFrame, Interval]]) -> Figure:
    """Draw a reliability diagram for each condition, its calibration error in the title.

    Dots are the correct share of the pixels with 95 % intervals over folds, bars the share of all
    pixels with that confidence.

    Args:
        panels: name -> table of `failures.reliability`, expected calibration error.
    """
    columns = int(np.ceil(len(panels) ** 0.5))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True,
        figsize=(2.7 * columns, 2.7 * rows + 0.4),
    )  # fmt: skip
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (name, (table, error)) in zip(axes.flat, panels.items(), strict=False):
        at, right = 100 * table["confidence"], table["right"]
        axis.bar(at, 100 * table["share"], width=5, color="#BBBBBB")
        axis.plot([0, 100], [0, 100], color="#999999", lw=0.8)
        for x, share in zip(at, right, strict=True):
            axis.plot([x, x], np.clip([100 * share.low, 100 * share.high], 0, 100), color="#0072B2")
        axis.plot(at, [100 * share.mean for share in right], "o", ms=4, color="#0072B2")
        axis.set(title=f"{name}\nECE {error.text()} %", xlim=(0, 102), ylim=(0, 102))
        axis.title.set_fontsize(9)
        axis.tick_params(labelbottom=True)
    figure.supxlabel("confidence in %", fontsize=11)
    figure.supylabel("right in %", fontsize=11)
    return figure


def assessment(record: Mapping[str, object], true: Mapping[str, float] | None = None) -> Figure:
    """Draw the record of `mapping.assess`: left shares of the area in %, rows map and columns
    reference; right estimated and mapped areas.

    Args:
        true: share of the area of each class where it is known, in [0, 1].
    """
    names, rows = record["classes"], record["of_class"]
    side = 0.5 * len(names) + 1.8
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * side + 1.6, side), layout="constrained")
    table = pd.DataFrame(100 * np.array(record["matrix"]["proportions"]), names, names)
    sns.heatmap(table, ax=left, annot=True, fmt=".1f", cmap="Blues", cbar=False, linewidths=0.5,
                vmin=0, annot_kws={"size": 9})  # fmt: skip
    overall = record["overall"]
    left.set(xlabel="reference", ylabel="map", title="% of the area")
    left.tick_params(axis="x", rotation=45, length=0)
    left.tick_params(axis="y", rotation=0, length=0)
    at = np.arange(len(names))
    value, low, high = (
        np.array([100 * rows[name]["share"][key] for name in names])
        for key in ("value", "low", "high")
    )
    whole = sum(row["mapped_pixels"] for row in rows.values())
    mapped = [100 * rows[name]["mapped_pixels"] / whole for name in names]
    right.hlines(at, low, high, color=ESTIMATE, lw=2)
    right.plot(value, at, "o", color=ESTIMATE, label="estimated, 95 % interval")
    right.plot(mapped, at, "D", ms=6, mfc="none", color=MAPPED, label="mapped (pixels counted)")
    if true is not None:
        right.plot([100 * true.get(name, 0) for name in names], at, "kx", ms=7, label="true")
    right.set(yticks=at, yticklabels=names, xlabel="% of the area", xlim=(0, None),
              ylim=(len(names) - 0.5, -0.5),
              title=f"overall accuracy {100 * overall['value']:.1f} % "
              f"[{100 * overall['low']:.1f}, {100 * overall['high']:.1f}]")  # fmt: skip
    for axis in (left, right):
        for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
            label.set_parse_math(False)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    return figure
