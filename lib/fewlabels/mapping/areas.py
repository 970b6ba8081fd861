"""The connected areas of a class map as polygons, found and written strip by strip."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import geopandas
import numpy as np
import shapely
from jaxtyping import Int, UInt8
from rasterio import features
from rasterio.transform import Affine
from rasterio.windows import Window
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage import measure

from fewlabels.mapping import maps
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.maps import NODATA

ROWS = 512  # read at once; nothing depends on it but the order of the areas
Pieces = dict[int, list]
"""Polygons in pixels of the map, by the number of the area that they are a part of."""


def write(file: Path, classes_map: Path, names: Mapping[int, str]) -> int:
    """Write the connected areas of a class map as a GeoPackage with columns `class` and `value`.

    Pixels that only touch at a corner belong to two areas. In memory are the areas of a strip and
    the parts of those that it leaves open.

    Args:
        names: of classes, by value.

    Returns:
        How many areas there are.

    Raises:
        DataError, DiskFullError, PlaceError: as `maps.write`.
    """
    with scenes.dataset(classes_map, "map") as source:
        strips = (
            source.read(1, window=Window(0, top, source.width, min(ROWS, source.height - top)))
            for top in range(0, source.height, ROWS)
        )
        to_coordinates = source.transform.to_shapely()
        frames = (_frame(*part, names, to_coordinates) for part in found(strips))
        written = maps.write_layers(file, {"classes": frames}, source.crs, kind="Polygon")
    return written["classes"]


def found(
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
