"""Maps on the scene's grid: classes with a colour table, confidence, polygons, layers for QGIS."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import geopandas
import numpy as np
import pyogrio
import rasterio
from jaxtyping import UInt8
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from rasterio import features
from rasterio.errors import RasterioError
from rasterio.windows import Window

from fewlabels.files import unwritten, whole_file
from fewlabels.mapping.scene import Scene
from fewlabels.types import DataError

NODATA = 255
"""Value of every map where the scene has no valid pixel."""
TILE = 256  # side of the blocks inside a written file
CACHE = 64 * 2**20  # bytes that GDAL may keep of a file being written
Strip = UInt8[np.ndarray, "_ w"]


def write(
    file: Path,
    scene: Scene,
    strips: Iterable[Strip],
    *,
    classes: Sequence[str] = (),
    palette: Sequence[tuple[int, int, int]] = (),
    unit: str = "",
) -> None:
    """Write a map of one byte a pixel from strips of whole rows, whole or not at all.

    It is tiled and compressed, has the scene's grid and system, and NODATA where no value is. It is
    read back before it gets its name, since GDAL does not report every failed write.

    Args:
        classes: their names, kept in the tags `class_0`, `class_1`, ...
        palette: their colours.
        unit: of values that are not classes.

    Raises:
        DataError: `file` exists.
        DiskFullError, PlaceError: it cannot be written.
    """
    free(file)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "nodata": NODATA,
        "height": scene.height, "width": scene.width, "crs": scene.crs,
        "transform": scene.transform, "tiled": True, "blockxsize": TILE, "blockysize": TILE,
        "compress": "deflate", "bigtiff": "if_safer",
    }  # fmt: skip
    with whole_file(file) as scratch, rasterio.Env(GDAL_CACHEMAX=CACHE):
        try:
            with rasterio.open(scratch, "w", **profile) as target:
                if palette:
                    target.write_colormap(1, dict(enumerate(palette)))
                if unit:
                    target.units = (unit,)
                target.update_tags(**{f"class_{i}": name for i, name in enumerate(classes)})
                at = total = 0
                for strip in strips:
                    target.write(strip, 1, window=Window(0, at, scene.width, len(strip)))
                    at, total = at + len(strip), crc32(np.ascontiguousarray(strip), total)
            there = _checksum(scratch)
        except RasterioError as error:
            raise unwritten(file, error.__cause__ or error) from error
        if there != total:
            raise unwritten(file, "it does not read back as it was written")


def _checksum(file: Path) -> int:
    """CRC-32 of all values of a map, row by row."""
    total = 0
    with rasterio.open(file) as source:
        for at in range(0, source.height, TILE):
            window = Window(0, at, source.width, min(TILE, source.height - at))
            total = crc32(source.read(1, window=window), total)
    return total


def polygons(file: Path, classes_map: Path, classes: Sequence[str]) -> int:
    """Write the connected areas of a class map as a GeoPackage with columns `class` and `value`.

    Pixels that only touch at a corner belong to two areas. All areas are held in memory.

    Returns:
        How many areas there are.

    Raises:
        DataError, DiskFullError, PlaceError: as `write`.
    """
    with rasterio.open(classes_map) as source:
        band = rasterio.band(source, 1)
        found = [
            {"geometry": shape, "properties": {"class": classes[int(value)], "value": int(value)}}
            for shape, value in features.shapes(band, connectivity=4, transform=source.transform)
            if int(value) != NODATA
        ]
        frame = geopandas.GeoDataFrame.from_features(
            found, crs=source.crs, columns=["geometry", "class", "value"]
        )
    _write_layers(file, {"classes": frame})
    return len(frame)


def layers(file: Path, scene: Scene, frames: Mapping[str, geopandas.GeoDataFrame]) -> None:
    """Write a GeoPackage in the scene's system from frames with geometry in pixels of the scene;
    raises as `write`.
    """
    grid = scene.transform.to_shapely()
    placed = {
        name: frame.set_geometry(frame.geometry.affine_transform(grid)).set_crs(scene.crs)
        for name, frame in frames.items()
    }
    _write_layers(file, placed)


def free(file: Path) -> None:
    """Check that nothing of that name exists.

    Raises:
        DataError: it does.
    """
    if file.exists():
        raise DataError(f"'{file}' is there already; name another place or delete it")


def _write_layers(file: Path, frames: Mapping[str, geopandas.GeoDataFrame]) -> None:
    free(file)
    with whole_file(file) as scratch:
        named = scratch.with_name(f"{scratch.name}.gpkg")  # the format asks for the ending
        try:
            for layer, frame in frames.items():
                frame.to_file(named, driver="GPKG", layer=layer, engine="pyogrio")
            there = {n: pyogrio.read_info(named, layer=n)["features"] for n in frames}
            named.replace(scratch)
        except (DataLayerError, DataSourceError, FeatureError) as error:
            raise unwritten(file, error) from error
        finally:
            named.unlink(missing_ok=True)
        if there != {layer: len(frame) for layer, frame in frames.items()}:
            raise unwritten(file, "it does not read back as it was written")
