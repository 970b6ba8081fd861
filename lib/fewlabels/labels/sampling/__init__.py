"""Sparse labels from a dense mask: a simulated annotator who labels only some pixels.

Every pixel of a tile gets a rank from a counter-based generator keyed on (seed, tile id), and a
draw keeps the lowest ranks. So a draw is the same on every machine and in every process, does not
depend on the order of visits, and is nested: a smaller budget's pixels are among a larger one's.

Source: Philox, Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import isfinite

import numpy as np
from jaxtyping import Int, UInt8

from fewlabels.labels.sampling import cost as costs
from fewlabels.labels.sampling import marks, pixels
from fewlabels.labels.sampling.cost import Cost
from fewlabels.labels.sampling.pixels import Amount, Chosen, even_split, number_of
from fewlabels.labels.sampling.scene import Scene, ranks, scene
from fewlabels.types import IGNORE, BudgetError, unknown

__all__ = [
    "SAMPLERS", "Cost", "counts", "draw", "draw_for", "draw_with_cost",
    "even_split", "fingerprint", "ranks",
]  # fmt: skip

PIXELS: dict[str, Callable[[Scene, Amount], Chosen]] = {
    "random": pixels.random,
    "stratified": pixels.stratified,
    "per_class": pixels.per_class,
    "grid": pixels.grid,
    "all": pixels.everything,
}
MARKS: dict[str, Callable[[Scene], Iterator[marks.Mark]]] = {
    "points": marks.points,
    "objects": marks.objects,
    "centres": marks.centres,
    "scribbles": marks.scribbles,
    "boxes": marks.boxes,
    "polygons": marks.polygons,
    "blocks": marks.blocks,
}
SAMPLERS = (*PIXELS, *MARKS)
ONE_EACH = ("objects", "centres", "polygons")  # at most one an object, so fewer where it has fewer


def draw(
    mask: UInt8[np.ndarray, "h w"], how: str, amount: Amount, *, seed: int, tile: str
) -> UInt8[np.ndarray, "h w"]:
    """The mask's class at the drawn pixels, IGNORE everywhere else.

    An *object* is a connected piece of one class (corners connect).

    Args:
        mask: dense truth, or labels that are themselves partial; IGNORE there is never drawn.
        how: single pixels:
            `random`: uniform over the pixels that carry a class;
            `stratified`: the total split evenly over the classes present, and what a class
            cannot fill goes to the others;
            `per_class`: that many of each class present, all of a class that has fewer;
            `grid`: a square lattice with a random start;
            `all`: every pixel that carries a class (`amount` is not used): the dense bound, or,
            where people labelled only parts of the image, their labels as given.
            What a person draws:
            `points`: clicks at random, on every object once before any twice;
            `objects`, `centres`: one click an object, at random or at its deepest pixel;
            `scribbles`: hand-like strokes inside objects;
            `boxes`: upright rectangles inside objects;
            `polygons`: one coarse outline an object, at a distance from its border;
            `blocks`: squares of a lattice, fully labelled.
        amount: a float in (0, 1] is the fraction of the pixels that carry a class (for
            `per_class`, of each class's pixels), rounded, at least one; the last mark is cut
            short to meet it. An int is pixels in this tile (for `per_class`, in each class), or,
            for what a person draws, how many marks; `objects`, `centres`, `polygons`, which have
            at most one an object, then give what there is.
        seed: names the draw; all else equal, another seed is another draw.
        tile: the tile's id; it keys the draw together with `seed`.

    Raises:
        UnknownName: no such `how`.
        BudgetError: the amount is zero, negative, not a number, or more than the mask holds.
        NoLabelsError: no pixel of the mask carries a class.
    """
    return _labels(mask, _marks(scene(mask, seed=seed, tile=tile), how, amount, tile))


def draw_with_cost(
    mask: UInt8[np.ndarray, "h w"], how: str, amount: Amount, *, seed: int, tile: str
) -> tuple[UInt8[np.ndarray, "h w"], Cost]:
    """`draw`, and what it would cost an annotator: pixels, marks and seconds."""
    seen = scene(mask, seed=seed, tile=tile)
    drawn = _marks(seen, how, amount, tile)
    return _labels(mask, drawn), _cost(seen, how, drawn)


def draw_for(
    mask: UInt8[np.ndarray, "h w"], how: str, seconds: float, *, seed: int, tile: str
) -> tuple[UInt8[np.ndarray, "h w"], Cost]:
    """The largest draw that an annotator makes in so many seconds, and what it costs; at least one
    mark (for `per_class` one of each class). `all` is what it is.

    Raises:
        UnknownName, NoLabelsError: as `draw`.
    """
    seen = scene(mask, seed=seed, tile=tile)

    def spent(amount: int) -> Cost:
        return _cost(seen, how, _marks(seen, how, amount, tile))

    def affordable(amount: int) -> bool:
        try:
            return spent(amount).seconds <= seconds and spent(amount) != spent(amount - 1)
        except BudgetError:
            return False  # the tile holds no more

    top = 2
    while affordable(top):
        top *= 2
    more = bisect_left(range(top // 2 + 1, top), True, key=lambda n: not affordable(n))
    drawn = _marks(seen, how, top // 2 + more, tile)
    return _labels(mask, drawn), _cost(seen, how, drawn)


def counts(labels: Iterable[UInt8[np.ndarray, "h w"]], classes: int) -> Int[np.ndarray, " k"]:
    """Labelled pixels of each class, summed over tiles."""
    total = np.zeros(classes, np.int64)
    for tile in labels:
        total += np.bincount(tile.ravel(), minlength=IGNORE + 1)[:classes]
    return total


def fingerprint(labels: Iterable[UInt8[np.ndarray, "h w"]]) -> str:
    """SHA-256 of a whole draw, tile after tile: equal for equal labelled pixels and classes."""
    total = hashlib.sha256()
    for tile in labels:
        total.update(repr(tile.shape).encode())
        total.update(np.ascontiguousarray(tile))
    return total.hexdigest()


def _labels(mask: UInt8[np.ndarray, "h w"], drawn: list[marks.Mark]) -> UInt8[np.ndarray, "h w"]:
    chosen = np.concatenate(drawn)
    labels = np.full(mask.size, IGNORE, np.uint8)
    labels[chosen] = mask.ravel()[chosen]
    return labels.reshape(mask.shape)


def _cost(seen: Scene, how: str, drawn: list[marks.Mark]) -> Cost:
    labelled = seen.mask.ravel()[np.concatenate(drawn)]
    single = how in PIXELS and how != "all"
    return costs.of(how, len(labelled) if single else len(drawn), labelled, seen)


def _marks(seen: Scene, how: str, amount: Amount, tile: str) -> list[marks.Mark]:
    if how not in SAMPLERS:
        raise unknown("sampler", how, SAMPLERS)
    if how != "all":
        _check_amount(amount, tile)
    if how in PIXELS:
        if isinstance(amount, int) and how not in ("all", "per_class"):
            _check_enough(amount, seen.carrying, "pixels", tile)
        return [PIXELS[how](seen, amount)]
    if isinstance(amount, int):
        drawn = list(islice(MARKS[how](seen), amount))
        if how not in ONE_EACH:
            _check_enough(amount, len(drawn), f"marks of '{how}'", tile)
    else:
        drawn = list(_until(MARKS[how](seen), number_of(amount, seen.carrying)))
    return drawn or [_some(seen)]


def _until(every: Iterator[marks.Mark], budget: int) -> Iterator[marks.Mark]:
    """Marks until they hold `budget` pixels; the last one is cut short."""
    for mark in every:
        yield mark[:budget]
        budget -= len(mark)
        if budget <= 0:
            return


def _some(seen: Scene) -> marks.Mark:
    """Where nothing can be outlined: the pixel that a first click would label."""
    return next(marks.centres(seen))


def _check_amount(amount: Amount, tile: str) -> None:
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not isfinite(amount):
        raise BudgetError(
            f"tile '{tile}': budget {amount!r} is not a number of pixels or a fraction"
        )
    if isinstance(amount, float) and not 0 < amount <= 1:
        raise BudgetError(
            f"tile '{tile}': budget {amount} is not a fraction in (0, 1]; pixels are an int"
        )
    if amount < 1 and isinstance(amount, int):
        raise BudgetError(
            f"tile '{tile}': a budget of {amount} pixels draws nothing; ask for 1 or more"
        )


def _check_enough(amount: int, available: int, of_what: str, tile: str) -> None:
    if amount > available:
        raise BudgetError(
            f"tile '{tile}': a budget of {amount} {of_what}, but it holds only {available}; "
            "ask for fewer, or for `all`"
        )
