"""Label images: a class on some pixels and none on the others, on the scene's grid or another."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Integer, UInt8
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from fewlabels.mapping.scene import Scene, dataset, named
from fewlabels.types import IGNORE, DataError, NoLabelsError

STRIP = 1024  # rows read at once
MOST = 64  # classes of an image without a list of them: with more it is no label image


@dataclass(frozen=True)
class Painted:
    """A label image whose values are known.

    Attributes:
        classes: class names; a class's index is its value on the pixels of `reading`.
        values: the image's value of each class.
        report: how many labelled pixels were found, used and skipped, and why.
    """

    file: Path
    classes: tuple[str, ...]
    values: tuple[int, ...]
    report: Mapping[str, object]


def opened(
    file: Path, scene: Scene, classes: Mapping[int, str] | None = None, no_label: int | None = None
) -> Painted:
    """Describe the label image in `file`, which is read once.

    An image with coordinates on another grid is resampled to the scene's by the nearest pixel. One
    without coordinates must have the scene's size.

    Args:
        classes: name of each value to use; all values that are found, as text, if None.
        no_label: value of the pixels without a class, besides the file's nodata and 255.

    Raises:
        DataError: it is no image of one band of whole numbers, is cut off, has more than 64 values
            without a name, or cannot be resampled to the scene's grid (names both systems).
        NoLabelsError: no pixel of it in the scene has a class.
    """
    counted: Counter[int] = Counter()
    with _on_grid(file, scene) as source:
        void = {IGNORE, no_label, source.nodata}
        for at in range(0, scene.height, STRIP):
            window = Window(0, at, scene.width, min(STRIP, scene.height - at))
            values, numbers = np.unique(_values(source, file, window), return_counts=True)
            counted.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    found = {value: number for value, number in sorted(counted.items()) if value not in void}
    if classes is None and len(found) > MOST:
        raise DataError(
            f"'{file}' holds {len(found)} different values, too many for classes; name the values "
            "to use with --classes 1=water,2=forest"
        )
    names = classes or {value: str(value) for value in found}
    unknown = {str(value): number for value, number in found.items() if value not in names}
    used = sum(found.values()) - sum(unknown.values())
    if not used:
        raise NoLabelsError(
            f"'{file}': no pixel in '{scene.file}' has a class; values without a name: "
            f"{unknown or 'none'}"
        )
    report = {
        "found": sum(found.values()),
        "share": sum(found.values()) / (scene.height * scene.width),
        "unknown classes": unknown,
        "used": {"pixels": used},
    }
    return Painted(file, tuple(names.values()), tuple(names), report)


@contextmanager
def reading(
    painted: Painted, scene: Scene
) -> Iterator[Callable[[slice, slice], UInt8[np.ndarray, "_ _"]]]:
    """Open the image as a function (rows, columns) -> labels in [0, k) or IGNORE."""
    with _on_grid(painted.file, scene) as source:

        def read(rows: slice, columns: slice) -> UInt8[np.ndarray, "h w"]:
            values = _values(source, painted.file, Window.from_slices(rows, columns))
            labels = np.full(values.shape, IGNORE, np.uint8)
            for index, value in enumerate(painted.values):
                labels[values == value] = index
            return labels

        yield read


def _values(
    source: DatasetReader | WarpedVRT, file: Path, window: Window
) -> Integer[np.ndarray, "h w"]:
    try:
        return source.read(1, window=window)
    except RasterioError as error:
        raise DataError(
            f"the label image '{file}' cannot be read from row {window.row_off} on ({error}); it "
            "may be cut off"
        ) from error


@contextmanager
def _on_grid(file: Path, scene: Scene) -> Iterator[DatasetReader | WarpedVRT]:
    """The label image on the scene's grid; 255 beyond its edge."""
    # GDAL's fast way to read a PNG does not report a file that ends too early
    with rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"), dataset(file, "label image") as source:
        if source.count != 1 or not np.issubdtype(np.dtype(source.dtypes[0]), np.integer):
            raise DataError(
                f"the label image '{file}' has {source.count} bands of {source.dtypes[0]}; it must "
                "have one, of whole numbers that are classes"
            )
        bare = source.crs is None and source.transform.is_identity
        placed = source.crs == scene.crs and source.transform.almost_equals(scene.transform)
        if source.shape == (scene.height, scene.width) and (bare or placed):
            yield source
            return
        apart = DataError(
            f"the label image '{file}' ({source.height} x {source.width} pixels, coordinate system "
            f"{named(source.crs)}) and the scene '{scene.file}' ({scene.height} x {scene.width} "
            f"pixels, {scene.system}) are on different grids, and it cannot be resampled"
        )
        if not source.crs or not scene.crs:
            raise apart
        try:
            warped = WarpedVRT(
                source, crs=scene.crs, transform=scene.transform, height=scene.height,
                width=scene.width, resampling=Resampling.nearest,
                nodata=IGNORE if source.nodata is None else source.nodata,
            )  # fmt: skip
        except (RasterioError, CPLE_BaseError) as error:
            raise apart from error
        with warped:
            yield warped
