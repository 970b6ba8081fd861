"""From a scene and labels to a model folder, scored on ground that did not train."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from fewlabels import devices, environment
from fewlabels.files import stamp, working, writable
from fewlabels.mapping import (
    applicability,
    labelled_pixels,
    limits,
    model_folder,
    recipe,
    score,
    stream,
    survey,
)
from fewlabels.mapping.recipe import Ground, Learned, Recipe
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.score import Choice
from fewlabels.mapping.survey import Labels, Survey, surveyed
from fewlabels.mapping.tiles import Piece
from fewlabels.results import figures

log = logging.getLogger(__name__)


def fit(
    scene: Path,
    labels: Labels,
    folder: Path,
    how: Recipe,
    *,
    bands: tuple[int, ...] = (),
    also: Sequence[Path] = (),
    device: str = "auto",
    licence: str = "",
) -> model_folder.About:
    """Train on all labels, score the recipe on held-out ones, and write the model folder.

    A training that was interrupted resumes if it is started again with the same scene, labels and
    recipe.

    Args:
        bands, also: see `scene.opened`.
        licence: under which terms the model may be used; `model_folder.UNSTATED` if empty.

    Raises:
        ModelError, DiskFullError, PlaceError: `folder` exists, cannot be written, or another
            process writes it now.
        DataError, NoLabelsError: scene or labels cannot be used, or are of one class only.
        RecipeError: the labels cannot be held out as the recipe asks.
        FewLabelsError: as `recipe.learn`, and where the memory does not suffice.
    """
    writable(folder)
    began, scratch = time.perf_counter(), folder.parent / f".{folder.name}.partial"
    with working(scratch, folder), limits.naming_full_memory("--batch, --crop or --side"):
        model_folder.free(folder)
        compute = devices.compute(device)
        with surveyed(scene, labels, how, bands, also) as (seen, read, cut):
            classes, how = seen.given.classes, seen.how
            owner = _owner(seen.scene, cut.pieces, classes, how)
            shape = seen.scene.height, seen.scene.width
            names = tuple(seen.scene.names)
            ground = Ground(read, shape, cut.pieces, classes, how, compute, scratch, owner, names)
            for line in seen.found["warnings"]:
                log.warning("%s", line)
            quick = [name for name in recipe.METHODS[how.method] if name not in recipe.LOOPED]
            if how.method in recipe.LOOPED and not how.folds:
                quick = []
            pixels = labelled_pixels.read(ground, quick) if quick else None
            if how.method in recipe.LOOPED:
                log.info(
                    "%s trains %d times; a bar shows the time of one", how.method, how.folds + 1
                )
            chosen = score.choice(ground, pixels)
            log.info("training %s on all labels", chosen.method)
            known = None
            if chosen.method in recipe.LOOPED:
                every = [piece.labels for piece in cut.pieces]
                learned = recipe.learn(ground, every, "all")
            else:
                learned = labelled_pixels.learn(ground, pixels, chosen.method)
                if how.folds:
                    known = applicability.reference(ground, seen.scene, pixels, learned.predictor)
            second = _second(chosen)
            other = labelled_pixels.learn(ground, pixels, second).predictor if second else None
        about = model_folder.About(
            learner=chosen.method,
            network=how.model if chosen.method == "network" else "",
            classes=classes,
            colours=palette(classes),
            asked=bands,
            bands=seen.scene.names,
            kind=seen.scene.kind,
            ranges=learned.ranges,
            pixel=seen.scene.pixel,
            system=seen.scene.system,
            window=how.window
            if chosen.method == "network"
            else stream.window(len(seen.scene.names), learned.predictor.halo),
            record=_record(seen, ground, learned, chosen, time.perf_counter() - began),
            licence=licence or model_folder.UNSTATED,
            second=second,
        )
        beside = {applicability.FILE: known.to_bytes()} if known else {}
        model_folder.write(folder, about, learned.predictor, other, beside)
        shutil.rmtree(scratch, ignore_errors=True)
        return about


def _second(chosen: Choice) -> str:
    """The best of the others that have no training loop; empty where none was scored."""
    others = {
        name: scores["miou"]
        for name, scores in chosen.tried.items()
        if name not in (chosen.method, *recipe.LOOPED) and scores["scored"]
    }
    return max(others, key=others.get, default="")


def palette(classes: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """RGB of each class, as in the figures."""
    found = (to_rgb(colour) for colour in figures.colours(classes))
    return tuple(tuple(round(255 * part) for part in colour) for colour in found)


def _owner(scene: Scene, cut: Sequence[Piece], classes: tuple[str, ...], how: Recipe) -> str:
    """What a checkpoint of this training names: one of other labels or settings is refused."""
    total = hashlib.sha256(json.dumps([asdict(how), classes], sort_keys=True).encode())
    files = [part.file for part in scene.parts or (scene,)]
    total.update(f"{stamp(files)} {scene.bands}".encode())
    total.update(_labels_sha256(cut).encode())
    return total.hexdigest()[:16]


def _labels_sha256(cut: Sequence[Piece]) -> str:
    total = hashlib.sha256()
    for piece in cut:
        total.update(piece.id.encode())
        total.update(np.ascontiguousarray(piece.labels))
    return total.hexdigest()


def _record(
    seen: Survey, ground: Ground, learned: Learned, chosen: Choice, seconds: float
) -> dict[str, object]:
    history, names = learned.predictor.history, seen.scene.names
    ends = [*history[:1], *history[-1:]]
    return {
        "scene": seen.scene.file.name,
        "also": [part.file.name for part in seen.scene.parts[1:]],
        "scaling": seen.scene.scaling,
        "codes": survey.codes(seen.given),
        "labels": {"sha256": _labels_sha256(ground.pieces)} | dict(seen.found),
        "recipe": asdict(ground.recipe),
        "trained_pixels": dict(zip(ground.classes, learned.labelled, strict=True)),
        "weights": dict(learned.predictor.origin),
        "loss": {when: row["loss"] for when, row in zip(("first", "last"), ends, strict=False)},
        "scores": dict(chosen.tried[chosen.method]),
        **asdict(chosen),
        "bands_without_range": [names[i] for i in learned.ranges.constant],
        "cost": {"train_seconds": learned.seconds, "all_seconds": seconds},
        "finished": environment.now(),
        "environment": environment.facts()
        | {"device": ground.compute.hardware, "precision": ground.compute.precision},
    }
