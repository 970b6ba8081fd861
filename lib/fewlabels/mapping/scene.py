"""A scene: a GeoTIFF of any size, band count and real number format, read in windows."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from warnings import catch_warnings, filterwarnings

import numpy as np
import rasterio
from jaxtyping import Bool, Float32, Shaped
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from fewlabels.types import DataError

CACHE = 128 * 2**20  # bytes that GDAL may keep of a scene: without a limit, 5 % of the memory
Pixels = tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]
Read = Callable[[slice, slice], Pixels]


@dataclass(frozen=True)
class Scene:
    """What a GeoTIFF's header says.

    Attributes:
        bands: its bands that hold data, counted from 1.
        alpha: its bands that only say where there are data; they count unless one is in `bands`.
        names: their descriptions, `band 1` and so on where the file has none.
        kind: their number format.
        transform: pixel (column, row) to coordinates; it may turn the scene.
        crs: None where the file does not say.
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

    @property
    def system(self) -> str:
        """The coordinate reference system in words."""
        return named(self.crs)

    @property
    def pixel(self) -> float:
        """Side of a pixel in the unit of the coordinates: the root of its area."""
        return math.sqrt(abs(self.transform.determinant))


def named(crs: CRS | None) -> str:
    """A coordinate reference system as a person would name it; `none` where it is not known."""
    return crs.to_string() if crs else "none"


def opened(file: Path, bands: tuple[int, ...] = ()) -> Scene:
    """The scene in `file`; no pixel is read.

    Args:
        bands: those to use, counted from 1, in this order; all but alpha bands if empty. GDAL marks
            the fourth of four 8-bit bands as alpha unless told otherwise, so an infrared band may
            have to be asked for.

    Raises:
        DataError: it is not there, not a GeoTIFF, of complex numbers, without a band of data or one
            that was asked for, or placed by ground control points, which are no grid.
    """
    with dataset(file, "GeoTIFF") as source:
        return _described(file, source, bands)


def dataset(file: Path, what: str) -> DatasetReader:
    """The open file, without a warning where it has no coordinates.

    Raises:
        DataError: it does not open; says that it should be `what`.
    """
    with catch_warnings():
        filterwarnings("ignore", category=NotGeoreferencedWarning)
        try:
            return rasterio.open(file)
        except RasterioIOError as error:
            raise DataError(f"'{file}' does not open as a {what} ({error})") from error


def _described(file: Path, source: DatasetReader, wanted: tuple[int, ...]) -> Scene:
    if source.driver != "GTiff":
        raise DataError(
            f"'{file}' is {source.driver}, a scene must be a GeoTIFF; "
            "`gdal_translate IN OUT.tif` makes one"
        )
    if source.gcps[0] and source.transform.is_identity:
        raise DataError(
            f"'{file}' is placed by {len(source.gcps[0])} ground control points and has no grid; "
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
    place = source.transform, source.crs
    return Scene(file, source.height, source.width, bands, alpha, names, kind, *place)


@contextmanager
def reading(scene: Scene) -> Iterator[Read]:
    """A function (rows, columns) -> (values, valid) on the open file.

    A pixel is valid where every band has a finite value there that is not the file's nodata, nor
    masked by its mask or alpha band. Values elsewhere are whatever the file holds.

    Raises:
        DataError: a part of the file cannot be read.
    """
    with rasterio.Env(GDAL_CACHEMAX=CACHE), dataset(scene.file, "GeoTIFF") as source:

        def read(rows: slice, columns: slice) -> Pixels:
            window = Window.from_slices(rows, columns)
            try:
                values = source.read(scene.bands, window=window, out_dtype="float32")
                masks = _masks(source, scene, values, window)
            except RasterioError as error:
                raise DataError(
                    f"'{scene.file}': rows {rows.start} to {rows.stop}, columns {columns.start} to "
                    f"{columns.stop} cannot be read ({error}); the file may be cut off"
                ) from error
            valid = (masks > 0).all(axis=0) & np.isfinite(values).all(axis=0)
            return np.ascontiguousarray(values.transpose(1, 2, 0)), valid

        yield read


def _masks(
    source: DatasetReader, scene: Scene, values: Float32[np.ndarray, "c h w"], window: Window
) -> Shaped[np.ndarray, "c h w"]:
    """Above 0 where a band has a value; an alpha band that holds data masks nothing."""
    if not set(scene.alpha) & set(scene.bands):
        return source.read_masks(scene.bands, window=window)
    nodata = [source.nodatavals[number - 1] for number in scene.bands]
    return np.stack([
        np.ones(band.shape, bool) if value is None else band != np.float32(value)
        for band, value in zip(values, nodata, strict=True)
    ])  # fmt: skip
