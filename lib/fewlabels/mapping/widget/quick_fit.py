"""A learner fitted to clicks in about a second, and its map of the part that is shown."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from rasterio.transform import Affine

from fewlabels.devices import Compute
from fewlabels.learners import LEARNERS, bank, features
from fewlabels.learners.bank import Bank, Layer
from fewlabels.mapping import scene as scenes
from fewlabels.mapping import stream
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.scene import Pixels, Ranges, Read, Scene
from fewlabels.mapping.stream import Strip
from fewlabels.mapping.widget import static_view
from fewlabels.mapping.widget.annotations import Clicks
from fewlabels.types import DataError, NoLabelsError

MOST = 1024  # pixels a side that are shown and mapped at once
FEW = 16  # bands; where the first of three lengths is not larger, and the last is, it counts them
LEARNER, RIVAL = "frozen_linear", "pixel_forest"


@dataclass(frozen=True)
class View:
    """A scene, or an array that is read like one, and the part of it that is shown."""

    scene: Scene
    reading: Callable[[], AbstractContextManager[Read]]
    rows: slice
    columns: slice

    @property
    def frame(self) -> dict[str, int]:
        """Column and row of the part's upper left pixel, its width and its height."""
        (top, bottom), (left, right) = ((s.start, s.stop) for s in (self.rows, self.columns))
        return {"x": left, "y": top, "w": right - left, "h": bottom - top}


@dataclass(frozen=True)
class Part:
    """The part that is shown with its features, which are computed once.

    Attributes:
        bank: the features; see `Bank`.
        ranges: how bytes follow from values, measured over all valid pixels of the part.
        corner: row and column of the scene that the upper left pixel of `image` is.
        inner: rows and columns of `image` that are shown; features depend on those around them.
        known: the features of each pixel (column, row) that was clicked; no row where it is void.
    """

    view: View
    compute: Compute
    bank: Bank
    ranges: Ranges
    corner: tuple[int, int]
    inner: tuple[slice, slice]
    image: UInt8[np.ndarray, "_ _ c"]
    valid: Bool[np.ndarray, "_ _"]
    layers: Sequence[Layer]
    known: dict[tuple[int, int], Float32[np.ndarray, "_ d"]] = field(default_factory=dict)


def view(
    source: object,
    *,
    bands: tuple[int, ...] = (),
    at: tuple[int, int] | None = None,
) -> View:
    """Open a scene or an array to look at: all of it, or a part of at most MOST pixels a side.

    Args:
        source: the path of a GeoTIFF, or what `opened_array` takes.
        bands: see `scene.opened`; an array is taken with all of its bands.
        at: row and column that the part is around, the middle if None.
    """
    if isinstance(source, str | Path):
        scene = scenes.opened(Path(source), bands)
        reading = partial(scenes.reading, scene)
    else:
        scene, reading = opened_array(source)
    row, column = at or (scene.height // 2, scene.width // 2)
    return View(scene, reading, _around(row, scene.height), _around(column, scene.width))


def opened_array(source: object) -> tuple[Scene, Callable[[], AbstractContextManager[Read]]]:
    """Describe and open [h w] or [h w bands] of real numbers: an array, a masked array, nested
    lists, a Pillow image, a tensor. What is masked or not finite is void.

    Raises:
        DataError: it has another shape, or is not of real numbers.
    """
    try:
        array = np.ma.masked_array(source if np.ma.isMaskedArray(source) else np.asarray(source))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"a {type(source).__name__} is no image: {error}") from error
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif" or not array.size:
        raise DataError(
            f"an image is an array [h w] or [h w bands] of real numbers; found {array.dtype} of "
            f"shape {array.shape}"
        )
    if array.ndim == 3 and array.shape[0] <= FEW < min(array.shape[1:]):
        raise DataError(
            f"an array of shape {array.shape} looks like [bands h w]; its bands must come last: "
            "array.transpose(1, 2, 0)"
        )
    cube = array[..., None] if array.ndim == 2 else array
    height, width, count = cube.shape
    numbers = tuple(range(1, count + 1))
    names = tuple(f"band {number}" for number in numbers)
    scene = Scene(Path("image"), height, width, numbers, (), names, str(array.dtype),
                  Affine.identity(), None)  # fmt: skip
    kind = np.float32 if np.can_cast(array.dtype, np.float32) else np.float64

    @contextmanager
    def reading() -> Iterator[Read]:
        def read(rows: slice, columns: slice) -> Pixels:
            values = np.ma.filled(cube[rows, columns].astype(kind), np.nan)
            return np.ascontiguousarray(values), np.isfinite(values).all(axis=2)

        yield read

    return scene, reading


def picture(view: View, colours: tuple[int, int, int] | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """The part that is shown in red, green and blue; void pixels are grey. Bytes are shown as they
    are, other numbers stretched from their 0.5th to their 99.5th percentile.

    Args:
        colours: positions among the scene's bands; see `static_view.shown` if None.

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


def part(view: View, compute: Compute) -> Part:
    """Compute the features of the part that is shown; on 1,024 x 1,024 pixels it takes seconds.

    Raises:
        DataError: it cannot be read, or no pixel of it is valid.
    """
    with view.reading() as read:
        values, valid = read(view.rows, view.columns)
    ranges = scenes.measured([(values, valid)], valid.size)
    pixels = scenes.to_bytes(values, valid, ranges)[valid][:, None]
    made = LEARNERS[LEARNER].describe([pixels], view.scene.names)
    return _computed(view, compute, made, ranges)


def mapped(
    part: Part, clicks: Clicks, classes: int, name: str = LEARNER
) -> Float32[np.ndarray, "k h w"]:
    """Fit a learner to all clicks on the scene and map the part that is shown: probabilities, 0 for
    classes without a click. The same clicks in any order give the same map (on a CPU with as many
    threads).

    Args:
        name: LEARNER or RIVAL.

    Raises:
        NoLabelsError: fewer than two classes have a click on a valid pixel.
    """
    clicks = sorted(clicks)
    rows = [_features(part, click.column, click.row) for click in clicks]
    used = [click for click, row in zip(clicks, rows, strict=True) if len(row)]
    y = np.array([click.value for click in used], np.uint8)
    if len(np.unique(y)) < 2:
        raise NoLabelsError("click at least two classes, where the image has data")
    across, side = part.view.scene.width, features.BLOCK
    units = np.array([click.row // side * across + click.column // side for click in used])
    learner = LEARNERS[name]
    made = learner.part_of(part.bank)
    x = np.concatenate(rows)[:, features.columns_of(part.bank, made)]
    fitted = learner.fitted(made, x, y, units, classes, part.compute)
    if made.halo:
        return fitted.mapped(part.layers, part.valid.shape)[:, *part.inner]
    image = np.ascontiguousarray(part.image[part.inner])  # a forest need not see a pixel twice
    found, which = np.unique(image.view(f"V{image.shape[2]}")[..., 0], return_inverse=True)
    return fitted.probabilities(found.view(np.uint8).reshape(1, len(found), -1))[:, 0, which]


def decided(part: Part, found: Float32[np.ndarray, "k h w"]) -> Strip:
    """The map that follows from probabilities."""
    logarithms = torch.from_numpy(found).clamp_min(stream.LEAST).log()
    valid = torch.from_numpy(part.valid[part.inner])
    return stream.decided(torch.cat([logarithms, valid[None]]), len(valid))


def disagreement(
    ours: Float32[np.ndarray, "k h w"],
    theirs: Float32[np.ndarray, "k h w"],
    valid: Bool[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w"]:
    """1 where two learners name different classes, both with a probability above one half, else 0;
    NODATA where a pixel is not valid.
    """
    sure = np.minimum(ours.max(axis=0), theirs.max(axis=0)) > 0.5
    apart = sure & (ours.argmax(axis=0) != theirs.argmax(axis=0))
    return np.where(valid, apart, np.uint8(NODATA))


def _features(part: Part, column: int, row: int) -> Float32[np.ndarray, "_ d"]:
    """The features of a pixel of the scene, as one row; no row where it is void."""
    if (column, row) not in part.known:
        x, y, w, h = part.view.frame.values()
        if x <= column < x + w and y <= row < y + h:
            here = part
        else:
            view = replace(part.view, rows=slice(row, row + 1), columns=slice(column, column + 1))
            here = _computed(view, part.compute, part.bank, part.ranges)
        at = np.array([[row, column]]) - here.corner
        found = bank.sampled(here.layers, at, here.valid.shape)
        part.known[column, row] = found[here.valid[tuple(at.T)]]
    return part.known[column, row]


def _computed(view: View, compute: Compute, made: Bank, ranges: Ranges) -> Part:
    """Read a part of a scene with what is around it, and compute its features."""
    spans, size = (view.rows, view.columns), (view.scene.height, view.scene.width)
    wide = [stream.context(span, made.halo, n) for span, n in zip(spans, size, strict=True)]
    corner = wide[0].start, wide[1].start
    inner = [slice(s.start - at, s.stop - at) for s, at in zip(spans, corner, strict=True)]
    with view.reading() as read:
        values, valid = read(*wide)
    image = scenes.to_bytes(values, valid, ranges)
    found = list(bank.layers(made, image, compute))
    return Part(view, compute, made, ranges, corner, tuple(inner), image, valid, found)


def _around(middle: int, size: int) -> slice:
    start = min(max(0, middle - MOST // 2), max(0, size - MOST))
    return slice(start, min(size, start + MOST))
