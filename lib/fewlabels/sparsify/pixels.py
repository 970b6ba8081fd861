"""Draws of single pixels: their number is given, and which ones they are follows from a rank."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt32, UInt64

from fewlabels.sparsify.scene import Scene, key_of

Amount = float | int
Chosen = Int[np.ndarray, " r"]


def random(scene: Scene, amount: Amount) -> Chosen:
    """Uniformly over the pixels that carry a class."""
    return lowest(scene.pixels, scene.rank, number_of(amount, len(scene.pixels)))


def stratified(scene: Scene, amount: Amount) -> Chosen:
    """The total split evenly over the classes present; what one cannot fill goes to the others."""
    classes, rank = scene.classes, scene.rank
    total = number_of(amount, len(scene.pixels))
    # The class with the tile's lowest rank is served first, so that a budget of fewer pixels
    # than classes does not always leave out the same ones.
    order = sorted(classes, key=lambda c: int(rank[classes[c]].min()))
    quota = even_split(total, [len(classes[c]) for c in order])
    parts = [lowest(classes[c], rank, n) for c, n in zip(order, quota, strict=True)]
    return np.concatenate(parts)


def per_class(scene: Scene, amount: Amount) -> Chosen:
    """That many of each class present, all of a class that has fewer."""
    parts = [
        lowest(pixels, scene.rank, min(number_of(amount, len(pixels)), len(pixels)))
        for pixels in scene.classes.values()
    ]
    return np.concatenate(parts)


def grid(scene: Scene, amount: Amount) -> Chosen:
    """A square lattice with a random start: systematic sampling.

    Pixels come in the order of Bayer's dither matrix, shifted at random. Every fourfold budget
    completes a lattice of half the spacing, and between those the lattice fills evenly, so any
    number can be asked for and draws are nested. Pixels without a class are passed over.

    Source: Bayer 1973, the matrix of ordered dithering.
    """
    total = number_of(amount, len(scene.pixels))
    return lowest(scene.pixels, _bayer(scene), total)


def everything(scene: Scene, amount: Amount) -> Chosen:
    """Every pixel that carries a class."""
    return scene.pixels


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


def lowest(
    pixels: Int[np.ndarray, " n"], rank: UInt64[np.ndarray, " m"] | UInt32[np.ndarray, " m"],
    number: int,
) -> Chosen:  # fmt: skip
    """The `number` pixels of lowest rank, in order; ranks are unique."""
    if number >= len(pixels) or not number:
        return pixels[:number]
    ranks = rank[pixels]
    return pixels[ranks <= np.partition(ranks, number - 1)[number - 1]]


def number_of(amount: Amount, available: int) -> int:
    """An amount in pixels: an int is that, a float a fraction of those available, at least one."""
    return amount if isinstance(amount, int) else max(1, round(amount * available))


def _bayer(scene: Scene) -> UInt32[np.ndarray, " n"]:
    h, w = scene.mask.shape
    bits = max(1, (max(h, w) - 1).bit_length())
    top, left = (key_of(scene.key, "grid", axis) % 2**bits for axis in "yx")
    rows = (np.arange(h, dtype=np.uint32) + top) % 2**bits
    columns = (np.arange(w, dtype=np.uint32) + left) % 2**bits
    spread = _reversed_and_spread(bits)
    order = spread[rows[:, None] ^ columns] << np.uint32(1) | spread[rows][:, None]
    return order.ravel()


def _reversed_and_spread(bits: int) -> UInt32[np.ndarray, " n"]:
    """Of every number below 2^bits: its bits in reverse order, with a zero between neighbours."""
    numbers = np.arange(2**bits, dtype=np.uint32)
    out = np.zeros_like(numbers)
    for bit in range(bits):
        out |= (numbers >> np.uint32(bit) & np.uint32(1)) << np.uint32(2 * (bits - 1 - bit))
    return out
