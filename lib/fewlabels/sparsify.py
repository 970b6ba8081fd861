"""Sparse labels from a dense mask: a simulated annotator who labels only some pixels.

Every pixel of a tile gets a rank from a counter-based generator keyed on (seed, tile id), and a
draw keeps the lowest ranks. So a draw is the same on every machine and in every process, does not
depend on the order of visits, and is nested: a smaller budget's pixels are among a larger one's.

Source: Philox, Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405
"""

import hashlib
from collections.abc import Callable, Iterable
from math import isfinite

import numpy as np
from jaxtyping import Int, UInt8, UInt64

from fewlabels.types import IGNORE, BudgetError, NoLabelsError, unknown

Amount = float | int
Classes = dict[int, Int[np.ndarray, "_"]]  # class -> its pixels


def draw(
    mask: UInt8[np.ndarray, "h w"], how: str, amount: Amount, *, seed: int, tile: str
) -> UInt8[np.ndarray, "h w"]:
    """The mask's class at the drawn pixels, IGNORE everywhere else.

    Args:
        mask: dense truth; pixels that are IGNORE there are never drawn.
        how: `random`: uniform over the pixels that carry a class;
            `stratified`: the total split evenly over the classes present, and what a class
            cannot fill goes to the others;
            `per_class`: that many of each class present, all of a class that has fewer;
            `all`: every pixel that carries a class (the dense bound; `amount` is not used).
        amount: a float in (0, 1] is the fraction of the pixels that carry a class (for
            `per_class`, of each class's pixels), rounded, at least one; an int is pixels in
            this tile (for `per_class`, in each class).
        seed: names the draw; all else equal, another seed is another draw.
        tile: the tile's id; it keys the draw together with `seed`.

    Raises:
        UnknownName: no such `how`.
        BudgetError: the amount is zero, negative, not a number, or more than the mask holds.
        NoLabelsError: no pixel of the mask carries a class.
    """
    if how not in SAMPLERS:
        raise unknown("sampler", how, SAMPLERS)
    flat = mask.ravel()
    classes = _classes(flat, tile)
    _check_amount(how, amount, sum(map(len, classes.values())), tile)
    chosen = SAMPLERS[how](classes, ranks(flat.size, seed=seed, tile=tile), amount)
    labels = np.full_like(flat, IGNORE)
    labels[chosen] = flat[chosen]
    return labels.reshape(mask.shape)


def ranks(pixels: int, *, seed: int, tile: str) -> UInt64[np.ndarray, " n"]:
    """One 64-bit rank a pixel, a pure function of (seed, tile, position)."""
    key = int.from_bytes(hashlib.sha256(f"{seed}/{tile}".encode()).digest()[:16], "little")
    return np.random.Philox(key=key).random_raw(pixels)


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


def _random(classes: Classes, rank: UInt64[np.ndarray, " n"], amount: Amount) -> np.ndarray:
    pixels = np.sort(np.concatenate(list(classes.values())))
    return _lowest(pixels, rank, _pixels(amount, len(pixels)))


def _stratified(classes: Classes, rank: UInt64[np.ndarray, " n"], amount: Amount) -> np.ndarray:
    total = _pixels(amount, sum(map(len, classes.values())))
    # The class with the tile's lowest rank is served first, so that a budget of fewer pixels
    # than classes does not always leave out the same ones.
    order = sorted(classes, key=lambda c: int(rank[classes[c]].min()))
    quota = even_split(total, [len(classes[c]) for c in order])
    parts = [_lowest(classes[c], rank, n) for c, n in zip(order, quota, strict=True)]
    return np.concatenate(parts)


def _per_class(classes: Classes, rank: UInt64[np.ndarray, " n"], amount: Amount) -> np.ndarray:
    parts = [
        _lowest(pixels, rank, min(_pixels(amount, len(pixels)), len(pixels)))
        for pixels in classes.values()
    ]
    return np.concatenate(parts)


def _all(classes: Classes, rank: UInt64[np.ndarray, " n"], amount: Amount) -> np.ndarray:
    return np.concatenate(list(classes.values()))


SAMPLERS: dict[str, Callable[[Classes, np.ndarray, Amount], np.ndarray]] = {
    "random": _random,
    "stratified": _stratified,
    "per_class": _per_class,
    "all": _all,
}


def even_split(total: int, capacity: list[int]) -> list[int]:
    """`total` dealt out evenly; what one cannot take goes to the others.

    Dealt one at a time in order, round after round, so each share grows with `total`: this is
    what nests the draws.
    """
    shares = [0] * len(capacity)
    left = min(total, sum(capacity))
    while left:
        open_ = [i for i, (s, c) in enumerate(zip(shares, capacity, strict=True)) if s < c]
        rounds = min(left // len(open_), min(capacity[i] - shares[i] for i in open_))
        for i in open_ if rounds else open_[:left]:
            shares[i] += rounds or 1
        left -= rounds * len(open_) if rounds else left
    return shares


def _lowest(
    pixels: Int[np.ndarray, " n"], rank: UInt64[np.ndarray, " m"], number: int
) -> Int[np.ndarray, " r"]:
    if number >= len(pixels):
        return pixels
    return pixels[np.argpartition(rank[pixels], number - 1)[:number]] if number else pixels[:0]


def _pixels(amount: Amount, available: int) -> int:
    return amount if isinstance(amount, int) else max(1, round(amount * available))


def _classes(flat: UInt8[np.ndarray, " n"], tile: str) -> Classes:
    present = np.flatnonzero(np.bincount(flat, minlength=IGNORE + 1)[:IGNORE])
    if not len(present):
        raise NoLabelsError(
            f"tile '{tile}': 0 of {flat.size} pixels carry a class, so none can be drawn; "
            "drop the tile from the split (see data/README.md)"
        )
    return {int(c): np.flatnonzero(flat == c) for c in present}


def _check_amount(how: str, amount: Amount, available: int, tile: str) -> None:
    if how == "all":
        return
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
    if isinstance(amount, int) and amount > available and how != "per_class":
        raise BudgetError(
            f"tile '{tile}': a budget of {amount} pixels, but only {available} carry a class; "
            "ask for fewer, or for `all`"
        )
