"""Procedural aerial scenes with dense truth, each a pure function of (seed, index).

The scenes are synthetic: they show that code works and how methods compare where the truth is
known, not how well a network maps real ground. Every pixel carries a class. Classes share colours
on purpose: a ploughed field is soil, a flat roof is asphalt, a tin roof is a pool, and a shadow
darkens the ground without changing its class. Common classes have 4 to 35 % of the pixels each;
the rare class, `pool`, has under 1 %, in nearly every scene.

A painter writes into a `Canvas` and draws every number from its generator. Objects have the
proportions of about half a metre a pixel. They are laid out in a `Frame`, the image turned and
bent, in which curved streets, rivers and strip fields are straight.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from fewlabels.data.source import Declaration, Pair, Source
from fewlabels.data.synthetic import layout
from fewlabels.data.synthetic.layout import Frame, Plane, Points, Rng, Where

SCENES, SITES, FOLDS = 40, 10, 5
CLASSES = ("water", "road", "building", "grass", "field", "tree", "soil", "pool")
WATER, ROAD, BUILDING, GRASS, FIELD, TREE, SOIL, POOL = range(len(CLASSES))
FINGERPRINT = "5e1e8128594af63c76aad64797e809cdeb5e713ec0f2c6c79d45c69f7212e747"
"""Identifies the pixels of all scenes: change it whenever one of them changes."""

SOILS = np.array([[0.66, 0.57, 0.44], [0.6, 0.43, 0.32], [0.56, 0.51, 0.45], [0.47, 0.38, 0.29]])
WATERS = np.array([[0.2, 0.27, 0.19], [0.15, 0.2, 0.21], [0.32, 0.42, 0.4], [0.52, 0.46, 0.36]])
TILES = np.array([[0.6, 0.35, 0.26], [0.43, 0.32, 0.27], [0.65, 0.57, 0.46], [0.52, 0.3, 0.22]])
METALS = np.array([[0.5, 0.5, 0.51], [0.29, 0.3, 0.32], [0.8, 0.78, 0.74], [0.37, 0.58, 0.66]])
ROUGH = np.array([0.1, 0.5, 0.5, 1, 1, 1.2, 1.4, 0.1])
"""How grainy each class is: water and pools are smooth, soil is rough."""
SHADE = np.array([0.62, 0.58, 0.5])
"""Share of light that a shadow takes from red, green and blue: skylight is blue."""

Colour = Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class Style:
    """What the scenes of one site have in common; colours are RGB from 0 to 1."""

    grass: Colour
    tree: Colour
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


@dataclass(frozen=True)
class Canvas:
    """A scene before light: class, colour and height above the ground of each pixel."""

    rng: Rng
    look: Style
    mask: UInt8[np.ndarray, "h w"]
    colour: Float[np.ndarray, "h w 3"]
    height: Plane

    def noise(self, scale: float) -> Plane:
        """Smooth noise, see `layout.noise`."""
        return layout.noise(self.rng, len(self.mask), scale)

    def paint(self, where, kind, colour, height=0.0) -> None:
        """Set a screen of pixels, or those at (rows, columns), to an object."""
        self.mask[where] = kind
        self.colour[where] = colour
        self.height[where] = height


def source(root: Path | None = None) -> Source:
    """Forty scenes of ten sites in five folds; scene i shows site i modulo 10."""
    ids = tuple(f"place{index % SITES:02d}-{index // SITES}" for index in range(SCENES))
    sites = tuple(id_.partition("-")[0] for id_ in ids)
    return Source(
        name="synthetic",
        classes=CLASSES,
        synthetic=True,
        ids=ids,
        sites=sites,
        folds=tuple(sites[fold:SITES:FOLDS] for fold in range(FOLDS)),
        fingerprint=FINGERPRINT,
        decode=partial(scene, 0),
    )


def scene(seed: int, index: int, size: int = 256) -> Pair:
    """The image u8[size size 3] and mask u8[size size] of one scene: equal arguments, equal bytes.

    Pixels keep their size on the ground, so a larger scene shows more ground. Scenes whose index
    is equal modulo 10 show one site: they share sun, season, roofs, density of settlement and,
    about, colours.

    Raises:
        ValueError: a negative seed or index, or a size under 64.
    """
    for name, found, least in (("seed", seed, 0), ("index", index, 0), ("size", size, 64)):
        if found < least:
            raise ValueError(f"{name} of a synthetic scene is {found}; it must be at least {least}")
    canvas = blank(_generator(seed, f"scene {index}"), style(seed, index % SITES), size)
    paint_scene(canvas)
    return develop(canvas), canvas.mask


def _generator(seed: int, identity: str) -> Rng:
    digest = hashlib.sha256(f"{seed} {identity}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def style(seed: int, site: int) -> Style:
    """The season, colours, density and light of a site."""
    rng = _generator(seed, f"place {site}")
    dry, azimuth, dust = rng.uniform(0.1, 0.5), rng.uniform(0, 2 * pi), rng.uniform(0, 0.2)
    return Style(
        grass=(1 - dry) * np.array([0.34, 0.42, 0.22]) + dry * np.array([0.55, 0.5, 0.34]),
        tree=(1 - dry) * np.array([0.2, 0.29, 0.15]) + dry * np.array([0.34, 0.33, 0.19]),
        asphalt=(1 - dust) * rng.uniform(0.36, 0.62) + dust * _mixed(rng, SOILS),
        roofs=np.concatenate([TILES[rng.permutation(4)[:3]], METALS[rng.permutation(4)[:2]]]),
        settled=rng.uniform(0.4, 0.75),
        wooded=rng.uniform(0.05, 0.25),
        bare=rng.uniform(0.1, 0.4),
        large=rng.uniform(0.03, 0.18),
        pools=rng.uniform(0.3, 0.65),
        angle=rng.uniform(0, pi),
        sun=(sin(azimuth), cos(azimuth)),
        slope=rng.uniform(0.7, 1.2),
        balance=rng.uniform(0.95, 1.25) * rng.uniform(0.96, 1.04, 3),
    )


def _mixed(rng: Rng, colours: Float[np.ndarray, "n 3"]) -> Colour:
    return (rng.dirichlet(np.full(len(colours), 0.4))[:, None] * colours).sum(0)


def blank(rng: Rng, look: Style, size: int) -> Canvas:
    """A canvas on which nothing is painted."""
    mask = np.zeros((size, size), np.uint8)
    return Canvas(rng, look, mask, np.zeros((size, size, 3)), np.zeros((size, size)))


def paint_scene(canvas: Canvas) -> None:
    """Everything that stands on the ground of a scene, from the soil up to the trees."""
    rng, look, size = canvas.rng, canvas.look, len(canvas.mask)
    plan = layout.frame(rng, size, look.angle + rng.normal(0, 0.3), bend=12)
    region, soil = canvas.noise(110), _mixed(rng, SOILS)
    share = np.clip(rng.normal(look.settled, 0.15), 0.1, 0.9)
    settled = region > np.quantile(region, 1 - share)
    canvas.paint(..., GRASS, look.grass * (1 + 0.1 * canvas.noise(40))[..., None])
    patches = canvas.noise(44) + 0.25 * canvas.noise(12)
    canvas.paint(patches > np.quantile(patches, 1 - look.bare), SOIL, soil)
    paint_parcels(canvas, ~settled, plan, soil)
    depth = waters(rng, size) + 1.5 * canvas.noise(14)
    canvas.paint(depth > 0, WATER, _mixed(rng, WATERS) * rng.uniform(0.8, 1.2))
    paint_roads(canvas, plan, settled & (depth < -2))
    wood = canvas.noise(60)
    wood = wood > np.quantile(wood, 1 - look.wooded)
    chance = np.where(settled, np.where(wood, 0.4, 0.14), np.where(wood, 0.95, 0.05))
    paint_trees(canvas, chance * np.isin(canvas.mask, (GRASS, FIELD, SOIL)))


def paint_parcels(canvas: Canvas, where: Where, plan: Frame, soil: Colour) -> None:
    """Farmland: strips across u, each cut along v.

    A parcel is green, ripe or ploughed (`field`, in rows), a meadow (`grass`) or fallow (`soil`):
    colour alone tells neither a ploughed field from soil nor a green one from a meadow.
    """
    rng, grass = canvas.rng, canvas.look.grass
    u, v = plan.coordinates()
    strips, ends = layout.cuts(rng, plan.size, 45, 110), layout.cuts(rng, 2 * plan.size, 70, 170)
    strip = np.searchsorted(strips, u)
    v = v + rng.uniform(-80, 80, len(strips) + 1)[strip]
    number = strip * (len(ends) + 1) + np.searchsorted(ends, v)
    count = number.max() + 1
    state = rng.choice(5, count, p=(0.36, 0.18, 0.2, 0.14, 0.12))
    green, ripe = 0.55 * grass + (0.11, 0.19, 0.07), 0.5 * soil + (0.36, 0.29, 0.13)
    tones = np.stack([green, ripe, 0.82 * soil, grass, soil])[state]
    tones = tones * rng.uniform(0.82, 1.15, (count, 1)) * rng.uniform(0.95, 1.05, (count, 3))
    depth = np.array([0.15, 0.12, 0.18, 0.015, 0])[state] * rng.uniform(0.6, 1.3, count)
    rows = depth[number] * np.sin(2 * pi * u / rng.uniform(3.6, 6.5, count)[number])
    kind = np.array([FIELD, FIELD, FIELD, GRASS, SOIL])[state][number]
    inside = where & (np.minimum(layout.nearest(u, strips), layout.nearest(v, ends)) > 1.5)
    canvas.paint(inside, kind[inside], (tones[number] * (1 + rows)[..., None])[inside])


def waters(rng: Rng, size: int) -> Plane:
    """Pixels from the shore, negative on land, of a river in some scenes and a lake in some."""
    depth = np.full((size, size), -50.0)
    if rng.random() < 0.45:
        across, _ = layout.frame(rng, size, rng.uniform(0, pi), bend=28).coordinates()
        depth = rng.uniform(8, 20) - np.abs(across - rng.uniform(-0.3, 0.3) * size)
    if rng.random() < 0.5:
        basin = layout.noise(rng, size, 90)
        depth = np.maximum(depth, 26 * (basin - np.quantile(basin, rng.uniform(0.85, 0.97))))
    return depth


def paint_roads(canvas: Canvas, plan: Frame, land: Where) -> None:
    """Streets and houses on settled land, and mostly a main road, over water a bridge."""
    rng, asphalt = canvas.rng, canvas.look.asphalt
    u, v = plan.coordinates()
    streets, crossings = (layout.cuts(rng, plan.size, *gap) for gap in ((74, 100), (130, 250)))
    verge = np.minimum(layout.nearest(u, streets), layout.nearest(v, crossings)) - rng.uniform(
        4, 5.5
    )
    canvas.paint(land & (verge < 0), ROAD, asphalt)
    if rng.random() < 0.8:
        across, along = layout.frame(rng, plan.size, rng.uniform(0, pi), bend=20).coordinates()
        across = np.abs(across - rng.uniform(-0.25, 0.25) * plan.size)
        main = across < rng.uniform(6.5, 9.5)
        canvas.paint(main, ROAD, asphalt * rng.uniform(0.8, 1.25), 3.0 * (canvas.mask[main] == 0))
        canvas.colour[(across < 0.7) & (along % 16 < 8)] += 0.25
    paint_village(canvas, plan, streets, land)


def paint_village(canvas: Canvas, plan: Frame, streets: Points, where: Where) -> None:
    """Buildings on both sides of every street, turned with it, and pools behind some houses; both
    only where nothing but grass, field or soil is.
    """
    rng, look = canvas.rng, canvas.look

    def put(u: float, v: float, size: Points, kind: int, colour: Colour, height: float) -> bool:
        pixels = plan.box(u, v, *size)
        if not np.isin(canvas.mask[pixels], (GRASS, FIELD, SOIL)).all():
            return False
        canvas.paint(pixels, kind, colour, height)
        return True

    for street, side in product(streets, (-1, 1)):
        for v in layout.cuts(rng, plan.size, 27, 38):
            row, column = np.floor(plan.locate(street + side * 14, v)).astype(int)
            inside = min(row, column) >= 0 and max(row, column) < plan.size
            if not inside or not where[row, column]:
                continue
            block = rng.random() < look.large
            extent = rng.uniform((15, 20), (23, 31)) * (1.7 if block else 1)
            u = street + side * (extent[0] / 2 + rng.uniform(8, 13))
            roof = (look.asphalt if block else rng.choice(look.roofs)) * rng.uniform(0.85, 1.2)
            built = put(u, v, extent, BUILDING, roof, rng.uniform(9, 16) if block else 7.0)
            if built and not block and rng.random() < look.pools:
                behind = u + side * (extent[0] / 2 + rng.uniform(9, 14))
                clear = rng.beta(2.2, 1.2) * np.array([0.2, 0.36, 0.44]) + (0.22, 0.36, 0.36)
                put(behind, v, rng.uniform((7, 11), (10, 16)), POOL, clear, 0.0)


def paint_trees(canvas: Canvas, chance: Plane, cell: int = 12) -> None:
    """Round crowns: each cell of a jittered grid grows one with the `chance` at its middle."""
    rng, size = canvas.rng, len(canvas.mask)
    row, column = (np.indices((size // cell + 3,) * 2) - 1 + rng.random((2, 1, 1))) * cell
    row, column = (at + rng.uniform(-0.5, 0.5, at.shape) * cell for at in (row, column))
    foot = tuple(np.clip(at, 0, size - 1).astype(int) for at in (row, column))
    grown = rng.random(row.shape) < chance[foot]
    radius = np.where(grown, rng.uniform(0.34, 0.88, row.shape) * cell, 0)
    tone = rng.normal(1, 0.1, (*row.shape, 1)) * rng.normal(1, 0.05, (*row.shape, 3))
    pixel = np.arange(size)
    home, dome, tones = pixel // cell + 1, np.zeros((size, size)), np.ones((size, size, 3))
    for down, right in product((-1, 0, 1), repeat=2):  # a radius is under one cell
        cells = np.ix_(home + down, home + right)
        away = (pixel[:, None] - row[cells]) ** 2 + (pixel - column[cells]) ** 2
        higher = radius[cells] ** 2 - away > dome
        dome[higher] = (radius[cells] ** 2 - away)[higher]
        tones[higher] = tone[cells][higher]
    crown = (dome > 0) & (dome + 5 * canvas.noise(3.5) > 1)
    canvas.paint(crown, TREE, canvas.look.tree * tones[crown], 4 + 1.3 * np.sqrt(dome[crown]))


def develop(canvas: Canvas) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph of a canvas: shadow, texture, uneven light, blur and noise."""
    rng, look = canvas.rng, canvas.look
    dark = gaussian_filter(1.0 * layout.shadows(canvas.height, look.sun, look.slope), 0.7)
    grain = sum(0.035 * canvas.noise(scale) for scale in (2, 6, 20)) * ROUGH[canvas.mask]
    light = (1 + grain) * (1 + 0.1 * canvas.noise(120)) * rng.uniform(0.85, 1.15)
    lit = canvas.colour * light[..., None] * (1 - dark[..., None] * SHADE)
    image = gaussian_filter(lit, (0.7, 0.7, 0)) * look.balance
    image = image + rng.normal(0, 0.012, image.shape)
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


DECLARATION = Declaration(
    name="synthetic",
    find=source,
    notice="All images here are synthetic scenes: their numbers show how the method behaves, not "
    "how well it maps real ground.",
)
