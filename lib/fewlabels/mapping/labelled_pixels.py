"""The features of a scene's labelled pixels: read once, enough to fit and to score all learners
that have no training loop.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from tqdm.auto import tqdm

from fewlabels.learners import LEARNERS, bank, features
from fewlabels.learners.bank import Bank
from fewlabels.learners.features import FeaturePredictor
from fewlabels.mapping import limits, tiles
from fewlabels.mapping.recipe import Ground, Learned
from fewlabels.mapping.scene import Ranges, to_bytes
from fewlabels.mapping.stream import context
from fewlabels.mapping.tiles import Piece
from fewlabels.types import IGNORE

log = logging.getLogger(__name__)

MOST = 300_000  # labelled pixels that are used of a scene, over its classes
SAMPLE = 2**18  # pixels of a piece that principal components are computed from, about


@dataclass(frozen=True)
class LabelledPixels:
    """Labelled pixels of a scene, piece after piece.

    Attributes:
        bank: features of all learners that were asked for.
        ranges: how the bytes that features come from follow from the scene's values.
        x, y, units: features, class and held-out unit of each pixel.
        piece, at: the number of its piece, and row and column in it.
        weight: for each class how many labelled pixels one of these stands for.
    """

    bank: Bank
    ranges: Ranges
    x: Float32[np.ndarray, "n d"]
    y: UInt8[np.ndarray, " n"]
    units: Int[np.ndarray, " n"]
    piece: Int[np.ndarray, " n"]
    at: Int[np.ndarray, "n 2"]
    weight: Float32[np.ndarray, " k"]


def read(ground: Ground, names: Sequence[str]) -> LabelledPixels:
    """Compute the features that these learners need at the labelled pixels of a scene.

    Of each class at most 300,000 / k pixels are used, drawn from the recipe's seed. Features are
    those of the map: as much of the scene around the labels is read as they depend on.

    Args:
        names: of feature learners.
    """
    found = tiles.ranges(ground.pieces, ground.read)
    made = _bank(ground, names, found)
    at = _drawn(ground)
    places = [
        (piece, here, _around(ground, piece, here, made.halo))
        for piece, here in zip(ground.pieces, at, strict=True)
        if len(here)
    ]
    _announce(ground, [part for _, _, part in places], found, made, names)
    parts = []
    for piece, here, (rows, columns) in tqdm(places, "features of labelled pixels", unit="piece"):
        image = to_bytes(*ground.read(rows, columns), found)
        offset = (piece.rows.start - rows.start, piece.columns.start - columns.start)
        layers = bank.layers(made, image, ground.compute)
        parts.append(bank.sampled(layers, here + offset, image.shape[:2]))
    every = [piece.labels[tuple(here.T)] for piece, here in zip(ground.pieces, at, strict=True)]
    y = np.concatenate(every)
    there = sum(tiles.inventory(ground.pieces, len(ground.classes)).values())
    kept = np.bincount(y, minlength=len(ground.classes))
    units = [piece.units[tuple(here.T)] for piece, here in zip(ground.pieces, at, strict=True)]
    return LabelledPixels(
        made, found, np.concatenate(parts), y, np.concatenate(units),
        np.repeat(np.arange(len(at)), [len(here) for here in at]), np.concatenate(at),
        (there / np.maximum(kept, 1)).astype(np.float32),
    )  # fmt: skip


def fitted(
    ground: Ground, pixels: LabelledPixels, name: str, rows: Bool[np.ndarray, " n"] | slice
) -> FeaturePredictor:
    """Fit a learner to some of the labelled pixels.

    Raises:
        NoLabelsError: they are none, or of a single class.
    """
    learner, recipe = LEARNERS[name], ground.recipe
    made = learner.part_of(pixels.bank)
    columns = features.columns_of(pixels.bank, made)
    options = {"class_weights": recipe.class_weights}
    options |= {} if learner.head == "linear" else {"trees": recipe.trees}
    return learner.fitted(
        made, pixels.x[rows][:, columns], pixels.y[rows], pixels.units[rows],
        len(ground.classes), ground.compute, seed=recipe.seed, **options,
    )  # fmt: skip


def among(
    pixels: LabelledPixels, labels: Sequence[UInt8[np.ndarray, "_ _"]]
) -> Bool[np.ndarray, " n"]:
    """Which of the pixels have a label in these arrays, one for each piece."""
    found = np.zeros(len(pixels.y), bool)
    for number, part in enumerate(labels):
        own = pixels.piece == number
        found[own] = part[tuple(pixels.at[own].T)] != IGNORE
    return found


def learn(ground: Ground, pixels: LabelledPixels, name: str) -> Learned:
    """Fit a learner to all labelled pixels."""
    began = time.perf_counter()
    predictor = fitted(ground, pixels, name, slice(None))
    counts = np.bincount(pixels.y, minlength=len(ground.classes)) * pixels.weight
    labelled = np.rint(counts).astype(int).tolist()
    return Learned(predictor, pixels.ranges, labelled, time.perf_counter() - began)


def _around(
    ground: Ground, piece: Piece, at: Int[np.ndarray, "n 2"], halo: int | None
) -> tuple[slice, slice]:
    """Rows and columns of the scene that the features of a piece's pixels depend on."""
    sides = zip(
        (piece.rows, piece.columns), at.min(axis=0), at.max(axis=0) + 1, ground.shape, strict=True
    )
    rows, columns = (
        context(slice(side.start + int(low), side.start + int(high)), halo, size)
        for side, low, high, size in sides
    )
    return rows, columns


def _announce(
    ground: Ground,
    parts: Sequence[tuple[slice, slice]],
    ranges: Ranges,
    made: Bank,
    names: Sequence[str],
) -> None:
    if limits.area(parts) < limits.LONG:
        return
    seconds = limits.estimated(
        parts, ground.read, ranges, lambda image: list(bank.layers(made, image, ground.compute))
    )
    log.info(
        "features of %.1f Mpixel around the labels: about %s; then %d fits",
        limits.area(parts) / 1e6, limits.spoken(seconds), len(names) * ground.recipe.folds + 1,
    )  # fmt: skip


def _bank(ground: Ground, names: Sequence[str], ranges: Ranges) -> Bank:
    every = max(1, sum(piece.labels.size for piece in ground.pieces) // SAMPLE)
    images = []
    for piece in ground.pieces:
        values, valid = ground.read(piece.rows, piece.columns)
        image = to_bytes(values, valid, ranges)
        images.append(image[valid][::every][:, None])
    return features.together(
        [LEARNERS[name] for name in names], images, ground.bands,
        encoder=ground.recipe.encoder, zoom=ground.recipe.zoom,
    )  # fmt: skip


def _drawn(ground: Ground) -> list[Int[np.ndarray, "n 2"]]:
    """Rows and columns of the labelled pixels to use, of each piece."""
    rng = np.random.default_rng(ground.recipe.seed)
    most = MOST // len(ground.classes)
    there = [np.argwhere(piece.labels != IGNORE) for piece in ground.pieces]
    y = np.concatenate(
        [piece.labels[tuple(at.T)] for piece, at in zip(ground.pieces, there, strict=True)]
    )
    kept = np.ones(len(y), bool)
    for value in np.flatnonzero(np.bincount(y) > most):
        own = np.flatnonzero(y == value)
        kept[rng.permutation(own)[most:]] = False
    ends = np.cumsum([len(at) for at in there])[:-1]
    return [at[part] for at, part in zip(there, np.split(kept, ends), strict=True)]
