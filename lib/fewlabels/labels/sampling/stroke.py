"""One hand-like stroke: a line that bends slowly, keeps away from the border and ends there.

Everything is integer arithmetic on fixed-point positions, so a stroke is the same on every
platform.
"""

from math import cos, isqrt, pi, sin

import numpy as np
from jaxtyping import Bool

from fewlabels.labels.sampling.scene import Object, key_of

HEADINGS = 32
UNIT = 256  # fixed point: a pixel
STEPS = tuple(
    (round(UNIT * sin(2 * pi * i / HEADINGS)), round(UNIT * cos(2 * pi * i / HEADINGS)))
    for i in range(HEADINGS)
)
LEAST, MOST = 6, 160  # a stroke's length in pixels
TURNS = (0, 1, -1, 2, -2, 3, -3, 4, -4)  # tried in this order where the way ahead is blocked


def stroke(thing: Object, start: tuple[int, int], *, key: tuple) -> Bool[np.ndarray, "h w"]:
    """The pixels of a stroke through `start`, three pixels wide, inside the object.

    It is about as long as the object is wide (twice the root of its area, from 6 to 160 pixels),
    goes both ways from its start, changes its heading by at most a 32nd of a circle a pixel, and
    more only where it would otherwise leave the object.

    Args:
        start: row and column in the object's box.
        key: what the stroke's bends are derived from.
    """
    length = min(MOST, max(LEAST, 2 * isqrt(int(thing.inside.sum()))))
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
    """The pixels that one way of the stroke passes; it stops where no heading leads on."""
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
