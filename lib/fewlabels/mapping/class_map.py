"""A class map of any size: names of its classes, pixels and hectares of each, values by strips."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Int, Int16
from rasterio.windows import Window

from fewlabels.mapping import class_text, grid
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.formats import foreign
from fewlabels.mapping.scene import Scene
from fewlabels.types import DataError

NONE = -1
"""Value of a pixel without a class."""
STRIP = 256  # rows read at once; nothing depends on it
MOST = 255  # the largest value of a class


@dataclass(frozen=True)
class ClassMap:
    """A class map that was read once.

    Attributes:
        scene: its grid and coordinate reference system.
        names: of its classes, by value; also of those that have no pixel.
        pixels: of each value that occurs.
        hectares: of each value that occurs, with all pixels of a row taken as equal; None where the
            coordinate reference system is not known.
        sha256: of grid and values; a copy that is compressed in another way has the same.
    """

    scene: Scene
    names: Mapping[int, str]
    pixels: Mapping[int, int]
    hectares: Mapping[int, float] | None
    sha256: str


def opened(file: Path, classes: Sequence[str] = ()) -> ClassMap:
    """Read a class map through, strip by strip.

    Args:
        classes: VALUE=NAME of each class; what the tags `class_VALUE` of the file say, if empty.

    Raises:
        DataError: it is no GeoTIFF of one band of whole numbers from 0 to 255, has no class, or
            holds a value without a name.
    """
    scene = scenes.opened(file)
    names = _named(classes) if classes else _tagged(file)
    if not names:
        raise DataError(
            f"the map '{file}' does not name its classes (tags class_VALUE, as `fewlabels predict` "
            "writes them); name them with --classes 1=water,2=forest"
        )
    middle = np.full(scene.height, scene.width // 2)
    cells = grid.hectares(scene.transform, scene.crs, np.arange(scene.height), middle)
    pixels, hectares = np.zeros(MOST + 1, np.int64), np.zeros(MOST + 1)
    total = hashlib.sha256(f"{scene.height} {scene.width} {tuple(scene.transform)}".encode())
    for top, values in strips(scene):
        total.update(values.astype("<i2").tobytes())
        for row, line in enumerate(values):
            found = np.bincount(line[line != NONE], minlength=MOST + 1)
            pixels += found
            hectares += 0 if cells is None else found * cells[top + row]
    there = np.flatnonzero(pixels).tolist()
    if not there:
        raise DataError(f"no pixel of the map '{file}' has a class: all are nodata")
    if unnamed := [value for value in there if value not in names]:
        raise DataError(
            f"the map '{file}' holds values without a name: {', '.join(map(str, unnamed))}; name "
            "all with --classes 1=water,2=forest"
        )
    return ClassMap(
        scene, names, {value: int(pixels[value]) for value in there},
        None if cells is None else {value: float(hectares[value]) for value in there},
        total.hexdigest(),
    )  # fmt: skip


def strips(scene: Scene) -> Iterator[tuple[int, Int16[np.ndarray, "rows w"]]]:
    """Read whole rows from the top on: the first row's number, and values or NONE.

    Raises:
        DataError: see `opened`, or a part cannot be read.
    """
    with _reading(scene) as read:
        for top in range(0, scene.height, STRIP):
            yield top, read(Window(0, top, scene.width, min(STRIP, scene.height - top)))


def values_at(
    scene: Scene, rows: Int[np.ndarray, " n"], columns: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Read the values of single pixels of a map; NONE where they have none or lie outside it."""
    found = np.full(len(rows), NONE)
    inside = (rows >= 0) & (rows < scene.height) & (columns >= 0) & (columns < scene.width)
    with _reading(scene) as read:
        for i in np.flatnonzero(inside).tolist():
            found[i] = read(Window(int(columns[i]), int(rows[i]), 1, 1))[0, 0]
    return found


@contextmanager
def _reading(scene: Scene) -> Iterator:
    with rasterio.Env(GDAL_CACHEMAX=scenes.CACHE), scenes.dataset(scene.file, "map") as source:
        if source.count != 1 or np.dtype(source.dtypes[0]).kind not in "iu":
            raise DataError(
                f"the map '{scene.file}' has {source.count} bands of {source.dtypes[0]}; a class "
                "map has one, of whole numbers"
            )

        def read(window: Window) -> Int16[np.ndarray, "h w"]:
            with foreign(f"the map '{scene.file}': {window} cannot be read", "it may be cut off"):
                values = source.read(1, window=window).astype(np.int64)
                values[source.read_masks(1, window=window) == 0] = NONE
            if values.max() > MOST or values.min() < NONE:
                raise DataError(
                    f"the map '{scene.file}' holds values from {values.min()} to {values.max()}; "
                    f"classes are 0 to {MOST}"
                )
            return values.astype(np.int16)

        yield read


def _tagged(file: Path) -> dict[int, str]:
    with scenes.dataset(file, "map") as source:
        tags = {re.fullmatch(r"class_(\d{1,3})", key): name for key, name in source.tags().items()}
    return dict(sorted((int(key[1]), name) for key, name in tags.items() if key))


def _named(classes: Sequence[str]) -> dict[int, str]:
    found = class_text.chosen(classes, ())
    if wrong := [value for value in found if not re.fullmatch(r"\d{1,3}", value)]:
        raise DataError(f"classes of a map are named as VALUE=NAME; '{wrong[0]}' has no value")
    if len(set(found.values())) < len(found):
        raise DataError(f"two values of a map have the same name: {', '.join(classes)}")
    return {int(value): name for value, name in found.items()}
