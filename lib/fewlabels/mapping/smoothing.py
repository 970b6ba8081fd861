"""Smooth a map: within superpixels before the class is taken, and small areas of it after."""

from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from rasterio import features
from rasterio.windows import Window
from torch import Tensor

from fewlabels.files import Shelf
from fewlabels.mapping import grid
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Ranges, Read, Scene
from fewlabels.mapping.stream import LEAST, Smooth
from fewlabels.scoring import superpixels
from fewlabels.studies.w import SUPERPIXEL

BLOCK = 512  # pixels a side, about that of the tiles on which study W smoothed
SIEVED, NEAR, FAR = 2048, 128, 1024  # pixels: see `sieved`
MOST = 2**31  # pixels: the smallest area is smaller


def within_superpixels(read: Read, ranges: Ranges) -> Smooth:
    """Average the probabilities of valid pixels within the superpixels of study W's size.

    Superpixels are those of blocks of 512 x 512 pixels, counted from the scene's upper left corner,
    so none crosses the edge of a block. Where strips begin at edges of blocks, the result does not
    depend on windows: `predict` rounds windows without overlap up to whole blocks. Where windows
    are blended, superpixels end at the edges of strips, too.
    """

    def smooth(held: Float32[Tensor, "k1 _ w"], rows: slice) -> UInt8[np.ndarray, "_ w"]:
        changed = np.zeros(held.shape[1:], np.uint8)
        for down, across in product(_blocks(rows, BLOCK), _blocks(slice(0, held.shape[2]), BLOCK)):
            here = slice(down.start - rows.start, down.stop - rows.start), across
            weights = held[(-1, *here)]
            valid = (weights > 0).numpy()
            if not valid.any():
                continue
            image = scenes.to_bytes(*read(down, across), ranges)
            before = (held[(slice(-1), *here)] / weights.clamp_min(LEAST)).softmax(dim=0)
            means = superpixels.smoothed(before.numpy() * valid, image, SUPERPIXEL)
            after = before.new_tensor(means / np.maximum(means.sum(axis=0), LEAST))
            held[(slice(-1), *here)] = after.clamp_min(LEAST).log() * weights
            changed[here] = valid & (before.argmax(dim=0) != after.argmax(dim=0)).numpy()
        return changed

    return smooth


def sieved(file: Path, scene: Scene, hectares: float) -> UInt8[np.ndarray, "h w"]:
    """Give connected areas of a class map below some hectares the class of their largest neighbour.

    Pixels that only touch at a corner belong to two areas. NODATA stays, and is nobody's neighbour.
    An area stays if none of its neighbours leads to one that is large enough. An area counts as so
    many pixels as it has hectares at the middle of the scene. Blocks of 2,048 x 2,048 pixels are
    sieved with those around them, as many as the smallest area has but from 128 to 1,024: of a
    longer area only what lies there counts.

    Returns:
        The map, on disk beside `file`.

    Raises:
        RecipeError: it is not known how large a pixel is.
        DiskFullError: the map does not fit.
    """
    least = pixels(scene, hectares)
    reach = min(max(least, NEAR), FAR)
    found = Shelf(file.parent).zeros((scene.height, scene.width))
    with scenes.dataset(file, "map") as source:
        for down, across in product(*(_blocks(slice(0, n), SIEVED) for n in found.shape)):
            top, left = max(0, down.start - reach), max(0, across.start - reach)
            rows = top, min(scene.height, down.stop + reach)
            columns = left, min(scene.width, across.stop + reach)
            values = source.read(1, window=Window.from_slices(rows, columns))
            made = features.sieve(values, least, mask=values != NODATA)
            made[values == NODATA] = NODATA
            inside = made[down.start - top : down.stop - top, across.start - left :]
            found[down, across] = inside[:, : across.stop - across.start]
    return found


def pixels(scene: Scene, hectares: float) -> int:
    """Count the pixels at the middle of a scene that so many hectares are, rounded up.

    Raises:
        RecipeError: it is not known how large a pixel is, or an area is none.
    """
    cell = grid.hectares(
        scene.transform, scene.crs, np.array([scene.height // 2]), np.array([scene.width // 2])
    )
    if cell is None:
        raise RecipeError(
            f"small areas are given in hectares, and '{scene.file}' does not say how large its "
            "pixels are; give it a coordinate reference system (gdal_edit.py -a_srs), or leave "
            "--sieve out"
        )
    if not 0 < hectares < MOST * cell[0]:
        raise RecipeError(f"the smallest area must be above 0 hectares, found {hectares:g}")
    return int(np.ceil(hectares / cell[0] * (1 - 1e-9)))


def _blocks(span: slice, side: int) -> list[slice]:
    """Cut rows or columns at the edges of blocks."""
    first = span.start // side * side
    return [
        slice(max(at, span.start), min(at + side, span.stop))
        for at in range(first, span.stop, side)
    ]
