"""What a person sees of a scene of their own: labels on the ground, maps, where to click next."""

from collections.abc import Sequence
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewlabels.mapping import preview
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.vector_labels import Marks
from fewlabels.results import figures

SIDE = 3.8  # inches of a panel's longer side


def labelled(scene: Scene, given: Marks) -> Figure:
    """The scene, and beside it the same with every drawn label in the colour of its class."""
    figure, (left, right) = _panels(scene, 2)
    _ground(left, scene, "scene")
    _ground(right, scene, f"{len(given.shapes)} labels", faded=True)
    colours = figures.colours(given.classes)
    scale = preview.shape(scene)[0] / scene.height
    for shape, value in zip(given.shapes, given.values, strict=True):
        drawn = shapely.transform(shape, lambda at: scale * at - 0.5)
        geopandas.GeoSeries([drawn]).plot(
            ax=right, facecolor=colours[value], edgecolor="black", lw=0.5, aspect=None
        )
    figures.legend(figure, given.classes)
    return figure


def mapped(scene: Scene, classes_map: Path, confidence: Path, classes: Sequence[str]) -> Figure:
    """The scene, its class map with a legend, and the confidence of the map in percent."""
    figure, (left, middle, right) = _panels(scene, 3)
    _ground(left, scene, "scene")
    found = preview.map_picture(classes_map, scene)
    middle.imshow(figures.painted(found, classes))
    middle.set_title("class map")
    sure = preview.map_picture(confidence, scene).astype(float)
    sure[sure == NODATA] = np.nan
    shown = right.imshow(sure, cmap="cividis", vmin=100 / len(classes), vmax=100)
    right.set_title("confidence")
    figure.colorbar(shown, ax=right, label="probability of the class in %", shrink=0.8)
    figures.legend(figure, classes, void=bool((found == NODATA).any()))
    return figure


def asked(scene: Scene, clicks: geopandas.GeoDataFrame, classes: Sequence[str]) -> Figure:
    """Where to click next on the faded scene: numbered by rank, in the colours of the two classes
    that compete (inside the first, ring the second).
    """
    figure, (axis,) = _panels(scene, 1, side=1.5 * SIDE)
    _ground(axis, scene, "where to click next", faded=True)
    colours = dict(zip(classes, figures.colours(classes), strict=True))
    scale = preview.shape(scene)[0] / scene.height
    for click in clicks.itertuples():
        x, y = (scale * (at + 0.5) - 0.5 for at in (click.column, click.row))
        axis.plot(x, y, "ko", ms=13)
        axis.plot(x, y, "o", ms=9, mfc=colours[click.first], mec=colours[click.second], mew=2.5)
        axis.annotate(str(click.rank), (x, y), (5, 5), textcoords="offset points", fontsize=9)
    figures.legend(figure, classes)
    return figure


def _panels(scene: Scene, number: int, side: float = SIDE) -> tuple[Figure, Sequence[Axes]]:
    height, width = (side * n / max(scene.height, scene.width) for n in (scene.height, scene.width))
    figure, axes = plt.subplots(
        1, number, squeeze=False, figsize=(number * width + (number == 3), height + 0.7)
    )
    return figure, list(axes[0])


def _ground(axis: Axes, scene: Scene, title: str, *, faded: bool = False) -> None:
    image = preview.picture(scene)
    image = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    axis.imshow(0.4 * image.mean(axis=2, keepdims=True).repeat(3, axis=2) / 255 + 0.55
                if faded else image)  # fmt: skip
    axis.set_title(title)
    for each in axis.figure.axes:
        each.set_axis_off()
