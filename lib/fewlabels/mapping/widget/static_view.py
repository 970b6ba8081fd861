"""What an explorer looks like where nobody can click: a figure of the image, clicks and maps."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from fewlabels.mapping import maps
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.stream import Strip
from fewlabels.mapping.widget.annotations import Clicks
from fewlabels.results import figures

RAMP = "cividis"  # of confidence; read alike with any common colour-vision deficiency
SIDE = 3.2  # inches of a panel


def colours(classes: Sequence[str]) -> list[str]:
    """One colour a class: the project's, or where it has too few, hues a golden angle apart."""
    try:
        return figures.colours(classes)
    except StopIteration:
        return [to_hex(np.array(colour) / 255) for colour in maps.colours(len(classes))]


def still(
    picture: UInt8[np.ndarray, "h w 3"],
    clicks: Clicks,
    classes: Sequence[str],
    made: Strip | None,
    corner: tuple[int, int],
) -> Figure:
    """The picture with its clicks and, once there is a map, map and confidence beside it.

    Args:
        corner: row and column of the scene that the picture's upper left pixel is.
    """
    h, w = picture.shape[:2]
    panels = 3 if made else 1
    tall = min(2.0, max(0.4, h / w))
    figure = Figure(figsize=(SIDE * panels + 0.3, SIDE * tall + 0.7), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    extent = (corner[1], corner[1] + w, corner[0] + h, corner[0])
    shown = {"extent": extent, "interpolation": "nearest"}
    palette = colours(classes)
    axes[0].imshow(picture, **shown)
    for value in sorted({click.value for click in clicks}):
        at = np.array([click[:2] for click in clicks if click.value == value]) + 0.5
        axes[0].plot(*at.T, "o", ms=6, color=palette[value], mec="white", mew=1.2)
    axes[0].set_title(f"image, {len(clicks)} clicks", fontsize=10)
    if made:
        table = np.full((NODATA + 1, 3), 1.0)
        table[: len(classes)] = [to_rgb(colour) for colour in palette]
        axes[1].imshow(table[made.classes], **shown)
        axes[1].set_title("map", fontsize=10)
        sure = np.ma.masked_equal(made.confidence, NODATA)
        there = axes[2].imshow(sure, cmap=RAMP, vmin=0, vmax=100, **shown)
        axes[2].set_title("confidence in %", fontsize=10)
        figure.colorbar(there, ax=axes[2], shrink=0.8)
    for axis in axes:
        axis.set(xlim=extent[:2], ylim=extent[2:])
        axis.tick_params(labelsize=7)
    axes[0].set(ylabel="row")
    axes[0].set(xlabel="column")
    figures.legend(figure, classes)
    return figure


def ramp() -> list[str]:
    """The colour of each per cent of confidence, 0 to 100."""
    return [to_hex(colour) for colour in colormaps[RAMP](np.linspace(0, 1, 101))]
