"""Labels of study W on the tiles of a site: random pixels, even over the classes, or scribbles."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Bool, Int, UInt8
from skimage import measure

from fewlabels.labels.sampling.drawing import FIRST_CLICK, NEXT_CLICK, SECONDS_A_MARK
from fewlabels.labels.sampling.marks import scribbles
from fewlabels.labels.sampling.scene import scene
from fewlabels.studies.w import BUDGETS, EVEN, SCRIBBLES
from fewlabels.types import IGNORE, Tile

MOST = 4_000  # clicks that are drawn, at most
LEAST = 400  # pixels of an object in which somebody scribbles; masks also have specks
Pixels = Int[np.ndarray, "_"]
Classes = UInt8[np.ndarray, "_"]


def points(known: Pixels, truth: Classes, rng: np.random.Generator) -> dict[str, Pixels]:
    """Single pixels in the order in which budgets take them: `random`, or `even` over the classes.

    Args:
        known: the pixels that carry a class.
        truth: the class of each of them.
    """
    few = rng.choice(known, min(BUDGETS[-1], len(known)), replace=False)
    return {"random": few, "even": even(known, truth, EVEN[-1], rng)}


def even(known: Pixels, truth: Classes, number: int, rng: np.random.Generator) -> Pixels:
    """Pixels of each class in turn, until there are so many; a class that has no more is passed."""
    own = [known[truth == value] for value in np.unique(truth)]
    drawn = [rng.choice(part, min(number, len(part)), replace=False) for part in own]
    rounds = [part[turn] for turn in range(number) for part in drawn if turn < len(part)]
    return np.array(rounds[:number])


def scribbled(
    tiles: Sequence[Tile], seed: int, rng: np.random.Generator
) -> dict[tuple[str, int], Pixels]:
    """For (`scribbles` or `clicks`, strokes a class) the labelled pixels, tile after tile.

    A class has its strokes in one tile after another, in a random order; one with too little room
    has fewer. Objects of fewer than LEAST pixels are passed over where larger ones are. Clicks are
    even over the classes: as many as cost the seconds of all strokes, where the first click of a
    class in a tile costs more than the next (see `labels.sampling`).

    Args:
        tiles: of one site.
        seed: of the strokes in each tile.
        rng: says the order of the tiles and the clicks.
    """
    order = rng.permutation(len(tiles)).tolist()
    starts = np.cumsum([0, *(tile.mask.size for tile in tiles)])
    truth = np.concatenate([tile.mask.ravel() for tile in tiles])
    known = np.flatnonzero(truth != IGNORE)
    strokes = {
        value: list(islice(_strokes(tiles, starts, order, value, seed), SCRIBBLES[-1]))
        for value in np.unique(truth[known]).tolist()
    }
    clicks = even(known, truth[known], MOST, rng)
    clicked = np.searchsorted(starts, clicks, side="right") * 256 + truth[clicks]
    first = np.zeros(len(clicks), bool)
    first[np.unique(clicked, return_index=True)[1]] = True
    spent = np.cumsum(np.where(first, FIRST_CLICK, NEXT_CLICK))
    found = {}
    for number in SCRIBBLES:
        taken = [stroke for each in strokes.values() for stroke in each[:number]]
        seconds = SECONDS_A_MARK["scribbles"] * len(taken)
        found["scribbles", number] = np.concatenate(taken)
        found["clicks", number] = clicks[: np.searchsorted(spent, seconds, side="right")]
    return found


def _strokes(
    tiles: Sequence[Tile], starts: Pixels, order: Sequence[int], value: int, seed: int
) -> Iterator[Pixels]:
    """The strokes in a class, one of each tile in turn."""
    masks = {number: tiles[number].mask == value for number in order}
    large = {number: _large(own) for number, own in masks.items()}
    if not any(own.any() for own in large.values()):
        large = masks
    going = [
        (starts[number], scribbles(scene(np.where(own, np.uint8(value), IGNORE), seed=seed,
                                         tile=tiles[number].id)))
        for number, own in large.items() if own.any()
    ]  # fmt: skip
    while going:
        left = []
        for start, marks in going:
            if (stroke := next(marks, None)) is not None:
                left.append((start, marks))
                yield stroke + start
        going = left


def _large(own: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Without the connected pieces of fewer than LEAST pixels."""
    pieces = measure.label(own, connectivity=2)
    kept = np.bincount(pieces.ravel()) >= LEAST
    return own & kept[pieces]
