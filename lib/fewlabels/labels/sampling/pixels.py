"""Choose single pixels: at random, by a lattice, or where a network can least decide."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8, UInt64

from fewlabels.labels.sampling.scene import Scene, key_of
from fewlabels.types import IGNORE

Amount = float | int
Chosen = Int[np.ndarray, " r"]
QUERIES = ("random", "margin")
"""What the pixels of a further annotation round are: those that a larger budget would have drawn
first, or undecided ones."""
UNDECIDED = 0.05  # of the pixels that may be asked for, those of the smallest margin


def random(scene: Scene, amount: Amount) -> Chosen:
    """Draw uniformly from the pixels that carry a class."""
    return lowest(scene.known, scene.rank, number_of(amount, scene.carrying))


def stratified(scene: Scene, amount: Amount) -> Chosen:
    """Split the total evenly over the classes present; what one cannot fill goes to the others.

    Classes are served in the order of their lowest ranks, so a budget of fewer pixels than classes
    does not always miss the same ones.
    """
    order = sorted(scene.classes, key=lambda c: scene.rank[scene.of(c)].min())
    quota = even_split(number_of(amount, scene.carrying), [scene.classes[c] for c in order])
    parts = [lowest(scene.of(c), scene.rank, n) for c, n in zip(order, quota, strict=True)]
    return np.concatenate(parts)


def per_class(scene: Scene, amount: Amount) -> Chosen:
    """Draw the amount from each class present, all of a class that has fewer."""
    parts = [
        lowest(scene.of(c), scene.rank, number_of(amount, available))
        for c, available in scene.classes.items()
    ]
    return np.concatenate(parts)


def grid(scene: Scene, amount: Amount) -> Chosen:
    """Draw a square lattice with a random start: systematic sampling.

    Pixels come in the order of Bayer's dither matrix, shifted at random. Every fourfold budget
    completes a lattice of half the spacing, and between those the lattice fills evenly, so any
    number can be asked for and draws are nested. Pixels without a class are passed over.

    Source: Bayer 1973, the matrix of ordered dithering.
    """
    return lowest(scene.known, _bayer(scene), number_of(amount, scene.carrying))


def everything(scene: Scene, amount: Amount) -> Chosen:
    """Draw every pixel that carries a class."""
    return np.flatnonzero(scene.known)


def undecided(
    probabilities: Float32[np.ndarray, "k h w"],
    labels: UInt8[np.ndarray, "h w"],
    mask: UInt8[np.ndarray, "h w"],
    number: int,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "h w"]:
    """Return the labels with `number` more, drawn from the 5 % of the pixels of smallest margin.

    The margin is the probability of the first class minus that of the second. Only pixels without
    a label that have a class in the mask count; if there are fewer than `number`, all are labelled.

    Source: Shin et al. 2021 (PixelPick), https://arxiv.org/abs/2104.06394
    """
    second, first = np.sort(probabilities, axis=0)[-2:]
    free = np.flatnonzero((labels == IGNORE) & (mask != IGNORE))
    order = np.argsort((first - second).ravel()[free], kind="stable")
    chosen = rng.permutation(free[order[: max(number, round(UNDECIDED * len(free)))]])[:number]
    more = labels.copy()
    more.ravel()[chosen] = mask.ravel()[chosen]
    return more


def even_split(total: int, capacity: Sequence[int]) -> list[int]:
    """Deal `total` out one at a time, in rounds that skip whoever is full.

    Each share grows with `total`, which is what nests the draws.
    """

    def dealt(rounds: int) -> int:
        return sum(min(rounds, c) for c in capacity)

    rounds = bisect_right(range(max(capacity) + 1), total, key=dealt) - 1
    shares = [min(rounds, c) for c in capacity]
    left = min(total, sum(capacity)) - dealt(rounds)
    for i in [i for i, c in enumerate(capacity) if c > rounds][:left]:
        shares[i] += 1
    return shares


def lowest(where: Bool[np.ndarray, " n"], rank: UInt64[np.ndarray, " n"], number: int) -> Chosen:
    """Take the `number` pixels of lowest rank where `where` holds, in order; all if fewer."""
    at = np.flatnonzero(where)
    if not 0 < number < len(at):
        return at[:number]
    mine = rank[at]
    return at[mine <= np.partition(mine, number - 1)[number - 1]]


def number_of(amount: Amount, available: int) -> int:
    """Convert an amount to pixels: a float is a fraction of `available`, at least one pixel."""
    return amount if isinstance(amount, int) else max(1, round(amount * available))


def _bayer(scene: Scene) -> UInt64[np.ndarray, " n"]:
    h, w = scene.mask.shape
    bits = max(1, (max(h, w) - 1).bit_length())
    top, left = (key_of(scene.key, "grid", axis) % 2**bits for axis in "yx")
    rows, columns = (np.arange(h) + top) % 2**bits, (np.arange(w) + left) % 2**bits
    spread = _reversed_and_spread(bits)
    order = spread[rows[:, None] ^ columns]
    order |= spread[rows][:, None] >> np.uint64(1)
    return order.ravel()


def _reversed_and_spread(bits: int) -> UInt64[np.ndarray, " n"]:
    """Reverse the bits of every number below 2^bits, from the 64th bit down, a zero after each."""
    numbers = np.arange(2**bits, dtype=np.uint64)
    out = np.zeros_like(numbers)
    for bit in range(bits):
        out |= (numbers >> np.uint64(bit) & np.uint64(1)) << np.uint64(63 - 2 * bit)
    return out
