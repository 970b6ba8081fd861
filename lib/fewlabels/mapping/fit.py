"""From a scene and labels to a model folder, scored on ground that did not train."""

import hashlib
import json
import logging
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from fewlabels import devices, environment
from fewlabels.files import writable
from fewlabels.mapping import compare, forest, maps, model_folder
from fewlabels.mapping.compare import Choice
from fewlabels.mapping.learn import Ground, Learned
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.survey import Labels, Survey, surveyed
from fewlabels.mapping.tiles import Cut, Piece
from fewlabels.results import figures

log = logging.getLogger(__name__)


def fit(
    scene: Path,
    labels: Labels,
    folder: Path,
    how: Recipe,
    *,
    bands: tuple[int, ...] = (),
    device: str = "auto",
    licence: str = "",
) -> model_folder.About:
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
        DiskFullError, PlaceError: `folder` cannot be written.
        FewLabelsError: as `learn.learn`.
    """
    began = time.perf_counter()
    if folder.exists():
        raise model_folder.ModelError(
            f"'{folder}' is there already; name another folder or delete it"
        )
    writable(folder)
    compute = devices.compute(device)
    scratch = folder.parent / f".{folder.name}.partial"
    with surveyed(scene, labels, how, bands) as (seen, read, cut):
        owner = _owner(seen.scene, cut, seen.given.classes, seen.how)
        ground = Ground(read, cut.pieces, seen.given.classes, seen.how, compute, scratch, owner)
        for line in seen.found["warnings"]:
            log.warning("%s", line)
        chosen = compare.choice(ground)
        log.info("training the %s on all labels", chosen.method)
        learn = compare.METHODS[chosen.method]
        learned = learn(ground, [piece.labels for piece in cut.pieces], "all")
    seconds = time.perf_counter() - began
    about = _about(seen, ground, learned, chosen, seconds, bands, licence)
    model_folder.write(folder, about, learned.network)
    shutil.rmtree(scratch, ignore_errors=True)
    return about


def palette(classes: tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    """RGB of each class: that of the figures as far as their colours go."""
    if len(classes) > len(figures.SPARE):
        return tuple(maps.colours(len(classes)))
    found = (to_rgb(colour) for colour in figures.colours(classes))
    return tuple(tuple(round(255 * part) for part in colour) for colour in found)


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
    seen: Survey,
    ground: Ground,
    learned: Learned,
    chosen: Choice,
    seconds: float,
    asked: tuple[int, ...],
    licence: str,
) -> model_folder.About:
    scene, given = seen.scene, seen.given
    ends = learned.history[:1] + learned.history[-1:]
    record = {
        "scene": scene.file.name,
        "labels": {"sha256": _labels_sha256(tuple(ground.pieces))} | dict(seen.found),
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
    return model_folder.About(
        network=ground.recipe.model if chosen.method == "network" else forest.NAME,
        classes=given.classes,
        colours=palette(given.classes),
        asked=asked,
        bands=scene.names,
        kind=scene.kind,
        ranges=learned.ranges,
        pixel=scene.pixel,
        system=scene.system,
        window=ground.recipe.window,
        record=record,
        licence=licence or model_folder.UNSTATED,
    )
