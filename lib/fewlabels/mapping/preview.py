"""A scene or a map of any size as a small picture."""

from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import UInt8

from fewlabels.mapping import bands
from fewlabels.mapping.scene import Scene, dataset

LONGEST = 800
"""Pixels of a picture's longer side, at most."""


def shape(scene: Scene, longest: int = LONGEST) -> tuple[int, int]:
    """Rows and columns of the scene's picture."""
    step = max(1.0, max(scene.height, scene.width) / longest)
    return round(scene.height / step) or 1, round(scene.width / step) or 1


def shown(scene: Scene) -> tuple[int, ...]:
    """The bands that make red, green and blue, counted from 0 in `scene.bands`: those that the file
    calls so, else the first three, or the first where there are fewer.
    """
    words = [name.lower().split() for name in scene.names]
    named = [[i for i, mine in enumerate(words) if colour in mine and "infrared" not in mine]
             for colour in ("red", "green", "blue")]  # fmt: skip
    if all(named):
        return tuple(found[0] for found in named)
    return (0, 1, 2) if len(words) >= 3 else (0,)


def picture(scene: Scene, longest: int = LONGEST) -> UInt8[np.ndarray, "h w c"]:
    """The scene in three colours (or one grey), each band between its 0.5th and 99.5th percentile;
    a pixel is one of the scene's nearest by.

    Raises:
        DataError: it cannot be read, or no pixel of it is valid.
    """
    chosen = shown(scene)
    numbers = [scene.bands[i] for i in chosen]
    with dataset(scene.file, "GeoTIFF") as source:
        size = (len(numbers), *shape(scene, longest))
        values = source.read(numbers, out_shape=size, out_dtype="float32").transpose(1, 2, 0)
        masks = source.read_masks(numbers, out_shape=size)
    valid = (masks > 0).all(axis=0) & np.isfinite(values).all(axis=2)
    return bands.to_bytes(values, valid, bands.measured([(values, valid)], valid.size))


def map_picture(file: Path, scene: Scene, longest: int = LONGEST) -> UInt8[np.ndarray, "h w"]:
    """The values of a map of the scene, as small as its picture."""
    with rasterio.open(file) as source:
        return source.read(1, out_shape=shape(scene, longest))
