"""Clicks: the pixels that a person has given a class, and the GeoJSON that they are kept in."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine

from fewlabels.files import whole_file
from fewlabels.mapping import vector_labels
from fewlabels.mapping.scene import Scene
from fewlabels.mapping.vector_labels import Marks

COLUMN = "class"
LONGITUDES = "urn:ogc:def:crs:OGC:1.3:CRS84"


class Click(NamedTuple):
    """A pixel of a scene, counted from 0 to the right and down, and its class in [0, k)."""

    column: int
    row: int
    value: int


Clicks = tuple[Click, ...]


def added(clicks: Clicks, click: Click) -> Clicks:
    """With one more, the last; a pixel has one class, so an earlier click on it goes."""
    return (*without(clicks, click.column, click.row), click)


def without(clicks: Clicks, column: int, row: int) -> Clicks:
    """All but the click on this pixel."""
    return tuple(click for click in clicks if click[:2] != (column, row))


def as_marks(clicks: Clicks, classes: Sequence[str]) -> Marks:
    """The clicks as points in the middle of their pixels, as training takes labels."""
    points = [shapely.Point(click.column + 0.5, click.row + 0.5) for click in clicks]
    values = np.array([click.value for click in clicks], np.int64)
    return Marks(tuple(classes), points, values, False, {"used": {"Point": len(points)}})


def write(file: Path, clicks: Clicks, classes: Sequence[str], scene: Scene) -> None:
    """The clicks as points of a GeoJSON file, in the order in which they were made.

    Coordinates are in the scene's system, or longitude and latitude where that has no code that
    GeoJSON can name. Where the scene has no system, they are pixels, or whatever its grid is in;
    the file says which under `note`.

    Raises:
        DiskFullError: it does not fit.
    """
    grid = Affine.translation(0.5, 0.5)
    places = [scene.transform @ grid @ (click.column, click.row) for click in clicks]
    name, places, words = _system(scene, places)
    features = [
        {
            "type": "Feature",
            "properties": {COLUMN: classes[click.value]},
            "geometry": {"type": "Point", "coordinates": list(place)},
        }
        for click, place in zip(clicks, places, strict=True)
    ]
    note = f"Each point is the middle of a pixel of '{scene.file.name}' that was clicked; {words}."
    crs = {"type": "name", "properties": {"name": name}} if name else None
    text = {"type": "FeatureCollection", "note": note, "crs": crs, "features": features}
    with whole_file(file) as scratch:
        scratch.write_text(json.dumps(text, indent=1) + "\n")


def read(file: Path, scene: Scene, classes: Sequence[str]) -> tuple[Clicks, int]:
    """The points of a file as clicks, and how many labels of it are none: lines and polygons,
    classes that are not among `classes`, labels outside the scene, a second one on a pixel.

    Raises:
        DataError, NoLabelsError: as `marks.read`; coordinates are taken as they are where the scene
            has no system.
    """
    found = vector_labels.read(
        file, scene, column=COLUMN, classes=tuple(classes), crs=None if scene.crs else "scene"
    )
    clicks: Clicks = ()
    for shape, value in zip(found.shapes, found.values.tolist(), strict=True):
        if isinstance(shape, shapely.Point):
            column, row = min(int(shape.x), scene.width - 1), min(int(shape.y), scene.height - 1)
            clicks = added(clicks, Click(column, row, value))
    lost = found.report["outside the scene"] + found.report["without geometry"]
    lost += sum(found.report["unknown classes"].values())
    return clicks, lost + len(found.shapes) - len(clicks)


def _system(
    scene: Scene, places: Iterable[tuple[float, float]]
) -> tuple[str | None, list[tuple[float, float]], str]:
    """The name of the coordinates' system in GeoJSON, the coordinates in it, and words on them."""
    places = list(places)
    if scene.crs is None and scene.transform.is_identity:
        return None, places, "coordinates are pixels, x to the right and y down from its upper left"
    if scene.crs is None:
        return None, places, "coordinates are those of its grid, whose system is not known"
    authority = scene.crs.to_authority()
    if authority and authority != ("EPSG", "4326"):
        words = f"coordinates are in {':'.join(authority)}"
        return f"urn:ogc:def:crs:{authority[0]}::{authority[1]}", places, words
    points = geopandas.GeoSeries(map(shapely.Point, places), crs=CRS(scene.crs).to_wkt())
    turned = points.to_crs("EPSG:4326")
    degrees = list(zip(turned.x.tolist(), turned.y.tolist(), strict=True))
    return LONGITUDES, degrees, "coordinates are longitude and latitude (WGS 84)"
