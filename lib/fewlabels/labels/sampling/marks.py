"""Draws of what a person draws: clicks, strokes, boxes, outlines, blocks.

Each sampler yields marks one after another, in an order that does not depend on the budget; a
draw takes marks until the budget is spent. So draws are nested. A mark is the indexes of the
pixels that it labels, all of one class except for blocks, and never a pixel twice.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage
from skimage import measure

from fewlabels.labels.sampling.scene import NEIGHBOURS, Object, Scene
from fewlabels.labels.sampling.stroke import stroke

Mark = Int[np.ndarray, "_"]


def points(scene: Scene) -> Iterator[Mark]:
    """Clicks at random: one on each object, large ones tending to come first, then a second on
    each, and so on.
    """
    queues = [o.indexes(o.inside) for o in scene.objects]
    queues = [pixels[np.argsort(scene.rank[pixels])] for pixels in queues]
    for turn in range(max(map(len, queues))):
        for pixels in queues:
            if turn < len(pixels):
                yield pixels[turn : turn + 1]


def objects(scene: Scene) -> Iterator[Mark]:
    """One click on each object, on a pixel at random."""
    for thing in scene.objects:
        yield thing.indexes(thing.inside)[[thing.rank[thing.inside].argmin()]]


def centres(scene: Scene) -> Iterator[Mark]:
    """One click on each object, on the pixel that lies deepest inside it."""
    for thing in scene.objects:
        deepest = thing.depth == thing.depth.max()
        yield thing.indexes(_only(thing.first(deepest), deepest.shape))


def scribbles(scene: Scene) -> Iterator[Mark]:
    """Hand-like strokes, three pixels wide, that stay inside objects (see `stroke`).

    Objects come in turn; each new stroke of an object starts where it has no label yet, away from
    its border as long as there is such a place.
    """
    for thing, free in _turns(scene):
        interior = free & (thing.depth > 1)
        start = thing.first(interior if interior.any() else free)
        drawn = stroke(thing, start, key=(scene.key, thing.number, int(free.sum()))) & free
        free &= ~drawn
        yield thing.indexes(drawn)


def boxes(scene: Scene) -> Iterator[Mark]:
    """Upright rectangles inside objects, clear of the border by a pixel where there is room.

    A rectangle starts as the largest square around the object's deepest unlabelled pixel and
    grows on each side in turn as far as the object goes.
    """
    for thing, free in _turns(scene):
        room = free & (thing.depth > 1)
        drawn = _rectangle(thing, room if room.any() else free)
        free &= ~drawn
        yield thing.indexes(drawn)


def polygons(scene: Scene) -> Iterator[Mark]:
    """One outline an object, drawn at a distance from its border and not around every corner.

    The distance is a quarter of the object's depth, at least one pixel; what is left is smoothed
    by an opening of the same width, and of several pieces the largest is outlined. An object too
    thin for that is passed over.
    """
    for thing in scene.objects:
        margin = max(1, int(thing.depth.max()) // 4)
        core = thing.depth > margin
        smooth = ndimage.binary_opening(core, NEIGHBOURS, iterations=margin)
        if (smooth if smooth.any() else core).any():
            yield thing.indexes(_largest(smooth if smooth.any() else core))


def blocks(scene: Scene) -> Iterator[Mark]:
    """Squares in which every pixel that carries a class is labelled, on a lattice, at random.

    Their side is a sixteenth of the tile's shorter one, at least 4 pixels.
    """
    h, w = scene.mask.shape
    side = max(4, min(h, w) // 16)
    pixels = np.flatnonzero(scene.known)
    row, column = np.divmod(pixels, w)
    cell = row // side * -(-w // side) + column // side
    order = np.argsort(cell, kind="stable")
    _, starts = np.unique(cell[order], return_index=True)
    groups = np.split(pixels[order], starts[1:])
    first = [int(scene.rank[g].min()) for g in groups]
    for i in sorted(range(len(groups)), key=first.__getitem__):
        yield groups[i]


def _turns(scene: Scene) -> Iterator[tuple[Object, Bool[np.ndarray, "h w"]]]:
    """Each object in turn, round after round, with what is still free of it (changed in place)."""
    going = [(thing, thing.inside.copy()) for thing in scene.objects]
    while going:
        yield from going
        going = [(thing, free) for thing, free in going if free.any()]


def _rectangle(thing: Object, room: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    padded = np.pad(room, 1)
    depth = ndimage.distance_transform_cdt(padded, metric="chessboard")[1:-1, 1:-1]
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


def _largest(where: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    pieces = measure.label(where, connectivity=2)
    return pieces == np.bincount(pieces.ravel())[1:].argmax() + 1


def _only(at: tuple[int, int], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    where = np.zeros(shape, bool)
    where[at] = True
    return where
