"""Smooth a map: within superpixels before the class is taken, and small areas of it after."""

from itertools import product
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Float32, UInt8
from rasterio import features
from rasterio.windows import Window
from torch import Tensor

from fewlabels.mapping import grid
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.maps import NODATA
from fewlabels.mapping.recipe import RecipeError
from fewlabels.mapping.scene import Ranges, Read, Scene
from fewlabels.mapping.stream import LEAST, Smooth
from fewlabels.scoring import superpixels
from fewlabels.studies.w import SUPERPIXEL

BLOCK = 512  # pixels a side, about that of the tiles on which study W smoothed
ROWS = 512  # read at once
MOST = 2**31  # pixels of a map that is sieved: it takes two bytes of memory for each


def within_superpixels(read: Read, ranges: Ranges) -> Smooth:
    """Average the probabilities of valid pixels within the superpixels of study W's size.

    Superpixels are those of blocks of 512 x 512 pixels, counted from the scene's upper left corner,
    so none crosses the edge of a block. Where strips begin at edges of blocks, the result does not
    depend on windows: `predict` rounds windows without overlap up to whole blocks. Where windows
    are blended, superpixels end at the edges of strips, too.
    """

    def smooth(held: Float32[Tensor, "k1 _ w"], rows: slice) -> UInt8[np.ndarray, "_ w"]:
        changed = np.zeros(held.shape[1:], np.uint8)
        for down, across in product(_blocks(rows), _blocks(slice(0, held.shape[2]))):
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
    many pixels as it has hectares at the middle of the scene.

    Raises:
        RecipeError: it is not known how large a pixel is, or the map is too large.
    """
    least = pixels(scene, hectares)
    shape = scene.height, scene.width
    with scenes.dataset(file, "map") as source:
        valid = np.empty(shape, bool)
        for top in range(0, scene.height, ROWS):
            window = Window(0, top, scene.width, min(ROWS, scene.height - top))
            valid[top : top + ROWS] = source.read(1, window=window) != NODATA
        found = features.sieve(
            rasterio.band(source, 1), least, out=np.empty(shape, np.uint8), mask=valid
        )
    found[~valid] = NODATA
    return found


def pixels(scene: Scene, hectares: float) -> int:
    """Count the pixels at the middle of a scene that so many hectares are, rounded up.

    Raises:
        RecipeError: as `sieved`.
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
    if scene.height * scene.width > MOST:
        raise RecipeError(
            f"'{scene.file}' has {scene.height:,} x {scene.width:,} pixels; small areas are sought "
            f"in maps of up to {MOST:,} pixels, cut the scene into parts or leave --sieve out"
        )
    if not 0 < hectares < MOST * cell[0]:
        raise RecipeError(f"the smallest area must be above 0 hectares, found {hectares:g}")
    return int(np.ceil(hectares / cell[0] * (1 - 1e-9)))


def _blocks(span: slice) -> list[slice]:
    """Cut rows or columns at the edges of blocks."""
    first = span.start // BLOCK * BLOCK
    return [
        slice(max(at, span.start), min(at + BLOCK, span.stop))
        for at in range(first, span.stop, BLOCK)
    ]
