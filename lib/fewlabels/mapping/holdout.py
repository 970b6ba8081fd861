"""What is held out together: whole drawn shapes, or square blocks of ground, never single pixels.

Pixels beside each other look alike, so a pixel beside a training pixel says nothing about new
ground. A fold therefore holds out whole units, and what lies within a gap of them does not train.
"""

from collections.abc import Mapping, Set

import numpy as np
from jaxtyping import Int, UInt8
from scipy.ndimage import maximum_filter

from fewlabels.mapping.tiles import Piece
from fewlabels.types import IGNORE

Inventory = Mapping[int, Int[np.ndarray, " k"]]


def folds(inventory: Inventory, number: int, seed: int) -> list[frozenset[int]]:
    """Units in at most `number` groups, each the units of one held-out part; none is empty.

    The units of each class (that of most of their pixels) are dealt in turn, in an order drawn
    from `seed`, beginning where the class before stopped: no group has two more of a class than
    another. A unit that alone has some class is dealt as well; `alone` names those classes.
    """
    rng, found, turn = np.random.default_rng(seed), [set() for _ in range(number)], 0
    main = {unit: int(counts.argmax()) for unit, counts in inventory.items()}
    for value in sorted(set(main.values())):
        units = [unit for unit, own in main.items() if own == value]
        for unit in rng.permutation(units).tolist():
            found[turn % number].add(unit)
            turn += 1
    return [frozenset(units) for units in found if units]


def alone(inventory: Inventory) -> tuple[int, ...]:
    """The classes that a single unit has: they cannot be trained on and scored at once."""
    having = np.sum([counts > 0 for counts in inventory.values()], axis=0)
    return tuple(np.flatnonzero(having == 1).tolist())


def remaining(piece: Piece, held: Set[int], gap: int) -> UInt8[np.ndarray, "h w"]:
    """The labels that may train while `held` is held out: those of other units that are more than
    `gap` pixels (rows and columns counted alike) from every labelled pixel held out.
    """
    near = np.isin(piece.around, list(held))
    if gap and near.any():
        near = maximum_filter(near, size=2 * gap + 1, mode="constant")
    return np.where(near[piece.inside], np.uint8(IGNORE), piece.labels)


def only(piece: Piece, unit: int) -> UInt8[np.ndarray, "h w"]:
    """The labels of one unit, IGNORE elsewhere."""
    return np.where(piece.units == unit, piece.labels, np.uint8(IGNORE))
