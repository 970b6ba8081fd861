"""Clicks: the pixels that a person has given a class, and the GeoJSON that they are kept in."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import geopandas
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine

from fewlabels.files import whole_file
from fewlabels.mapping import vector_labels
from fewlabels.mapping.formats import foreign
from fewlabels.mapping.scene import Scene

COLUMN = "class"
LONGITUDES = "urn:ogc:def:crs:OGC:1.3:CRS84"


class Click(NamedTuple):
    """A pixel of a scene, counted from 0 to the right and down, and its class in [0, k)."""

    column: int
    row: int
    value: int


Clicks = tuple[Click, ...]


def added(clicks: Clicks, click: Click) -> Clicks:
    """The clicks and a last one, which replaces an earlier click on the same pixel."""
    return (*without(clicks, click.column, click.row), click)


def without(clicks: Clicks, column: int, row: int) -> Clicks:
    """All but the click on this pixel."""
    return tuple(click for click in clicks if click[:2] != (column, row))


def write(file: Path, clicks: Clicks, classes: Sequence[str], scene: Scene) -> None:
    """Write the clicks as points of a GeoJSON file, in the order in which they were made.

    Coordinates are in the scene's system; where that has no code that GeoJSON can name, they are
    longitude and latitude. Where the scene has no system, they are pixels or the coordinates of its
    grid. The file says which under `note`.

    Raises:
        DataError: a system without a code cannot be transformed.
        DiskFullError, PlaceError: the file cannot be written.
    """
    grid = scene.transform @ Affine.translation(0.5, 0.5)
    points = geopandas.GeoSeries([shapely.Point(grid @ click[:2]) for click in clicks])
    authority, name = scene.crs.to_authority() if scene.crs else None, None
    if scene.crs is None and scene.transform.is_identity:
        words = "coordinates are pixels, x to the right and y down from its upper left"
    elif scene.crs is None:
        words = "coordinates are those of its grid, whose system is not known"
    elif authority and authority != ("EPSG", "4326"):
        name = f"urn:ogc:def:crs:{authority[0]}::{authority[1]}"
        words = f"coordinates are in {':'.join(authority)}"
    else:
        with foreign(f"clicks on '{scene.file}' have no longitude and latitude"):
            points = points.set_crs(CRS(scene.crs).to_wkt()).to_crs("EPSG:4326")
        name, words = LONGITUDES, "coordinates are longitude and latitude (WGS 84)"
    names = {COLUMN: [classes[click.value] for click in clicks]}
    found = geopandas.GeoDataFrame(names, geometry=points).to_geo_dict(drop_id=True)
    note = f"Each point is the middle of a pixel of '{scene.file.name}' that was clicked; {words}."
    crs = {"type": "name", "properties": {"name": name}} if name else None
    text = {"type": "FeatureCollection", "note": note, "crs": crs} | found
    with whole_file(file) as scratch:
        scratch.write_text(json.dumps(text, indent=1) + "\n")


def read(file: Path, scene: Scene, classes: Sequence[str]) -> tuple[Clicks, int]:
    """Read the points of a file as clicks.

    Returns:
        The clicks, and how many labels were skipped: lines and polygons, unknown classes, labels
        outside the scene, and all but the last on a pixel.

    Raises:
        DataError, NoLabelsError: as `vector_labels.read`; coordinates are taken as they are where
            the scene has no system.
    """
    found = vector_labels.read(
        file, scene, column=COLUMN, classes=tuple(classes), crs=None if scene.crs else "scene"
    )
    clicks: Clicks = ()
    for shape, value in zip(found.shapes, found.values.tolist(), strict=True):
        value = classes.index(found.classes[value])
        if isinstance(shape, shapely.Point):
            column, row = min(int(shape.x), scene.width - 1), min(int(shape.y), scene.height - 1)
            clicks = added(clicks, Click(column, row, value))
    names = ("outside the scene", "without geometry", "without a class")
    lost = sum(found.report[name] for name in names)
    lost += sum(found.report["unknown classes"].values())
    return clicks, lost + len(found.shapes) - len(clicks)
