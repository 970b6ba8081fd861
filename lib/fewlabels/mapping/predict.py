"""Maps of a scene by a model folder: streamed, and resumed by finished strips.

Strips are kept one file each beside the map while it is made, whole or not there, so a prediction
that was interrupted goes on after the last of them, to the same maps.
"""

import glob
import hashlib
import logging
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
from fewlabels.mapping import maps, model_folder, stream
from fewlabels.mapping import query as clicking
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.model_folder import About
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.stream import Plan, Strip
from fewlabels.types import DataError

log = logging.getLogger(__name__)

FORMAT = 2  # raise it when strips mean something else
PERCENT = "percent"
SEED = 0  # of the clicks
LIKE = 1.5  # pixels more than this times larger or smaller show other ground than training did


@dataclass(frozen=True)
class Written:
    """The maps that were written.

    Attributes:
        files: confidence, classes and, if asked for, polygons and clicks.
        valid: share of the scene's pixels that have a class.
        share: of those with a class, the share of each class.
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
    device: str = "auto",
) -> Written:
    """The class map `out`, the confidence beside it as NAME_confidence.tif, and if asked for the
    polygons as NAME.gpkg, and as NAME_next.gpkg where labels would help most.

    Args:
        window: side in pixels of what the network is given at once; the model's if None.
        overlap: pixels that neighbouring windows share at least; a quarter of `window` if None, of
            a forest 0.
        clicks: how many pixels and blocks to name for labels, see `clicks.chosen`; 0 for no file.

    Raises:
        DataError: the scene cannot be read, has other bands than the model, or a map is there or
            has no name of its own.
        DiskFullError, PlaceError: the maps cannot be written.
        ModelError: as `stored.about` and `stored.network`.
        RecipeError: as `stream.plan` and `clicks.chosen`.
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
    ground = scenes.opened(scene, about.asked)
    fits(ground, about, model)
    overlap = 0 if overlap is None and about.of_pixels else overlap
    how = stream.plan(ground, window or about.window, overlap)
    compute = devices.compute(device)
    folder = out.parent / f".{out.name}.{_key(ground, model, how, compute)}.partial"
    resumed = _finished(folder)
    _make(ground, about, model, how, compute, folder)
    counts = sum(np.bincount(s.classes.ravel(), minlength=256) for s in _kept(folder, how))
    made = _maps(ground, about, how, folder, polygons)
    made += [_next(ground, about, how, folder, clicks)] if clicks else []
    for file, target in zip(made, targets, strict=True):
        file.replace(target)  # all are whole by now
    for other in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        shutil.rmtree(other, ignore_errors=True)
    mapped = counts[: maps.NODATA]
    share = {
        name: float(number / max(1, mapped.sum()))
        for name, number in zip(about.classes, mapped, strict=False)
    }
    return Written(tuple(targets), float(mapped.sum() / counts.sum()), share, resumed)


def fits(scene: Scene, about: About, model: Path) -> None:
    """Nothing, if the model has a channel for each band; a warning where the scene is of another
    kind than the one it was trained on.

    Raises:
        DataError: the scene has more or fewer bands than the model.
    """
    if len(scene.bands) != len(about.bands):
        raise DataError(
            f"the scene '{scene.file}' has {len(scene.bands)} bands ({', '.join(scene.names)}) and "
            f"the model '{model}' needs {len(about.bands)} ({', '.join(about.bands)})"
        )
    if scene.kind != about.kind:
        log.warning("the scene is of %s, the training scene was of %s", scene.kind, about.kind)
    if scene.names != about.bands:
        log.warning(
            "the scene's bands are %s, the training scene's were %s",
            ", ".join(scene.names), ", ".join(about.bands),
        )  # fmt: skip
    times = scene.pixel / about.pixel
    if scene.system == about.system and not 1 / LIKE <= times <= LIKE:
        log.warning("a pixel of the scene is %.3g times as long as in training", times)


def _make(
    scene: Scene, about: About, model: Path, how: Plan, compute: Compute, folder: Path
) -> None:
    """Every strip as a file; those that are there are not made again."""
    number, last = _finished(folder), len(how.down)
    made_folder(folder)
    if number == last:
        return
    network = compute.placed(model_folder.network(model, about))
    windows = (last - number) * len(how.across)
    with scenes.reading(scene) as read, tqdm(total=windows, unit="window") as bar:
        made = stream.strips(
            how, read, network, about.ranges, len(about.classes), compute,
            first=number, tick=bar.update,
        )  # fmt: skip
        for strip in made:
            with whole_file(_file(folder, number)) as scratch, scratch.open("wb") as target:
                np.savez_compressed(target, **strip._asdict())
            number += 1


def _maps(scene: Scene, about: About, how: Plan, folder: Path, polygons: bool) -> list[Path]:
    """The maps beside the strips, those that are there already left as they are."""
    confidence, classes = folder / "confidence.tif", folder / "classes.tif"
    if not confidence.exists():
        maps.write(confidence, scene, (s.confidence for s in _kept(folder, how)), unit=PERCENT)
    if not classes.exists():
        strips = (s.classes for s in _kept(folder, how))
        maps.write(classes, scene, strips, classes=about.classes, palette=about.colours)
    if not polygons:
        return [confidence, classes]
    areas = folder / "areas.gpkg"
    if not areas.exists():
        maps.polygons(areas, classes, about.classes)
    return [confidence, classes, areas]


def _next(scene: Scene, about: About, how: Plan, folder: Path, number: int) -> Path:
    """Where to click next, as points and squares beside the strips."""
    file = folder / "next.gpkg"
    file.unlink(missing_ok=True)  # of another number
    found = clicking.chosen(lambda: _kept(folder, how), scene.height, scene.width, number, SEED)
    maps.layers(file, scene, clicking.frames(found, about.classes))
    return file


def _finished(folder: Path) -> int:
    """Strips that are there without one missing before them."""
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


def _key(scene: Scene, model: Path, how: Plan, compute: Compute) -> str:
    """What tells strips of this prediction from those of any other."""
    there = scene.file.stat()
    weights = (model / "model.safetensors", model / "model.json")
    total = hashlib.sha256(
        f"{FORMAT} {scene.file.name} {there.st_size} {there.st_mtime_ns} {how} "
        f"{compute.device.type} {compute.precision}".encode()
    )
    for file in weights:
        if file.is_file():
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:12]
