"""Figures in one style: the same class has the same colour everywhere.

Colours are Okabe and Ito's, told apart by readers with any common colour-vision deficiency, with
greys and one light green; a class that is not listed gets the next colour that is free.

Source: https://jfly.uni-koeln.de/color/
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fewlabels.stats import Interval, interval
from fewlabels.types import IGNORE

CLASS_COLOURS = {
    "water": "#0072B2",
    "road": "#4D4D4D",
    "building": "#D55E00",
    "vegetation": "#009E73",
    "tree": "#009E73",
    "grass": "#B5E0A0",
    "field": "#F0E442",
    "land": "#E69F00",
    "soil": "#E69F00",
    "pool": "#56B4E9",
    "bedrock": "#4D4D4D",
    "sand": "#F0E442",
    "big rock": "#0072B2",
    "background": "#B5E0A0",
    "woodland": "#009E73",
    "urban": "#D55E00",
    "agriculture": "#F0E442",
    "rangeland": "#B5E0A0",
    "forest": "#009E73",
    "barren": "#E69F00",
    "impervious surface": "#4D4D4D",
    "low vegetation": "#B5E0A0",
    "car": "#F0E442",
    "clutter": "#CC79A7",
}
SPARE = ("#CC79A7", "#000000", "#F0E442", "#56B4E9", "#999999", "#0072B2", "#D55E00", "#009E73")
VOID = "#DDDDDD"
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


def style() -> None:
    """Set the project's look for this process; notebooks call it once."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    mpl.rcParams.update(LOOK)


def colours(classes: Sequence[str]) -> list[str]:
    """One colour a class, in order."""
    taken = {CLASS_COLOURS[c] for c in classes if c in CLASS_COLOURS}
    spare = iter([c for c in SPARE if c not in taken])
    return [CLASS_COLOURS.get(c) or next(spare) for c in classes]


def painted(
    mask: UInt8[np.ndarray, "h w"], classes: Sequence[str], void: str = VOID
) -> Float[np.ndarray, "h w 3"]:
    """A mask or labels as an RGB image in [0, 1]."""
    table = np.tile(np.array(to_rgb(void)), (IGNORE + 1, 1))
    table[: len(classes)] = [to_rgb(c) for c in colours(classes)]
    return table[mask]


def highlighted(where: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Dark where true, on light grey."""
    return np.where(where[..., None], 0.15, 0.93) * np.ones(3)


def pictures(
    panels: Mapping[str, np.ndarray], *, columns: int | None = None, side: float = 2.6
) -> Figure:
    """Images side by side, each under its title; no axes, one scale. One band is shown as grey."""
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    h, w = next(iter(panels.values())).shape[:2]
    figure, axes = plt.subplots(
        rows, columns, squeeze=False, figsize=(side * columns, side * rows * h / w + 0.35 * rows)
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, picture) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture)
        axis.set_title(title)
    return figure


def dotted(
    image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"], classes: Sequence[str]
) -> Float[np.ndarray, "H W 3"]:
    """Sparse labels as squares over the faded image.

    So that they are seen, a label is drawn wider than its pixel: two fifths of the mean distance
    between labels, at least the pixel itself and at most a 25th of the image's side. Where squares
    meet, the later one covers.
    """
    big = 3
    canvas = np.kron(_faded(image), np.ones((big, big, 1)))
    at = np.argwhere(labels != IGNORE)
    side = min(0.4 * np.sqrt(labels.size / max(1, len(at))), max(labels.shape) / 25)
    reach = round(big * max(0.0, side - 1) / 2)
    paint = np.array([to_rgb(c) for c in colours(classes)])
    for y, x in at:
        rows = slice(max(0, big * y - reach), big * (y + 1) + reach)
        canvas[rows, max(0, big * x - reach) : big * (x + 1) + reach] = paint[labels[y, x]]
    return canvas


def overlaid(
    image: UInt8[np.ndarray, "h w c"], labels: UInt8[np.ndarray, "h w"], classes: Sequence[str]
) -> Float[np.ndarray, "h w 3"]:
    """Labels pixel by pixel over the faded image."""
    known = (labels != IGNORE)[..., None]
    return np.where(known, painted(labels, classes), _faded(image))


def legend(figure: Figure, classes: Sequence[str], *, void: bool = False) -> None:
    """The classes' colours below a figure, in as many rows as its width asks for."""
    handles = [Patch(color=c, label=n) for c, n in zip(colours(classes), classes, strict=True)]
    if void:
        handles.append(Patch(color=VOID, label="no class"))
    entry = 0.5 + 0.07 * max(len(handle.get_label()) for handle in handles)  # inches
    fitting = max(1, int(figure.get_figwidth() / entry))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(fitting, len(handles)),
        frameon=False, fontsize=9,
    )  # fmt: skip


def bars(values: pd.DataFrame, classes: Sequence[str], *, label: str) -> Figure:
    """Grouped horizontal bars: one group a class (row), one bar a column, in colours that no class
    has; up to two columns with their values.
    """
    named = values.set_axis(list(classes)).rename_axis("class").reset_index()
    long = named.melt("class", var_name=" ")
    figure, axis = plt.subplots(figsize=(6.4, 0.4 * len(classes) + 1.0))
    sns.barplot(long, y="class", x="value", hue=" ", ax=axis, palette="crest")
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
    """Purity against coverage, both in %, one panel a budget, one line a method over its reaches.

    Args:
        shares: `coverage` and `purity` as fractions, indexed by (budget, method, reach).
    """
    budgets = shares.index.get_level_values("budget").unique()
    figure, axes = plt.subplots(
        1, len(budgets), figsize=(4.4 * len(budgets) + 1, 4), sharey=True, squeeze=False
    )
    for axis, budget in zip(axes.flat, budgets, strict=True):
        mine = shares.xs(budget, level="budget")
        methods = mine.index.get_level_values("method").unique()
        for number, (method, marker) in enumerate(zip(methods, "*os^Dv", strict=False)):
            at = 100 * mine.xs(method, level="method")[["coverage", "purity"]]
            (line,) = axis.plot(*at.to_numpy().T, marker=marker, ms=5, lw=1, label=method)
            for reach, point in at.iterrows():
                axis.annotate(
                    f"{reach:g}" if reach else method,
                    tuple(point),
                    (3, -9 if number % 2 else 3),
                    textcoords="offset points",
                    fontsize=7,
                    color=line.get_color(),
                )
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(xlabel="coverage in %", title=f"{100 * budget:g} % of the pixels")
    axes[0, 0].set_ylabel("purity in %")
    axes[0, -1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curve(history: pd.DataFrame) -> Figure:
    """Loss a step, and the test score where it was watched."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
    left.plot(history["step"], history["loss"], lw=0.8, color="#999999", label="each step")
    smooth = history["loss"].rolling(15, min_periods=1).mean()
    left.plot(history["step"], smooth, color="#0072B2", label="mean of 15 steps")
    left.set(xlabel="step", ylabel="training loss in nats")
    left.legend(frameon=False, fontsize=9)
    watched = history.dropna(subset="miou")
    right.plot(watched["step"], 100 * watched["miou"], "o-", color="#D55E00", ms=4)
    right.set(xlabel="step", ylabel="test mIoU in %", ylim=(0, None))
    return figure


def compared(table: pd.DataFrame, cells: Sequence[str], *, bound: str | None = None) -> Figure:
    """Every run as a dot, each condition's mean as a bar with its 95 % interval, in mIoU points.

    Dots are shaped by fold. An interval that n does not allow is left out.
    """
    figure, axis = plt.subplots(figsize=(6.8, 0.5 * len(cells) + 1.1))
    markers = dict(zip(sorted(table["fold"].unique()), "osD^v", strict=False))
    for y, cell in enumerate(cells):
        rows = table[table["cell"] == cell]
        for fold, mine in rows.groupby("fold"):
            shift = np.linspace(-0.12, 0.12, len(mine)) if len(mine) > 1 else [0]
            axis.scatter(100 * mine["miou"], y + 0.22 + np.array(shift), s=16, marker=markers[fold],
                         color="#999999", label=f"fold {fold}" if y == 0 else None)  # fmt: skip
        mean, colour = _mean_miou(rows), "#000000" if cell == bound else "#0072B2"
        axis.barh(y, 100 * mean.mean, height=0.24, color=colour, alpha=0.2, lw=0)
        _whisker(axis, y, mean, colour)
    axis.set(yticks=range(len(cells)), yticklabels=cells, xlabel="test mIoU in %")
    axis.invert_yaxis()
    if table["fold"].nunique() > 1:
        axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def budget_curve(
    series: Mapping[str, pd.DataFrame], *, bound: pd.DataFrame | None = None
) -> Figure:
    """Test mIoU over the number of labelled pixels: means with 95 % intervals, runs as faint dots.

    Args:
        series: name -> rows with `pixels_a_tile`, `miou`, `fold`, one a run; runs of one budget
            share a `cell`.
        bound: the same of the dense bound, drawn as a line with its interval as a band.
    """
    figure, axis = plt.subplots(figsize=(6.8, 4))
    looks = zip(series.items(), "os^D", ("#0072B2", "#E69F00", "#CC79A7", "#009E73"), strict=False)
    for number, ((name, rows), marker, colour) in enumerate(looks):
        shift = 1.06**number  # so that the intervals of two series stand side by side
        axis.scatter(
            rows["pixels_a_tile"] * shift, 100 * rows["miou"], s=9, color=colour, alpha=0.3, lw=0
        )
        budgets = rows.groupby("cell")["pixels_a_tile"].mean().sort_values()
        means = [_mean_miou(rows[rows["cell"] == cell]) for cell in budgets.index]
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
    """Training loss (running mean over a tenth of the steps) and watched test mIoU on the way, one
    line a condition, the mean over its runs.
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


def _faded(image: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w 3"]:
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) / 255
    return 0.4 * grey + 0.55


def _whisker(axis: Axes, y: float, mean: Interval, colour: str) -> None:
    if np.isfinite(mean.low):
        axis.plot([100 * mean.low, 100 * mean.high], [y, y], color=colour, lw=2)
    axis.plot(100 * mean.mean, y, "o", color=colour, ms=7)
