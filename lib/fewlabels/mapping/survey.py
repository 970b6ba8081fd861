"""A scene and its labels before anything is trained: read together, counted, warned about."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fewlabels.mapping import class_text, label_image, tiles, vector_labels
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.label_image import Painted
from fewlabels.mapping.recipe import Recipe, RecipeError
from fewlabels.mapping.scene import Read, Scene
from fewlabels.mapping.tiles import Cut
from fewlabels.mapping.vector_labels import Marks
from fewlabels.types import DataError, NoLabelsError

MOSTLY = 0.9  # share of a scene that hardly anybody labels: a value may mean "no class"
SHOWN = 3  # examples of a warning
MASKS = {".tif", ".tiff", ".png"}
COUNTED = {
    "contradictory pixels": "pixels have labels of different classes and are not used",
    "pixels on nodata": "labelled pixels lie where the scene has no data",
    "without a pixel": "drawn labels cover no pixel that can be used",
    "outside the scene": "labels lie outside the scene",
    "without geometry": "labels have no geometry",
    "without a class": "labels have no class: it is missing or blank",
}
"""Counts of a survey that are warned about, and the words that follow the number."""


@dataclass(frozen=True)
class Labels:
    """Where the labels are and how to read them; see `vector_labels.read`, `label_image.opened`.

    Attributes:
        classes: the classes to use: names, or value and name (`1=water`), as a label image needs
            them; values of one name are merged.
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
    scene: Path, labels: Labels, how: Recipe, bands: tuple[int, ...], also: Sequence[Path] = ()
) -> Iterator[tuple[Survey, Read, Cut]]:
    """The survey, with the scene open and cut around its labels."""
    ground = scenes.opened(scene, bands, also)
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
        DataError, NoLabelsError: as `vector_labels.read` and `label_image.opened`, for other
            endings, and for an option that does not apply to them.
    """
    ending = labels.file.suffix.lower()
    given = [option for option, there in (
        ("--column", labels.column != "class" and ending in MASKS),
        ("--layer", labels.layer is not None and ending in MASKS),
        ("--no-label", labels.no_label is not None and ending in vector_labels.ENDINGS),
    ) if there]  # fmt: skip
    if given:
        raise DataError(f"{given[0]} does not apply to labels '{labels.file}'; leave it out")
    if ending in vector_labels.ENDINGS:
        return vector_labels.read(
            labels.file, scene, column=labels.column, classes=labels.classes,
            layer=labels.layer, crs=labels.crs,
        )  # fmt: skip
    if ending in MASKS:
        values = _values(labels.classes)
        return label_image.opened(labels.file, scene, values, labels.no_label, labels.crs)
    known = ", ".join(sorted(vector_labels.ENDINGS | MASKS))
    raise DataError(f"labels '{labels.file}' end in '{ending}'; known are {known}")


def codes(given: Marks | Painted) -> tuple[int, ...]:
    """What a map holds for each class; see `class_text.codes`."""
    if isinstance(given, Marks):
        return class_text.codes(given.classes)
    first = {index: value for value, index in reversed(given.values.items())}
    return class_text.codes([first.get(index, -1) for index in range(len(given.classes))])


def report(given: Marks | Painted, cut: Cut, how: Recipe) -> dict[str, object]:
    """What was found in the labels and how much of it can be used, in counts, with warnings.

    Raises:
        NoLabelsError: fewer than two classes have a pixel.
    """
    inventory = tiles.inventory(cut.pieces, len(given.classes))
    pixels = sum(inventory.values())
    units = np.sum([counts > 0 for counts in inventory.values()], axis=0)
    drawn = len(given.shapes) if isinstance(given, Marks) else len(cut.shapes)
    found = dict(given.report) | {
        "pixels": dict(zip(given.classes, pixels.tolist(), strict=True)),
        "held out together": "drawn shapes" if how.unit == "shape" else f"{how.block} px blocks",
        "units": dict(zip(given.classes, units.tolist(), strict=True)),
        "contradictory pixels": cut.contradictory,
        "pixels on nodata": cut.void,
        "void bands": dict(cut.void_bands),
        "without a pixel": drawn - len(cut.shapes),
    }
    found["warnings"] = _warnings(found, how)
    if (pixels > 0).sum() < 2:
        raise NoLabelsError(
            f"only the class '{given.classes[int(pixels.argmax())]}' has labelled pixels; label at "
            f"least two classes ({'; '.join(found['warnings'])})"
        )
    return found


def _warnings(found: Mapping, how: Recipe) -> list[str]:
    what = "polygon or line" if how.unit == "shape" else "block"
    words = {
        0: "has no labelled pixel: it cannot be learned",
        1: f"has a single {what}: it is trained, but cannot be scored",
    }
    units = found["units"].items()
    lines = [f"class '{name}' {words[number]}" for name, number in units if number in words]
    doubtful = found.get("doubtful", ())
    lines += [f"attributes contradict each other: {line}" for line in doubtful[:SHOWN]]
    if len(doubtful) > SHOWN:
        lines.append(f"and {len(doubtful) - SHOWN} more attributes contradict each other")
    lines += [f"{found[name]} {text}" for name, text in COUNTED.items() if found.get(name)]
    if len({len(found["void bands"]), *found["void bands"].values()}) > 1:  # not all the same
        lines.append(f"of those, so many lack a value in {_listed(found['void bands'])}")
    if wrong := found.get("no numbers"):
        lines.append(f"{len(wrong)} coordinates are no numbers: {', '.join(wrong[:SHOWN])}")
    lines += [f"class '{name}' occurs nowhere in the labels{near}"
              for name, near in found.get("absent", {}).items()]  # fmt: skip
    lines += [f"the classes {', '.join(map(repr, names))} differ only in case or leading zeros; "
              f"--classes {','.join(f'{n}={names[-1]}' for n in names)},... makes them one"
              for names in found.get("alike", ())]  # fmt: skip
    if found.get("share", 0) > MOSTLY:
        lines.append(
            f"{100 * found['share']:.0f} % of the scene is labelled; if a value of the label image "
            "means no class, name it with --no-label"
        )
    if found["unknown classes"]:
        lines.append(f"labels of unknown classes are skipped: {_listed(found['unknown classes'])}")
    return lines


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in counts.items())


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
    for value, _, name in pairs:
        if not re.fullmatch(r"-?\d+", value.strip()) or not class_text.plain(name):
            raise DataError(
                "classes of a label image are given as VALUE=NAME, such as 1=water,2=forest; found "
                f"{','.join(classes)}"
            )
    chosen = class_text.chosen(classes, ())
    return {int(value): name for value, name in chosen.items()} or None
