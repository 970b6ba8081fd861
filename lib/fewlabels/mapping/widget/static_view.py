"""Figures of a scene with its labels, its maps and where to click next, and of an explorer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import shapely
from jaxtyping import UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from fewlabels.learners import bank
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.stream import Strip
from fewlabels.mapping.vector_labels import Marks
from fewlabels.mapping.widget.annotations import Clicks
from fewlabels.results import figures

RAMP = "cividis"  # of confidence; looks alike with any common colour-vision deficiency
SIDE = 3.4  # inches of a panel's longer side
LONGEST = 800  # pixels of a small picture's longer side, at most


def shown(scene: Scene) -> tuple[int, ...]:
    """The bands that make red, green and blue, counted from 0 in `scene.bands`: those that the file
    calls so, else the first three, or the first where there are fewer.
    """
    known = bank.roles(scene.names)
    if {"red", "green", "blue"} <= known.keys():
        return known["red"], known["green"], known["blue"]
    return (0, 1, 2) if len(scene.names) >= 3 else (0,)


def small(scene: Scene, longest: int = LONGEST) -> UInt8[np.ndarray, "h w 3"]:
    """The scene as a small picture, each band stretched from its 0.5th to its 99.5th percentile.

    Raises:
        DataError: it cannot be read, or no pixel of it is valid.
    """
    chosen = shown(scene)
    bands = tuple(scene.bands[i] for i in (chosen if len(chosen) == 3 else chosen * 3))
    with scenes.dataset(scene.file, "GeoTIFF") as source:
        size = (3, *_shape(scene, longest))
        values, valid = scenes.read_part(source, replace(scene, bands=bands), out_shape=size)
    return scenes.to_bytes(values, valid, scenes.measured([(values, valid)], valid.size))


def small_map(file: Path, scene: Scene, longest: int = LONGEST) -> UInt8[np.ndarray, "h w"]:
    """The values of a map of the scene, as small as its picture."""
    with scenes.dataset(file, "map") as source:
        return source.read(1, out_shape=_shape(scene, longest))


def labelled(scene: Scene, given: Marks) -> Figure:
    """The scene, and beside it the same with every drawn label in the colour of its class."""
    image, colours = small(scene), figures.colours(given.classes)
    figure, (left, right) = _panels(2, image.shape)
    _show(left, image, "scene")
    _show(right, figures.faded(image), f"{len(given.shapes)} labels")
    scale = len(image) / scene.height
    for shape, value in zip(given.shapes, given.values, strict=True):
        drawn = shapely.transform(shape, lambda at: scale * at - 0.5)
        geopandas.GeoSeries([drawn]).plot(
            ax=right, facecolor=colours[value], edgecolor="black", lw=0.5, aspect=None
        )
        right.set_axis_off()  # plotting turns it on again
    figures.legend(figure, given.classes)
    return figure


def mapped(scene: Scene, classes_map: Path, confidence: Path, classes: Sequence[str]) -> Figure:
    """The scene, its class map with a legend, and the confidence of the map in percent."""
    image, index = small(scene), np.arange(256, dtype=np.uint8)
    with scenes.dataset(classes_map, "map") as source:
        for name, text in source.tags().items():
            if name.startswith("class_") and text in classes:
                index[int(name.removeprefix("class_"))] = classes.index(text)
    found = index[small_map(classes_map, scene)]
    figure, (left, middle, right) = _panels(3, image.shape)
    _show(left, image, "scene")
    _show(middle, figures.painted(found, classes), "class map")
    _confidence(figure, right, small_map(confidence, scene), 100 / len(classes))
    figures.legend(figure, classes, void=bool((found == NODATA).any()))
    return figure


def asked(scene: Scene, clicks: geopandas.GeoDataFrame, classes: Sequence[str]) -> Figure:
    """Where to click next on the faded scene, numbered by rank: inside the colour of the most
    probable class, as a ring that of the second.
    """
    image = small(scene)
    figure, (axis,) = _panels(1, image.shape, side=1.5 * SIDE)
    _show(axis, figures.faded(image), "where to click next")
    colours = dict(zip(classes, figures.colours(classes), strict=True))
    scale = len(image) / scene.height
    for click in clicks.itertuples():
        x, y = (scale * (at + 0.5) - 0.5 for at in (click.column, click.row))
        axis.plot(x, y, "ko", ms=13)
        axis.plot(x, y, "o", ms=9, mfc=colours[click.first], mec=colours[click.second], mew=2.5)
        axis.annotate(str(click.rank), (x, y), (5, 5), textcoords="offset points", fontsize=9)
    figures.legend(figure, classes)
    return figure


def still(
    picture: UInt8[np.ndarray, "h w 3"],
    clicks: Clicks,
    classes: Sequence[str],
    made: Strip | None,
    corner: tuple[int, int],
) -> Figure:
    """An explorer where nobody can click: the picture with its clicks and, once there is a map, map
    and confidence beside it.

    Args:
        corner: row and column of the scene that the picture's upper left pixel is.
    """
    figure, (left, *others) = _panels(3 if made else 1, picture.shape)
    (row, column), (height, width) = corner, picture.shape[:2]
    extent = (column, column + width, row + height, row)
    _show(left, picture, f"image, {len(clicks)} clicks", extent=extent)
    for click in clicks:
        colour = figures.colours(classes)[click.value]
        left.plot(click.column + 0.5, click.row + 0.5, "o", ms=6, color=colour, mec="white")
    left.set(xlim=extent[:2], ylim=extent[2:], xlabel="column", ylabel="row")
    left.set_axis_on()
    if made:
        _show(others[0], figures.painted(made.classes, classes), "map")
        _confidence(figure, others[1], made.confidence, 0)
    figures.legend(figure, classes)
    return figure


def ramp() -> list[str]:
    """The colour of each per cent of confidence, 0 to 100."""
    return [to_hex(colour) for colour in colormaps[RAMP](np.linspace(0, 1, 101))]


def _shape(scene: Scene, longest: int) -> tuple[int, int]:
    step = max(1.0, max(scene.height, scene.width) / longest)
    return round(scene.height / step) or 1, round(scene.width / step) or 1


def _panels(
    number: int, shape: tuple[int, ...], side: float = SIDE
) -> tuple[Figure, Sequence[Axes]]:
    """A figure that belongs to no window, and its panels beside each other."""
    height, width = (side * n / max(shape[:2]) for n in shape[:2])
    figure = Figure((number * max(width, 1.5) + (number == 3), height + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, number, squeeze=False)[0])


def _show(axis: Axes, image: np.ndarray, title: str, **options: object) -> AxesImage:
    axis.set_title(title)
    axis.set_axis_off()
    return axis.imshow(image, **options)


def _confidence(
    figure: Figure, axis: Axes, percent: UInt8[np.ndarray, "h w"], least: float
) -> None:
    there = np.ma.masked_equal(percent, NODATA)
    found = _show(axis, there, "confidence", cmap=RAMP, vmin=least, vmax=100)
    figure.colorbar(found, ax=axis, label="probability of the class in %", shrink=0.8)
