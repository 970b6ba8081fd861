"""Geometry of a synthetic scene in pixels: turned and bent coordinates, cuts, noise, shadows."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter, zoom
from skimage.draw import polygon

Rng = np.random.Generator
Plane = Float[np.ndarray, "h w"]
Where = Bool[np.ndarray, "h w"]
Points = Float[np.ndarray, " n"]
Pixels = tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]
Wave = tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """The image turned by `angle` (radians) and bent: u runs across the streets, v along them.

    `waves` are (height, length, phase) of the wave that bends u, and of the one that bends v.
    """

    size: int
    angle: float
    waves: tuple[Wave, Wave]

    def coordinates(self) -> tuple[Plane, Plane]:
        """The (u, v) of every pixel; (0, 0) is the middle of the image before it is bent."""
        y, x = np.mgrid[: self.size, : self.size] - self.size / 2
        v = cos(self.angle) * y - sin(self.angle) * x
        u = cos(self.angle) * x + sin(self.angle) * y + _wave(v, self.waves[0])
        return u, v + _wave(u, self.waves[1])

    def locate(self, u: float, v: float) -> Float[np.ndarray, " 2"]:
        """The (row, column) of a point (u, v): the exact inverse of `coordinates`."""
        v = v - _wave(u, self.waves[1])
        u = u - _wave(v, self.waves[0])
        x, y = cos(self.angle) * u - sin(self.angle) * v, sin(self.angle) * u + cos(self.angle) * v
        return np.array([y, x]) + self.size / 2

    def box(self, u: float, v: float, across: float, along: float) -> Pixels:
        """The pixels of a rectangle around (u, v), turned with the street there."""
        middle, ahead = self.locate(u, v), self.locate(u, v + 1) - self.locate(u, v - 1)
        ahead = ahead / np.hypot(*ahead) * along / 2
        side = np.array([-ahead[1], ahead[0]]) * across / along
        corners = [middle + ahead + side, middle + ahead - side]
        corners += [middle - ahead - side, middle - ahead + side]
        return polygon(*np.transpose(corners), shape=(self.size, self.size))


def _wave(at, shape: Wave):
    height, length, phase = shape
    return height * np.sin(2 * pi / length * at + phase)


def frame(rng: Rng, size: int, angle: float, bend: float) -> Frame:
    """Draw a frame whose lines leave their course by up to `bend` pixels."""
    first, second = (
        (bend * rng.uniform(0.4, 1), rng.uniform(180, 420), rng.uniform(0, 2 * pi)) for _ in "uv"
    )
    return Frame(size, angle, (first, second))


def noise(rng: Rng, size: int, scale: float) -> Plane:
    """Draw smooth noise of mean about 0 and deviation about 1, in blobs about `scale` wide."""
    step = max(1, int(scale / 3))
    sigma = scale / step / 2.5
    coarse = rng.standard_normal((size // step + 3, size // step + 3))
    coarse = gaussian_filter(coarse, sigma, mode="wrap", truncate=3) * (2 * pi**0.5 * sigma)
    return zoom(coarse, step, order=1, grid_mode=True, mode="nearest")[:size, :size]


def cuts(rng: Rng, size: int, narrow: float, wide: float) -> Points:
    """Draw rising positions across a turned image, `narrow` to `wide` pixels apart."""
    steps = rng.uniform(narrow, wide, int(1.6 * size / narrow) + 3)
    return np.cumsum(steps) - 0.8 * size - rng.uniform(wide, 2 * wide)


def nearest(at: Plane, positions: Points) -> Plane:
    """Distance from each value to the nearest of the positions, which rise."""
    after = np.clip(np.searchsorted(positions, at), 1, len(positions) - 1)
    return np.minimum(np.abs(at - positions[after - 1]), np.abs(at - positions[after]))


def shadows(height: Plane, sun: tuple[float, float], slope: float) -> Where:
    """Where a ray towards the sun, `slope` higher with each pixel, meets something in its way."""
    reach = int((height.max() - height.min()) / slope) + 1
    padded = np.pad(height, reach, mode="edge")
    dark = np.zeros(height.shape, bool)
    for step in range(1, reach + 1):
        top, left = (reach + round(step * part) for part in sun)
        towards = padded[top : top + height.shape[0], left : left + height.shape[1]]
        dark |= towards > height + step * slope
    return dark
