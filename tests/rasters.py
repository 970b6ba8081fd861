"""Tiny scenes and labels for the tests of `geo` and `own`: everything is made, nothing is real."""

from pathlib import Path

import geopandas
import numpy as np
import rasterio
from rasterio.transform import Affine
from shapely.geometry import box

from fewlabels.mapping import survey
from fewlabels.mapping.recipe import Recipe

UTM = "EPSG:32615"
GRID = Affine(30, 0, 400_000, 0, -30, 1_700_000)  # 30 m pixels, the corner at a made-up place


def scene(
    file: Path,
    array: np.ndarray,
    *,
    crs: str | None = UTM,
    transform: Affine = GRID,
    nodata: float | None = None,
) -> Path:
    """An array [bands h w] as GeoTIFF."""
    file.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = array.shape
    with rasterio.open(
        file, "w", driver="GTiff", dtype=array.dtype, count=bands, height=height, width=width,
        crs=crs, transform=transform, nodata=nodata,
    ) as target:  # fmt: skip
        target.write(array)
    return file


def pixels(left: int, top: int, right: int, bottom: int, transform: Affine = GRID):
    """The rectangle that covers these pixels, in coordinates; right and bottom are not in it."""
    (x0, y0), (x1, y1) = transform @ (left, top), transform @ (right, bottom)
    return box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def labels(file: Path, shapes: dict, *, crs: str | None = UTM, to: str | None = None) -> Path:
    """A vector file from {shape: class}, reprojected if `to` is given."""
    frame = geopandas.GeoDataFrame({"class": list(shapes.values())}, geometry=list(shapes), crs=crs)
    (frame.to_crs(to) if to else frame).to_file(file)
    return file


def halves(seed: int = 0, side: int = 64, bands: int = 4) -> np.ndarray:
    """A scene u16[bands side side]: dark in the left half, bright in the right, with noise."""
    rng = np.random.default_rng(seed)
    bright = np.where(np.arange(side) < side // 2, 2000, 8000)
    return (bright + rng.normal(0, 300, (bands, side, side))).clip(1).astype(np.uint16)


SPOTS = {
    pixels(2, 2, 8, 8): "dark", pixels(50, 4, 56, 8): "bright", pixels(10, 40, 16, 44): "dark",
    pixels(40, 50, 44, 60): "bright", pixels(20, 20, 24, 24): "dark",
    pixels(58, 30, 62, 36): "bright",
}  # fmt: skip
"""Labels of `halves`: 36 + 24 + 16 dark pixels and 24 + 40 + 24 bright ones."""


def surveyed(file: Path, labels: survey.Labels, how: Recipe) -> survey.Survey:
    """What a training would find, in counts and warnings."""
    with survey.surveyed(file, labels, how, ()) as (seen, _, _):
        return seen
