"""Drawn labels: points, lines and polygons with a class, read from vector files or lists of
coordinates onto a scene's pixel grid. Labels that cannot be used are counted and reported.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from warnings import catch_warnings, filterwarnings

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from jaxtyping import Int
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import CRSError, ProjError
from rasterio.crs import CRS
from scipy.optimize import linear_sum_assignment

from fewlabels.mapping.scene import Scene
from fewlabels.types import IGNORE, DataError, NoLabelsError

COORDINATES = {
    ("x", "y"): None,
    ("lon", "lat"): "EPSG:4326",
    ("longitude", "latitude"): "EPSG:4326",
}
"""Columns of a list of coordinates, and the coordinate system that their names imply."""


@dataclass(frozen=True)
class Marks:
    """Labels as they were drawn, each a single point, line or polygon.

    Attributes:
        classes: class names; a class's index is its value on the pixels.
        shapes: in pixels of the scene, x to the right and y down, (0, 0) the upper left corner.
        values: class of each shape.
        areas: whether all are lines or polygons, which are held out whole.
        report: how many labels were found, used and skipped, and why.
    """

    classes: tuple[str, ...]
    shapes: Sequence[shapely.Geometry]
    values: Int[np.ndarray, " n"]
    areas: bool
    report: Mapping[str, object]


def read(
    file: Path,
    scene: Scene,
    *,
    column: str = "class",
    classes: tuple[str, ...] = (),
    layer: str | None = None,
    crs: str | None = None,
) -> Marks:
    """Read the labels of `file` onto the grid of `scene`.

    Args:
        file: GeoJSON, GeoPackage, Shapefile, or CSV with columns x and y, or lon and lat.
        column: holds the class of each label.
        classes: the names to use, in the order of their values; all that are found if empty.
        layer: of a file with several.
        crs: coordinate system of the labels, instead of the file's: `scene`, or as in `EPSG:32615`.

    Raises:
        DataError: the file, layer or column is missing or cannot be read, or its coordinates
            cannot be transformed to the scene's system (names both).
        NoLabelsError: it holds no label, or none that lies in the scene.
    """
    frame = _listed(file, crs) if file.suffix.lower() == ".csv" else _layer(file, layer)
    if not len(frame):
        raise NoLabelsError(f"'{file}' holds no label: the layer is empty")
    if column not in frame.columns.drop(frame.geometry.name):
        found = ", ".join(str(c) for c in frame.columns if c != frame.geometry.name)
        raise DataError(f"'{file}' has no column '{column}'; it has: {found or 'none'}")
    report: dict[str, object] = {"found": len(frame), "doubtful": doubtful(frame, column)}
    frame = frame.assign(**{column: _words(frame[column])})
    frame, nowhere = _on_pixels(frame, file, scene, crs)
    drawn = ~(frame.geometry.isna() | frame.is_empty)
    frame, report["without geometry"] = frame[drawn], int((~drawn).sum())
    classes = classes or tuple(sorted(frame[column].dropna().unique()))
    unknown = ~frame[column].isin(classes)
    report["unknown classes"] = dict(Counter(frame[column][unknown].fillna("none").tolist()))
    parts = frame[~unknown].explode(ignore_index=True)
    inside = parts.intersects(shapely.box(0, 0, scene.width, scene.height))
    parts, report["outside the scene"] = parts[inside], nowhere + int((~inside).sum())
    if not len(parts):
        raise NoLabelsError(
            f"'{file}': none of {report['found']} labels can be used in '{scene.file}': "
            f"{report['without geometry']} without geometry, unknown classes "
            f"{report['unknown classes'] or 'none'}, {report['outside the scene']} outside the "
            f"scene; is the system of the labels right? The scene's is {scene.system}"
        )
    if len(classes) > IGNORE:
        raise DataError(f"'{file}' has {len(classes)} classes in '{column}'; at most {IGNORE} fit")
    kinds = Counter(parts.geom_type)
    report["used"] = dict(kinds)
    values = parts[column].map({name: i for i, name in enumerate(classes)}).to_numpy(np.int64)
    areas = not any("Point" in kind for kind in kinds)
    return Marks(classes, list(parts.geometry), values, areas, report)


def doubtful(frame: pd.DataFrame, column: str) -> list[str]:
    """Labels whose class contradicts another column that names the same classes, one line each.

    A column names the same classes if it has as many values as `column` and one-to-one pairs of
    the two cover at least three quarters of the labels.
    """
    lines, own = [], _words(frame[column])
    for other in frame.columns.drop([column, "geometry"], errors="ignore"):
        words = _words(frame[other])
        if not 2 <= own.nunique() == words.nunique() <= IGNORE:
            continue
        table = pd.crosstab(own, words)
        rows, columns = linear_sum_assignment(-table.to_numpy())
        pairs = dict(zip(table.index[rows], table.columns[columns], strict=True))
        fits = own.map(pairs) == words
        if 0.75 * len(frame) <= fits.sum() < len(frame):
            lines += [
                f"label {at + 1}: {column} is '{own.iloc[at]}' and {other} is '{words.iloc[at]}'"
                for at in np.flatnonzero(~fits)
            ]
    return lines


def _layer(file: Path, layer: str | None) -> geopandas.GeoDataFrame:
    try:
        layers = [name for name, kind in pyogrio.list_layers(file) if kind is not None]
        if layer is None and len(layers) != 1:
            found = ", ".join(layers) or "none with geometry"
            raise DataError(f"'{file}' has not one layer but several or none: {found}; name one")
        with catch_warnings():  # a column called id is a column here, and need not be unique
            filterwarnings("ignore", message="Several features with id")
            frame = geopandas.read_file(file, layer=layer or layers[0], engine="pyogrio")
    except (DataSourceError, DataLayerError) as error:
        raise DataError(f"'{file}' does not open as a file of labels ({error})") from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise DataError(f"'{file}' holds a table without geometry")
    return frame


def _listed(file: Path, crs: str | None) -> geopandas.GeoDataFrame:
    try:
        table = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise DataError(f"'{file}' does not open as a list of coordinates ({error})") from error
    names = {str(name).strip().lower(): name for name in table.columns}
    for (x, y), system in COORDINATES.items():
        if x in names and y in names:
            east, north = (pd.to_numeric(table[names[n]], errors="coerce") for n in (x, y))
            points = geopandas.points_from_xy(east, north)
            points[(east.isna() | north.isna()).to_numpy()] = None
            rest = table.drop(columns=[names[x], names[y]])
            return geopandas.GeoDataFrame(rest, geometry=points, crs=None if crs else system)
    raise DataError(
        f"'{file}' has columns {', '.join(map(str, table.columns))}; coordinates must be in x and "
        "y, or in lon and lat"
    )


def _words(column: pd.Series) -> pd.Series:
    """Values as text, whole numbers without a decimal point; missing values stay missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").str.strip().astype(object).where(column.notna(), None)


def _on_pixels(
    frame: geopandas.GeoDataFrame, file: Path, scene: Scene, crs: str | None
) -> tuple[geopandas.GeoDataFrame, int]:
    """The frame with its geometry in pixels of the scene and without a system; and how many labels
    were skipped because the scene's system has no coordinates for their place.
    """
    moved = _reprojected(frame, file, scene, crs).geometry.set_crs(None, allow_override=True)
    somewhere = ~np.isinf(moved.bounds).any(axis=1)
    pixels = moved[somewhere].affine_transform((~scene.transform).to_shapely())
    placed = frame[somewhere].set_crs(None, allow_override=True).set_geometry(pixels)
    return placed, int((~somewhere).sum())


def _reprojected(
    frame: geopandas.GeoDataFrame, file: Path, scene: Scene, crs: str | None
) -> geopandas.GeoDataFrame:
    if crs == "scene" or (crs is None and frame.crs is None and not scene.crs):
        return frame
    try:
        if crs is not None:
            frame = frame.set_crs(crs, allow_override=True)
        if frame.crs is None or not scene.crs:
            raise DataError(
                f"the labels '{file}' have the coordinate system {frame.crs or 'none'} and the "
                f"scene '{scene.file}' has {scene.system}: one cannot be transformed to the other; "
                "say what the labels' is with --labels-crs (`scene` where it is the scene's)"
            )
        return frame.to_crs(CRS(scene.crs).to_wkt())
    except (CRSError, ProjError) as error:
        raise DataError(
            f"the labels '{file}' ({frame.crs or crs}) cannot be transformed to the system of the "
            f"scene '{scene.file}' ({scene.system}): {error}"
        ) from error
