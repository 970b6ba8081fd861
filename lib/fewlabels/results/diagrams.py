"""Draw errors: confusion, classes by image, outlines, calibration, single images."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fewlabels.results.figures import colours, legend, painted
from fewlabels.results.statistics import Interval, interval
from fewlabels.types import Tile

MARKERS = "osD^v"


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


def iou_by_image(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Draw the IoU of each class on every test image (a dot, the mean of its runs), and the
    mean over the images with its 95 % interval over folds.

    Args:
        table: of `failures.by_image`.
    """
    figure, axis = plt.subplots(figsize=(6.8, 0.5 * len(classes) + 1.0))
    means = table.groupby(["fold", "image"])[[f"iou_{name}" for name in classes]].mean()
    folds = means.index.get_level_values("fold").to_numpy()
    for y, (name, colour) in enumerate(zip(classes, colours(classes), strict=True)):
        iou = means[f"iou_{name}"].to_numpy()
        there = np.isfinite(iou)
        shift = np.linspace(-0.25, 0.25, len(iou))
        axis.scatter(100 * iou, y + shift, s=14, color=colour, alpha=0.8, lw=0)
        if there.any():
            _mean(axis, y, interval(iou[there], folds[there]))
    axis.set(yticks=range(len(classes)), yticklabels=classes, xlabel="IoU on one image in %")
    axis.set_xlim(-2, 102)
    axis.invert_yaxis()
    return figure


def outlines(
    table: pd.DataFrame, classes: Sequence[str], beside: Mapping[str, pd.DataFrame] | None = None
) -> Figure:
    """Plot F1 of each class's outline over F1 of its pixels, in %: a mark for each class and fold,
    the mean of its runs.

    Args:
        table: of `failures.outlines`.
        beside: name -> the same for other predictions, drawn as crosses.
    """
    figure, axis = plt.subplots(figsize=(5.6, 4.2))
    paint = dict(zip(classes, colours(classes), strict=True))
    means = table.groupby(["fold", "class"])[["f1", "boundary_f1"]].mean().dropna().reset_index()
    markers = dict(zip(sorted(means["fold"].unique()), MARKERS * 9, strict=False))
    for (fold, name), row in means.set_index(["fold", "class"]).iterrows():
        axis.plot(*_per_cent(row), markers[fold], ms=6, color=paint[name])
    axis.plot([0, 100], [0, 100], color="#999999", lw=0.8, zorder=0)
    handles = [Line2D([], [], color="#777777", ls="", marker=m, label=f"fold {f}")
               for f, m in markers.items()]  # fmt: skip
    for (label, other), marker in zip((beside or {}).items(), "xP", strict=False):
        for row in other.dropna().to_dict("records"):
            axis.plot(*_per_cent(row), marker, ms=8, mew=2, color=paint[row["class"]])
        handles.append(Line2D([], [], color="#777777", ls="", marker=marker, mew=2, label=label))
    axis.set(xlabel="F1 of the pixels in %", ylabel="F1 of the outline in %")
    axis.set(xlim=(0, 102), ylim=(0, 102))
    axis.legend(
        handles=handles, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    legend(figure, classes)
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


def single_images(
    shares: Mapping[str, Float[np.ndarray, "k k"]],
    classes: Sequence[str],
    tiles: Mapping[str, Tile] | None = None,
) -> Figure:
    """Draw a column for each image: the classes of its mask and of the prediction, in % of its
    pixels; above, for those in `tiles`, the image and its mask.

    Args:
        shares: image -> table of `failures.composition`.
    """
    tiles = tiles or {}
    heights = [1.0, 1.0, 0.9] if tiles else [0.9]
    figure, axes = plt.subplots(
        len(heights), len(shares), squeeze=False, height_ratios=heights,
        figsize=(1.75 * len(shares) + 0.6, 1.5 * sum(heights) + 0.5),
    )  # fmt: skip
    for column, (image, share) in zip(axes.T, shares.items(), strict=True):
        for axis, kind in zip(column[:-1], ("image", "mask"), strict=False):
            axis.set_axis_off()
            if image in tiles:
                found = getattr(tiles[image], kind)
                axis.imshow(painted(found, classes) if kind == "mask" else found)
        _composed(column[-1], share, colours(classes))
        column[0].set_title(image)
    for axis in axes[-1, 1:]:
        axis.set_yticklabels([])
    legend(figure, classes)
    return figure


def _composed(axis: Axes, share: Float[np.ndarray, "k k"], paint: Sequence[str]) -> None:
    for y, parts in enumerate((share.sum(axis=1), share.sum(axis=0))):
        starts = 100 * (parts.cumsum() - parts)
        axis.barh(y, 100 * parts, left=starts, color=paint, height=0.7)
    axis.set(yticks=(0, 1), yticklabels=("mask", "predicted"), xlim=(0, 100), xlabel="% of pixels")
    axis.invert_yaxis()


def _mean(axis: Axes, y: float, mean: Interval) -> None:
    if np.isfinite(mean.low):
        axis.plot(np.clip([100 * mean.low, 100 * mean.high], 0, 100), [y, y], color="#000000", lw=2)
    axis.plot(100 * mean.mean, y, "o", color="#000000", ms=7)


def _per_cent(row: Mapping[str, object] | pd.Series) -> tuple[float, float]:
    return 100 * row["f1"], 100 * row["boundary_f1"]
