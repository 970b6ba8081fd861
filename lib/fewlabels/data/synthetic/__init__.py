"""Procedural aerial scenes with dense truth, each a pure function of (seed, index).

The scenes are synthetic: they show that code works and how methods compare where the truth is
known, not how well a network maps real ground. Every pixel carries a class. Classes share colours
on purpose: a ploughed field is soil, a flat roof is asphalt, a tin roof is a pool, and a shadow
darkens the ground without changing its class. Common classes have 5 to 30 % of the pixels each;
the rare class, `pool`, has under 1 %, in about nine scenes of ten.
"""

import hashlib
from dataclasses import replace
from functools import partial
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from fewlabels.data.source import Declaration, Pair, Source
from fewlabels.data.synthetic import layout, scenery
from fewlabels.data.synthetic.layout import Frame, Plane, Rng
from fewlabels.data.synthetic.scenery import CLASSES, FIELD, GRASS, SOIL, Canvas, Style, Where

SCENES, SITES, FOLDS = 40, 10, 5
SMALLEST = 64
FINGERPRINT = "dc3cf21964ccddbc6af07313bc9c3b34a42f189e16f6084247cb4f09536ecbc8"
"""Identifies the pixels of all scenes: change it whenever one of them changes."""

SOILS = np.array([[0.66, 0.57, 0.44], [0.6, 0.43, 0.32], [0.56, 0.51, 0.45], [0.47, 0.38, 0.29]])
WATERS = np.array([[0.2, 0.27, 0.19], [0.15, 0.2, 0.21], [0.32, 0.42, 0.4], [0.52, 0.46, 0.36]])
TILES = np.array([[0.6, 0.35, 0.26], [0.43, 0.32, 0.27], [0.65, 0.57, 0.46], [0.52, 0.3, 0.22]])
METALS = np.array([[0.5, 0.5, 0.51], [0.29, 0.3, 0.32], [0.8, 0.78, 0.74], [0.37, 0.58, 0.66]])
ROUGH = np.array([0.1, 0.5, 0.5, 1, 1, 1.2, 1.4, 0.1])
"""How grainy each class is: water and pools are smooth, soil is rough."""
SHADE = np.array([0.62, 0.58, 0.5])
"""Share of light that a shadow takes from red, green and blue: skylight is blue."""


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
    for name, found, least in (("seed", seed, 0), ("index", index, 0), ("size", size, SMALLEST)):
        if found < least:
            raise ValueError(f"{name} of a synthetic scene is {found}; it must be at least {least}")
    rng = _generator(seed, f"scene {index}")
    canvas = blank(rng, visit(rng, style(seed, index % SITES)), size)
    paint_scene(canvas)
    return develop(canvas), canvas.mask


def _generator(seed: int, identity: str) -> Rng:
    digest = hashlib.sha256(f"{seed} {identity}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def style(seed: int, site: int) -> Style:
    """The season, colours, density and light of a site."""
    rng = _generator(seed, f"place {site}")
    dry = rng.uniform(0.1, 0.5)
    azimuth = rng.uniform(0, 2 * pi)
    soil, dust = _mixed(rng, SOILS), rng.uniform(0, 0.2)
    return Style(
        grass=(1 - dry) * np.array([0.34, 0.42, 0.22]) + dry * np.array([0.55, 0.5, 0.34]),
        tree=(1 - dry) * np.array([0.2, 0.29, 0.15]) + dry * np.array([0.34, 0.33, 0.19]),
        soil=soil,
        water=_mixed(rng, WATERS),
        asphalt=(1 - dust) * rng.uniform(0.36, 0.62) + dust * soil,
        roofs=np.concatenate([TILES[rng.permutation(4)[:3]], METALS[rng.permutation(4)[:2]]]),
        settled=rng.uniform(0.4, 0.75),
        wooded=rng.uniform(0.05, 0.25),
        bare=rng.uniform(0.1, 0.4),
        large=rng.uniform(0.03, 0.18),
        pools=rng.uniform(0.3, 0.65),
        angle=rng.uniform(0, pi),
        sun=(sin(azimuth), cos(azimuth)),
        slope=rng.uniform(0.7, 1.2),
        balance=rng.uniform(1.02, 1.18) * rng.uniform(0.96, 1.04, 3),
        haze=rng.uniform(0, 0.06),
    )


def visit(rng: Rng, site: Style) -> Style:
    """A site on one day: growth, ground, water and exposure differ between its scenes."""
    exposure, lush = rng.uniform(0.85, 1.15, 2)
    return replace(
        site,
        grass=site.grass * lush * rng.uniform(0.95, 1.05, 3),
        tree=site.tree * lush * rng.uniform(0.95, 1.05, 3),
        soil=0.5 * site.soil + 0.5 * _mixed(rng, SOILS),
        water=(0.3 * site.water + 0.7 * _mixed(rng, WATERS)) * rng.uniform(0.8, 1.2),
        asphalt=site.asphalt * rng.uniform(0.7, 1.3),
        balance=site.balance * exposure * rng.uniform(0.95, 1.05, 3),
    )


def _mixed(rng: Rng, colours: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " 3"]:
    return (rng.dirichlet(np.full(len(colours), 0.4))[:, None] * colours).sum(0)


def blank(rng: Rng, look: Style, size: int) -> Canvas:
    """A canvas on which nothing is painted."""
    mask = np.zeros((size, size), np.uint8)
    return Canvas(rng, look, mask, np.zeros((size, size, 3)), np.zeros((size, size)))


def paint_scene(canvas: Canvas) -> None:
    """Everything that stands on the ground of a scene, from the soil up to the trees."""
    rng, look, noise, size = canvas.rng, canvas.look, canvas.noise, canvas.size
    plan = layout.frame(rng, size, look.angle + rng.normal(0, 0.3), bend=12)
    region = noise(110) + 0.25 * noise(40)
    share = np.clip(rng.normal(look.settled, 0.15), 0.1, 0.9)
    settled = region > np.quantile(region, 1 - share)
    scenery.paint_ground(canvas)
    border = scenery.paint_parcels(canvas, ~settled, plan)
    depth = scenery.paint_water(canvas, waters(rng, size))
    verge = roads(canvas, plan, settled & (depth < 0))

    garden = 0.07 + 0.15 * ((verge > 0) & (verge < 6))
    hedge = 0.01 + 0.3 * ((border < 4) & (noise(70) > 0.2))
    wood = noise(60)
    wood = wood > np.quantile(wood, 1 - look.wooded)
    chance = np.where(settled, np.where(wood, 0.4, garden), np.where(wood, 0.95, hedge))
    chance = np.where((depth > -14) & (depth < 0), 0.35, chance)
    scenery.paint_trees(canvas, chance * np.isin(canvas.mask, (GRASS, FIELD, SOIL)))


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


def roads(canvas: Canvas, plan: Frame, land: Where) -> Plane:
    """Streets and houses on settled land, mostly a main road; returns pixels from the kerb."""
    rng = canvas.rng
    u, v = plan.coordinates()
    streets, crossings = (layout.cuts(rng, plan.size, *gap) for gap in ((74, 100), (130, 250)))
    kerb = rng.uniform(4, 5.5)
    verge = np.minimum(layout.nearest(u, streets), layout.nearest(v, crossings)) - kerb
    paved = land & (verge < 0)
    scenery.paint_street(canvas, paved)
    scenery.paint_cars(canvas, plan, streets, paved)
    if rng.random() < 0.8:
        scenery.paint_highway(canvas, layout.frame(rng, plan.size, rng.uniform(0, pi), bend=20))
    scenery.paint_village(canvas, plan, streets, land)
    return verge


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


def develop(canvas: Canvas) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph of a canvas: relief, shadow, texture, uneven light, haze, blur and noise."""
    rng, look, size = canvas.rng, canvas.look, canvas.size
    down, right = (np.clip(slope, -1, 1) for slope in np.gradient(canvas.height))
    relief = np.clip(1 + 0.45 * (down * look.sun[0] + right * look.sun[1]), 0.55, 1.45)
    dark = gaussian_filter(1.0 * shadows(canvas.height, look.sun, look.slope), 0.7)
    grain = sum(0.035 * canvas.noise(scale) for scale in (2, 6, 20))
    grain *= ROUGH[canvas.mask]
    y, x = np.linspace(-1, 1, size)[:, None], np.linspace(-1, 1, size)
    uneven = 1 + rng.normal(0, 0.05) * y + rng.normal(0, 0.05) * x
    clouds = 1 + 0.1 * canvas.noise(120)
    light = (relief * (1 + grain) * uneven * clouds)[..., None] * (1 - dark[..., None] * SHADE)
    image = gaussian_filter(canvas.colour * light, (0.7, 0.7, 0)) * look.balance
    image = image * (1 - look.haze) + look.haze + rng.normal(0, 0.012, image.shape)
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


DECLARATION = Declaration(
    name="synthetic",
    find=source,
    notice="All images here are synthetic scenes: their numbers show how the method behaves, not "
    "how well it maps real ground.",
)
