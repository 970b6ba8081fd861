"""Draws of single pixels: their number is given, and which ones they are follows from a rank."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt64

from fewlabels.labels.sampling.scene import Scene, key_of

Amount = float | int
Chosen = Int[np.ndarray, " r"]


def random(scene: Scene, amount: Amount) -> Chosen:
    """Uniformly over the pixels that carry a class."""
    return lowest(scene.known, scene.rank, number_of(amount, scene.carrying))


def stratified(scene: Scene, amount: Amount) -> Chosen:
    """The total split evenly over the classes present; what one cannot fill goes to the others."""
    order = _met(scene)
    capacity = [scene.classes[c] for c in order]
    quota = even_split(number_of(amount, scene.carrying), capacity)
    parts = [lowest(scene.of(c), scene.rank, n) for c, n in zip(order, quota, strict=True)]
    return np.concatenate(parts)


def per_class(scene: Scene, amount: Amount) -> Chosen:
    """That many of each class present, all of a class that has fewer."""
    parts = [
        lowest(scene.of(c), scene.rank, number_of(amount, available))
        for c, available in scene.classes.items()
    ]
    return np.concatenate(parts)


def grid(scene: Scene, amount: Amount) -> Chosen:
    """A square lattice with a random start: systematic sampling.

    Pixels come in the order of Bayer's dither matrix, shifted at random. Every fourfold budget
    completes a lattice of half the spacing, and between those the lattice fills evenly, so any
    number can be asked for and draws are nested. Pixels without a class are passed over.

    Source: Bayer 1973, the matrix of ordered dithering.
    """
    return lowest(scene.known, _bayer(scene), number_of(amount, scene.carrying))


def everything(scene: Scene, amount: Amount) -> Chosen:
    """Every pixel that carries a class."""
    return np.flatnonzero(scene.known)


def even_split(total: int, capacity: Sequence[int]) -> list[int]:
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


def _met(scene: Scene) -> list[int]:
    """The classes in the order of their lowest ranks.

    Who is served first follows from it, so a budget of fewer pixels than classes does not always
    leave out the same ones.
    """
    rank, flat = scene.rank, scene.mask.ravel()
    early = lowest(scene.known, rank, 1024)
    found = list(dict.fromkeys(flat[early[np.argsort(rank[early])]].tolist()))
    late = [c for c in scene.classes if c not in found]
    return found + sorted(late, key=lambda c: int(rank[lowest(scene.of(c), rank, 1)[0]]))


def lowest(where: Bool[np.ndarray, " n"], rank: UInt64[np.ndarray, " n"], number: int) -> Chosen:
    """The `number` pixels of lowest rank of those where `where` holds, in order; all if fewer.

    Ranks are unique and spread evenly over 64 bits.
    """
    available = int(np.count_nonzero(where))
    if not 0 < number < available:
        return np.flatnonzero(where)[:number]
    # The last rank that is taken almost surely lies between these; only there need be sorted.
    low, high = (
        _bound((number + slack) / available) for slack in (-_slack(number), _slack(number))
    )
    under = where & (rank <= low)
    middle = rank[where & (rank <= high) & ~under]
    missing = number - int(np.count_nonzero(under))
    if not 0 < missing <= len(middle):
        middle, missing = rank[where], number
    last = np.partition(middle, missing - 1)[missing - 1]
    return np.flatnonzero(where & (rank <= last))


def _slack(number: int) -> float:
    return 8 * number**0.5 + 8


def _bound(share: float) -> np.uint64:
    return np.uint64(min(max(0.0, share) * 2.0**64, 2.0**64 - 2**12))


def number_of(amount: Amount, available: int) -> int:
    """An amount in pixels: an int is that, a float a fraction of those available, at least one."""
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
    """Of every number below 2^bits: its bits in reverse order from the 64th bit down, with a zero
    after each.
    """
    numbers = np.arange(2**bits, dtype=np.uint64)
    out = np.zeros_like(numbers)
    for bit in range(bits):
        out |= (numbers >> np.uint64(bit) & np.uint64(1)) << np.uint64(63 - 2 * bit)
    return out
