"""Where the pixels of a raster lie: one comparison of grids, and the size of a pixel in metres."""

import math

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import Affine

SAME = 0.01  # pixels that corners of one grid may lie apart
DEGREE = 111_320  # metres of a degree of latitude


def same(one: Affine, other: Affine, height: int, width: int) -> bool:
    """Whether two grids of that many pixels are one, to a hundredth of a pixel at each corner."""
    if one.determinant == 0:
        return one == other
    across = ~one @ other
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    return all(math.dist(across @ corner, corner) < SAME for corner in corners)


def side(transform: Affine, crs: CRS | None, height: int, width: int) -> float:
    """Side of a pixel in metres (the root of its area, at the middle of the raster); in the unit of
    its coordinates where that is not known.
    """
    length = math.sqrt(abs(transform.determinant))
    if crs and crs.is_geographic:
        latitude = (transform @ (width / 2, height / 2))[1]
        return length * DEGREE * math.sqrt(max(0.0, np.cos(np.radians(latitude))))
    try:
        return length * crs.linear_units_factor[1] if crs else length
    except CRSError:
        return length
