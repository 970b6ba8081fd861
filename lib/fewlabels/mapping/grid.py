"""Where the pixels of a raster lie: one comparison of grids, and the size of a pixel."""

import math

import numpy as np
from jaxtyping import Float, Int
from pyproj import CRS as System
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import Affine

SAME = 0.01  # pixels that corners of one grid may lie apart
DEGREE = 111_320  # metres of a degree of latitude
HECTARE = 10_000  # square metres
NEAR = 0.01  # of the area on the ellipsoid, within which the area in a projection is taken


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


def hectares(
    transform: Affine,
    crs: CRS | None,
    rows: Int[np.ndarray, " n"],
    columns: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"] | None:
    """Compute the area of pixels in hectares; None where the system is not known.

    It is the area in the projection where that is within 1 % of the area on the ellipsoid, as in
    UTM. Elsewhere it is the latter: degrees are no lengths, and at 60 degrees north Web Mercator
    makes areas four times too large.
    """
    system = System.from_wkt(crs.to_wkt()) if crs else None
    ellipsoid = system.get_geod() if system else None
    if ellipsoid is None or system.geodetic_crs is None:
        return None
    to_degrees = Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    corners = [
        to_degrees.transform(*(transform @ (columns + right, rows + down)))
        for right, down in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    rings = np.array(corners).transpose(2, 1, 0)
    found = np.abs([ellipsoid.polygon_area_perimeter(*ring)[0] for ring in rings])
    if crs.is_projected:
        plain = abs(transform.determinant) * crs.linear_units_factor[1] ** 2
        found = np.full(len(rows), plain) if (np.abs(found / plain - 1) < NEAR).all() else found
    return found / HECTARE
