"""Write maps on the scene's grid, with colour tables and units, and vector layers.

A raster is a Cloud Optimised GeoTIFF: tiled, compressed and with overviews.
"""

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
import rasterio.shutil
import shapely
from jaxtyping import Shaped
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window

from fewlabels.files import unwritten, whole_file
from fewlabels.mapping import grid
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.formats import quiet, unsplit
from fewlabels.mapping.scene import Scene
from fewlabels.types import DataError

NODATA = 255
"""Value of every map where the scene has no valid pixel."""
TILE = 512  # side of the blocks inside a written file
CACHE = 64 * 2**20  # bytes that GDAL may keep of a file being written
Strip = Shaped[np.ndarray, "_ w"] | Shaped[np.ndarray, "b _ w"]


def write(
    file: Path,
    scene: Scene,
    strips: Iterable[Strip],
    *,
    classes: Sequence[str] = (),
    palette: Sequence[tuple[int, int, int]] = (),
    codes: Sequence[int] = (),
    bands: Sequence[str] = ("",),
    unit: str = "",
    kind: str = "uint8",
) -> None:
    """Write a map from strips of whole rows, whole or not at all.

    It has the scene's grid and system, and NODATA where no value is (NaN, if they are no bytes).
    Overviews of classes hold a pixel of each square, those of other values the mean. It is read
    back before it gets its name, since GDAL does not report every failed write. What fits no tag of
    a GeoTIFF, some systems and the names of classes, is in FILE.aux.xml beside it.

    Args:
        strips: of one band, or of all of them.
        classes: their names, kept in the tags `class_CODE` and as names of categories.
        palette: their colours.
        codes: value of each class in the file; 0, 1, 2, ... if empty.
        bands: a description of each.
        unit: of values that are not classes.
        kind: number format of values that are not classes.

    Raises:
        DataError: `file` exists.
        DiskFullError, PlaceError: it cannot be written.
    """
    free(file)
    names = dict(zip(codes or range(len(classes)), classes, strict=True))
    coded = np.full(256, NODATA, np.uint8)
    coded[: len(names)] = list(names)
    profile = {
        "driver": "GTiff", "dtype": kind, "count": len(bands),
        "nodata": NODATA if kind == "uint8" else np.nan,
        "height": scene.height, "width": scene.width, "crs": scene.crs,
        "transform": scene.transform, "tiled": True, "blockxsize": TILE, "blockysize": TILE,
        "compress": "deflate", "bigtiff": "if_safer",
    }  # fmt: skip
    totals = [0] * len(bands)
    with whole_file(file) as scratch, rasterio.Env(GDAL_CACHEMAX=CACHE), quiet():
        plain = scratch.absolute().with_name(f"plain-{scratch.name}")
        try:
            with rasterio.open(plain, "w", **profile) as target:
                if palette:
                    target.write_colormap(1, dict(zip(names, palette, strict=True)))
                if unit:
                    target.units = (unit,) * len(bands)
                if any(bands):
                    target.descriptions = bands
                target.update_tags(**{f"class_{code}": name for code, name in names.items()})
                at = 0
                for strip in strips:
                    values = coded[strip] if names else strip
                    values = values.reshape(len(bands), -1, scene.width)
                    window = Window(0, at, scene.width, values.shape[1])
                    target.write(values, window=window)
                    at, totals = at + values.shape[1], _checked(values, totals)
            rasterio.shutil.copy(
                plain, scratch.absolute(), driver="COG", compress="deflate", blocksize=TILE,
                overview_resampling="nearest" if names else "average", bigtiff="if_safer",
            )  # fmt: skip
            if _checksums(scratch) != totals:
                raise unwritten(file, "it does not read back as it was written")
            _name_categories(side_car(scratch), names)
            if side_car(scratch).exists():
                side_car(scratch).replace(side_car(file))
        except (RasterioError, CPLE_BaseError) as error:
            raise unwritten(file, error.__cause__ or error) from error
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
                f"the map '{file}' has the system {scenes.named(source.crs)} and its scene "
                f"'{scene.file}' {scene.system}; system and grid must be the same"
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


def _checksums(file: Path) -> list[int]:
    """CRC-32 of all values of each band of a map, row by row."""
    with rasterio.open(file.absolute()) as source:
        totals = [0] * source.count
        for at in range(0, source.height, TILE):
            window = Window(0, at, source.width, min(TILE, source.height - at))
            totals = _checked(source.read(window=window), totals)
    return totals


def _checked(values: Shaped[np.ndarray, "b _ w"], totals: Sequence[int]) -> list[int]:
    return [
        crc32(np.ascontiguousarray(band), total) for band, total in zip(values, totals, strict=True)
    ]


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
    every = {name: [frame] for name, frame in placed.items()}
    write_layers(file, every, scene.crs, styles)


def try_layers(folder: Path, scene: Scene) -> None:
    """Check, before long work, that a GeoPackage in the scene's system can be written.

    Raises:
        DiskFullError, PlaceError: it cannot.
    """
    with TemporaryDirectory(dir=folder) as scratch:
        layers(Path(scratch, "try.gpkg"), scene, {"try": geopandas.GeoDataFrame(geometry=[])})


def free(*files: Path) -> None:
    """Check that nothing of these names exists.

    Raises:
        DataError: it does.
    """
    for file in files:
        if file.exists():
            raise DataError(f"'{file}' is there already; name another place or delete it")


def write_layers(
    file: Path,
    frames: Mapping[str, Iterable[geopandas.GeoDataFrame]],
    crs: CRS | None,
    styles: Mapping[str, str] = MappingProxyType({}),
    kind: str = "",
) -> Mapping[str, int]:
    """Write a GeoPackage, each layer from one or more frames that need not be in memory together;
    raises as `write`.

    Args:
        kind: of all geometry; what a layer's first frame is of if empty.

    Returns:
        How many rows each layer has.
    """
    free(file)
    with whole_file(file) as scratch:
        named = scratch.with_name(f"{scratch.name}.gpkg")  # the format asks for the ending
        written = dict.fromkeys(frames, 0)
        try:
            with unsplit(named) as path, quiet():
                for layer, parts in frames.items():
                    for number, frame in enumerate(parts):
                        _write_layer(path, layer, frame, crs, kind, append=number > 0)
                        written[layer] += len(frame)
                if styles:
                    _write_styles(path, styles)
                there = {n: pyogrio.read_info(path, layer=n)["features"] for n in frames}
            named.replace(scratch)
        except (DataLayerError, DataSourceError, FeatureError) as error:
            raise unwritten(file, error) from error
        finally:
            named.unlink(missing_ok=True)
        if there != written:
            raise unwritten(file, "it does not read back as it was written")
    return written


def _write_layer(
    path: Path, layer: str, frame: geopandas.GeoDataFrame, crs: CRS | None, kind: str, *,
    append: bool,
) -> None:  # fmt: skip
    """Write rows of one layer; geopandas itself knows no way to say some systems."""
    rest, kinds = frame.drop(columns=frame.geometry.name), set(frame.geom_type)
    pyogrio.raw.write(
        path, shapely.to_wkb(frame.geometry.to_numpy()),
        [rest[name].to_numpy() for name in rest], list(rest), layer=layer, driver="GPKG",
        geometry_type=kind or (kinds.pop() if len(kinds) == 1 else "Unknown"), append=append,
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
