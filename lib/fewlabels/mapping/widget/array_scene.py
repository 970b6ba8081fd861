"""An array of any library, or an image, that is read like a scene."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from rasterio.transform import Affine

from fewlabels.mapping.scene import Pixels, Read, Scene
from fewlabels.types import DataError

FEW = 16  # bands; where the first of three lengths is not larger, and the last is, it counts them


def opened(source: object) -> tuple[Scene, Callable[[], AbstractContextManager[Read]]]:
    """Describe and open [h w] or [h w bands] of real numbers: an array, a masked array, nested
    lists, a Pillow image, a tensor. What is masked or not finite is void.

    Raises:
        DataError: it has another shape, or is not of real numbers.
    """
    try:
        array = np.ma.masked_array(source if np.ma.isMaskedArray(source) else np.asarray(source))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"a {type(source).__name__} is no image: {error}") from error
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif" or not array.size:
        raise DataError(
            f"an image is an array [h w] or [h w bands] of real numbers; found {array.dtype} of "
            f"shape {array.shape}"
        )
    if array.ndim == 3 and array.shape[0] <= FEW < min(array.shape[1:]):
        raise DataError(
            f"an array of shape {array.shape} looks like [bands h w]; its bands must come last: "
            "array.transpose(1, 2, 0)"
        )
    cube = array[..., None] if array.ndim == 2 else array
    height, width, count = cube.shape
    numbers = tuple(range(1, count + 1))
    names = tuple(f"band {number}" for number in numbers)
    scene = Scene(Path("image"), height, width, numbers, (), names, str(array.dtype),
                  Affine.identity(), None)  # fmt: skip
    kind = np.float32 if np.can_cast(array.dtype, np.float32) else np.float64

    @contextmanager
    def reading() -> Iterator[Read]:
        def read(rows: slice, columns: slice) -> Pixels:
            values = np.ma.filled(cube[rows, columns].astype(kind), np.nan)
            return np.ascontiguousarray(values), np.isfinite(values).all(axis=2)

        yield read

    return scene, reading
