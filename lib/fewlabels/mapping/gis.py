"""What lies beside a class map for other programs: a style for QGIS, a table of areas, a STAC item.

QGIS and GDAL find colours and names of classes in the map, too; the style also holds where a map
was copied without FILE.aux.xml.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import pandas as pd
import rasterio
from pyproj import CRS as System
from pyproj import Transformer
from pyproj.exceptions import ProjError

from fewlabels import environment
from fewlabels.mapping import form
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.class_map import ClassMap
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
    if not source.crs:
        return None, None
    ends = [(0, 0), (0, source.height), (source.width, source.height), (source.width, 0), (0, 0)]
    try:
        to_degrees = Transformer.from_crs(
            System.from_wkt(source.crs.to_wkt()), DEGREES, always_xy=True
        )
        ring = [list(to_degrees.transform(*(source.transform @ end), errcheck=True))
                for end in ends]  # fmt: skip
    except ProjError:
        return None, None
    across, down = zip(*ring, strict=True)
    bounds = [min(across), min(down), max(across), max(down)]
    return {"type": "Polygon", "coordinates": [ring]}, bounds
