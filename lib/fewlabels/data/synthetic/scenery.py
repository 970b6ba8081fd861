"""What stands on the ground of a synthetic scene: one painter for each kind of object.

A painter writes into a `Canvas` and draws every number from its generator. Objects have the
proportions of about half a metre a pixel. They are laid out in a `Frame`, the image turned and
bent, in which curved streets, rivers and strip fields are straight.
"""

from dataclasses import dataclass
from itertools import product
from math import hypot, pi

import numpy as np
from jaxtyping import Bool, Float, UInt8
from skimage.draw import ellipse

from fewlabels.data.synthetic import layout
from fewlabels.data.synthetic.layout import (
    Axes,
    Frame,
    Pixels,
    Plane,
    Points,
    Rng,
    box,
    cuts,
    nearest,
)

CLASSES = ("water", "road", "building", "grass", "field", "tree", "soil", "pool")
WATER, ROAD, BUILDING, GRASS, FIELD, TREE, SOIL, POOL = range(len(CLASSES))

Where = Bool[np.ndarray, "h w"]
Colour = Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class Style:
    """What the scenes of one site have in common; colours are RGB from 0 to 1."""

    grass: Colour
    tree: Colour
    soil: Colour
    water: Colour
    asphalt: Colour
    roofs: Float[np.ndarray, "n 3"]  # a colour a row
    settled: float  # about the share of ground that is village
    wooded: float  # that is wood
    bare: float  # that is open soil
    large: float  # share of the lots with a block, roofed with asphalt, instead of a house
    pools: float  # share of the houses that try to have a pool
    angle: float  # course of the streets in radians
    sun: tuple[float, float]  # (rows, columns) towards the sun, a unit vector
    slope: float  # height that a ray gains a pixel; a wall of height h shades h / slope pixels
    balance: Colour  # gain of each channel
    haze: float  # share of white that is mixed in everywhere


@dataclass(frozen=True)
class Canvas:
    """A scene before light: class, colour and height above the ground of each pixel."""

    rng: Rng
    look: Style
    mask: UInt8[np.ndarray, "h w"]
    colour: Float[np.ndarray, "h w 3"]
    height: Plane

    @property
    def size(self) -> int:
        return len(self.mask)

    def noise(self, scale: float) -> Plane:
        """Smooth noise, see `layout.noise`."""
        return layout.noise(self.rng, self.size, scale)

    def paint(self, where, kind, colour, height=0.0) -> None:
        """Set a screen of pixels, or those at (rows, columns), to an object."""
        self.mask[where] = kind
        self.colour[where] = colour
        self.height[where] = height

    def free(self, pixels: Pixels) -> bool:
        """Whether nothing but grass, field or soil is there."""
        return bool(np.isin(self.mask[pixels], (GRASS, FIELD, SOIL)).all())


def paint_ground(canvas: Canvas) -> None:
    """Grass everywhere, with patches of open soil."""
    look, noise = canvas.look, canvas.noise
    patches = noise(44) + 0.25 * noise(12)
    tone = 1 + 0.1 * noise(40)
    canvas.paint(..., GRASS, look.grass * tone[..., None])
    bare = patches > np.quantile(patches, 1 - look.bare)
    gravel = (tone + 0.1 * noise(2))[bare]
    canvas.paint(bare, SOIL, look.soil * gravel[:, None])


def paint_parcels(canvas: Canvas, where: Where, plan: Frame) -> Plane:
    """Farmland: strips across u, each cut along v; returns the distance to a parcel's border.

    A parcel is green, ripe or ploughed (`field`, in rows), a meadow (`grass`) or fallow (`soil`):
    colour alone tells neither a ploughed field from soil nor a green one from a meadow.
    """
    rng, look = canvas.rng, canvas.look
    u, v = plan.coordinates()
    strips, ends = cuts(rng, plan.size, 45, 110), cuts(rng, 2 * plan.size, 70, 170)
    strip = np.searchsorted(strips, u)
    v = v + rng.uniform(-80, 80, len(strips) + 1)[strip]
    number = strip * (len(ends) + 1) + np.searchsorted(ends, v)
    border = np.minimum(nearest(u, strips), nearest(v, ends))

    count = number.max() + 1
    state = rng.choice(5, count, p=(0.36, 0.18, 0.2, 0.14, 0.12))
    green, ripe = 0.55 * look.grass + (0.11, 0.19, 0.07), 0.5 * look.soil + (0.36, 0.29, 0.13)
    tones = np.stack([green, ripe, 0.82 * look.soil, look.grass, look.soil])[state]
    tones = tones * rng.uniform(0.82, 1.15, (count, 1)) * rng.uniform(0.95, 1.05, (count, 3))
    depth = np.array([0.15, 0.12, 0.18, 0.015, 0])[state] * rng.uniform(0.6, 1.3, count)
    along = np.where((rng.random(count) < 0.8)[number], u, v)
    rows = depth[number] * np.sin(2 * pi * along / rng.uniform(3.6, 6.5, count)[number])
    wheels = np.where(state < 2, 0.16, 0)[number] * (along % 27 < 1.6)
    relief = 1 + rows - wheels + 0.05 * canvas.noise(22)
    kind = np.array([FIELD, FIELD, FIELD, GRASS, SOIL])[state][number]
    inside = where & (border > 1.5)
    canvas.paint(inside, kind[inside], (tones[number] * relief[..., None])[inside])
    return border


def paint_water(canvas: Canvas, depth: Plane) -> Plane:
    """Water where `depth` (about the pixels from the shore) is positive; returns it, frayed."""
    rng, look, noise = canvas.rng, canvas.look, canvas.noise
    depth = depth + 1.5 * noise(14)
    bank = (depth > -4 + 3 * noise(25)) & (depth <= 0)
    canvas.paint(bank, SOIL, look.soil * 0.9)
    shallow = 0.4 * np.exp(-np.clip(depth, 0, None) / 5)[..., None]
    ripples = 1 + 0.015 * noise(4) + 0.12 * noise(50)
    clear = look.water * rng.uniform(0.85, 1.2) * rng.uniform(0.95, 1.05, 3)
    colour = ((1 - shallow) * clear + shallow * look.soil) * ripples[..., None]
    canvas.paint(depth > 0, WATER, colour[depth > 0])
    return depth


def paint_street(canvas: Canvas, where: Where) -> None:
    """Side streets: patched asphalt without lines."""
    patched = 1 + 0.1 * canvas.noise(12)
    canvas.paint(where, ROAD, canvas.look.asphalt * patched[where][:, None])


def paint_highway(canvas: Canvas, course: Frame) -> None:
    """One main road with lines, over whatever it meets: over water it is a bridge."""
    rng = canvas.rng
    across, along = course.coordinates()
    across = np.abs(across - rng.uniform(-0.25, 0.25) * course.size)
    width = rng.uniform(13, 19)
    worn = 1 + 0.05 * np.cos(4 * pi * across / width) + 0.04 * canvas.noise(9)
    asphalt = canvas.look.asphalt * rng.uniform(0.8, 1.25)
    road = across < width / 2
    canvas.paint(road, ROAD, asphalt * worn[road][:, None], 3.0 * (canvas.mask[road] == WATER))
    lines = (across < 0.7) & (along % 16 < 8) | (np.abs(across - width / 2 + 1.4) < 0.5)
    canvas.colour[lines] = 0.4 * asphalt + 0.42


def paint_cars(canvas: Canvas, plan: Frame, streets: Points, on: Where) -> None:
    """Cars on the streets; they hide the road, but the mask keeps it."""
    rng, reach = canvas.rng, 0.7 * plan.size
    for street, _ in product(streets, range(plan.size // 30)):
        lane = street + rng.choice((-2.2, 2.2))
        middle, along, across = plan.axes(lane, rng.uniform(-reach, reach))
        pixels = box(on.shape, middle, 4.2 * along, 1.6 * across)
        lacquer = rng.choice((0.12, 0.35, 0.75, 0.9)) * rng.uniform(0.88, 1.1, 3)
        if on[pixels].all():
            canvas.paint(pixels, ROAD, lacquer, 2.5)


def paint_village(canvas: Canvas, plan: Frame, streets: Points, where: Where) -> None:
    """Buildings on both sides of every street, turned with it, and pools behind some houses."""
    rng, look = canvas.rng, canvas.look
    for street, side in product(streets, (-1, 1)):
        for v in cuts(rng, plan.size, 27, 38):
            row, column = np.floor(plan.locate(street + side * 14, v)).astype(int)
            inside = min(row, column) >= 0 and max(row, column) < plan.size
            if not inside or not where[row, column]:
                continue
            block = rng.random() < look.large
            length, depth = rng.uniform((19, 14), (29, 21)) * (1.7 if block else 1)
            u = street + side * (depth / 2 + rng.uniform(8, 13))
            roof = look.asphalt if block else rng.choice(look.roofs)
            roof = roof * rng.uniform(0.85, 1.2)
            built = paint_building(canvas, plan.axes(u, v), (length, depth), roof, block)
            if built and not block and rng.random() < look.pools:
                behind = u + side * (depth / 2 + rng.uniform(9, 14))
                paint_pool(canvas, plan.axes(behind, v + rng.uniform(-6, 6)))


def paint_building(
    canvas: Canvas, axes: Axes, extent: tuple[float, float], roof: Colour, block: bool
) -> bool:
    """A flat block or a house with a gable, at times with a wing; False where ground is taken."""
    rng, (middle, along, across), (length, depth) = canvas.rng, axes, extent
    parts = [(middle, along * length / 2, across * depth / 2)]
    if rng.random() < 0.4:
        gable = middle + along * length * rng.choice((-1, 1)) * rng.uniform(0.15, 0.3)
        parts.append((gable, across * depth * 0.75, along * length * 0.22))
    pixels = [box(canvas.mask.shape, *part) for part in parts]
    if not all(map(canvas.free, pixels)):
        return False
    wall = rng.uniform(9, 16) if block else rng.uniform(6, 9)
    pitch = 0 if block else rng.uniform(0.5, 0.9)
    for (rows, columns), (centre, _, half) in zip(pixels, parts, strict=True):
        width = hypot(*half)
        off = np.abs((rows - centre[0]) * half[0] + (columns - centre[1]) * half[1]) / width
        height = np.maximum(wall + pitch * (width - off), canvas.height[rows, columns])
        seams = 1 + 0.13 * np.sin(1.6 * off[:, None]) + 0.15 * (off[:, None] < 0.8)
        canvas.paint((rows, columns), BUILDING, roof * seams, height)
    return True


def paint_pool(canvas: Canvas, axes: Axes) -> None:
    """A swimming pool, clear or murky, with a pale rim; none where the ground is taken."""
    rng, (middle, along, across), shape = canvas.rng, axes, canvas.mask.shape
    long, short = rng.uniform((6.5, 4.2), (10, 6.2))
    if rng.random() < 0.5:
        along, across = across, along
    turn = np.arctan2(-along[0], along[1])
    oval = rng.random() < 0.3
    pixels, inner = (
        ellipse(*middle, short - rim, long - rim, shape=shape, rotation=turn)
        if oval
        else box(shape, middle, (long - rim) * along, (short - rim) * across)
        for rim in (0, 1)
    )
    murk = rng.beta(1.2, 2.2)
    if canvas.free(pixels):
        clear, murky = np.array([0.42, 0.72, 0.8]), np.array([0.22, 0.36, 0.36])
        canvas.paint(pixels, POOL, 0.78)
        canvas.paint(inner, POOL, (1 - murk) * clear + murk * murky)


def paint_trees(canvas: Canvas, chance: Plane, cell: int = 12) -> None:
    """Round crowns: each cell of a jittered grid grows one with the `chance` at its middle."""
    rng, size = canvas.rng, canvas.size
    shape = (size // cell + 3, size // cell + 3)
    row, column = (np.indices(shape) - 1 + rng.random((2, *shape))) * cell
    foot = tuple(np.clip(at, 0, size - 1).astype(int) for at in (row, column))
    grown = rng.random(shape) < chance[foot]
    radius = np.where(grown, rng.uniform(0.34, 0.88, shape) * cell, 0)
    tone = rng.normal(1, 0.1, (*shape, 1)) * rng.normal(1, 0.05, (*shape, 3))

    pixel = np.arange(size)
    home = pixel // cell + 1
    dome, tones = np.zeros((size, size)), np.ones((size, size, 3))
    for down, right in product((-1, 0, 1), repeat=2):  # a radius is under one cell
        cells = np.ix_(home + down, home + right)
        away = (pixel[:, None] - row[cells]) ** 2 + (pixel - column[cells]) ** 2
        higher = radius[cells] ** 2 - away > dome
        dome[higher] = (radius[cells] ** 2 - away)[higher]
        tones[higher] = tone[cells][higher]
    crown = (dome > 0) & (dome + 5 * canvas.noise(3.5) > 1)
    height = 4 + 1.3 * np.sqrt(dome[crown]) + 1.2 * canvas.noise(4)[crown]
    leaves = 1 + 0.12 * canvas.noise(3)[crown][:, None]
    canvas.paint(crown, TREE, canvas.look.tree * tones[crown] * leaves, height)
