"""The frozen arm: fit heads on the labelled sites of four folds, and count what they map right on
the sites of the fifth.

One row of a table is one fitted head on one test site. Rows are added fold by fold, so the arm can
be stopped at any time and resumed.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32, Int, UInt8
from tqdm import tqdm

from fewlabels import devices
from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import prepare, tables, whole_maps
from fewlabels.experiments.tables import Job
from fewlabels.labels import sampling
from fewlabels.learners import LEARNERS, bank, features, heads
from fewlabels.learners.bank import Bank
from fewlabels.learners.features import FeatureLearner
from fewlabels.scoring import metrics
from fewlabels.studies import Run, frozen_arm, w
from fewlabels.training import losses
from fewlabels.types import IGNORE, Tile

log = logging.getLogger(__name__)

FIRST = 2_000  # pixels of a tile that are scored, at most
LOOKED = 16  # tiles whose pixels say how features are scaled to fit two bytes
FEATURES = LEARNERS["frozen_linear"]  # what the head sees
DECAY = {"partial_cross_entropy": 0.05, "partial_focal": 0.1}
"""Loss -> penalty of the head's weights, see `heads.trained`: of 0.01 to 0.2 the best mean mIoU on
the development sites of cz_ortho and india_s2_nir, at 10, 100 and 1,000 random pixels a tile."""


@dataclass(frozen=True)
class Scaled:
    """Features, and the mean and deviation by which they are scaled."""

    bank: Bank
    middle: Float32[np.ndarray, " d"]
    width: Float32[np.ndarray, " d"]


@dataclass(frozen=True)
class Pixels:
    """The pixels of a tile that are labelled by some condition or scored.

    Attributes:
        x, y: features and class.
        scored: the numbers of the pixels that are scored.
        labelled: condition -> the numbers of the pixels that train, and the class of each, which
            an expansion may have wrong.
    """

    site: str
    x: Float16[np.ndarray, "n d"]
    y: UInt8[np.ndarray, " n"]
    scored: Int[np.ndarray, " m"]
    labelled: Mapping[str, tuple[Int[np.ndarray, " b"], UInt8[np.ndarray, " b"]]]


@tables.filling
def run(
    table: pd.DataFrame, dataset: Dataset, replicates: Sequence[int], *,
    learners: Sequence[str] = (), head: bool = True,
) -> Iterator[Job]:  # fmt: skip
    """List what a table lacks of some replicates, fold after fold; see `tables.filling`.

    Args:
        dataset: all its tiles.
        learners: those that are fitted with each of `frozen_arm.BUDGETS`.
        head: whether the head is trained for every condition of the claims.
    """
    wanted = [frozen_arm.HEAD] * head + list(learners)
    for replicate, fold in product(replicates, range(len(dataset.folds))):
        done = set(tables.of(table, dataset, replicate=replicate, fold=fold)["learner"])
        if left := tuple(name for name in wanted if name not in done):
            yield partial(rows, fold=fold, replicate=replicate, learners=left)


@devices.one_thread()
def differing(
    dataset: Dataset, table: pd.DataFrame, *, seed: int = 0, device: str = "auto"
) -> pd.DataFrame:
    """Fit one learner of one replicate and fold of a table again, at random; return the rows whose
    counts differ.
    """
    one = table.sample(1, random_state=seed).iloc[0]
    key = ["replicate", "fold", "learner", "condition", "site"]
    there = table[(table[key[:3]] == one[key[:3]]).all(axis=1)]
    replicate, fold, learner = int(one["replicate"]), int(one["fold"]), one["learner"]
    compute = devices.compute(device)
    again = rows(dataset, fold, replicate, (learner,), compute)
    log.info("replicate %d, fold %d, %s: %d rows", replicate, fold, learner, len(there))
    return tables.differing(there, again, key, ("confusion",))


def asked(data: str, replicate: int, learners: Sequence[str]) -> dict[str, Run]:
    """List what labels are drawn: text of the run -> the run, with the replicate's draw."""
    own = frozen_arm.runs(data).values() if frozen_arm.HEAD in learners else ()
    own = [one for one in own if one.data == data]
    plain = [Run(data=data, amount=n) for n in frozen_arm.BUDGETS]
    named = {frozen_arm.described(one): one for one in (*own, *plain)}
    return {text: drawing(one, replicate) for text, one in named.items()}


def drawing(one: Run, replicate: int) -> Run:
    """What of a run its labels follow, with the replicate's draw."""
    factors = {name: getattr(one, name) for name in (*frozen_arm.FACTORS, "data")}
    return Run(**factors, draw=replicate)


def pixels(
    tile: Tile, made: Scaled, asked: Mapping[str, Run], tiles: int, compute: Compute
) -> Pixels:
    """Draw the labels of all conditions on a tile, and compute the features that are needed.

    Args:
        tiles: how many the data set has: redrawn labels are drawn anew when all were seen.
    """
    scored = scored_pixels(tile)
    labelled = {}
    for text, one in asked.items():
        labels = drawn_labels(one, tile, tiles)
        at = _first(np.flatnonzero(labels != IGNORE), frozen_arm.MOST, tile.id, str(one.draw))
        labelled[text] = at, labels[at]
    taken = np.unique(np.concatenate([scored, *(at for at, _ in labelled.values())]))
    where = np.stack(np.divmod(taken, tile.mask.shape[1]), axis=1)
    x = bank.sampled(bank.layers(made.bank, tile.image, compute), where, tile.mask.shape)
    return Pixels(
        tile.site,
        ((x - made.middle) / made.width).astype(np.float16),
        tile.mask.ravel()[taken],
        np.searchsorted(taken, scored),
        {text: (np.searchsorted(taken, at), y) for text, (at, y) in labelled.items()},
    )


def rows(
    dataset: Dataset, fold: int, replicate: int, learners: tuple[str, ...], compute: Compute
) -> Iterator[dict[str, object]]:
    """Fit learners to every condition of a fold, and count what they map right on each test site.

    Development sites train, and are not scored.
    """
    tiles, made = _described(dataset, replicate, learners, compute)
    for learner in learners:
        yield from _of_learner(dataset, tiles, made, fold, replicate, learner, compute)


def _of_learner(
    dataset: Dataset, tiles: Sequence[Pixels], made: Scaled, fold: int, replicate: int,
    learner: str, compute: Compute,
) -> Iterator[dict[str, object]]:  # fmt: skip
    tested, base = set(dataset.folds[fold]), dataset.name.partition(":")[0]
    dealt = dataset.ids if tested <= set(dataset.ids) else dataset.sites  # single tiles, or sites
    train = [tile for tile, name in zip(tiles, dealt, strict=True) if name not in tested]
    unseen = frozen_arm.DEVELOPMENT.get(base, ())
    test = [tile for tile, name in zip(tiles, dealt, strict=True)
            if name in tested and tile.site not in unseen]  # fmt: skip
    classes, told = len(dataset.classes), asked(dataset.name, replicate, [learner])
    for text, one in told.items():
        if learner != frozen_arm.HEAD and one.amount not in frozen_arm.BUDGETS:
            continue
        predict = fitted(learner, train, text, one, made.bank, classes, compute)
        for site in sorted({tile.site for tile in test}):
            counts = sum(
                metrics.confusion(
                    predict(tile.x[tile.scored])[None], tile.y[tile.scored][None], classes
                )
                for tile in test
                if tile.site == site
            )
            yield tables.facts(dataset, compute, code()) | {
                "fold": fold, "replicate": replicate, "learner": learner, "condition": text,
                "site": site, "confusion": counts.ravel().tolist(),
                "trained_pixels": sum(len(tile.labelled[text][0]) for tile in train),
            }  # fmt: skip


def fitted(
    learner: str, train: Sequence[Pixels], text: str, one: Run, made: Bank, classes: int,
    compute: Compute,
) -> Callable[[np.ndarray], np.ndarray]:  # fmt: skip
    """Fit a head or a learner to the labels of one condition; what comes back maps features."""
    used = FEATURES if learner == frozen_arm.HEAD else LEARNERS[learner]
    columns = features.columns_of(made, used.part_of(made))
    x = np.concatenate([tile.x[tile.labelled[text][0]][:, columns] for tile in train])
    y = np.concatenate([tile.labelled[text][1] for tile in train])
    x = x.astype(np.float32)
    if learner == frozen_arm.HEAD:
        head = heads.trained(x, y, classes, _loss(one), DECAY[one.loss])
    else:
        units = np.repeat(np.unique([t.site for t in train], return_inverse=True)[1],
                          [len(t.labelled[text][0]) for t in train])  # fmt: skip
        head = used.fitted(used.part_of(made), x, y, units, classes, compute).head

    def predict(x: Float16[np.ndarray, "n d"]) -> UInt8[np.ndarray, " n"]:
        return heads.mapped(head, x[:, columns].astype(np.float32))

    return predict


@cache
def code() -> str:
    """SHA-256 over the modules that a row follows from, see `source_hash`."""
    here = Path(__file__).parents[1]
    return whole_maps.code_of(
        *(here / name for name in ("labels", "training/losses", "experiments/prepare.py")),
        Path(__file__),
    )


@lru_cache(maxsize=1)
def _described(
    dataset: Dataset, replicate: int, learners: tuple[str, ...], compute: Compute
) -> tuple[list[Pixels], Scaled]:
    made, wanted = _scaled(dataset, learners, compute), asked(dataset.name, replicate, learners)
    title = f"{dataset.name}, replicate {replicate}"
    return [
        pixels(tile, made, wanted, len(dataset), compute)
        for tile in tqdm(dataset, title, disable=None)
    ], made


def _scaled(dataset: Dataset, learners: Sequence[str], compute: Compute) -> Scaled:
    used: list[FeatureLearner] = [LEARNERS.get(name, FEATURES) for name in learners]
    few = [dataset[i] for i in np.linspace(0, len(dataset) - 1, LOOKED).astype(int).tolist()]
    made = features.together(
        used, [tile.image for tile in few], w.BANDS.get(dataset.name.partition(":")[0], ())
    )
    found = []
    for tile in few:
        at = _first(np.arange(tile.mask.size), FIRST, tile.id, "scaled")
        where = np.stack(np.divmod(at, tile.mask.shape[1]), axis=1)
        found.append(bank.sampled(bank.layers(made, tile.image, compute), where, tile.mask.shape))
    x = np.concatenate(found)
    return Scaled(made, x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6))


def scored_pixels(tile: Tile) -> Int[np.ndarray, " m"]:
    """The numbers of the pixels of a tile that are scored: the same for all conditions."""
    return _first(np.flatnonzero(tile.mask.ravel() != IGNORE), FIRST, tile.id, "scored")


def drawn_labels(one: Run, tile: Tile, tiles: int) -> UInt8[np.ndarray, " n"]:
    """The labels of a tile, row after row; IGNORE where there is none.

    Args:
        tiles: see `pixels`.
    """
    drawn = sampling.draw(tile.mask, one.sampler, one.amount, seed=one.draw, tile=tile.id)
    if one.redrawn:
        drawn = np.minimum.reduce([drawn, *prepare.redrawn(one, tile, tiles)])
    return prepare.expanded(one, drawn, tile.image).ravel()


def _first(found: np.ndarray, most: int, *key: str) -> Int[np.ndarray, " b"]:
    """At most so many of some pixels, in their order, drawn by a key."""
    return np.sort(whole_maps.generator(*key).permutation(found)[:most])


def _loss(one: Run) -> Callable:
    options = {"gamma": one.gamma} if one.loss == "partial_focal" else {}
    return partial(losses.LOSSES[one.loss], **options)
