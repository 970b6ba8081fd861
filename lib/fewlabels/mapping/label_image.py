"""Label images: a class on some pixels and none on the others, on the scene's grid or another."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Int32, Integer, UInt8
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from fewlabels.mapping.scene import Scene, dataset, named
from fewlabels.types import IGNORE, DataError, NoLabelsError

STRIP = 1024  # rows read at once
MOST = 64  # classes that an image may hold without a list of them: else it is no label image


@dataclass(frozen=True)
class Painted:
    """A label image whose values are known.

    Attributes:
        classes: class names; a class's index is its value on the pixels of `reading`.
        values: the image's value of each class.
        report: what was found and what was left out, in counts.
    """

    file: Path
    classes: tuple[str, ...]
    values: tuple[int, ...]
    report: Mapping[str, object]


def opened(
    file: Path, scene: Scene, classes: Mapping[int, str] | None = None, no_label: int | None = None
) -> Painted:
    """The label image in `file`, read once through.

    An image with coordinates on another grid is brought to the scene's by the nearest pixel. One
    without must have the scene's size, and then lies on its pixels.

    Args:
        classes: name of each value that counts; all values that are found, as text, if not given.
        no_label: value of the pixels without a class, besides the file's nodata and 255.

    Raises:
        DataError: it is no image of one band of whole numbers, is cut off, has more than 64 values
            that nobody named, or cannot be brought to the scene's grid (names both systems).
        NoLabelsError: no pixel of it carries a class in the scene.
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
            f"'{file}' holds {len(found)} different values; a label image has a class on each "
            "labelled pixel: name those that count with --classes 1=water,2=forest"
        )
    names = classes or {value: str(value) for value in found}
    unknown = {str(value): number for value, number in found.items() if value not in names}
    used = sum(found.values()) - sum(unknown.values())
    if not used:
        raise NoLabelsError(
            f"'{file}': no pixel carries a class in '{scene.file}'; values that nobody named: "
            f"{unknown or 'none'}"
        )
    share = sum(found.values()) / (scene.height * scene.width)
    report = {
        "found": sum(found.values()),
        "share": share,
        "unknown classes": unknown,
        "used": {"pixels": used},
    }
    return Painted(file, tuple(names.values()), tuple(names), report)


@contextmanager
def reading(painted: Painted, scene: Scene) -> Iterator:
    """A function (rows, columns) -> labels u8[h w] in [0, k) or IGNORE, on the open file."""
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


def blocks(rows: slice, columns: slice, width: int, side: int) -> Int32[np.ndarray, "h w"]:
    """For each pixel of a window the number of its block of `side` x `side` pixels of the scene,
    row after row of blocks. `width` is the scene's.
    """
    down, across = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    return (down[:, None] // side * -(-width // side) + across // side).astype(np.int32)


@contextmanager
def _on_grid(file: Path, scene: Scene) -> Iterator[DatasetReader]:
    """The label image as if it were on the scene's grid; 255 beyond its edge."""
    # the quick way to read a PNG does not say that the file ends too early
    with rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"), dataset(file, "label image") as source:
        if source.count != 1 or not np.issubdtype(np.dtype(source.dtypes[0]), np.integer):
            raise DataError(
                f"the label image '{file}' has {source.count} bands of {source.dtypes[0]}; it must "
                "have one, of whole numbers that are classes"
            )
        same = (source.height, source.width) == (scene.height, scene.width)
        bare = source.crs is None and source.transform.is_identity
        if same and (bare or (source.transform.almost_equals(scene.transform) and
                              source.crs == scene.crs)):  # fmt: skip
            yield source
            return
        apart = DataError(
            f"the label image '{file}' ({source.height} x {source.width} pixels, coordinate system "
            f"{named(source.crs)}) and the scene '{scene.file}' ({scene.height} x {scene.width} "
            f"pixels, {scene.system}) are on two grids, and one cannot be brought to the other"
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
