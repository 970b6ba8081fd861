"""Maps of a scene by a model folder, made strip by strip.

Finished strips are kept as files beside the map, so an interrupted prediction resumes after the
last of them and gives the same maps.
"""

import glob
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from tqdm.auto import tqdm

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.files import made_folder, whole_file, writable
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.mapping import class_text, maps, model_folder, stream, unlike
from fewlabels.mapping import query as clicking
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.model_folder import About
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.stream import Plan, Strip
from fewlabels.types import DataError

FORMAT = 4  # raise it when strips mean something else
SEED = 0  # of the clicks


@dataclass(frozen=True)
class Written:
    """The maps that were written.

    Attributes:
        files: confidence, classes and, if asked for, polygons and clicks.
        valid: share of the scene's pixels that have a class.
        share: the share of each class among those pixels.
        resumed: strips that an interrupted prediction had left.
    """

    files: tuple[Path, ...]
    valid: float
    share: dict[str, float]
    resumed: int


def predict(
    scene: Path,
    model: Path,
    out: Path,
    *,
    window: int | None = None,
    overlap: int | None = None,
    polygons: bool = False,
    clicks: int = 0,
    force: bool = False,
    device: str = "auto",
) -> Written:
    """Write the class map `out` and its confidence as NAME_confidence.tif. On request also the
    class areas as NAME.gpkg, and where labels would help most as NAME_next.gpkg.

    Args:
        window: side in pixels of what the model is given at once; the model's if None.
        overlap: pixels that neighbouring windows of a network share at least; a quarter if None.
        clicks: how many pixels and blocks to name for labels, see `clicks.chosen`; 0 for no file.
        force: see `unlike.fitting`.

    Raises:
        DataError: as `unlike.fitting`, or a map exists or is not named as a GeoTIFF.
        DiskFullError, PlaceError: the maps cannot be written.
        ModelError: as `stored.about` and `stored.predictor`.
        RecipeError: as `stream.Plan` and `query.chosen`, or an overlap that cannot apply.
    """
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise DataError(f"'{out}' is no name for a class map; it is a GeoTIFF, name it NAME.tif")
    targets = [out.with_name(f"{out.stem}_confidence.tif"), out]
    targets += [out.with_suffix(".gpkg")] if polygons else []
    targets += [out.with_name(f"{out.stem}_next.gpkg")] if clicks else []
    for file in targets:
        maps.free(file)
    writable(out)
    about = model_folder.about(model)
    ground = unlike.fitting(scene, about, model, force=force)
    if polygons or clicks:
        maps.try_layers(out.parent, ground)
    compute = devices.compute(device)
    predictor = model_folder.predictor(model, about, compute)
    side = window or about.window
    if overlap is not None and predictor.halo is not None:
        raise RecipeError(
            f"an overlap of windows was asked for, and a {about.learner} needs none: its map does "
            "not depend on windows; leave it out"
        )
    shared = side // 4 if overlap is None else overlap
    how = Plan(ground.height, ground.width, side, shared, predictor.halo)
    folder = out.parent / f".{out.name}.{_key(ground, model, about, how, compute)}.partial"
    resumed = _finished(folder)
    _make(ground, about, predictor, how, folder)
    counts = sum(np.bincount(s.classes.ravel(), minlength=256) for s in _kept(folder, how))
    made = _maps(ground, about, how, folder, polygons)
    made += [_next(ground, about, how, folder, clicks)] if clicks else []
    for file, target in zip(made, targets, strict=True):
        if maps.side_car(file).exists():
            maps.side_car(file).replace(maps.side_car(target))
        file.replace(target)  # all are whole by now
    for target in targets[:2]:
        maps.check(target, ground)
    for other in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        shutil.rmtree(other, ignore_errors=True)
    mapped = counts[: maps.NODATA]
    share = {
        name: float(number / max(1, mapped.sum()))
        for name, number in zip(about.classes, mapped, strict=False)
    }
    return Written(tuple(targets), float(mapped.sum() / counts.sum()), share, resumed)


def _make(scene: Scene, about: About, predictor: Predictor, how: Plan, folder: Path) -> None:
    """Write every strip that is not there yet."""
    number, last = _finished(folder), len(how.down)
    made_folder(folder)
    if number == last:
        return
    windows = (last - number) * len(how.across)
    with scenes.reading(scene) as read, tqdm(total=windows, unit="window") as bar:
        made = stream.strips(
            how, read, predictor, about.ranges, len(about.classes), first=number, tick=bar.update
        )
        for strip in made:
            with whole_file(_file(folder, number)) as scratch, scratch.open("wb") as target:
                np.savez_compressed(target, **strip._asdict())
            number += 1


def _maps(scene: Scene, about: About, how: Plan, folder: Path, polygons: bool) -> list[Path]:
    """The maps beside the strips; those that exist already are kept."""
    confidence, classes = folder / "confidence.tif", folder / "classes.tif"
    stored = about.record.get("codes")
    there = isinstance(stored, list) and len(stored) == len(about.classes)
    codes = class_text.codes(stored if there else about.classes)
    if not confidence.exists():
        maps.write(confidence, scene, (s.confidence for s in _kept(folder, how)), unit="percent")
    if not classes.exists():
        strips = (s.classes for s in _kept(folder, how))
        maps.write(
            classes, scene, strips, classes=about.classes, palette=about.colours, codes=codes
        )
    if not polygons:
        return [confidence, classes]
    areas = folder / "areas.gpkg"
    if not areas.exists():
        maps.polygons(areas, classes, about.classes, codes)
    return [confidence, classes, areas]


def _next(scene: Scene, about: About, how: Plan, folder: Path, number: int) -> Path:
    """Where to click next, as points and squares beside the strips."""
    file = folder / "next.gpkg"
    file.unlink(missing_ok=True)  # of another number
    found = clicking.chosen(lambda: _kept(folder, how), scene.height, scene.width, number, SEED)
    maps.layers(file, scene, clicking.frames(found, about.classes))
    return file


def _finished(folder: Path) -> int:
    """How many strips are there without a gap."""
    number = 0
    while _file(folder, number).exists():
        number += 1
    return number


def _kept(folder: Path, how: Plan) -> Iterator[Strip]:
    for number in range(len(how.down)):
        file = _file(folder, number)
        try:
            with np.load(file) as found:
                yield Strip(**found)
        except (OSError, ValueError, TypeError, BadZipFile) as error:
            raise DataError(
                f"the strip '{file}' cannot be read ({error}); delete '{folder}' and run again"
            ) from error


def _file(folder: Path, number: int) -> Path:
    return folder / f"strip-{number:06d}.npz"


def _key(scene: Scene, model: Path, about: About, how: Plan, compute: Compute) -> str:
    """What identifies the strips of this prediction."""
    there = scene.file.stat()
    total = hashlib.sha256(
        f"{FORMAT} {scene.file.name} {there.st_size} {there.st_mtime_ns} {how} "
        f"{compute.device.type} {compute.precision}".encode()
    )
    for name in (LEARNERS[about.learner].FILE, "model.json"):
        total.update(hashlib.sha256((model / name).read_bytes()).digest())
    return total.hexdigest()[:12]
