"""Maps of a scene by a model folder, made strip by strip.

Finished strips are kept in a folder beside the map, so an interrupted prediction resumes after the
last of them and gives the same maps. All maps are made in that folder before the first gets its
name, so the same command also goes on where only some have theirs. Where to click next follows from
the strips once the maps have their names: if it fails, the same command goes on with it alone.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Int
from tqdm.auto import tqdm

from fewlabels import devices
from fewlabels.devices import Compute
from fewlabels.files import Shelf, made_folder, stamp, whole_file, working, writable
from fewlabels.learners import Predictor
from fewlabels.mapping import (
    applicability,
    class_map,
    limits,
    maps,
    model_folder,
    outputs,
    smoothing,
    stream,
    unlike,
)
from fewlabels.mapping import query as clicking
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.model_folder import About
from fewlabels.mapping.outputs import Finish
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.stream import Plan, Strip
from fewlabels.types import DataError

log = logging.getLogger(__name__)

FORMAT = 5  # raise it when strips mean something else
SEED = 0  # of the clicks


@dataclass(frozen=True)
class Written:
    """The maps that were written.

    Attributes:
        files: confidence, classes and what else was asked for.
        valid: share of the scene's pixels that have a class.
        share: the share of each class among those pixels.
        resumed: strips that an interrupted prediction had left.
        notes: what was done to the map, and what to know of it.
    """

    files: tuple[Path, ...]
    valid: float
    share: dict[str, float]
    resumed: int
    notes: tuple[str, ...] = ()


def predict(
    scene: Path,
    model: Path,
    out: Path,
    *,
    window: int | None = None,
    overlap: int | None = None,
    also: Sequence[Path] = (),
    force: bool = False,
    device: str = "auto",
    **asked: bool | float,
) -> Written:
    """Write the class map `out`, its confidence as NAME_confidence.tif, and what else is asked for.

    Args:
        window: side in pixels of what the model is given at once; the model's if None. With
            `smooth` it is rounded up to whole blocks of superpixels, for learners whose map
            does not depend on it.
        overlap: pixels that neighbouring windows of a network share at least; a quarter if None.
        also, force: see `unlike.fitting`.
        **asked: fields of `outputs.Finish`.

    Raises:
        DataError: as `unlike.fitting`, or a map exists or is not named as a GeoTIFF.
        DiskFullError, PlaceError: the maps cannot be written, or another process writes them now.
        RecipeError: as `stream.Plan`, `limits.check`, `outputs.make`, or an overlap that cannot
            apply.
        MemoryFullError: the memory does not suffice.
    """
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise DataError(f"'{out}' is no name for a class map; it is a GeoTIFF, name it NAME.tif")
    finish = Finish(**asked)
    files = finish.targets(out)
    targets = list(files.values())
    clicks = [out.with_name(f"{out.stem}_next.gpkg")] if finish.clicks else []
    writable(out)
    work = out.parent / f".{out.name}.partial"
    with working(work, out), limits.naming_full_memory("--window"):
        about = model_folder.about(model)
        ground = unlike.fitting(scene, about, model, also=also, force=force)
        if finish.polygons or finish.clicks:
            maps.try_layers(out.parent, ground)
        if finish.sieve:
            smoothing.pixels(ground, finish.sieve)
        compute = devices.compute(device)
        predictor = model_folder.predictor(model, about, compute)
        known = applicability.read(model, predictor) if finish.applicability else None
        second = None
        if clicks and about.second:
            second = model_folder.predictor(model, about, compute, second=True)
        elif clicks:
            log.info("the model holds one learner, so --next goes by its margins alone; one that "
                     "`fewlabels train --method auto` scored holds two")  # fmt: skip
        side = window or about.window
        if overlap is not None and predictor.halo is not None:
            raise RecipeError(
                f"the map of a {about.learner} does not depend on windows, so it needs no overlap; "
                "leave --overlap out"
            )
        if finish.smooth and predictor.halo is not None:
            side = -(-side // smoothing.BLOCK) * smoothing.BLOCK
        shared = side // 4 if overlap is None else overlap
        how = Plan(ground.height, ground.width, side, shared, predictor.halo)
        folder = work / _key(ground, model, about, how, compute, finish)
        made = dict(zip(outputs.places(folder, files), targets, strict=True))
        there = all(one.exists() or target.exists() for one, target in made.items())
        done = there and (folder / outputs.NOTES).exists()
        if not done:
            maps.free(*targets, *clicks)
        resumed = _finished(folder)
        if not done:
            limits.check(how, len(about.classes), out)
            _make(ground, about, about.learner, predictor, how, folder, finish)
            where = partial(applicability.write, ground, about, how, predictor, known)
            kept = partial(_kept, folder, how)
            outputs.make(ground, about, kept, folder, finish, files, where)
        for one, target in made.items():
            _name(one, target)
        if clicks and not clicks[0].exists():
            _next(clicks[0], ground, about, second, how, folder, finish.clicks)
        for target in targets[:2]:
            maps.check(target, ground)
        notes = json.loads((folder / outputs.NOTES).read_text())
        counts = _counts(out)
        for each in filter(Path.is_dir, work.iterdir()):
            shutil.rmtree(each, ignore_errors=True)
    mapped = max(1, counts.sum())
    share = {name: float(counts[code] / mapped) for code, name in outputs.codes(about).items()}
    valid = float(counts.sum() / (ground.height * ground.width))
    return Written(tuple(targets + clicks), valid, share, resumed, tuple(notes))


def _counts(file: Path) -> Int[np.ndarray, " 256"]:
    strips = (values for _, values in class_map.strips(scenes.opened(file)))
    return sum(np.bincount(part[part != class_map.NONE], minlength=256) for part in strips)


def _name(made: Path, target: Path) -> None:
    """Give a finished file its name, unless it has it."""
    if made.exists():
        maps.free(target)
        if maps.side_car(made).exists():
            maps.side_car(made).replace(maps.side_car(target))
        made.replace(target)


def _make(
    scene: Scene, about: About, name: str, predictor: Predictor, how: Plan, folder: Path,
    finish: Finish = outputs.PLAIN,
) -> None:  # fmt: skip
    number, last = _finished(folder), len(how.down)
    made_folder(folder)
    if number == last:
        return
    windows = (last - number) * len(how.across)
    limits.announce(how, len(about.classes), scene, predictor, about.ranges, last - number)
    with (
        scenes.reading(scene) as read,
        tqdm(total=windows, unit="window", desc=f"map by {name}") as bar,
    ):
        smooth = smoothing.within_superpixels(read, about.ranges) if finish.smooth else None
        made = stream.strips(
            how, read, predictor, about.ranges, len(about.classes), first=number, smooth=smooth,
            keep=finish.probabilities, tick=bar.update,
        )  # fmt: skip
        for strip in made:
            with whole_file(_file(folder, number)) as scratch, scratch.open("wb") as target:
                there = {name: part for name, part in strip._asdict().items() if part is not None}
                np.savez_compressed(target, **there)
            number += 1


def _next(
    file: Path,
    scene: Scene,
    about: About,
    second: Predictor | None,
    how: Plan,
    folder: Path,
    number: int,
) -> None:
    """Write where to click next, as points and squares."""
    other = None
    if second is not None:
        side = max(how.window, stream.WINDOW) if how.halo is None else how.window
        wide = replace(how, window=side, halo=second.halo)
        _make(scene, about, about.second, second, wide, folder / "second")
        other, top = Shelf(folder).zeros((2, how.height, how.width)), 0
        for strip in _kept(folder / "second", wide):
            rows = slice(top, top + len(strip.classes))
            other[0, rows], other[1, rows], top = strip.classes, strip.confidence, rows.stop
    found = clicking.chosen(
        lambda: _kept(folder, how), scene.height, scene.width, number, SEED, other
    )
    names = about.learner, about.second
    maps.layers(file, scene, clicking.frames(found, about.classes, names))


def _finished(folder: Path) -> int:
    number = 0
    while _file(folder, number).exists():
        number += 1
    return number


def _kept(folder: Path, how: Plan) -> Iterator[Strip]:
    for number, (start, stop) in enumerate(pairwise(how.edges)):
        file = _file(folder, number)
        try:
            with np.load(file) as found:
                strip = Strip(**found)
            sizes = {(p.shape[-2:], p.dtype) for p in strip if p is not None}
            if sizes != {((stop - start, how.width), np.dtype("u1"))}:
                raise ValueError(f"it is not of {stop - start} rows of bytes")
        except (OSError, ValueError, TypeError, BadZipFile) as error:
            raise DataError(
                f"the strip '{file}' cannot be read ({error}); delete '{folder}' and run again"
            ) from error
        yield strip


def _file(folder: Path, number: int) -> Path:
    return folder / f"strip-{number:06d}.npz"


def _key(
    scene: Scene, model: Path, about: About, how: Plan, compute: Compute, finish: Finish
) -> str:
    """What identifies the strips of this prediction."""
    there = stamp(part.file for part in scene.parts or (scene,))
    done = replace(finish, clicks=0)
    total = hashlib.sha256(
        f"{FORMAT} {there} {how} {compute.device.type} {compute.precision} {done}".encode()
    )
    files = [model / "model.json", model_folder.file(model, about)]
    files += [model_folder.file(model, about, second=True)] if about.second else []
    files += [model / applicability.FILE] if finish.applicability else []
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:12]
