"""From a scene and labels to a model folder, scored on ground that did not train."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fewlabels import devices, environment
from fewlabels.geo import maps, marks, painted
from fewlabels.geo import scene as scenes
from fewlabels.geo.marks import Marks
from fewlabels.geo.painted import Painted
from fewlabels.geo.scene import Scene
from fewlabels.own import compare, forest, pieces, recipe, stored
from fewlabels.own.compare import Choice
from fewlabels.own.learn import Ground, Learned
from fewlabels.own.pieces import Cut, Piece
from fewlabels.own.recipe import Recipe
from fewlabels.types import DataError, NoLabelsError

log = logging.getLogger(__name__)

MOSTLY = 0.9  # share of a scene that hardly anybody labels: a value may mean "no class"
VECTORS = {".geojson", ".json", ".gpkg", ".shp", ".csv"}
MASKS = {".tif", ".tiff", ".png"}


@dataclass(frozen=True)
class Labels:
    """Where the labels are and how they are to be read; see `marks.read` and `painted.opened`.

    Attributes:
        classes: the classes that count: names, or value and name (`1=water`) for a label image.
    """

    file: Path
    column: str = "class"
    classes: tuple[str, ...] = ()
    layer: str | None = None
    crs: str | None = None
    no_label: int | None = None


def fit(
    scene: Path,
    labels: Labels,
    folder: Path,
    how: Recipe,
    *,
    bands: tuple[int, ...] = (),
    device: str = "auto",
    licence: str = "",
) -> stored.About:
    """Train on all labels, score the recipe on held-out ones, and write the model folder.

    A training that was cut off goes on where it was, if it is started again with the same scene,
    labels and recipe.

    Args:
        bands: see `scene.opened`.
        licence: under which terms the model may be used; `stored.UNSTATED` if empty.

    Raises:
        ModelError: `folder` is there already.
        DataError, NoLabelsError: scene or labels cannot be used, or are of one class only.
        RecipeError, UnknownName: as `recipe.check`.
        FewLabelsError: as `learn.learn`.
    """
    began = time.perf_counter()
    if folder.exists():
        raise stored.ModelError(f"'{folder}' is there already; name another folder or delete it")
    recipe.check(how)
    compute, ground_scene = devices.compute(device), scenes.opened(scene, bands)
    if ground_scene.alpha and not bands:
        log.warning("band %s is marked as alpha and holds no data; say which bands to use if it "
                    "does", ", ".join(map(str, ground_scene.alpha)))  # fmt: skip
    given = labelled(labels, ground_scene)
    how = replace(how, unit=_unit(how, given))
    scratch = folder.parent / f".{folder.name}.partial"
    with (
        scenes.reading(ground_scene) as read,
        pieces.labelling(given, ground_scene) as burn,
    ):
        block = how.block if how.unit == "block" else None
        cut = pieces.cut(ground_scene, read, burn, side=how.side, gap=how.gap, block=block)
        found = report(given, cut, how)
        owner = _owner(ground_scene, cut, given.classes, how)
        ground = Ground(read, cut.pieces, given.classes, how, compute, scratch, owner)
        chosen = compare.choice(ground)
        log.info("training the %s on all labels", chosen.method)
        learn = compare.METHODS[chosen.method]
        learned = learn(ground, [piece.labels for piece in cut.pieces], "all")
    seconds = time.perf_counter() - began
    about = _about(ground_scene, given, ground, learned, found, chosen, seconds, bands, licence)
    stored.write(folder, about, learned.network)
    shutil.rmtree(scratch, ignore_errors=True)
    return about


def labelled(labels: Labels, scene: Scene) -> Marks | Painted:
    """The labels on the grid of the scene, drawn or painted, by the ending of their file.

    Raises:
        DataError, NoLabelsError: as `marks.read` and `painted.opened`, and for other endings.
    """
    ending = labels.file.suffix.lower()
    if ending in VECTORS:
        return marks.read(
            labels.file, scene, column=labels.column, classes=labels.classes,
            layer=labels.layer, crs=labels.crs,
        )  # fmt: skip
    if ending in MASKS:
        return painted.opened(labels.file, scene, _values(labels.classes), labels.no_label)
    raise DataError(
        f"labels '{labels.file}' end in '{ending}'; known are {', '.join(sorted(VECTORS | MASKS))}"
    )


def report(given: Marks | Painted, cut: Cut, how: Recipe) -> Mapping[str, object]:
    """What was found in the labels and what of it trains, in counts, with warnings in words.

    Raises:
        NoLabelsError: fewer than two classes have a pixel.
    """
    inventory = pieces.inventory(cut.pieces, len(given.classes))
    pixels = sum(inventory.values())
    units = np.sum([counts > 0 for counts in inventory.values()], axis=0)
    if (pixels > 0).sum() < 2:
        there = [name for name, number in zip(given.classes, pixels, strict=True) if number]
        raise NoLabelsError(
            f"only the class '{there[0]}' has labelled pixels; a network learns to tell classes "
            "apart, so label at least two"
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
    found["warnings"] = _warnings(given, found, how)
    for line in found["warnings"]:
        log.warning("%s", line)
    return found


def _warnings(given: Marks | Painted, found: Mapping, how: Recipe) -> list[str]:
    what = "polygon or line" if how.unit == "shape" else "block"
    lines = [
        f"class '{name}' has a single {what}: it trains, but cannot be scored"
        for name in given.classes
        if found["units"][name] == 1
    ]
    lines += [
        f"class '{name}' has no labelled pixel: it cannot be learned"
        for name in given.classes
        if not found["units"][name]
    ]
    lines += [f"attributes contradict each other: {line}" for line in found.get("doubtful", ())]
    counted = {
        "contradictory pixels": "pixels have labels of different classes and train nothing",
        "pixels on nodata": "labelled pixels lie where the scene has no data",
        "without a pixel": "drawn labels cover no pixel that trains",
        "outside the scene": "labels lie outside the scene",
        "without geometry": "labels have no geometry",
    }
    lines += [f"{found[name]} {words}" for name, words in counted.items() if found.get(name)]
    if found.get("share", 0) > MOSTLY:
        lines.append(
            f"{100 * found['share']:.0f} % of the scene is labelled; if a value of the label image "
            "means no class, say which with --no-label"
        )
    if found["unknown classes"]:
        lines.append(f"labels of unknown classes are left out: {found['unknown classes']}")
    return lines


def _unit(how: Recipe, given: Marks | Painted) -> str:
    areas = isinstance(given, Marks) and given.areas
    if how.unit == "shape" and not areas:
        raise recipe.RecipeError(
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
    if any(not value.strip().isdigit() or not name for value, _, name in pairs):
        raise DataError(
            f"classes of a label image are given as VALUE=NAME, such as 1=water,2=forest; found "
            f"{','.join(classes)}"
        )
    return {int(value): name.strip() for value, _, name in pairs} or None


def _owner(scene: Scene, cut: Cut, classes: tuple[str, ...], how: Recipe) -> str:
    """What a checkpoint of this training must say: of other labels or settings it is refused."""
    total = hashlib.sha256(json.dumps([asdict(how), classes], sort_keys=True).encode())
    there = scene.file.stat()
    total.update(f"{scene.file.name} {there.st_size} {there.st_mtime_ns} {scene.bands}".encode())
    total.update(_labels_sha256(cut.pieces).encode())
    return total.hexdigest()[:16]


def _labels_sha256(cut: tuple[Piece, ...]) -> str:
    total = hashlib.sha256()
    for piece in cut:
        total.update(piece.id.encode())
        total.update(np.ascontiguousarray(piece.labels))
    return total.hexdigest()


def _about(
    scene: Scene,
    given: Marks | Painted,
    ground: Ground,
    learned: Learned,
    found: Mapping[str, object],
    chosen: Choice,
    seconds: float,
    asked: tuple[int, ...],
    licence: str,
) -> stored.About:
    ends = learned.history[:1] + learned.history[-1:]
    record = {
        "scene": scene.file.name,
        "labels": {"sha256": _labels_sha256(tuple(ground.pieces))} | dict(found),
        "recipe": asdict(ground.recipe),
        "trained_pixels": dict(zip(given.classes, learned.labelled, strict=True)),
        "weights": dict(learned.weights),
        "loss": {when: row["loss"] for when, row in zip(("first", "last"), ends, strict=False)},
        "scores": dict(chosen.tried[chosen.method]),
        **asdict(chosen),
        "bands_without_range": [scene.names[i] for i in learned.ranges.constant],
        "cost": {"train_seconds": learned.seconds, "all_seconds": seconds},
        "finished": environment.now(),
        "environment": environment.facts()
        | {"device": ground.compute.hardware, "precision": ground.compute.precision},
    }  # fmt: skip
    return stored.About(
        network=ground.recipe.model if chosen.method == "network" else forest.NAME,
        classes=given.classes,
        colours=tuple(maps.colours(len(given.classes))),
        asked=asked,
        bands=scene.names,
        kind=scene.kind,
        ranges=learned.ranges,
        pixel=scene.pixel,
        system=scene.system,
        window=ground.recipe.window,
        record=record,
        licence=licence or stored.UNSTATED,
    )
