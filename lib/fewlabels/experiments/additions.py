"""Study W: what is added to the linear head on frozen features, one addition at a time.

`expanded`: labels are expanded to more pixels before the fit. `corrected`: half of the labels are
random, the other half are where the map of the first half is wrong and most confident. `unsure`:
the other half are where it is least sure. `smoothed`: the probabilities are averaged within
superpixels before the class is taken; its map is compared with the same map as it was (`mapped`),
by every pixel's boundary too.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int, UInt8

from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import tables, whole_maps
from fewlabels.experiments.tables import Job
from fewlabels.experiments.whole_maps import Site, units
from fewlabels.labels import expansion
from fewlabels.learners import LEARNERS, bank, heads
from fewlabels.learners.bank import Layer
from fewlabels.learners.features import FeaturePredictor
from fewlabels.scoring import boundaries, metrics, superpixels
from fewlabels.studies import w
from fewlabels.types import IGNORE, Tile

LEARNER = LEARNERS["frozen_linear"]
BASE = "frozen_linear"
POOL = 5_000  # pixels of a site among which an annotator looks for errors
APART = 16  # pixels between two corrections, or two unsure pixels, of one map
UNSURE = 0.05  # of the pool: pixels of so small a margin are drawn first
KINDS = ("expanded", "corrected", "unsure", "random")  # of labels; random ones are smoothed
MOST = 3_000  # expanded labels of a tile that train
Labelled = tuple[Float32[np.ndarray, "n d"], UInt8[np.ndarray, " n"], Int[np.ndarray, " n"]]
"""Features, class and unit of labelled pixels."""


def rows(
    dataset: Dataset, name: str, replicate: int, compute: Compute, bands: Sequence[str] = (),
    kinds: Sequence[str] = KINDS, expand: tuple[str, Mapping[str, float]] = w.EXPANSION,
    size: float = w.SUPERPIXEL,
) -> Iterator[dict[str, object]]:  # fmt: skip
    """Fit the head with each addition on a site; rows as those of `whole_maps.rows`.

    Args:
        kinds: of KINDS.
        expand: method of expansion and its options.
        size: of a superpixel, in pixels.
    """
    found = whole_maps.site(dataset, name, [BASE], [replicate], compute, bands)
    tiles = whole_maps.tiles_of(dataset, name)
    layers = [list(bank.layers(found.bank, tile.image, compute)) for tile in tiles]
    drawn, classes = found.draws[replicate, "random"], len(dataset.classes)

    def row(budget: int, learner: str, labels: str, counts: np.ndarray, began: float, **more):
        return tables.facts(dataset, compute, whole_maps.code()) | {
            "site": name, "replicate": replicate, "budget": budget, "learner": learner,
            "labels": labels, "far": [0] * counts.size, "confusion": counts.ravel().tolist(),
            "seconds": round(time.perf_counter() - began, 3),
            "boundary": [0] * classes * len(boundaries.COUNTS),
        } | more  # fmt: skip

    def counted(labelled: Labelled, test: np.ndarray) -> np.ndarray:
        guess = heads.mapped(_fitted(found, labelled, classes, compute).head, found.x[test])
        return metrics.confusion(guess[None], found.y[test][None], classes)

    for budget in w.BUDGETS:
        train = drawn[:budget]
        test = found.scored[~np.isin(found.scored, train)]
        if len(train) < budget or len(np.unique(found.y[train])) < 2:
            continue
        began = time.perf_counter()
        if budget in w.EXPANDED and "expanded" in kinds:
            more = _expanded(found, tiles, layers, train, expand)
            yield row(budget, BASE, "expanded", counted(more, test), began)
        half = train[: budget // 2]
        if budget in w.CORRECTED and len(np.unique(found.y[half])) > 1:
            first = _fitted(found, _labelled(found, half), classes, compute)
            for kind in ("corrected", "unsure"):
                if kind in kinds:
                    more = _asked(found, tiles, layers, first, budget - len(half), kind)
                    if more is not None:
                        both = _joined([_labelled(found, half), more])
                        yield row(budget, BASE, kind, counted(both, test), began)
        if budget in w.SMOOTHED and "random" in kinds:
            fitted = _fitted(found, _labelled(found, train), classes, compute)
            for learner, change in (
                ("mapped", lambda p, image: p),
                ("smoothed", lambda p, image: superpixels.smoothed(p, image, size)),
            ):
                counts, outlines = _mapped(found, tiles, layers, fitted, test, classes, change)
                yield row(budget, f"{BASE}, {learner}", "random", counts, began,
                          boundary=outlines.ravel().tolist())  # fmt: skip


@tables.filling
def run(
    table: pd.DataFrame, dataset: Dataset, names: Sequence[str], replicates: Sequence[int], *,
    bands: Sequence[str] = (),
) -> Iterator[Job]:  # fmt: skip
    """List what a table lacks of some sites, site after site; see `tables.filling`."""
    for replicate, name in product(replicates, names):
        there = set(tables.of(table, dataset, site=name, replicate=replicate)["labels"])
        if left := [k for k in KINDS if k not in there and (not there or k != "corrected")]:
            yield partial(rows, name=name, replicate=replicate, bands=bands, kinds=left)


def _mapped(
    found: Site, tiles: Sequence[Tile], layers: Sequence[list[Layer]], fitted: FeaturePredictor,
    test: np.ndarray, classes: int, change: Callable,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Counts of the scored pixels and of all boundaries of the map of a site."""
    counts, outlines = 0, 0
    for number, tile in enumerate(tiles):
        shares = fitted.mapped(layers[number], tile.mask.shape)
        guess = change(shares, tile.image).argmax(axis=0).astype(np.uint8)
        own = test[found.tile[test] == number]
        at = tuple(found.at[own].T)
        counts = counts + metrics.confusion(guess[at][None], found.y[own][None], classes)
        outlines = outlines + boundaries.counts(guess, tile.mask, classes)
    return counts, outlines


def _expanded(
    found: Site, tiles: Sequence[Tile], layers: Sequence[list[Layer]], train: np.ndarray,
    expand: tuple[str, Mapping[str, float]],
) -> Labelled:  # fmt: skip
    parts = []
    for number, tile in enumerate(tiles):
        own = train[found.tile[train] == number]
        if not len(own):
            continue
        labels = whole_maps.labels_on(found, number, tile, train)
        more = expansion.expand(labels, expand[0], image=tile.image, **expand[1])
        at = np.argwhere(more != IGNORE)
        keep = whole_maps.generator(tile.id, "expanded").permutation(len(at))[:MOST]
        given = (labels[tuple(at.T)] != IGNORE)[keep]
        at = np.concatenate([at[keep[~given]], found.at[own]])  # given labels are never lost
        x = bank.sampled(layers[number], at, tile.mask.shape)
        parts.append((x, more[tuple(at.T)], units(number, at)))
    return _joined(parts)


def _asked(
    found: Site, tiles: Sequence[Tile], layers: Sequence[list[Layer]], first: FeaturePredictor,
    number: int, kind: str,
) -> Labelled | None:  # fmt: skip
    """Labels at the most confident errors of a map (`corrected`), or at pixels drawn from those of
    the smallest margin (`unsure`), none near another; None if there are too few.

    None of them is a pixel that is scored.
    """
    parts = []
    most = -(-POOL // len(tiles))
    for tile, own in enumerate(tiles):
        taken = np.zeros(own.mask.shape, bool)
        taken[tuple(found.at[found.tile == tile].T)] = True
        free = np.argwhere((own.mask != IGNORE) & ~taken)
        at = free[whole_maps.generator(own.id, "pool").permutation(len(free))[:most]]
        x = bank.sampled(layers[tile], at, own.mask.shape)
        where = np.c_[np.full(len(at), tile * 1e6), at]
        parts.append((x, own.mask[tuple(at.T)], units(tile, at), where))
    x, y, square, at = _joined(parts)
    shares = first.head.probabilities(x)
    if kind == "corrected":
        wrong = first.head.known[shares.argmax(axis=1)] != y
        order = np.argsort(-np.where(wrong, shares.max(axis=1), -1), kind="stable")[: wrong.sum()]
    else:
        margin = np.subtract(*np.sort(shares, axis=1)[:, :-3:-1].T)
        order = np.argsort(margin, kind="stable")
        least = order[: int(UNSURE * len(order))]
        order[: len(least)] = whole_maps.generator(tiles[0].id, "unsure").permutation(least)
    picked: list[int] = []
    for one in order.tolist():
        if len(picked) == number:
            break
        if not picked or np.abs(at[picked] - at[one]).max(axis=1).min() > APART:
            picked.append(one)
    return (x[picked], y[picked], square[picked]) if len(picked) == number else None


def _labelled(found: Site, train: np.ndarray) -> Labelled:
    return found.x[train], found.y[train], units(found.tile[train], found.at[train])


def _joined(parts: Sequence[tuple]) -> tuple:
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _fitted(found: Site, labelled: Labelled, classes: int, compute: Compute) -> FeaturePredictor:
    return LEARNER.fitted(found.bank, *labelled, classes, compute)
