"""Maps on the scene's grid: classes with a colour table, confidence, polygons."""

import colorsys
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

from fewlabels.files import full, whole_file
from fewlabels.mapping.scene import Scene
from fewlabels.types import DataError

NODATA = 255
"""Value of both maps where the scene has no valid pixel."""
TILE = 256  # side of the blocks inside a written file
CACHE = 64 * 2**20  # bytes that GDAL may keep of a file being written
Strip = UInt8[np.ndarray, "_ w"]


def colours(classes: int) -> list[tuple[int, int, int]]:
    """One RGB colour a class: hues a golden angle apart, so that the first ones differ most."""
    found = []
    for i in range(classes):
        hue, strength, light = 0.33 + 0.618034 * i, 0.75 - 0.25 * (i % 2), 0.9 - 0.15 * (i % 3)
        red, green, blue = colorsys.hsv_to_rgb(hue, strength, light)
        found.append((round(255 * red), round(255 * green), round(255 * blue)))
    return found


def write(
    file: Path,
    scene: Scene,
    strips: Iterable[Strip],
    *,
    classes: Sequence[str] = (),
    palette: Sequence[tuple[int, int, int]] = (),
    unit: str = "",
) -> None:
    """A map of one byte a pixel from strips of whole rows, top to bottom; whole or not there.

    Tiled, compressed, with the scene's grid and system; NODATA where no value is.

    Args:
        classes: their names, which go into the tags as `class_0` and so on.
        palette: their colours.
        unit: of the values, where they are no classes.

    It is read back before it gets its name: GDAL does not say that a disk was full.

    Raises:
        DataError: `file` is there already.
        DiskFullError: it does not fit.
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
            raise full(file) from error
        if there != total:
            raise full(file)


def _checksum(file: Path) -> int:
    """Of all values of a map, row by row."""
    total = 0
    with rasterio.open(file) as source:
        for at in range(0, source.height, TILE):
            window = Window(0, at, source.width, min(TILE, source.height - at))
            total = crc32(source.read(1, window=window), total)
    return total


def polygons(file: Path, classes_map: Path, classes: Sequence[str]) -> int:
    """The areas of one class in a class map as a GeoPackage with columns `class` and `value`; how
    many there are. Pixels that meet in a corner alone are of two areas. All areas are in memory.

    Raises:
        DataError: `file` is there already.
    """
    free(file)
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
    _write(file, {"classes": frame})
    return len(frame)


def layers(file: Path, scene: Scene, frames: Mapping[str, geopandas.GeoDataFrame]) -> None:
    """A GeoPackage of the scene's system from frames whose geometry is in pixels of the scene.

    Raises:
        DataError: `file` is there already.
    """
    free(file)
    grid = scene.transform
    turned = [grid.a, grid.b, grid.d, grid.e, grid.c, grid.f]
    _write(file, {
        name: frame.set_geometry(frame.geometry.affine_transform(turned)).set_crs(scene.crs)
        for name, frame in frames.items()
    })  # fmt: skip


def _write(file: Path, frames: Mapping[str, geopandas.GeoDataFrame]) -> None:
    with whole_file(file) as scratch:
        named = scratch.with_name(f"{scratch.name}.gpkg")  # the format asks for the ending
        try:
            for layer, frame in frames.items():
                frame.to_file(named, driver="GPKG", layer=layer, engine="pyogrio")
            there = {n: pyogrio.read_info(named, layer=n)["features"] for n in frames}
            named.replace(scratch)
        except (DataLayerError, DataSourceError, FeatureError) as error:
            raise full(file) from error
        finally:
            named.unlink(missing_ok=True)
        if there != {layer: len(frame) for layer, frame in frames.items()}:
            raise full(file)


def free(file: Path) -> None:
    """Nothing, if `file` can be written.

    Raises:
        DataError: there is something of that name.
    """
    if file.exists():
        raise DataError(f"'{file}' is there already; name another place or delete it")
