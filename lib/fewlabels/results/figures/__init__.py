"""Figures in one style: pictures of images and labels (`maps`), charts of scores (`charts`)."""

import matplotlib as mpl
import seaborn as sns

from fewlabels.results.figures.charts import (
    LEARNERS,
    SERIES,
    assessment,
    bars,
    budget_curve,
    compared,
    curves,
    forest,
    heat_maps,
    reliability,
    tradeoff,
)
from fewlabels.results.figures.maps import (
    CLASS_COLOURS,
    SPARE,
    VOID,
    colours,
    dotted,
    highlighted,
    legend,
    overlaid,
    painted,
    pictures,
)

__all__ = [
    "CLASS_COLOURS", "LEARNERS", "SERIES", "SPARE", "VOID", "assessment", "bars", "budget_curve",
    "colours", "compared", "curves", "dotted", "forest", "heat_maps", "highlighted", "legend",
    "overlaid", "painted", "pictures", "reliability", "style", "tradeoff",
]  # fmt: skip
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
    sns.set_theme(context="paper", style="ticks", palette=SERIES)
    mpl.rcParams.update(LOOK)
