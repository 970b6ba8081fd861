"""Scenes with labels to try things on: a synthetic one, and a real one where its files are.

The synthetic scene shows that code works and what the figures look like, not how well anything maps
real ground. The real one is Landsat 7 of 1999 with 30 polygons that a person drew, of the Open
Source Geoprocessing Tutorial by Chris Holden and Patrick Gray (see data/README.md).
"""

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import geopandas
import numpy as np
import rasterio
import shapely
from jaxtyping import Shaped
from rasterio.transform import from_origin
from scipy.ndimage import distance_transform_edt

from fewlabels.data import synthetic
from fewlabels.data.registry import SOURCES
from fewlabels.mapping.recipe import Recipe
from fewlabels.types import DataError

LANDSAT = Path("real_sparse_polygons")
ARCHIVE, POLYGONS = "landsat7_022049_1999_2002.npz", "landsat7_022049_polygons.geojson"
BANDS = ("B1 blue", "B2 green", "B3 red", "B4 near infrared", "B5 short-wave infrared",
         "B7 short-wave infrared", "B6 thermal", "cloud mask")  # fmt: skip
RADIUS = 3  # pixels, of a synthetic polygon
MANY = 6  # polygons of a class; of pools one
INFRARED = {"tree": 0.55, "grass": 0.5, "field": 0.42, "soil": 0.3, "water": 0.03, "pool": 0.04}
"""Share of infrared light that a synthetic class reflects; 0.2 else."""


class Example(NamedTuple):
    """A scene, labels, the column that holds their class, and a sentence on where they are from."""

    scene: Path
    labels: Path
    column: str
    notice: str


def example(data: str, folder: Path, root: Path) -> Example:
    """The Landsat scene where `data` is not synthetic and `root` holds it, else a synthetic scene;
    what has to be written goes to `folder`.

    Raises:
        DataError: the Landsat archive is damaged.
    """
    if data != "synthetic" and (root / LANDSAT / ARCHIVE).exists():
        return landsat(folder, root)
    return made(folder)


def recipe(given: Example, profile: str, seed: int) -> Recipe:
    """The default recipe on a real scene, minutes on two CPU cores; one of some seconds on the
    synthetic scene, and a shorter one on any at profile smoke.
    """
    if profile == "smoke":
        return Recipe(steps=4, crop=64, folds=2, seed=seed)
    made = given.notice == SOURCES["synthetic"].notice
    return Recipe(steps=25, crop=64, folds=2, seed=seed) if made else Recipe(seed=seed)


def landsat(folder: Path, root: Path) -> Example:
    """Eight bands of 250 x 250 pixels of 30 m as a GeoTIFF, and 30 hand-drawn polygons.

    Raises:
        DataError: the archive is missing or damaged.
    """
    archive = root / LANDSAT / ARCHIVE
    try:
        with np.load(archive) as found:
            bands = found["bands_1999"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(f"'{archive}' cannot be read ({error}); see data/README.md") from error
    grid = from_origin(462_405, 1_741_815, 30, 30)
    file = _write(folder / "landsat.tif", bands, grid, "EPSG:32615", BANDS)
    notice = (
        "The scene is Landsat 7 of 1999 (USGS); the polygons were drawn by hand (CC BY-SA 4.0)."
    )
    return Example(file, root / LANDSAT / POLYGONS, "class", notice)


def made(folder: Path, *, size: int = 256, seed: int = 0) -> Example:
    """A synthetic scene of four bands u16 and round polygons inside its classes.

    The labels have three faults, as labels that people draw have: one class (pool) has a single
    polygon, two polygons of different classes overlap, and one lies outside the scene.
    """
    image, mask = synthetic.scene(seed, 0, size)
    grid, crs = from_origin(330_000, 2_780_000, 0.5, 0.5), "EPSG:32640"
    share = np.array([INFRARED.get(name, 0.2) for name in synthetic.CLASSES])[mask]
    noise = np.random.default_rng(seed).normal(0, 0.06, mask.shape)
    infrared = share * (0.5 + image.mean(axis=2) / 255) + noise
    values = np.stack([*(image.transpose(2, 0, 1) / 255), infrared])
    reflectance = (10_000 * values.clip(0, 1)).round().astype(np.uint16)
    names = ("red", "green", "blue", "near infrared")
    file = _write(folder / "synthetic.tif", reflectance, grid, crs, names)
    rng = np.random.default_rng(seed)
    shapes, classes = [], []
    for value, name in enumerate(synthetic.CLASSES):
        deep = distance_transform_edt(np.pad(mask == value, 1))[1:-1, 1:-1]
        inside = rng.permutation(np.argwhere(deep > RADIUS + 1))[: 1 if name == "pool" else MANY]
        shapes += [shapely.Point(x + 0.5, y + 0.5).buffer(RADIUS) for y, x in inside]
        classes += [name] * len(inside)
    grass = shapes[classes.index("grass")]
    for by in (RADIUS, 2 * size):
        shapes.append(shapely.affinity.translate(grass, by))
        classes.append("soil")
    pixels = geopandas.GeoSeries(shapes, crs=crs)
    frame = geopandas.GeoDataFrame(
        {"class": classes}, geometry=pixels.affine_transform(grid.to_shapely())
    )
    frame.to_file(folder / "synthetic.geojson")
    return Example(file, folder / "synthetic.geojson", "class", SOURCES["synthetic"].notice)


def _write(
    file: Path,
    bands: Shaped[np.ndarray, "c h w"],
    grid: rasterio.Affine,
    crs: str,
    names: tuple[str, ...],
) -> Path:
    count, height, width = bands.shape
    with rasterio.open(
        file, "w", driver="GTiff", dtype=bands.dtype, count=count, height=height, width=width,
        crs=crs, transform=grid,
    ) as target:  # fmt: skip
        target.write(bands)
        target.descriptions = names
    return file
