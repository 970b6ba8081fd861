"""Samplers of what a person draws: clicks, strokes, boxes, outlines, blocks.

Each yields marks one after another, in an order that does not depend on the budget; a draw takes
marks until the budget is spent, so draws are nested. A mark is the indexes of the pixels that it
labels, all of one class except for blocks, and never a pixel twice.
"""

from collections.abc import Iterator
from math import cos, isqrt, pi, sin

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage
from skimage import measure

from fewlabels.labels.sampling.scene import Object, Scene, key_of

Mark = Int[np.ndarray, "_"]
Area = Bool[np.ndarray, "h w"]

NEIGHBOURS = np.ones((3, 3), bool)  # pixels that touch at a corner belong together
HEADINGS, UNIT = 32, 256  # of a stroke; fixed point: a pixel is 256
STEPS = tuple(
    (round(UNIT * sin(2 * pi * i / HEADINGS)), round(UNIT * cos(2 * pi * i / HEADINGS)))
    for i in range(HEADINGS)
)
TURNS = (0, 1, -1, 2, -2, 3, -3, 4, -4)  # tried in this order where the way ahead is blocked


def points(scene: Scene) -> Iterator[Mark]:
    """Click each object once at random, large ones tending to come first, then each a second time,
    and so on.
    """
    queues = [o.indexes(o.inside) for o in scene.objects]
    queues = [pixels[np.argsort(scene.rank[pixels])] for pixels in queues]
    for turn in range(max(map(len, queues))):
        for pixels in queues:
            if turn < len(pixels):
                yield pixels[turn : turn + 1]


def objects(scene: Scene) -> Iterator[Mark]:
    """Click each object once, on a pixel at random."""
    for thing in scene.objects:
        yield thing.click(thing.inside)


def centres(scene: Scene) -> Iterator[Mark]:
    """Click each object once, on the pixel that lies deepest inside it."""
    for thing in scene.objects:
        yield thing.click(thing.depth == thing.depth.max())


def scribbles(scene: Scene) -> Iterator[Mark]:
    """Draw hand-like strokes, three pixels wide, that stay inside objects (see `stroke`).

    Objects come in turn; each new stroke of an object starts where it has no label yet, away from
    its border as long as there is such a place.
    """
    for thing, free in _turns(scene):
        start = thing.first(_inner(thing, free))
        drawn = stroke(thing, start, key=(scene.key, thing.number, int(free.sum()))) & free
        free &= ~drawn
        yield thing.indexes(drawn)


def boxes(scene: Scene) -> Iterator[Mark]:
    """Draw upright rectangles inside objects, clear of the border by a pixel where there is room.

    A rectangle starts as the largest square around the object's deepest unlabelled pixel and
    grows on each side in turn as far as the object goes.
    """
    for thing, free in _turns(scene):
        drawn = _rectangle(thing, _inner(thing, free))
        free &= ~drawn
        yield thing.indexes(drawn)


def polygons(scene: Scene) -> Iterator[Mark]:
    """Outline each object once, at a distance from its border and not around every corner.

    The distance is a quarter of the object's depth, at least one pixel; the rest is smoothed by an
    opening of the same width, and the largest of its pieces is outlined. An object too thin for
    that is passed over.
    """
    for thing in scene.objects:
        margin = max(1, int(thing.depth.max()) // 4)
        core = thing.depth > margin
        smooth = ndimage.binary_opening(core, NEIGHBOURS, iterations=margin)
        if (found := smooth if smooth.any() else core).any():
            pieces = measure.label(found, connectivity=2)
            yield thing.indexes(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)


def blocks(scene: Scene) -> Iterator[Mark]:
    """Label every pixel that carries a class in squares of a lattice, chosen at random.

    Their side is a sixteenth of the tile's shorter one, at least 4 pixels.
    """
    h, w = scene.mask.shape
    side = max(4, min(h, w) // 16)
    pixels = np.flatnonzero(scene.known)
    row, column = np.divmod(pixels, w)
    square = row // side * -(-w // side) + column // side
    order = np.argsort(square, kind="stable")
    _, starts = np.unique(square[order], return_index=True)
    yield from sorted(np.split(pixels[order], starts[1:]), key=lambda g: scene.rank[g].min())


def stroke(thing: Object, start: tuple[int, int], *, key: tuple) -> Area:
    """Draw a stroke through `start`, three pixels wide, inside the object.

    It is about as long as the object is wide (twice the root of its area, from 6 to 160 pixels),
    goes both ways from its start, and changes its heading by at most a 32nd of a circle a pixel,
    by more only where it would otherwise leave the object. Positions are fixed-point integers, so
    a stroke is the same on every platform.

    Args:
        start: row and column in the object's box.
        key: what the stroke's bends are derived from.
    """
    length = min(160, max(6, 2 * isqrt(int(thing.inside.sum()))))
    random = np.random.Philox(key=key_of(*key, "stroke")).random_raw(length + 1).tolist()
    heading = random[0] % HEADINGS
    bends = [(-1, 0, 0, 0, 1)[r % 5] for r in random[1:]]
    ways = _line(thing, start, heading, bends[: length // 2])
    ways += _line(thing, start, heading + HEADINGS // 2, bends[length // 2 :])
    drawn = np.zeros(thing.inside.shape, bool)
    for row, column in [start, *ways]:
        drawn[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    return drawn & thing.inside


def _line(
    thing: Object, start: tuple[int, int], heading: int, bends: list[int]
) -> list[tuple[int, int]]:
    """Follow one way of the stroke; it stops where no heading leads on."""
    h, w = thing.inside.shape
    inner = min(2, int(thing.depth[start]))  # keep a pixel off the border, if it starts so
    y, x = (UNIT * n + UNIT // 2 for n in start)
    way = []
    for bend in bends:
        for turn in TURNS:
            dy, dx = STEPS[(heading + bend + turn) % HEADINGS]
            row, column = (y + dy) // UNIT, (x + dx) // UNIT
            if 0 <= row < h and 0 <= column < w and thing.depth[row, column] >= inner:
                break
        else:
            return way
        heading, y, x = heading + bend + turn, y + dy, x + dx
        way.append((row, column))
    return way


def _turns(scene: Scene) -> Iterator[tuple[Object, Area]]:
    """Yield each object in turn, round after round, with its unlabelled pixels (callers change
    them in place).
    """
    going = [(thing, thing.inside.copy()) for thing in scene.objects]
    while going:
        yield from going
        going = [(thing, free) for thing, free in going if free.any()]


def _inner(thing: Object, free: Area) -> Area:
    """Keep the free pixels off the object's border, or all of them where none are."""
    inner = free & (thing.depth > 1)
    return inner if inner.any() else free


def _rectangle(thing: Object, room: Area) -> Area:
    depth = ndimage.distance_transform_cdt(np.pad(room, 1), metric="chessboard")[1:-1, 1:-1]
    row, column = thing.first(depth == depth.max())
    reach = int(depth.max()) - 1
    sides = [row - reach, row + reach, column - reach, column + reach]  # first and last, inclusive
    growing = [0, 1, 2, 3]
    while growing:
        for side in tuple(growing):
            wider = sides.copy()
            wider[side] += 1 if side % 2 else -1
            top, bottom, left, right = wider
            strip = [wider[side]] if side < 2 else slice(top, bottom + 1)
            along = slice(left, right + 1) if side < 2 else [wider[side]]
            inside = 0 <= wider[side] < room.shape[side // 2]
            if inside and room[strip, along].all():
                sides = wider
            else:
                growing.remove(side)
    drawn = np.zeros(room.shape, bool)
    drawn[sides[0] : sides[1] + 1, sides[2] : sides[3] + 1] = True
    return drawn
