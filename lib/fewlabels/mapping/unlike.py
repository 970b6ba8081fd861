"""Whether a scene is like the one that a model was trained on: bands, units, pixels and values."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fewlabels.mapping import scene as scenes
from fewlabels.mapping.class_text import plain
from fewlabels.mapping.formats import foreign
from fewlabels.mapping.model_folder import About
from fewlabels.mapping.scene import Ranges, Scene
from fewlabels.types import DataError

log = logging.getLogger(__name__)

LIKE = 1.5  # a pixel more than this times larger or smaller than in training is warned about
SIDE, WINDOWS = 64, 8  # values are looked at in so many squares of this side, along each side
NEAR = 0.1  # widths of a band's range that values may lie outside of it
FEW = 0.05  # share of pixels outside that is not worth a word
SHOWN = 12  # band names that are listed in full
MANY = 0.5  # share of pixels, averaged over bands, from which on no map is made


def fitting(
    file: Path, about: About, model: Path, *, also: Sequence[Path] = (), force: bool = False
) -> Scene:
    """Open a scene with the bands of a model; bands that both name are taken by their names. Log
    how the scene differs from the one of training: number format, band names, scale and offset,
    size of a pixel, values.

    Args:
        also: see `scene.opened`.
        force: go on where most values lie outside the range of training.

    Raises:
        DataError: as `scene.opened`, or the scene has more or fewer bands than the model, or most
            values lie outside the range of training.
    """
    scene = scenes.opened(file, _by_name(file, about, also) or about.asked, also)
    mine, needed = (_listed(names) for names in (scene.names, about.bands))
    if len(scene.bands) != len(about.bands):
        raise DataError(
            f"the scene '{file}' has {len(scene.bands)} bands ({mine}) and the model '{model}' "
            f"needs {len(about.bands)} ({needed})"
            + ("; --also FILE adds bands" if len(scene.bands) < len(about.bands) else "")
        )
    if scene.kind != about.kind:
        log.warning("the scene is of %s, the training scene was of %s", scene.kind, about.kind)
    if [_loose(name) for name in scene.names] != [_loose(name) for name in about.bands]:
        log.warning("the scene's bands are %s, the training scene's were %s", mine, needed)
    scaling = about.record.get("scaling", scene.scaling)
    with foreign(f"'{model}' cannot be read as a model folder: scale and offset"):
        alike = np.allclose(scene.scaling, scaling, rtol=1e-6, atol=0)
    if not alike:
        pairs = zip(about.bands, scene.scaling, scaling, strict=True)
        told = [f"{n} {a:g}, {b:g} and {c:g}, {d:g}" for n, (a, b), (c, d) in pairs]
        log.warning("scale and offset differ, here and in training: %s", "; ".join(told))
    times = scene.pixel / about.pixel
    if "none" not in (scene.system, about.system) and not 1 / LIKE <= times <= LIKE:
        log.warning("a pixel of the scene is %.3g times as long as in training", times)
    _compare(scene, about.ranges, force)
    return scene


def _listed(names: Sequence[str]) -> str:
    """Join names with commas, the first and last few of many."""
    return ", ".join(names if len(names) <= SHOWN else (*names[:4], "...", *names[-2:]))


def outside(
    values: Float[np.ndarray, "n c"], ranges: Ranges
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """For each band the share of values outside its range, and of those further than its width."""
    low, high = np.array(ranges.low), np.array(ranges.high)
    width = np.where(high > low, high - low, np.inf)
    beyond = np.maximum(low - values, values - high) / width
    return (beyond > NEAR).mean(axis=0), (beyond > 1).mean(axis=0)


def _by_name(file: Path, about: About, also: Sequence[Path]) -> tuple[int, ...]:
    """The bands that have the names of the model's; none where not all names are there once."""
    every = scenes.opened(file, (), also)
    numbers = tuple(range(1, len(every.bands + every.alpha) + 1))
    every = scenes.opened(file, numbers, also)
    names, wanted = [_loose(name) for name in every.names], [_loose(name) for name in about.bands]
    told = all(names.count(name) == 1 for name in wanted) and len(set(wanted)) == len(wanted)
    if not told or any(name.startswith("band ") for name in wanted):
        return ()
    found = tuple(names.index(name) + 1 for name in wanted)
    if found != tuple(sorted(found)):
        log.warning("bands are taken by name, as numbers %s", ", ".join(map(str, found)))
    return found


def _loose(name: str) -> str:
    return (plain(name) or "").casefold()


def _compare(scene: Scene, ranges: Ranges, force: bool) -> None:
    """Log the share of values outside the range of training, by band."""
    sample = _sample(scene)
    if not len(sample):
        return
    shares, far = outside(sample, ranges)
    told = [
        f"{name} {100 * share:.0f} % (range {low:g} to {high:g}, here {here[0]:g} to {here[1]:g})"
        for name, share, low, high, here in zip(
            scene.names, shares, ranges.low, ranges.high,
            np.percentile(sample, scenes.TAILS, axis=0).T, strict=True,
        )
        if share > FEW
    ]  # fmt: skip
    if not told:
        return
    words = f"values lie outside the range of training: {'; '.join(told)}"
    if not force and (shares.mean() > MANY or far.max() > MANY):
        raise DataError(
            f"'{scene.file}': {words}; is it in the same unit, and are its bands in the same "
            "order? --force maps it all the same"
        )
    log.warning("%s", words)


def _sample(scene: Scene) -> Float[np.ndarray, "n c"]:
    starts = [
        sorted({round(at) for at in np.linspace(0, max(0, size - SIDE), WINDOWS)})
        for size in (scene.height, scene.width)
    ]
    found = []
    with scenes.reading(scene) as read:
        for top in starts[0]:
            for left in starts[1]:
                rows = slice(top, min(top + SIDE, scene.height))
                values, valid = read(rows, slice(left, min(left + SIDE, scene.width)))
                found.append(values[valid])
    return np.concatenate(found).astype(np.float64)
