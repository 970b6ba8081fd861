"""Choose the labelled pixels of one tile, and say what choosing them would cost an annotator.

The seconds are published medians or means for everyday photographs, not for aerial images, which
nobody seems to have timed in all of these ways; trust their order of magnitude only.

- click, 2.4 s for the first of a class in an image, 0.9 s for each more; squiggle, 10.9 s:
  Bearman et al. 2016, https://arxiv.org/abs/1506.02106
- box, 7 s by extreme clicking: Papadopoulos et al. 2017, https://arxiv.org/abs/1708.02750
- outline, 79 s an object: Lin et al. 2014, https://arxiv.org/abs/1405.0312
- dense mask, 79 s for every object in it; a block costs its share of that by pixels (blocks and
  whole images took crowds about as long: Lin et al. 2019, https://doi.org/10.1109/ICCV.2019.00539)
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import isfinite

import numpy as np
from jaxtyping import Int, UInt8

from fewlabels.labels.sampling import marks
from fewlabels.labels.sampling.scene import (
    Amount,
    Chosen,
    Scene,
    everything,
    grid,
    number_of,
    per_class,
    random,
    scene,
    stratified,
)
from fewlabels.types import IGNORE, BudgetError, unknown

PIXELS: dict[str, Callable[[Scene, Amount], Chosen]] = {
    "random": random,
    "stratified": stratified,
    "per_class": per_class,
    "grid": grid,
    "all": everything,
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
ONE_EACH = ("objects", "centres", "polygons")
"""Samplers that mark an object at most once, so they may give fewer marks than asked for."""
FIRST_CLICK, NEXT_CLICK = 2.4, 0.9
OUTLINE = 79.0
SECONDS_A_MARK = {"scribbles": 10.9, "boxes": 7.0, "polygons": OUTLINE}


@dataclass(frozen=True, slots=True)
class Cost:
    """What the labels of one tile cost.

    Attributes:
        pixels: labelled pixels.
        marks: clicks, strokes, boxes, outlines or blocks; 1 for a dense mask.
        seconds: of an annotator's time.
    """

    pixels: int
    marks: int
    seconds: float


def draw(
    mask: UInt8[np.ndarray, "h w"], how: str, amount: Amount, *, seed: int, tile: str
) -> UInt8[np.ndarray, "h w"]:
    """Copy the mask's class at the drawn pixels; everywhere else is IGNORE.

    Args:
        mask: dense truth, or partial labels; IGNORE there is never drawn.
        how: single pixels: `random`, `stratified` (the total split evenly over the classes),
            `per_class` (the amount of each class), `grid` (a square lattice), `all` (every pixel
            that carries a class; `amount` is not used).
            Marks, where an *object* is a connected piece of one class: `points` (clicks on every
            object in turn), `objects` and `centres` (one click an object, at random or where it is
            deepest), `scribbles`, `boxes`, `polygons` (one outline an object), `blocks` (squares
            labelled in full). See `scene` and `marks`.
        amount: a float in (0, 1] is a fraction of the pixels that carry a class (for `per_class`,
            of each class's pixels), rounded, at least one; the last mark is cut short to meet it.
            An int is a number of pixels (for `per_class`, in each class) or of marks.
        seed, tile: another seed or tile id is another draw.

    Raises:
        UnknownName: no such `how`.
        BudgetError: the amount is zero, negative, not a number, or more than the mask holds.
        NoLabelsError: no pixel of the mask carries a class.
    """
    return _labels(mask, _drawn(scene(mask, seed=seed, tile=tile), how, amount, tile))


def draw_with_cost(
    mask: UInt8[np.ndarray, "h w"], how: str, amount: Amount, *, seed: int, tile: str
) -> tuple[UInt8[np.ndarray, "h w"], Cost]:
    """Return `draw`, and what it would cost an annotator: pixels, marks and seconds."""
    seen = scene(mask, seed=seed, tile=tile)
    drawn = _drawn(seen, how, amount, tile)
    return _labels(mask, drawn), _cost(seen, how, drawn)


def draw_for(
    mask: UInt8[np.ndarray, "h w"], how: str, seconds: float, *, seed: int, tile: str
) -> tuple[UInt8[np.ndarray, "h w"], Cost]:
    """Return the largest draw that an annotator can make in `seconds`, and its cost.

    It has at least one mark (for `per_class` one of each class). Raises as `draw`.
    """
    seen = scene(mask, seed=seed, tile=tile)

    def too_much(amount: int) -> bool:
        try:
            spent, less = (
                _cost(seen, how, _drawn(seen, how, n, tile)) for n in (amount, amount - 1)
            )
        except BudgetError:
            return True  # the tile holds no more
        return spent.seconds > seconds or spent == less

    top = 2
    while not too_much(top):
        top *= 2
    amount = top // 2 + bisect_left(range(top // 2 + 1, top), True, key=too_much)
    drawn = _drawn(seen, how, amount, tile)
    return _labels(mask, drawn), _cost(seen, how, drawn)


def counts(labels: Iterable[UInt8[np.ndarray, "h w"]], classes: int) -> Int[np.ndarray, " k"]:
    """Count the labelled pixels of each class, summed over tiles."""
    total = np.zeros(classes, np.int64)
    for tile in labels:
        total += np.bincount(tile.ravel(), minlength=IGNORE + 1)[:classes]
    return total


def fingerprint(labels: Iterable[UInt8[np.ndarray, "h w"]]) -> str:
    """Hash the labels of all tiles (SHA-256): equal draws have equal fingerprints."""
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
    return _priced(how, len(labelled) if single else len(drawn), labelled, seen)


def _priced(how: str, marks: int, labelled: UInt8[np.ndarray, " n"], scene: Scene) -> Cost:
    """Price `marks` marks of the sampler `how`, which gave pixels the classes `labelled`.

    A stroke, box or outline costs its full time also where a budget cut it short.
    """
    if how in ("all", "blocks"):
        seconds = OUTLINE * int(scene.components.max()) * len(labelled) / scene.carrying
    elif how in SECONDS_A_MARK:
        seconds = SECONDS_A_MARK[how] * marks
    else:
        kinds = np.count_nonzero(np.bincount(labelled))
        seconds = FIRST_CLICK * kinds + NEXT_CLICK * (marks - kinds)
    return Cost(len(labelled), marks, float(seconds))


def _drawn(seen: Scene, how: str, amount: Amount, tile: str) -> list[marks.Mark]:
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
    return drawn or [next(marks.centres(seen))]  # nothing can be outlined: click once instead


def _until(every: Iterator[marks.Mark], budget: int) -> Iterator[marks.Mark]:
    """Yield marks until they hold `budget` pixels; the last one is cut short."""
    for mark in every:
        yield mark[:budget]
        budget -= len(mark)
        if budget <= 0:
            return


def _check_amount(amount: Amount, tile: str) -> None:
    wrong = None
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not isfinite(amount):
        wrong = f"budget {amount!r} is not a number of pixels or a fraction"
    elif isinstance(amount, float) and not 0 < amount <= 1:
        wrong = f"budget {amount} is not a fraction in (0, 1]; pixels are an int"
    elif amount <= 0:
        wrong = f"a budget of {amount} pixels draws nothing; ask for 1 or more"
    if wrong:
        raise BudgetError(f"tile '{tile}': {wrong}")


def _check_enough(amount: int, available: int, of_what: str, tile: str) -> None:
    if amount > available:
        raise BudgetError(
            f"tile '{tile}': a budget of {amount} {of_what}, but it holds only {available}; "
            "ask for fewer, or for `all`"
        )
