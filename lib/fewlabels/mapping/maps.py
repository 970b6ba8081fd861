"""Maps on the scene's grid: classes with a colour table, confidence, polygons, layers for QGIS."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from xml.etree import ElementTree
from zlib import crc32

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from jaxtyping import UInt8
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from rasterio import features
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window

from fewlabels.files import unwritten, whole_file
from fewlabels.mapping import grid
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.borders import quiet, unsplit
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
    codes: Sequence[int] = (),
    unit: str = "",
) -> None:
    """Write a map of one byte a pixel from strips of whole rows, whole or not at all.

    It is tiled and compressed, has the scene's grid and system, and NODATA where no value is. It is
    read back before it gets its name, since GDAL does not report every failed write. What fits no
    tag of a GeoTIFF, some systems and the names of classes, is in FILE.aux.xml beside it.

    Args:
        classes: their names, kept in the tags `class_CODE` and as names of categories.
        palette: their colours.
        codes: value of each class in the file; 0, 1, 2, ... if empty.
        unit: of values that are not classes.

    Raises:
        DataError: `file` exists.
        DiskFullError, PlaceError: it cannot be written.
    """
    free(file)
    names = dict(zip(codes or range(len(classes)), classes, strict=True))
    coded = np.full(256, NODATA, np.uint8)
    coded[: len(names)] = list(names)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "nodata": NODATA,
        "height": scene.height, "width": scene.width, "crs": scene.crs,
        "transform": scene.transform, "tiled": True, "blockxsize": TILE, "blockysize": TILE,
        "compress": "deflate", "bigtiff": "if_safer",
    }  # fmt: skip
    with whole_file(file) as scratch, rasterio.Env(GDAL_CACHEMAX=CACHE), quiet():
        try:
            with rasterio.open(scratch.absolute(), "w", **profile) as target:
                if palette:
                    target.write_colormap(1, dict(zip(names, palette, strict=True)))
                if unit:
                    target.units = (unit,)
                target.update_tags(**{f"class_{code}": name for code, name in names.items()})
                at = total = 0
                for strip in strips:
                    values = coded[strip] if names else strip
                    target.write(values, 1, window=Window(0, at, scene.width, len(strip)))
                    at, total = at + len(strip), crc32(np.ascontiguousarray(values), total)
            if _checksum(scratch) != total:
                raise unwritten(file, "it does not read back as it was written")
            _name_categories(side_car(scratch), names)
            if side_car(scratch).exists():
                side_car(scratch).replace(side_car(file))
        except RasterioError as error:
            raise unwritten(file, error.__cause__ or error) from error
        finally:
            side_car(scratch).unlink(missing_ok=True)
    try:
        check(file, scene)
    except DataError:
        file.unlink()
        side_car(file).unlink(missing_ok=True)
        raise


def side_car(file: Path) -> Path:
    """Where GDAL keeps what fits no tag of a GeoTIFF."""
    return file.with_name(f"{file.name}.aux.xml")


def check(file: Path, scene: Scene) -> None:
    """Check that a map has, under its name, the system and grid of its scene.

    Raises:
        DataError: it does not.
    """
    with scenes.dataset(file, "map") as source:
        size = source.shape == (scene.height, scene.width)
        same = size and grid.same(scene.transform, source.transform, *source.shape)
        if source.crs != scene.crs or not same:
            raise DataError(
                f"the map '{file}' has the system {scenes.named(source.crs)} and not, on the same "
                f"grid, that of its scene '{scene.file}': {scene.system}"
            )


def _name_categories(file: Path, names: Mapping[int, str]) -> None:
    """Write the names of classes where GDAL and QGIS look for them."""
    if not names:
        return
    root = ElementTree.parse(file).getroot() if file.exists() else ElementTree.Element("PAMDataset")
    band = root.find("PAMRasterBand")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1") if band is None else band
    listed = ElementTree.SubElement(band, "CategoryNames")
    for code in range(max(names) + 1):
        ElementTree.SubElement(listed, "Category").text = names.get(code, "")
    ElementTree.ElementTree(root).write(file, encoding="utf-8")


def _checksum(file: Path) -> int:
    """CRC-32 of all values of a map, row by row."""
    total = 0
    with rasterio.open(file.absolute()) as source:
        for at in range(0, source.height, TILE):
            window = Window(0, at, source.width, min(TILE, source.height - at))
            total = crc32(source.read(1, window=window), total)
    return total


def polygons(
    file: Path, classes_map: Path, classes: Sequence[str], codes: Sequence[int] = ()
) -> int:
    """Write the connected areas of a class map as a GeoPackage with columns `class` and `value`.

    Pixels that only touch at a corner belong to two areas. All areas are held in memory.

    Args:
        codes: see `write`.

    Returns:
        How many areas there are.

    Raises:
        DataError, DiskFullError, PlaceError: as `write`.
    """
    names = dict(zip(codes or range(len(classes)), classes, strict=True))
    with scenes.dataset(classes_map, "map") as source:
        band = rasterio.band(source, 1)
        found = [
            {"geometry": shape, "properties": {"class": names[int(value)], "value": int(value)}}
            for shape, value in features.shapes(band, connectivity=4, transform=source.transform)
            if int(value) != NODATA
        ]
        frame = geopandas.GeoDataFrame.from_features(found, columns=["geometry", "class", "value"])
        _write_layers(file, {"classes": frame}, source.crs)
    return len(frame)


def layers(
    file: Path,
    scene: Scene,
    frames: Mapping[str, geopandas.GeoDataFrame],
    styles: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a GeoPackage in the scene's system from frames with geometry in pixels of the scene;
    raises as `write`.

    Args:
        styles: QML by the name of its layer; QGIS opens the layer with it.
    """
    to_coordinates = scene.transform.to_shapely()
    placed = {
        name: frame.set_geometry(frame.geometry.affine_transform(to_coordinates))
        for name, frame in frames.items()
    }
    _write_layers(file, placed, scene.crs, styles)


def try_layers(folder: Path, scene: Scene) -> None:
    """Check, before long work, that a GeoPackage in the scene's system can be written.

    Raises:
        DiskFullError, PlaceError: it cannot.
    """
    with TemporaryDirectory(dir=folder) as scratch:
        layers(Path(scratch, "try.gpkg"), scene, {"try": geopandas.GeoDataFrame(geometry=[])})


def free(file: Path) -> None:
    """Check that nothing of that name exists.

    Raises:
        DataError: it does.
    """
    if file.exists():
        raise DataError(f"'{file}' is there already; name another place or delete it")


def _write_layers(
    file: Path,
    frames: Mapping[str, geopandas.GeoDataFrame],
    crs: CRS | None,
    styles: Mapping[str, str] = MappingProxyType({}),
) -> None:
    free(file)
    with whole_file(file) as scratch:
        named = scratch.with_name(f"{scratch.name}.gpkg")  # the format asks for the ending
        try:
            with unsplit(named) as path, quiet():
                for layer, frame in frames.items():
                    _write_layer(path, layer, frame, crs)
                if styles:
                    _write_styles(path, styles)
                there = {n: pyogrio.read_info(path, layer=n)["features"] for n in frames}
            named.replace(scratch)
        except (DataLayerError, DataSourceError, FeatureError) as error:
            raise unwritten(file, error) from error
        finally:
            named.unlink(missing_ok=True)
        if there != {layer: len(frame) for layer, frame in frames.items()}:
            raise unwritten(file, "it does not read back as it was written")


def _write_layer(path: Path, layer: str, frame: geopandas.GeoDataFrame, crs: CRS | None) -> None:
    """Write one layer; geopandas itself knows no way to say some systems."""
    rest, kinds = frame.drop(columns=frame.geometry.name), set(frame.geom_type)
    pyogrio.raw.write(
        path, shapely.to_wkb(frame.geometry.to_numpy()),
        [rest[name].to_numpy() for name in rest], list(rest), layer=layer, driver="GPKG",
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        crs=crs.to_wkt(version="WKT2_2019") if crs else None,
    )  # fmt: skip


def _write_styles(path: Path, styles: Mapping[str, str]) -> None:
    """Write the table that QGIS looks for the default style of a layer in."""
    table = pd.DataFrame(
        {
            "f_table_catalog": "", "f_table_schema": "", "f_table_name": list(styles),
            "f_geometry_column": "geom", "styleName": list(styles),
            "styleQML": list(styles.values()), "styleSLD": "", "useAsDefault": True,
            "description": "", "owner": "", "ui": None,
            "update_time": pd.Timestamp.now("UTC"),
        }
    )  # fmt: skip
    pyogrio.write_dataframe(table, path, layer="layer_styles", driver="GPKG", FID="id")
