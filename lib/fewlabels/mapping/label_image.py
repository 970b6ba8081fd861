"""Label images: a class on some pixels and none on the others, on the scene's grid or another."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Shaped, UInt8
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from tqdm.auto import tqdm

from fewlabels.mapping import grid
from fewlabels.mapping.formats import foreign
from fewlabels.mapping.scene import Scene, dataset, named
from fewlabels.types import IGNORE, DataError, NoLabelsError

log = logging.getLogger(__name__)

STRIP = 1024  # rows read at once
SOON = 3  # seconds after which a bar says how long labels take to read
MOST = 64  # classes of an image without a list of them: with more it is no label image
BLANK = 0.9  # share of an image from which on 0 or 255 means "no class", if two others are there


@dataclass(frozen=True)
class Painted:
    """A label image whose values are known.

    Attributes:
        classes: class names; a class's index is its value on the pixels of `reading`.
        values: index of the class of each value of the image.
        crs: coordinate system of the image, instead of the file's; see `opened`.
        report: how many labelled pixels were found, used and skipped, and why.
    """

    file: Path
    classes: tuple[str, ...]
    values: Mapping[int, int]
    crs: str | None
    report: Mapping[str, object]


def opened(
    file: Path,
    scene: Scene,
    classes: Mapping[int, str] | None = None,
    no_label: int | None = None,
    crs: str | None = None,
) -> Painted:
    """Describe the label image in `file`, which is read once.

    A pixel has no class where the file says so by a nodata value, mask or alpha band, or where it
    has the value `no_label`. Without `no_label` and `classes` a value 0 or 255 that covers more
    than nine tenths of the image, beside two other values or more, is taken for it and reported.
    An image with coordinates on another grid is resampled to the scene's by the nearest pixel. One
    without coordinates must have the scene's size.

    Args:
        classes: name of each value to use; all values that are found, as text, if None. Values of
            one name are one class.
        crs: coordinate system of the image, instead of the file's: `scene`, or as in `EPSG:32615`.

    Raises:
        DataError: it is no image of one band of whole numbers, is cut off, has more than 64 values
            without a name, or cannot be resampled to the scene's grid (names both systems).
        NoLabelsError: no pixel of it in the scene has a class.
    """
    counted: Counter[int] = Counter()
    with _on_grid(file, scene, crs) as source:
        for at in tqdm(range(0, scene.height, STRIP), "label image", unit="strip", delay=SOON):
            window = Window(0, at, scene.width, min(STRIP, scene.height - at))
            values, there = _values(source, file, window)
            values, numbers = np.unique(values[there], return_counts=True)
            if fraction := [value for value in values.tolist() if value != int(value)]:
                raise DataError(
                    f"the label image '{file}' holds {fraction[0]:g}; a class is a whole number"
                )
            counted.update(dict(zip(map(int, values.tolist()), numbers.tolist(), strict=True)))
    if no_label is None and classes is None and (blank := _blank(counted)) is not None:
        no_label = blank
        log.warning(
            "the value %d covers %.1f %% of the label image '%s' and is taken for 'no class'; if "
            "it is one, name the classes: --classes %d=NAME,...",
            blank, 100 * counted[blank] / counted.total(), file, blank,
        )  # fmt: skip
    skipped = counted.pop(no_label, 0)
    found = dict(sorted(counted.items()))
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
            f"{unknown or 'none'}; pixels of the value for no class: {skipped}"
        )
    order = tuple(dict.fromkeys(names.values()))
    report = {
        "found": sum(found.values()),
        "share": sum(found.values()) / (scene.height * scene.width),
        "unknown classes": unknown,
        "used": {"pixels": used},
    }
    if skipped:
        report["no label"] = {str(no_label): skipped}
    if classes is None and IGNORE in found and len(found) > 2:
        log.warning(
            "'%s': %d pixels of the value 255 are taken for a class; if it means no class, say "
            "--no-label 255", file, found[IGNORE],
        )  # fmt: skip
    indices = {value: order.index(name) for value, name in names.items() if value != no_label}
    return Painted(file, order, indices, crs, report)


@contextmanager
def reading(
    painted: Painted, scene: Scene
) -> Iterator[Callable[[slice, slice], UInt8[np.ndarray, "_ _"]]]:
    """Open the image as a function (rows, columns) -> labels in [0, k) or IGNORE."""
    with _on_grid(painted.file, scene, painted.crs) as source:

        def read(rows: slice, columns: slice) -> UInt8[np.ndarray, "h w"]:
            values, there = _values(source, painted.file, Window.from_slices(rows, columns))
            labels = np.full(values.shape, IGNORE, np.uint8)
            for value, index in painted.values.items():
                labels[there & (values == value)] = index
            return labels

        yield read


def _blank(counted: Mapping[int, int]) -> int | None:
    """0 or 255 where it covers nearly all and leaves two classes or more."""
    value, number = max(counted.items(), key=lambda item: item[1], default=(None, 0))
    mostly = number > BLANK * sum(counted.values()) and len(counted) > 2
    return value if value in (0, 255) and mostly else None


def _values(
    source: DatasetReader | WarpedVRT, file: Path, window: Window
) -> tuple[Shaped[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    with foreign(
        f"the label image '{file}' cannot be read from row {window.row_off} on", "it may be cut off"
    ):
        values = source.read(1, window=window)
        there = np.isfinite(values)
        if source.count == 2:  # alpha, which is no mask of a warped image that is not of bytes
            there &= source.read(2, window=window) > 0
        if not isinstance(source, WarpedVRT):
            there &= source.read_masks(1, window=window) > 0
    return values, there


@contextmanager
def _on_grid(file: Path, scene: Scene, crs: str | None) -> Iterator[DatasetReader | WarpedVRT]:
    """The label image on the scene's grid, with an alpha band where it had to be resampled."""
    # GDAL's fast way to read a PNG does not report a file that ends too early
    with rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"), dataset(file, "label image") as source:
        if source.gcps[0]:
            raise DataError(
                f"the label image '{file}' is placed by ground control points and has no grid; "
                "`gdalwarp IN OUT.tif` gives it one"
            )
        kinds = [source.dtypes[i] for i, meaning in enumerate(source.colorinterp)
                 if meaning != ColorInterp.alpha or i == 0]  # fmt: skip
        if len(kinds) != 1 or kinds[0].startswith("complex"):
            raise DataError(
                f"the label image '{file}' has {len(kinds)} bands of {source.dtypes[0]}; it must "
                "have one, of whole numbers that are classes"
            )
        what = (
            f"the label image '{file}' ({source.height} x {source.width} pixels, coordinate system "
            f"{crs or named(source.crs)}) and the scene '{scene.file}' ({scene.height} x "
            f"{scene.width} pixels, {scene.system}) are on different grids, and it cannot be "
            "resampled"
        )
        with foreign(what):
            said = CRS.from_user_input(crs) if crs and crs != "scene" else source.crs
        system = scene.crs if crs == "scene" else said
        bare = source.crs is None and source.transform.is_identity
        alike = source.shape == (scene.height, scene.width) and (
            bare or grid.same(scene.transform, source.transform, scene.height, scene.width)
        )
        if alike and (bare or not system or not scene.crs or system == scene.crs):
            yield source
            return
        if not system or not scene.crs or source.transform.is_identity:
            raise DataError(f"{what}; say the system of the image with --labels-crs")
        with foreign(what):
            warped = WarpedVRT(
                source, src_crs=system, crs=scene.crs, transform=scene.transform,
                height=scene.height, width=scene.width, resampling=Resampling.nearest,
                add_alpha=ColorInterp.alpha not in source.colorinterp,
            )  # fmt: skip
        with warped:
            yield warped
