"""Scenes with labels to try things on: one that comes with the package, and real ones where their
files are.

`dubai` is one of the 72 aerial images of Dubai (Humans in the Loop and Mohammed Bin Rashid Space
Centre, CC0), with 60 points that are drawn from its dense mask. The others are scenes on which
people drew polygons; data/README.md says where they are from.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from zipfile import BadZipFile

import geopandas
import numpy as np
import rasterio
import shapely
from jaxtyping import Shaped
from PIL import Image
from pyogrio.errors import DataSourceError
from rasterio.transform import Affine, from_origin

from fewlabels.data.sources import dubai
from fewlabels.mapping.formats import quiet
from fewlabels.types import IGNORE, DataError, unknown

DUBAI = "dubai"
POINTS = 60
CHECKED = 300  # random pixels whose class is known, to assess a map with
COMMANDS = (
    "fewlabels train {folder}/scene.tif {folder}/labels.gpkg {folder}/model",
    "fewlabels predict {folder}/model {folder}/scene.tif {folder}/map.tif --next 12",
)
"""What to type next."""
ASSESS = "fewlabels assess {folder}/map.tif {folder}/checked.gpkg"
SAMPLE = "fewlabels sample {folder}/map.tif {folder}/points.gpkg --n 300"
"""Where the truth is there, and where a person has to say it."""
_LANDSAT = ("B1 blue", "B2 green", "B3 red", "B4 near infrared", "B5 short-wave infrared")
_SENTINEL = ("B02 blue", "B03 green", "B04 red", "B08 near infrared", "B05 red edge",
             "B06 red edge", "B07 red edge", "B8A", "B11 short-wave infrared",
             "B12 short-wave infrared")  # fmt: skip


class Example(NamedTuple):
    """A scene, labels, the column that holds their class, a sentence on where they are from, and
    the commands to try.
    """

    scene: Path
    labels: Path
    column: str
    notice: str
    commands: tuple[str, ...] = (*COMMANDS, SAMPLE)


class Polygons(NamedTuple):
    """A scene with polygons as it lies under the data root: NAME.npz and NAME.geojson.

    Attributes:
        archive, polygons: files below the data root.
        bands: names of the bands, in their order.
        key: of the bands in the archive.
        grid, crs: where the archive does not hold them.
    """

    archive: Path
    polygons: Path
    bands: tuple[str, ...]
    notice: str
    key: str = "bands"
    grid: Affine | None = None
    crs: str | None = None


def _sparse(name: str, bands: tuple[str, ...], notice: str) -> Polygons:
    file = Path("sparse_scenes") / name
    return Polygons(file.with_suffix(".npz"), file.with_suffix(".geojson"), bands, notice)


SCENES: Mapping[str, Polygons] = MappingProxyType(
    {
        "landsat": Polygons(
            Path("real_sparse_polygons/landsat7_022049_1999_2002.npz"),
            Path("real_sparse_polygons/landsat7_022049_polygons.geojson"),
            (*_LANDSAT, "B7 short-wave infrared", "B6 thermal", "cloud mask"),
            "The scene is Landsat 7 of 1999 (USGS); C. Holden and P. Gray drew the polygons "
            "(CC BY-SA 4.0).",
            "bands_1999", from_origin(462_405, 1_741_815, 30, 30), "EPSG:32615",
        ),
        "romania": _sparse(
            "romania_s2_20181016", _SENTINEL,
            "The scene is Sentinel-2 of Romania, 2018 (Copernicus); V. Stefan drew the polygons "
            "(no licence stated).",
        ),
        "ethiopia": _sparse(
            "ethiopia_gewata_l7", (*_LANDSAT, "B7 short-wave infrared"),
            "The scene is Landsat 7 of Gewata, Ethiopia (USGS); the polygons are of Wageningen "
            "University's GeoScripting course (CC BY-SA 4.0).",
        ),
        "brazil": _sparse(
            "brazil_l5_19880814_rstoolbox",
            (*_LANDSAT, "B6 thermal", "B7 short-wave infrared"),
            "The scene is Landsat 5 of Tucurui, Brazil, 1988 (USGS); the polygons are of the "
            "package RStoolbox (GPL 3).",
        ),
    }
)  # fmt: skip


def example(name: str, folder: Path, root: Path) -> Example:
    """Write scene.tif and labels.gpkg into a folder; of `dubai` also truth.tif, the dense mask, and
    checked.gpkg, random points with their class, to assess a map with.

    Args:
        name: `dubai`, which comes with the package, or a key of SCENES.
        root: of the data.

    Raises:
        UnknownName: no such example.
        DataError: the files of an example are missing or damaged, or the folder holds an example.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("scene.tif", "labels.gpkg", "truth.tif", "checked.gpkg"):
        if (folder / file).exists():
            raise DataError(f"'{folder / file}' is there already; name another folder")
    if name == DUBAI:
        return _packaged(folder)
    if name not in SCENES:
        raise unknown("example", name, (DUBAI, *SCENES))
    return _of_polygons(SCENES[name], folder, root)


def _packaged(folder: Path) -> Example:
    """The image of Dubai in pixels: its publisher does not say where it lies."""
    kept = resources.files("fewlabels.mapping") / "example"
    with (kept / "dubai.jpg").open("rb") as source:
        image = np.asarray(Image.open(source).convert("RGB"))
    with (kept / "dubai_mask.png").open("rb") as source:
        mask = np.asarray(Image.open(source))
    grid = Affine.identity()
    scene = _write(folder / "scene.tif", image.transpose(2, 0, 1), grid, None,
                   ("red", "green", "blue"))  # fmt: skip
    _write(folder / "truth.tif", mask[None], grid, None, ("class",), nodata=IGNORE)
    rng = np.random.default_rng(0)
    at = np.concatenate([
        rng.permutation(np.argwhere(mask == value))[: POINTS // len(dubai.CLASSES)]
        for value in range(len(dubai.CLASSES))
    ])  # fmt: skip
    random = rng.permutation(np.argwhere(mask != IGNORE))[:CHECKED]
    for file, column, points in (("labels", "class", at), ("checked", "truth", random)):
        frame = geopandas.GeoDataFrame(
            {column: [dubai.CLASSES[value] for value in mask[tuple(points.T)]]},
            geometry=shapely.points(points[:, 1] + 0.5, points[:, 0] + 0.5),
        )
        with quiet():
            frame.to_file(folder / f"{file}.gpkg")
    notice = (
        "The image is one of the 72 aerial images of Dubai (Humans in the Loop, MBRSC; CC0), the "
        f"{POINTS} points are drawn from its dense mask."
    )
    return Example(scene, folder / "labels.gpkg", "class", notice, (*COMMANDS, ASSESS))


def _of_polygons(given: Polygons, folder: Path, root: Path) -> Example:
    archive = root / given.archive
    try:
        with np.load(archive) as found:
            bands = found[given.key]
            grid = given.grid or Affine(*found["transform"].tolist())
            crs = given.crs or f"EPSG:{int(found['epsg'])}"
        frame = geopandas.read_file(root / given.polygons)
    except (OSError, ValueError, KeyError, BadZipFile, DataSourceError) as error:
        raise DataError(f"'{archive}' cannot be read ({error}); see data/README.md") from error
    nodata = -32768 if bands.dtype == np.int16 and (bands == -32768).any() else None
    scene = _write(folder / "scene.tif", bands, grid, crs, given.bands, nodata)
    if not given.crs:  # those files name their system where GeoJSON readers do not look
        frame = frame.set_crs(crs, allow_override=True)
    frame.to_file(folder / "labels.gpkg")
    return Example(scene, folder / "labels.gpkg", "class", given.notice)


def _write(
    file: Path,
    bands: Shaped[np.ndarray, "c h w"],
    grid: Affine,
    crs: str | None,
    names: tuple[str, ...],
    nodata: int | None = None,
) -> Path:
    count, height, width = bands.shape
    with quiet(), rasterio.open(
        file, "w", driver="GTiff", dtype=bands.dtype, count=count, height=height, width=width,
        crs=crs, transform=grid, nodata=nodata, compress="deflate",
    ) as target:  # fmt: skip
        target.write(bands)
        target.descriptions = names
    return file
