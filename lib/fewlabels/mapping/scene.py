"""A scene: a GeoTIFF of any size, band count and real number format, read in windows.

Its values become the bytes that models are given.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Float, Shaped, UInt8
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from fewlabels.mapping import formats, grid
from fewlabels.mapping.formats import foreign
from fewlabels.types import DataError

log = logging.getLogger(__name__)

CACHE = 128 * 2**20  # bytes that GDAL may keep of a scene: without a limit, 5 % of the memory
TAILS = (0.5, 99.5)  # percentiles that become 0 and 255: a few odd values do not set the range
SAMPLE = 2**20  # pixels that the percentiles are computed from, at most
FAR = 1  # times the width of all other values: a fill value, not an odd one
ROWS = 64  # made bytes of at once
MIDDLE = 128  # what void pixels and bands of one single value become
Pixels = tuple[Float[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]
Read = Callable[[slice, slice], Pixels]


@dataclass(frozen=True)
class Scene:
    """What a GeoTIFF's header says.

    Attributes:
        bands: its bands that hold data, counted from 1.
        alpha: its bands that only mask pixels; they are ignored if one is in `bands`.
        names: their descriptions; `band 1`, `band 2`, ... where the file has none.
        kind: their number format.
        transform: pixel (column, row) to coordinates; the scene may be rotated.
        crs: None where the file does not say.
        scaling: scale and offset of each band, by which its values become physical ones.
        parts: the scenes that it is made of, bands counted on over them; empty for one file.
    """

    file: Path
    height: int
    width: int
    bands: tuple[int, ...]
    alpha: tuple[int, ...]
    names: tuple[str, ...]
    kind: str
    transform: Affine
    crs: CRS | None
    scaling: tuple[tuple[float, float], ...] = ()
    parts: tuple["Scene", ...] = ()

    @property
    def system(self) -> str:
        """The coordinate reference system in words."""
        return named(self.crs)

    @property
    def pixel(self) -> float:
        """Side of a pixel in metres, see `grid.side`."""
        return grid.side(self.transform, self.crs, self.height, self.width)


@dataclass(frozen=True)
class Ranges:
    """For each band the values that become byte 0 and byte 255; values beyond are clipped."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def constant(self) -> tuple[int, ...]:
        """The bands, counted from 0, that held one single value where they were measured."""
        return tuple(np.flatnonzero(np.equal(self.low, self.high)).tolist())


def named(crs: CRS | None) -> str:
    """A coordinate reference system as a person would name it; `none` where it is not known."""
    return crs.to_string() if crs else "none"


def opened(file: Path, bands: tuple[int, ...] = (), also: Sequence[Path] = ()) -> Scene:
    """Describe the scene in `file`; no pixel is read.

    Args:
        also: further files on the same grid, whose bands follow; alpha bands are not counted then.
        bands: those to use, counted from 1, in this order; all but alpha bands if empty. GDAL takes
            the fourth of four 8-bit bands for alpha unless the file says otherwise, so name an
            infrared band.

    Raises:
        DataError: it is missing, not a GeoTIFF, of complex numbers, without a band of data or one
            that was asked for, placed by ground control points (no grid), or on several grids.
    """
    if also:
        return _together(tuple(opened(each) for each in (file, *also)), bands)
    with dataset(file, "GeoTIFF") as source:
        return _described(file, source, bands)


def dataset(file: Path, what: str) -> DatasetReader:
    """Open a file, without a warning where it has no coordinates.

    Raises:
        DataError: it does not open as `what`.
    """
    with foreign(f"'{file}' does not open as a {what}"):
        return formats.raster(file.absolute(), what)


@contextmanager
def reading(scene: Scene) -> Iterator[Read]:
    """Open the scene as a function (rows, columns) -> (values, valid).

    A pixel is valid where every band has a finite value that is not nodata and that no mask or
    alpha band hides. Where a band has none, its value is NaN.

    Raises:
        DataError: a part of the file cannot be read.
    """
    if scene.parts:
        with ExitStack() as stack:
            reads = [stack.enter_context(reading(part)) for part in scene.parts]

            def joined(*where: slice) -> Pixels:
                every = np.concatenate([read(*where)[0] for read in reads], axis=2)
                values = np.ascontiguousarray(every[..., np.array(scene.bands) - 1])
                return values, np.isfinite(values).all(axis=2)

            yield joined
        return
    with rasterio.Env(GDAL_CACHEMAX=CACHE), dataset(scene.file, "GeoTIFF") as source:

        def read(rows: slice, columns: slice) -> Pixels:
            return read_part(source, scene, window=Window.from_slices(rows, columns))

        yield read


def read_part(source: DatasetReader, scene: Scene, **where: object) -> Pixels:
    """Values and validity of a part of a scene; `where` is what `rasterio` takes: `window`, or
    `out_shape` of a small copy.
    """
    kinds = {np.dtype(source.dtypes[number - 1]) for number in scene.bands}
    exact = "float32" if all(np.can_cast(kind, np.float32) for kind in kinds) else "float64"
    with foreign(
        f"'{scene.file}': {where.get('window', 'a part')} cannot be read", "the file may be cut off"
    ):
        found = source.read(scene.bands, out_dtype=exact, **where)
        found[~(_masks(source, scene, found, where) > 0)] = np.nan
    return np.ascontiguousarray(found.transpose(1, 2, 0)), np.isfinite(found).all(axis=0)


def measured(
    pieces: Iterable[tuple[Float[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]], pixels: int
) -> Ranges:
    """The 0.5th and 99.5th percentile of each band over the valid pixels of all pieces.

    Logs a warning where one of them is a single value far from all others: it may mean "no data".

    Args:
        pixels: number of pixels of all pieces; of more than 2^20 only every nth is used.

    Raises:
        DataError: no pixel is valid.
    """
    every = math.ceil(pixels / SAMPLE)
    taken = [values[valid][::every] for values, valid in pieces]
    sample = np.concatenate(taken).astype(np.float64) if taken else np.empty((0, 1))
    if not len(sample):
        raise DataError(f"none of {pixels} pixels of the training area is valid: all are nodata")
    low, high = np.percentile(sample, TAILS, axis=0)
    for band, value in _apart(sample, low, high):
        log.warning(
            "%.2g %% of the pixels of band %d are %g, far from all others; if that means no data, "
            "say so in the file (`gdal_edit.py -a_nodata %g SCENE`) and train again",
            100 * (sample[:, band] == value).mean(), band + 1, value, value,
        )  # fmt: skip
    return Ranges(tuple(low.tolist()), tuple(high.tolist()))


def to_bytes(
    values: Float[np.ndarray, "h w c"], valid: Bool[np.ndarray, "h w"], ranges: Ranges
) -> UInt8[np.ndarray, "h w c"]:
    """round(255 * (value - low) / (high - low)) of each band, clipped to [0, 255]; void pixels and
    bands without a range become 128.

    Raises:
        DataError: the ranges are of another number of bands.
    """
    if values.shape[-1] != len(ranges.low):
        raise DataError(
            f"the scene has {values.shape[-1]} bands and the model was trained on "
            f"{len(ranges.low)}; both must have the same bands in the same order"
        )
    low, high = np.array(ranges.low), np.array(ranges.high)
    span, made = np.where(high > low, high - low, 1), np.empty(values.shape, np.uint8)
    for at in range(0, len(values), ROWS):  # 64 bands in double precision take much memory
        part, here = values[at : at + ROWS], valid[at : at + ROWS, ..., None]
        scaled = 255 * ((np.where(here, part, low) - low) / span)
        made[at : at + ROWS] = np.rint(
            np.clip(np.where(here & (high > low), scaled, MIDDLE), 0, 255)
        )
    return made


def _together(parts: tuple[Scene, ...], wanted: tuple[int, ...]) -> Scene:
    first = parts[0]
    for part in parts[1:]:
        same = (part.height, part.width, part.crs) == (first.height, first.width, first.crs)
        if not (same and grid.same(first.transform, part.transform, part.height, part.width)):
            told = (f"'{s.file}' ({s.height} x {s.width} pixels, {s.system}, {s.transform[:6]})"
                    for s in (part, first))  # fmt: skip
            raise DataError(
                f"{' and '.join(told)} are on different grids; `rio warp IN OUT --like FIRST` helps"
            )
    every = [pair for part in parts for pair in zip(part.names, part.scaling, strict=True)]
    bands = wanted or tuple(range(1, len(every) + 1))
    if absent := [number for number in bands if not 1 <= number <= len(every)]:
        raise DataError(f"the files have {len(every)} bands together and no band {absent[0]}")
    names, scale = zip(*(every[number - 1] for number in bands), strict=True)
    kind = "/".join(sorted({part.kind for part in parts}))
    return replace(first, bands=bands, alpha=(), names=names, kind=kind, scaling=scale, parts=parts)


def _described(file: Path, source: DatasetReader, wanted: tuple[int, ...]) -> Scene:
    if source.driver != "GTiff":
        raise DataError(
            f"'{file}' is {source.driver}, a scene must be a GeoTIFF; "
            "`gdal_translate IN OUT.tif` makes one"
        )
    if len(pages := source.subdatasets) > 1:
        raise DataError(
            f"'{file}' holds {len(pages)} images one after the other, not bands; "
            "`gdalbuildvrt -separate` and `gdal_translate` make bands of them"
        )
    if (source.gcps[0] and source.transform.is_identity) or not source.transform.determinant:
        raise DataError(
            f"'{file}' has no grid of pixels, but {len(source.gcps[0])} ground control points; "
            "`gdalwarp IN OUT.tif` gives it one"
        )
    meanings = dict(zip(source.indexes, source.colorinterp, strict=True))
    alpha = tuple(number for number in meanings if meanings[number] == ColorInterp.alpha)
    bands = wanted or tuple(number for number in meanings if number not in alpha)
    if absent := [number for number in bands if number not in meanings]:
        raise DataError(f"'{file}' has {len(meanings)} bands and no band {absent[0]}")
    kinds = {source.dtypes[number - 1] for number in bands}
    if not bands or any(kind.startswith("complex") for kind in kinds):
        raise DataError(
            f"'{file}' has {len(bands)} bands of data, of kind {', '.join(sorted(kinds))}; "
            "needed is at least one of real numbers"
        )
    names = tuple(source.descriptions[number - 1] or f"band {number}" for number in bands)
    kind = "/".join(sorted(kinds))
    scaling = tuple((source.scales[n - 1], source.offsets[n - 1]) for n in bands)
    place = source.transform, source.crs, scaling
    return Scene(file, source.height, source.width, bands, alpha, names, kind, *place)


def _masks(
    source: DatasetReader, scene: Scene, values: Float[np.ndarray, "c h w"], where: Mapping
) -> Shaped[np.ndarray, "c h w"]:
    """Above 0 where a band has a value; an alpha band that holds data masks nothing."""
    if not set(scene.alpha) & set(scene.bands):
        return source.read_masks(scene.bands, **where)
    nodata = [source.nodatavals[number - 1] for number in scene.bands]
    return np.stack([
        np.ones(band.shape, bool) if value is None else band != band.dtype.type(value)
        for band, value in zip(values, nodata, strict=True)
    ])  # fmt: skip


def _apart(
    sample: Float[np.ndarray, "n c"], low: Float[np.ndarray, " c"], high: Float[np.ndarray, " c"]
) -> Iterator[tuple[int, float]]:
    """Bands, counted from 0, one end of which is a single value, further from the other values than
    FAR times the width of those.
    """
    for band, values in enumerate(sample.T):
        for end in {low[band], high[band]}:
            rest = values[values != end]
            if len(rest) and end in (values.min(), values.max()):
                near, width = np.abs(rest - end).min(), np.ptp(np.percentile(rest, TAILS))
                if near > FAR * width > 0:
                    yield band, float(end)
