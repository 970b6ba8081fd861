"""What lies beside a class map for other programs: a style for QGIS, a table of areas, a STAC item,
and the connected areas as polygons, which are found and written strip by strip.

QGIS and GDAL find colours and names of classes in the map, too; the style also holds where a map
was copied without FILE.aux.xml.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import geopandas
import numpy as np
import pandas as pd
import rasterio
import shapely
from jaxtyping import Int, UInt8
from pyproj.exceptions import ProjError
from rasterio import features
from rasterio.transform import Affine
from rasterio.windows import Window
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage import measure

from fewlabels import environment
from fewlabels.mapping import form, maps
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.class_map import ClassMap
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.model_folder import About

COUNTED = (
    "areas are counted on the map and so as biased as its errors are; `fewlabels sample` and "
    "`fewlabels assess` give the estimate with its interval"
)
KINDS = {
    ".tif": "image/tiff; application=geotiff; profile=cloud-optimized", ".csv": "text/csv",
    ".gpkg": "application/geopackage+sqlite3", ".qml": "application/xml",
}  # fmt: skip
EXTENSIONS = tuple(
    f"https://stac-extensions.github.io/{name}/v1.1.0/schema.json"
    for name in ("projection", "raster")
)
DEGREES, WKT2 = "EPSG:4326", "WKT2_2019"
ROWS = 512  # read at once; nothing depends on it but the order of the areas
Pieces = dict[int, list]
"""Polygons in pixels of the map, by the number of the area that they are a part of."""


def qml(names: Mapping[int, str], colours: Sequence[tuple[int, int, int]]) -> str:
    """Compose the style of a class map, in QGIS's own format.

    Args:
        names: of classes, by value.
        colours: RGB of each, in the same order.
    """
    root = Element("qgis", version=form.VERSION, styleCategories="Symbology")
    look = {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    entries = SubElement(SubElement(SubElement(root, "pipe"), "rasterrenderer", look),
                         "colorPalette")  # fmt: skip
    for (value, name), colour in zip(names.items(), colours, strict=True):
        text = "#{:02x}{:02x}{:02x}".format(*colour)
        SubElement(entries, "paletteEntry", value=f"{value}", color=text, label=name, alpha="255")
    return form.document(root)


def areas(found: ClassMap) -> pd.DataFrame:
    """Tabulate the classes of a map: pixels, hectares (empty where the system is not known) and
    share of the pixels that have a class.
    """
    pixels = pd.Series({value: found.pixels.get(value, 0) for value in found.names})
    hectares = {value: (found.hectares or {}).get(value, 0.0) for value in found.names}
    return pd.DataFrame(
        {
            "class": list(found.names.values()), "value": list(found.names),
            "pixels": pixels.to_numpy(),
            "hectares": None if found.hectares is None else list(hectares.values()),
            "share": (pixels / pixels.sum()).to_numpy(), "note": COUNTED,
        }
    )  # fmt: skip


def item(rasters: Mapping[str, Path], names: Mapping[str, str], about: About) -> str:
    """Compose the STAC item of a map, with the extensions for projections and rasters.

    Its place is null where the coordinate reference system is not known. Its time is that of its
    making, since a scene does not say when it was taken.

    Args:
        rasters: files that exist, by what they are; `classes` is the map.
        names: of all files, as they will lie beside the item, by what they are.

    Source: https://github.com/radiantearth/stac-spec/blob/v1.0.0/item-spec/item-spec.md
    """
    with scenes.dataset(rasters["classes"], "map") as source:
        geometry, bbox = _place(source)
        code = source.crs.to_epsg() if source.crs else None
        place = {
            "proj:epsg": code, "proj:wkt2": source.crs.to_wkt(version=WKT2) if source.crs else None,
            "proj:shape": list(source.shape), "proj:transform": list(source.transform)[:6],
        }  # fmt: skip
    now = environment.now()
    properties = {
        "datetime": now, "created": now,
        "description": f"Land cover in {len(about.classes)} classes, mapped by the learner "
        f"{about.learner} of fewlabels; the time is that of the map's making. In the table, "
        f"{COUNTED}.",
        **place,
    }  # fmt: skip
    assets = {
        what: {
            "href": f"./{name}", "type": KINDS[Path(name).suffix.lower().replace("tiff", "tif")],
            "roles": ["data"], **(_bands(rasters[what]) if what in rasters else {}),
        }
        for what, name in names.items()
    }  # fmt: skip
    made = {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": list(EXTENSIONS),
        "id": Path(names["classes"]).stem, "geometry": geometry,
        **({"bbox": bbox} if bbox else {}),
        "properties": properties, "links": [], "assets": assets,
    }  # fmt: skip
    return json.dumps(made, indent=1) + "\n"


def _bands(file: Path) -> dict[str, object]:
    """The bands of a raster, in words of STAC's extension for rasters."""
    with scenes.dataset(file, "map") as source:
        return {
            "raster:bands": [
                {"data_type": kind, "nodata": 255 if kind == "uint8" else "nan"}
                | ({"description": text} if text else {}) | ({"unit": unit} if unit else {})
                for kind, text, unit in zip(
                    source.dtypes, source.descriptions, source.units, strict=True
                )
            ]
        }  # fmt: skip


def _place(
    source: rasterio.DatasetReader,
) -> tuple[Mapping[str, object] | None, list[float] | None]:
    """The outline of a raster in degrees and its bounds; None where they are not known."""
    ends = [(0, 0), (0, source.height), (source.width, source.height), (source.width, 0)]
    ring = shapely.Polygon([source.transform @ end for end in ends])
    try:
        outline = geopandas.GeoSeries([ring], crs=source.crs and source.crs.to_wkt())
        there = outline.to_crs(DEGREES)
    except (ValueError, ProjError):  # it has no system, or no place on earth
        return None, None
    if not np.isfinite(there.total_bounds).all():
        return None, None
    return shapely.geometry.mapping(there[0]), there.total_bounds.tolist()


def write_polygons(file: Path, classes_map: Path, names: Mapping[int, str]) -> int:
    """Write the connected areas of a class map as a GeoPackage with columns `class` and `value`.

    Pixels that only touch at a corner belong to two areas. In memory are the areas of a strip and
    the parts of those that it leaves open.

    Args:
        names: of classes, by value.

    Returns:
        How many areas there are.
    """
    with scenes.dataset(classes_map, "map") as source:
        strips = (
            source.read(1, window=Window(0, top, source.width, min(ROWS, source.height - top)))
            for top in range(0, source.height, ROWS)
        )
        to_coordinates = source.transform.to_shapely()
        frames = (_frame(*part, names, to_coordinates) for part in polygons(strips))
        written = maps.write_layers(file, {"classes": frames}, source.crs, kind="Polygon")
    return written["classes"]


def polygons(
    strips: Iterator[UInt8[np.ndarray, "_ w"]],
) -> Iterator[tuple[Sequence[shapely.Geometry], Sequence[int]]]:
    """Find the connected areas of a map from its strips: polygons in pixels, and their values.

    Each is given as soon as no later strip can add to it; those of a strip come together, and once
    more than there are strips.
    """
    open_areas: Pieces = {}
    values: dict[int, int] = {}
    last, last_values, top, count = None, None, 0, 0
    for strip in strips:
        numbers = measure.label(strip, background=NODATA, connectivity=1)
        numbers = np.where(numbers > 0, numbers + count, 0).astype(np.int32)
        shapes = features.shapes(
            numbers, mask=numbers > 0, connectivity=4, transform=Affine.translation(0, top)
        )
        pieces = {int(number): [shapely.geometry.shape(shape)] for shape, number in shapes}
        _, first = np.unique(numbers, return_index=True)
        values |= dict(zip(numbers.flat[first].tolist(), strip.flat[first].tolist(), strict=True))
        every = open_areas | pieces
        if last is not None:
            touching = (last > 0) & (numbers[0] > 0) & (last_values == strip[0])
            every, renamed = _joined(every, np.stack([last, numbers[0]])[:, touching])
        else:
            renamed = {}
        last = np.array([renamed.get(n, n) for n in numbers[-1].tolist()], np.int32)
        last_values, top, count = strip[-1], top + len(strip), int(numbers.max(initial=count))
        open_areas = {n: every.pop(n) for n in set(last.tolist()) - {0}}
        yield _whole(every), [values[n] for n in every]
        values = {n: values[n] for n in open_areas}
    yield _whole(open_areas), [values[n] for n in open_areas]


def _joined(pieces: Pieces, pairs: Int[np.ndarray, "2 n"]) -> tuple[Pieces, Mapping[int, int]]:
    """Join areas that touch, under the number of one of them; and what became of the others."""
    numbers, at = np.unique(pairs, return_inverse=True)
    links = coo_array((np.ones(pairs.shape[1]), at.reshape(pairs.shape)), (len(numbers),) * 2)
    _, group = connected_components(links, directed=False)
    kept = numbers[np.unique(group, return_index=True)[1]]
    renamed = dict(zip(numbers.tolist(), kept[group].tolist(), strict=True))
    made: Pieces = {}
    for number, parts in pieces.items():
        made.setdefault(renamed.get(number, number), []).extend(parts)
    return made, renamed


def _whole(pieces: Pieces) -> list[shapely.Geometry]:
    """Unite the parts of each area; corners that seams left on straight edges are dropped."""
    return [
        parts[0] if len(parts) == 1 else shapely.simplify(shapely.union_all(parts), 0)
        for parts in pieces.values()
    ]


def _frame(
    shapes: Sequence[shapely.Geometry],
    values: Sequence[int],
    names: Mapping[int, str],
    to_coordinates: tuple[float, ...],
) -> geopandas.GeoDataFrame:
    columns = {  # typed, since the first strip may close no area
        "class": np.array([names[value] for value in values], object),
        "value": np.array(values, np.int64),
    }
    frame = geopandas.GeoDataFrame(columns, geometry=list(shapes))
    return frame.set_geometry(frame.geometry.affine_transform(to_coordinates))
