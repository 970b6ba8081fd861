"""A training of some seconds on clicks, and the map that it gives: of an array or a scene."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8

from fewlabels.devices import Compute
from fewlabels.mapping import rasterize, recipe, stream, tiles
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.recipe import Ground, Recipe
from fewlabels.mapping.scene import Ranges, Read, Scene
from fewlabels.mapping.stream import Plan, Strip
from fewlabels.mapping.vector_labels import Marks
from fewlabels.mapping.widget import array_scene, static_view
from fewlabels.training import loop
from fewlabels.types import DataError, NoLabelsError

MOST = 1024  # pixels a side that are shown and mapped at once
SHORT = Recipe(
    method="network", model="unet:depth=2,width=16", steps=150, batch=16, crop=32, lr=1e-2, folds=0
)
"""Some seconds on a CPU: a small network that sees only the near surroundings of a pixel. No record
of this project says how good it is; a model to be kept is trained by the defaults of `Recipe`."""


@dataclass(frozen=True)
class View:
    """A scene, or an array that is read like one, and the part of it that is shown."""

    scene: Scene
    reading: Callable[[], AbstractContextManager[Read]]
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def view(
    source: object,
    *,
    bands: tuple[int, ...] = (),
    at: tuple[int, int] | None = None,
) -> View:
    """Open a scene or an array to look at: all of it, or a part of at most MOST pixels a side.

    Args:
        source: the path of a GeoTIFF, or what `array_scene.opened` takes.
        bands: see `scene.opened`; an array is taken with all of its bands.
        at: row and column that the part is around, the middle if None.

    Raises:
        DataError: as `scene.opened` and `array_scene.opened`.
    """
    if isinstance(source, str | Path):
        scene = scenes.opened(Path(source), bands)
        reading = partial(scenes.reading, scene)
    else:
        scene, reading = array_scene.opened(source)
    row, column = at or (scene.height // 2, scene.width // 2)
    return View(scene, reading, _around(row, scene.height), _around(column, scene.width))


def picture(view: View, colours: tuple[int, int, int] | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """The part that is shown in red, green and blue; void pixels are grey. Bytes are shown as they
    are, other numbers stretched from their 0.5th to their 99.5th percentile.

    Args:
        colours: positions among the scene's bands; see `still.shown` if None.

    Raises:
        DataError: there is no such band, or no valid pixel to stretch by.
    """
    count = len(view.scene.bands)
    chosen = colours or static_view.shown(view.scene)
    if not all(0 <= band < count for band in chosen):
        raise DataError(
            f"colours are taken from bands {chosen} and '{view.scene.file}' has 0 to {count - 1}"
        )
    with view.reading() as read:
        values, valid = read(view.rows, view.columns)
    values = values[..., list(chosen if len(chosen) == 3 else chosen * 3)]
    ranges = Ranges((0.0,) * 3, (255.0,) * 3)
    if view.scene.kind != "uint8":
        ranges = scenes.measured([(values, valid)], valid.size)
    return scenes.to_bytes(values, valid, ranges)


def mapped(view: View, marks: Marks, how: Recipe, compute: Compute, watch: loop.Watch) -> Strip:
    """Train a new network on all marks of the scene and map the part that is shown.

    The same marks, recipe and seed give the same map (on a CPU with as many threads).

    Args:
        watch: called as watch(steps done, network) after every step; what it raises ends training.

    Raises:
        NoLabelsError: fewer than two classes have a mark, or none lies on a valid pixel.
        FewLabelsError: as `recipe.learn`.
    """
    if len(set(marks.values.tolist())) < 2:
        raise NoLabelsError("a network learns to tell classes apart: click at least two of them")
    with view.reading() as read, TemporaryDirectory() as scratch:
        cut = tiles.cut(
            view.scene, read, rasterize.burning(marks), side=how.side, gap=0, block=None
        )
        ground = Ground(read, cut.pieces, marks.classes, how, compute, Path(scratch), "clicks")
        labels = [piece.labels for piece in cut.pieces]
        learned = recipe.learn(ground, labels, "clicks", "network", watch)
        values, valid = read(view.rows, view.columns)
        plan = Plan(*view.shape, how.window, how.window // 4)
        made = stream.strips(
            plan, lambda *part: (values[part], valid[part]), learned.predictor, learned.ranges,
            len(marks.classes),
        )  # fmt: skip
        return Strip(*(np.concatenate(parts) for parts in zip(*made, strict=True)))


def _around(middle: int, size: int) -> slice:
    start = min(max(0, middle - MOST // 2), max(0, size - MOST))
    return slice(start, min(size, start + MOST))
