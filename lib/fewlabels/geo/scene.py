"""A scene: a GeoTIFF of any size, band count and number format, read in windows."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from warnings import catch_warnings, filterwarnings

import numpy as np
import rasterio
from jaxtyping import Bool, Float32
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from fewlabels.types import DataError

Pixels = tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]
Read = Callable[[slice, slice], Pixels]


@dataclass(frozen=True)
class Scene:
    """What a GeoTIFF's header says.

    Attributes:
        bands: its bands that hold data, counted from 1; an alpha band only says where.
        names: their descriptions, `band 1` and so on where the file has none.
        kind: their number format.
        transform: pixel (column, row) to coordinates; it may turn the scene.
        crs: None where the file does not say.
    """

    file: Path
    height: int
    width: int
    bands: tuple[int, ...]
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


def opened(file: Path) -> Scene:
    """The scene in `file`; no pixel is read.

    Raises:
        DataError: it is not there, not a GeoTIFF, of complex numbers, without a band of data, or
            placed by ground control points, which are no grid.
    """
    with dataset(file, "GeoTIFF") as source:
        return _described(file, source)


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


def _described(file: Path, source: DatasetReader) -> Scene:
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
    bands = tuple(
        number
        for number, meaning in zip(source.indexes, source.colorinterp, strict=True)
        if meaning != ColorInterp.alpha
    )
    kinds = {source.dtypes[number - 1] for number in bands}
    if not bands or any(kind.startswith("complex") for kind in kinds):
        raise DataError(
            f"'{file}' has {len(bands)} bands of data, of kind {', '.join(sorted(kinds))}; "
            "needed is at least one of real numbers"
        )
    names = tuple(source.descriptions[number - 1] or f"band {number}" for number in bands)
    kind = "/".join(sorted(kinds))
    return Scene(
        file, source.height, source.width, bands, names, kind, source.transform, source.crs
    )


@contextmanager
def reading(scene: Scene) -> Iterator[Read]:
    """A function (rows, columns) -> (values, valid) on the open file.

    A pixel is valid where every band has a finite value there that is not the file's nodata, nor
    masked by its mask or alpha band. Values elsewhere are whatever the file holds.

    Raises:
        DataError: a part of the file cannot be read.
    """
    with dataset(scene.file, "GeoTIFF") as source:

        def read(rows: slice, columns: slice) -> Pixels:
            window = Window.from_slices(rows, columns)
            try:
                values = source.read(scene.bands, window=window, out_dtype="float32")
                masks = source.read_masks(scene.bands, window=window)
            except RasterioError as error:
                raise DataError(
                    f"'{scene.file}': rows {rows.start} to {rows.stop}, columns {columns.start} to "
                    f"{columns.stop} cannot be read ({error}); the file may be cut off"
                ) from error
            valid = (masks > 0).all(axis=0) & np.isfinite(values).all(axis=0)
            return np.ascontiguousarray(values.transpose(1, 2, 0)), valid

        yield read
