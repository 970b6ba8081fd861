"""A scene and its labels before anything is trained: read together, counted, warned about."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fewlabels.mapping import label_image, tiles, vector_labels
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.label_image import Painted
from fewlabels.mapping.recipe import Recipe, RecipeError
from fewlabels.mapping.scene import Read, Scene
from fewlabels.mapping.tiles import Cut
from fewlabels.mapping.vector_labels import Marks
from fewlabels.types import DataError, NoLabelsError

MOSTLY = 0.9  # share of a scene that hardly anybody labels: a value may mean "no class"
VECTORS = {".geojson", ".json", ".gpkg", ".shp", ".csv"}
MASKS = {".tif", ".tiff", ".png"}
COUNTED = {
    "contradictory pixels": "pixels have labels of different classes and are not used",
    "pixels on nodata": "labelled pixels lie where the scene has no data",
    "without a pixel": "drawn labels cover no pixel that can be used",
    "outside the scene": "labels lie outside the scene",
    "without geometry": "labels have no geometry",
}
"""Counts of a survey that are warned about, and the words that follow the number."""


@dataclass(frozen=True)
class Labels:
    """Where the labels are and how to read them; see `marks.read` and `painted.opened`.

    Attributes:
        classes: the classes to use: names, or value and name (`1=water`) for a label image.
    """

    file: Path
    column: str = "class"
    classes: tuple[str, ...] = ()
    layer: str | None = None
    crs: str | None = None
    no_label: int | None = None


@dataclass(frozen=True)
class Survey:
    """A scene and its labels before anything is trained.

    Attributes:
        how: the recipe, in which `unit` is no longer `auto`.
        found: the counts and warnings of `report`.
    """

    scene: Scene
    given: Marks | Painted
    how: Recipe
    found: Mapping[str, object]


def survey(scene: Path, labels: Labels, how: Recipe, *, bands: tuple[int, ...] = ()) -> Survey:
    """What `fit` would find, in counts and warnings; nothing is trained or written.

    Raises:
        DataError, NoLabelsError, RecipeError: as `fit`.
    """
    with surveyed(scene, labels, how, bands) as (seen, _, _):
        return seen


@contextmanager
def surveyed(
    scene: Path, labels: Labels, how: Recipe, bands: tuple[int, ...]
) -> Iterator[tuple[Survey, Read, Cut]]:
    """The survey, with the scene open and cut around its labels."""
    ground = scenes.opened(scene, bands)
    given = labelled(labels, ground)
    how = replace(how, unit=_unit(how, given))
    with scenes.reading(ground) as read, tiles.labelling(given, ground) as burn:
        block = how.block if how.unit == "block" else None
        cut = tiles.cut(ground, read, burn, side=how.side, gap=how.gap, block=block)
        found = report(given, cut, how)
        if ground.alpha and not bands:
            found["warnings"].append(
                f"band {', '.join(map(str, ground.alpha))} is marked as alpha and is not used; "
                "name the bands to use if it holds data"
            )
        yield Survey(ground, given, how, found), read, cut


def labelled(labels: Labels, scene: Scene) -> Marks | Painted:
    """Read labels onto the grid of the scene, drawn or painted, by the ending of their file.

    Raises:
        DataError, NoLabelsError: as `marks.read` and `painted.opened`, for other endings, and for
            a class that is named twice.
    """
    ending = labels.file.suffix.lower()
    names = [name.partition("=")[2] or name for name in map(str.strip, labels.classes)]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise DataError(f"the class '{twice[0]}' is named twice; name each class once")
    if ending in VECTORS:
        return vector_labels.read(
            labels.file, scene, column=labels.column, classes=labels.classes,
            layer=labels.layer, crs=labels.crs,
        )  # fmt: skip
    if ending in MASKS:
        return label_image.opened(labels.file, scene, _values(labels.classes), labels.no_label)
    raise DataError(
        f"labels '{labels.file}' end in '{ending}'; known are {', '.join(sorted(VECTORS | MASKS))}"
    )


def report(given: Marks | Painted, cut: Cut, how: Recipe) -> dict[str, object]:
    """What was found in the labels and how much of it can be used, in counts, with warnings.

    Raises:
        NoLabelsError: fewer than two classes have a pixel.
    """
    inventory = tiles.inventory(cut.pieces, len(given.classes))
    pixels = sum(inventory.values())
    units = np.sum([counts > 0 for counts in inventory.values()], axis=0)
    if (pixels > 0).sum() < 2:
        raise NoLabelsError(
            f"only the class '{given.classes[int(pixels.argmax())]}' has labelled pixels; label at "
            "least two classes"
        )
    drawn = len(given.shapes) if isinstance(given, Marks) else len(cut.shapes)
    found = dict(given.report) | {
        "pixels": dict(zip(given.classes, pixels.tolist(), strict=True)),
        "held out together": "drawn shapes" if how.unit == "shape" else f"{how.block} px blocks",
        "units": dict(zip(given.classes, units.tolist(), strict=True)),
        "contradictory pixels": cut.contradictory,
        "pixels on nodata": cut.void,
        "without a pixel": drawn - len(cut.shapes),
    }
    found["warnings"] = _warnings(found, how)
    return found


def _warnings(found: Mapping, how: Recipe) -> list[str]:
    what = "polygon or line" if how.unit == "shape" else "block"
    words = {
        0: "has no labelled pixel: it cannot be learned",
        1: f"has a single {what}: it is trained, but cannot be scored",
    }
    units = found["units"].items()
    lines = [f"class '{name}' {words[number]}" for name, number in units if number in words]
    lines += [f"attributes contradict each other: {line}" for line in found.get("doubtful", ())]
    lines += [f"{found[name]} {text}" for name, text in COUNTED.items() if found.get(name)]
    if found.get("share", 0) > MOSTLY:
        lines.append(
            f"{100 * found['share']:.0f} % of the scene is labelled; if a value of the label image "
            "means no class, name it with --no-label"
        )
    if found["unknown classes"]:
        lines.append(f"labels of unknown classes are skipped: {found['unknown classes']}")
    return lines


def _unit(how: Recipe, given: Marks | Painted) -> str:
    areas = isinstance(given, Marks) and given.areas
    if how.unit == "shape" and not areas:
        raise RecipeError(
            "whole shapes can be held out only where all labels are drawn lines or polygons; "
            "hold out blocks"
        )
    return ("shape" if areas else "block") if how.unit == "auto" else how.unit


def _values(classes: tuple[str, ...]) -> Mapping[int, str] | None:
    """`1=water` as value and name.

    Raises:
        DataError: one is not of that form.
    """
    pairs = [name.partition("=") for name in classes]
    if any(not value.strip().isdecimal() or not name for value, _, name in pairs):
        raise DataError(
            f"classes of a label image are given as VALUE=NAME, such as 1=water,2=forest; found "
            f"{','.join(classes)}"
        )
    return {int(value): name.strip() for value, _, name in pairs} or None
