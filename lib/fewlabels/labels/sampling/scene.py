"""What a simulated annotator sees of a tile (classes, objects, a rank for each pixel), and how
single pixels are chosen: by rank, by a lattice, or where a network can least decide.

Ranks come from a counter-based generator keyed on (seed, tile id).

Source: Philox, Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8, UInt64
from scipy import ndimage
from skimage import measure

from fewlabels.types import IGNORE, NoLabelsError

Amount = float | int
Chosen = Int[np.ndarray, " r"]
QUERIES = ("random", "margin")
"""What the pixels of a further annotation round are: those that a larger budget would have drawn
first, or undecided ones."""
UNDECIDED = 0.05  # of the pixels that may be asked for, those of the smallest margin


@dataclass(frozen=True)
class Scene:
    """A dense mask with the random order in which its pixels would be labelled.

    Attributes:
        key: 128 bits that name the draw; whatever is random about it is derived from them.
    """

    mask: UInt8[np.ndarray, "h w"]
    key: int

    @cached_property
    def rank(self) -> UInt64[np.ndarray, " n"]:
        """One 64-bit number a pixel, row after row; lower is drawn earlier."""
        return _ranks(self.mask.size, self.key)

    @property
    def known(self) -> Bool[np.ndarray, " n"]:
        """Which pixels carry a class, row after row."""
        return self.mask.ravel() != IGNORE

    @cached_property
    def classes(self) -> Mapping[int, int]:
        """Pixels of each class that is present."""
        count = np.bincount(self.mask.ravel(), minlength=IGNORE + 1)[:IGNORE]
        return {int(c): int(count[c]) for c in np.flatnonzero(count)}

    @cached_property
    def carrying(self) -> int:
        """How many pixels carry a class."""
        return sum(self.classes.values())

    def of(self, value: int) -> Bool[np.ndarray, " n"]:
        """Which pixels are of a class, row after row."""
        return self.mask.ravel() == value

    @cached_property
    def components(self) -> Int[np.ndarray, "h w"]:
        """Number of the object that a pixel belongs to, from 1; 0 where there is no class.

        An object is a connected piece of one class; pixels that touch at a corner are connected.
        """
        return measure.label(self.mask, background=IGNORE, connectivity=2)

    @cached_property
    def objects(self) -> tuple["Object", ...]:
        """The objects in the order of their first pixel's rank, so that a large one tends to be
        met before a small one.
        """
        boxes = ndimage.find_objects(self.components)
        numbers = self.components.ravel()[np.argsort(self.rank)]
        found, first = np.unique(numbers, return_index=True)
        met = found[np.argsort(first)].tolist()
        return tuple(Object(self, number, boxes[number - 1]) for number in met if number)


@dataclass(frozen=True)
class Object:
    """One connected piece of a class, seen through its bounding box (h w below)."""

    scene: Scene
    number: int
    box: tuple[slice, slice]

    @cached_property
    def inside(self) -> Bool[np.ndarray, "h w"]:
        """Where the object is."""
        return self.scene.components[self.box] == self.number

    @cached_property
    def depth(self) -> Int[np.ndarray, "h w"]:
        """Steps (also diagonal) to the nearest pixel that is not the object's.

        1 at its border, 0 outside it. Beyond the tile's edge nothing is known and nothing counts.
        """
        rows, columns = self.box
        h, w = self.scene.mask.shape
        edges = (rows.start > 0, rows.stop < h), (columns.start > 0, columns.stop < w)
        padded = np.pad(self.inside, [tuple(map(int, e)) for e in edges], constant_values=False)
        if padded.all():  # the whole tile is one object
            return np.full(padded.shape, max(padded.shape))
        depth = ndimage.distance_transform_cdt(padded, metric="chessboard")
        (top, bottom), (left, right) = edges
        return depth[top : depth.shape[0] - bottom, left : depth.shape[1] - right]

    @cached_property
    def rank(self) -> UInt64[np.ndarray, "h w"]:
        """The pixels' ranks."""
        return self.scene.rank.reshape(self.scene.mask.shape)[self.box]

    def first(self, where: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
        """Row and column in the box of the pixel of lowest rank where `where` holds."""
        at = np.flatnonzero(where)
        row, column = divmod(int(at[self.rank[where].argmin()]), where.shape[1])
        return row, column

    def click(self, where: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "1"]:
        """Index in the tile of that pixel."""
        pixels = self.indexes(where)
        return pixels[[self.rank[where].argmin()]]

    def indexes(self, where: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, " n"]:
        """Indexes in the tile of the box's pixels where `where` holds, row after row."""
        rows, columns = np.nonzero(where)
        width = self.scene.mask.shape[1]
        return (rows + self.box[0].start) * width + columns + self.box[1].start


def scene(mask: UInt8[np.ndarray, "h w"], *, seed: int, tile: str) -> Scene:
    """Make the scene of a mask; its ranks are a pure function of (seed, tile).

    Raises:
        NoLabelsError: no pixel of the mask carries a class.
    """
    if not (mask != IGNORE).any():
        raise NoLabelsError(
            f"tile '{tile}': 0 of {mask.size} pixels carry a class, so none can be drawn; "
            "drop the tile from the split (see data/README.md)"
        )
    return Scene(mask, key_of(seed, tile))


def ranks(pixels: int, *, seed: int, tile: str) -> UInt64[np.ndarray, " n"]:
    """Return one 64-bit rank a pixel, a pure function of (seed, tile, position)."""
    return _ranks(pixels, key_of(seed, tile))


def _ranks(pixels: int, key: int) -> UInt64[np.ndarray, " n"]:
    return np.random.Philox(key=key).random_raw(pixels)


def key_of(*parts: object) -> int:
    """Hash what names a draw to 128 bits, the same on every machine."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


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
