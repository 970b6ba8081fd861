"""Drawn labels: points, lines and polygons with a class, read from vector files or lists of
coordinates onto a scene's pixel grid. Labels that cannot be used are counted and reported.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from warnings import catch_warnings

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from jaxtyping import Int
from rasterio.crs import CRS
from rasterio.transform import Affine, array_bounds
from scipy.optimize import linear_sum_assignment

from fewlabels.mapping import class_text, coordinates, formats
from fewlabels.mapping.class_text import words
from fewlabels.mapping.formats import foreign, unsplit
from fewlabels.mapping.scene import Scene
from fewlabels.types import IGNORE, DataError, NoLabelsError

log = logging.getLogger(__name__)

LISTS = {".csv", ".tsv", ".txt"}
PARQUET = {".parquet", ".geoparquet"}
ENDINGS = LISTS | PARQUET | {".fgb", ".geojson", ".gpkg", ".json", ".kml", ".shp"}
READABLE = ("OFTString", "OFTInteger", "OFTInteger64", "OFTReal")
"""Kinds of columns that are compared with the class."""
OURS = ("rank", "row", "column", "margin", "first", "second", "why")
"""Columns of `query.frames`, which are not."""
FARTHEST = 1e15  # a coordinate beyond is that of no place


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
        file: with one of ENDINGS; a list has columns x and y, or lon and lat.
        column: holds the class of each label.
        classes: NAME or VALUE=NAME of the classes to use, in their order; all if empty.
        layer: of a file with several.
        crs: coordinate system of the labels, instead of the file's: `scene`, or as in `EPSG:32615`.

    Raises:
        DataError: the file, layer or column is missing or cannot be read, or its coordinates
            cannot be transformed to the scene's system (names both).
        NoLabelsError: it holds no label, or none that lies in the scene.
    """
    frame, others, report = _opened(file, column, layer, crs)
    if not len(frame):
        raise NoLabelsError(f"'{file}' holds no label: the layer is empty")
    own = words(frame[column])
    report |= {"found": len(frame), "doubtful": doubtful(others.assign(**{column: own}), column)}
    report["without a class"] = int(own.isna().sum())
    asked = class_text.chosen(classes or class_text.in_order(own.dropna()), own.dropna())
    report["absent"] = {
        name: class_text.meant(value, own.dropna())
        for value, name in asked.items() if not (own == value).any()
    }  # fmt: skip
    report["alike"] = class_text.alike(asked.values())
    placed, nowhere = _on_pixels(frame.assign(**{column: own.map(asked)}), file, scene, crs)
    drawn = ~(placed.geometry.isna() | placed.is_empty)
    report["without geometry"] = int((~drawn).sum()) - len(report["no numbers"])
    unknown = placed[column].isna() & own[placed.index].notna()
    report["unknown classes"] = dict(Counter(own[placed.index][drawn & unknown].tolist()))
    parts = placed[drawn & placed[column].notna()].explode(ignore_index=True)
    inside = parts.intersects(shapely.box(0, 0, scene.width, scene.height))
    parts, report["outside the scene"] = parts[inside], nowhere + int((~inside).sum())
    if not len(parts):
        raise _none_left(file, frame, scene, report, crs)
    names = tuple(dict.fromkeys(asked.values()))
    if len(names) > IGNORE:
        raise DataError(f"'{file}' has {len(names)} classes in '{column}'; at most {IGNORE} fit")
    kinds = Counter(parts.geom_type)
    report["used"] = dict(kinds)
    values = parts[column].map({name: i for i, name in enumerate(names)}).to_numpy(np.int64)
    areas = not any("Point" in kind for kind in kinds)
    return Marks(names, list(parts.geometry), values, areas, report)


def answers(
    file: Path, scene: Scene, column: str, *, layer: str | None = None, crs: str | None = None
) -> tuple[geopandas.GeoDataFrame, int]:
    """Read all columns of a file, geometry in pixels of `scene`; and count what has no place there.

    Raises:
        DataError, NoLabelsError: as `read`, but nothing has to lie in the scene.
    """
    frame, others, _ = _opened(file, column, layer, crs)
    named = frame.assign(**{column: words(frame[column])})
    placed, nowhere = _on_pixels(named, file, scene, crs)
    return placed.join(others), nowhere


def doubtful(frame: pd.DataFrame, column: str) -> list[str]:
    """Labels whose class contradicts another column that names the same classes, one line each.

    A column names the same classes if it has as many values as `column` and one-to-one pairs of
    the two cover at least three quarters of the labels.
    """
    lines, own = [], words(frame[column])
    for other in frame.columns.drop([column, *OURS], errors="ignore"):
        theirs = words(frame[other])
        if not 2 <= own.nunique() == theirs.nunique() <= IGNORE:
            continue
        table = pd.crosstab(own, theirs)
        rows, columns = linear_sum_assignment(-table.to_numpy())
        pairs = dict(zip(table.index[rows], table.columns[columns], strict=True))
        fits = own.map(pairs) == theirs
        if 0.75 * len(frame) <= fits.sum() < len(frame):
            lines += [
                f"label {at + 1}: {column} is '{own.iloc[at]}' and {other} is '{theirs.iloc[at]}'"
                for at in np.flatnonzero(~fits)
            ]
    return lines


def _opened(
    file: Path, column: str, layer: str | None, crs: str | None
) -> tuple[geopandas.GeoDataFrame, pd.DataFrame, dict[str, object]]:
    """The geometry and the class of each label, the other columns, and the first of the report."""
    ending = file.suffix.lower()
    if ending not in LISTS | PARQUET:
        return *_layer(file, column, layer), {"no numbers": []}
    if layer is not None:
        raise DataError(f"'{file}' has no layers; leave --layer out")
    if ending in LISTS:
        table, wrong = coordinates.read(file, crs)
    else:
        with foreign(f"'{file}' does not open as GeoParquet"):
            table, wrong = geopandas.read_parquet(file.absolute()), []
    columns = table.columns.drop(table.geometry.name)
    named = _column(file, column, columns.tolist())
    others = table[columns.drop(named)].select_dtypes(["number", "object", "string"])
    return table[[named, table.geometry.name]], pd.DataFrame(others), {"no numbers": wrong}


def _layer(
    file: Path, column: str, layer: str | None
) -> tuple[geopandas.GeoDataFrame, pd.DataFrame]:
    safe, closed = formats.drawn(file), f"'{file}' does not open as a file of labels"
    with unsplit(file) as path:
        path = safe if isinstance(safe, bytes) else path
        with foreign(closed), catch_warnings(action="ignore"):  # said when the column is read
            layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is None and len(layers) != 1:
            raise DataError(
                f"'{file}' has {len(layers)} layers with geometry, not one"
                + (f": {', '.join(layers)}; name one with --layer" if layers else "")
            )
        options = {"layer": layer or layers[0]}
        with foreign(closed), catch_warnings(action="ignore"):  # said when the column is read
            about = pyogrio.read_info(path, **options)
        if about["features"] == 0:
            raise NoLabelsError(f"'{file}' holds no label: the layer is empty")
        kinds = dict(zip(about["fields"].tolist(), about["ogr_types"], strict=True))
        _column(file, column, [name for name in kinds if name != "geometry"])
        encoded = f"if its text is not {about['encoding']}, say what it is (Shapefile: in the .cpg)"
        with foreign(f"'{file}': the column '{column}' does not read", encoded):
            frame = pyogrio.read_dataframe(
                path, columns=[column], force_2d=True, on_invalid="ignore", **options
            )
        if not isinstance(frame, geopandas.GeoDataFrame):
            raise DataError(f"'{file}' holds a table without geometry")
        rest = [n for n in kinds if kinds[n] in READABLE and n not in (column, "geometry")]
        others = pd.DataFrame(index=frame.index)
        try:
            with foreign(f"'{file}': columns beside '{column}' do not read"):
                if rest:
                    options |= {"columns": rest, "read_geometry": False}
                    others = pyogrio.read_dataframe(path, **options)
        except DataError as error:
            log.warning("%s; they are not compared with the classes", error)
    return frame, others


def _column(file: Path, column: str, columns: Sequence[str]) -> str:
    if column in columns:
        return column
    found = ", ".join(map(str, columns)) or "none"
    raise DataError(
        f"'{file}' has no column '{column}'; it has: {found}"
        f"{class_text.meant(column, columns)}; name the one of the classes with --column"
    )


def _none_left(
    file: Path, frame: geopandas.GeoDataFrame, scene: Scene, report: Mapping, crs: str | None
) -> NoLabelsError:
    """The error where no label can be used: how many were skipped why, and where all lie."""
    counts = [f"{report[name]} {name}"
              for name in ("without geometry", "without a class", "outside the scene")
              if report[name]]  # fmt: skip
    if wrong := report["no numbers"]:
        counts.append(f"{len(wrong)} with a coordinate that is no number ({wrong[0]})")
    if report["unknown classes"]:
        counts.append(f"of unknown classes {report['unknown classes']}")
    names = "".join(f"; '{name}' occurs nowhere{near}" for name, near in report["absent"].items())
    bounds = np.round(frame.total_bounds, 6).tolist() if len(frame) else "nowhere"
    theirs = scene.system if crs == "scene" else crs or frame.crs or "no system"
    there = np.round(array_bounds(scene.height, scene.width, scene.transform), 6).tolist()
    return NoLabelsError(
        f"'{file}': none of {report['found']} labels can be used in '{scene.file}': "
        f"{', '.join(counts)}{names}. The labels lie in {bounds} ({theirs}), the scene in {there} "
        f"({scene.system}): left, bottom, right, top. If the labels are in another system than "
        "said here, name it with --labels-crs (`scene` where it is the scene's)"
    )


def _on_pixels(
    frame: geopandas.GeoDataFrame, file: Path, scene: Scene, crs: str | None
) -> tuple[geopandas.GeoDataFrame, int]:
    """The frame with its geometry in pixels of the scene and without a system; and how many labels
    were skipped because the scene's system has no coordinates for their place.
    """
    moved = _reprojected(frame, file, scene, crs).geometry.set_crs(None, allow_override=True)
    somewhere = ~(moved.bounds.abs() > FARTHEST).any(axis=1)
    to_pixels = ~scene.transform
    _, low, _, high = moved.total_bounds
    if scene.transform.is_identity and -scene.height <= low < 0 and high <= 0:
        log.warning("'%s': rows are counted down from 0 as negative y, as QGIS does", file)
        to_pixels = Affine.scale(1, -1)
    pixels = moved[somewhere].affine_transform(to_pixels.to_shapely())
    placed = frame[somewhere].set_crs(None, allow_override=True).set_geometry(pixels)
    return placed, int((~somewhere).sum())


def _reprojected(
    frame: geopandas.GeoDataFrame, file: Path, scene: Scene, crs: str | None
) -> geopandas.GeoDataFrame:
    if crs == "scene" or (crs is None and frame.crs is None and not scene.crs):
        return frame
    apart = (
        f"the labels '{file}' ({crs or frame.crs or 'system none'}) cannot be transformed to the "
        f"system of the scene '{scene.file}' ({scene.system})"
    )
    way_out = "say what the labels' system is with --labels-crs (`scene` where it is the scene's)"
    with foreign(apart, way_out):
        frame = frame if crs is None else frame.set_crs(crs, allow_override=True)
        if frame.crs is None or not scene.crs:
            raise DataError(f"{apart}; {way_out}")
        return frame.to_crs(CRS(scene.crs).to_wkt())
