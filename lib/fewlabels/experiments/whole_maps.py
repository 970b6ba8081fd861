"""Study W: some pixels of a site are labelled, a learner maps the rest of the same site.

One row of a table is one learner fitted to one draw of labels on one site. Rows are added site by
site, so the study can be stopped at any time and resumed.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int, UInt8
from scipy.ndimage import distance_transform_edt

from fewlabels import devices
from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import site_draws, source_hash, tables
from fewlabels.experiments.site_draws import Pixels
from fewlabels.experiments.tables import Job
from fewlabels.learners import LEARNERS, bank, features, heads
from fewlabels.learners.bank import Bank
from fewlabels.learners.features import FeatureLearner
from fewlabels.scoring import calibration, metrics
from fewlabels.studies.w import BUDGETS, EVEN
from fewlabels.types import IGNORE, Tile

log = logging.getLogger(__name__)

SITE_SAMPLE, TILE_SAMPLE = 20_000, 2_000  # pixels that are scored, at least, of a site and a tile
FAR = 16  # pixels; beyond this from every label of its tile a pixel also counts for `far`
KEY = ["data", "site", "replicate", "labels", "budget", "learner"]


@dataclass(frozen=True)
class Site:
    """The pixels of one site that are labelled in some draw or scored.

    Attributes:
        x, y: features and class.
        tile, at: number of the tile, and row and column in it.
        scored: the numbers of the pixels that are scored.
        draws: for each (replicate, kind of labels) the numbers of pixels, in the order in which
            budgets take them.
        strokes: for each (replicate, kind, scribbles a class) the numbers of pixels.
    """

    bank: Bank
    x: Float32[np.ndarray, "n d"]
    y: UInt8[np.ndarray, " n"]
    tile: Int[np.ndarray, " n"]
    at: Int[np.ndarray, "n 2"]
    scored: Int[np.ndarray, " m"]
    draws: dict[tuple[int, str], Pixels]
    strokes: dict[tuple[int, str, int], Pixels] = field(default_factory=dict)

    def labelled(self) -> Iterator[tuple[int, str, int, Pixels]]:
        """Each (replicate, kind of labels, budget) and its pixels: scribbles if there are any."""
        for (replicate, labels, budget), drawn in self.strokes.items():
            yield replicate, labels, budget, drawn
        for (replicate, labels), drawn in self.draws.items() if not self.strokes else ():
            for budget in BUDGETS if labels == "random" else EVEN:
                if len(drawn) >= budget:
                    yield replicate, labels, budget, drawn[:budget]


def sites(dataset: Dataset, without: Sequence[str] = ()) -> list[str]:
    """The sites with at least two classes, in an order drawn once for all.

    Args:
        without: development sites.
    """
    known = sorted(set(dataset.sites) - set(without))
    rng = np.random.default_rng(_number(dataset.name))
    found = []
    for site in rng.permutation(known).tolist():
        masks = [np.unique(tile.mask) for tile in tiles_of(dataset, site)]
        if len(set(np.concatenate(masks).tolist()) - {IGNORE}) > 1:
            found.append(site)
    return found


def site(
    dataset: Dataset, name: str, learners: Sequence[str], replicates: Sequence[int],
    compute: Compute, bands: Sequence[str] = (), scribbled: bool = False,
) -> Site:  # fmt: skip
    """Draw labels and scored pixels of a site, and compute their features.

    Args:
        scribbled: whether scribbles are drawn, too.
    """
    tiles = tiles_of(dataset, name)
    masks = [tile.mask for tile in tiles]
    flat = [np.flatnonzero(mask.ravel() != IGNORE) for mask in masks]
    starts = np.cumsum([0, *(mask.size for mask in masks)])
    every = np.concatenate([start + part for start, part in zip(starts, flat, strict=False)])
    truth = np.concatenate([mask.ravel() for mask in masks])
    most = max(TILE_SAMPLE, -(-SITE_SAMPLE // len(tiles)))
    scored = np.concatenate([
        start + generator(dataset.name, tile.id, "scored").permutation(part)[:most]
        for start, part, tile in zip(starts, flat, tiles, strict=False)
    ])  # fmt: skip
    draws = {}
    for replicate in replicates:
        rng = generator(dataset.name, name, str(replicate))
        for labels, pixels in site_draws.points(every, truth[every], rng).items():
            draws[replicate, labels] = pixels
    drawn = {
        (replicate, *key): pixels
        for replicate in replicates if scribbled
        for rng in [generator(dataset.name, name, str(replicate), "scribbles")]
        for key, pixels in site_draws.scribbled(tiles, replicate, rng).items()
    }  # fmt: skip
    taken = np.unique(np.concatenate([scored, *draws.values(), *drawn.values()]))
    marked = {key: np.searchsorted(taken, pixels) for key, pixels in drawn.items()}
    where = {key: np.searchsorted(taken, pixels) for key, pixels in draws.items()}
    tile = np.searchsorted(starts, taken, side="right") - 1
    at = np.empty((len(taken), 2), np.int64)
    made = features.together([LEARNERS[n] for n in learners], [t.image for t in tiles], bands)
    parts = []
    for number, one in enumerate(tiles):
        own = tile == number
        at[own] = np.stack(np.divmod(taken[own] - starts[number], one.mask.shape[1]), axis=1)
        layers = bank.layers(made, one.image, compute)
        parts.append(bank.sampled(layers, at[own], one.mask.shape))
    return Site(
        made, np.concatenate(parts), truth[taken], tile, at, np.searchsorted(taken, scored), where,
        marked,
    )  # fmt: skip


def rows(
    dataset: Dataset, name: str, learners: Sequence[str], replicates: Sequence[int],
    compute: Compute, bands: Sequence[str] = (), scribbled: bool = False,
) -> Iterator[dict[str, object]]:  # fmt: skip
    """Fit every learner to every draw of a site, and count what it maps right.

    A draw of a single class maps that class everywhere: nothing can be fitted to it.

    Args:
        scribbled: draw scribbles, and clicks that take as long, instead of the budgets of pixels.
    """
    found = site(dataset, name, learners, replicates, compute, bands, scribbled)
    for replicate, labels, budget, train in found.labelled():
        test = found.scored[~np.isin(found.scored, train)]
        far = far_from_labels(found, dataset, name, train, test)
        for learner in learners:
            began = time.perf_counter()
            guess, sure, penalty = _mapped(found, LEARNERS[learner], train, test, compute)
            seconds = round(time.perf_counter() - began, 3)
            bins = calibration.bins(sure[None], guess[None], found.y[test][None])
            yield tables.facts(dataset, compute, code()) | {
                "site": name, "replicate": replicate, "labels": labels, "budget": budget,
                "learner": learner, "penalty": penalty, "seconds": seconds,
                "calibration": calibration.error(bins), "confidence": float(sure.mean()),
                **counted(found, train, test, far, guess, len(dataset.classes)),
            }  # fmt: skip


def counted(
    found: Site, train: np.ndarray, test: np.ndarray, far: np.ndarray, guess: np.ndarray,
    classes: int,
) -> dict[str, object]:  # fmt: skip
    """Count what a map says of the scored pixels and of the far ones among them."""
    every, beyond = (
        metrics.confusion(guess[part][None], found.y[test][part][None], classes).ravel().tolist()
        for part in (slice(None), far)
    )
    return {"confusion": every, "far": beyond, "classes_labelled": len(np.unique(found.y[train]))}


@tables.filling
def run(
    table: pd.DataFrame, dataset: Dataset, names: Sequence[str], learners: Sequence[str],
    replicates: Sequence[int], *, bands: Sequence[str] = (), scribbled: bool = False,
) -> Iterator[Job]:  # fmt: skip
    """List what a table lacks of some sites, site after site; see `tables.filling`.

    A row is missing where none of the same declaration and data is there.
    """
    for replicate, name in product(replicates, names):
        there = set(tables.of(table, dataset, site=name, replicate=replicate)["learner"])
        if left := [learner for learner in learners if learner not in there]:
            yield partial(rows, name=name, learners=left, replicates=[replicate], bands=bands,
                          scribbled=scribbled)  # fmt: skip


def differing(
    dataset: Dataset, table: pd.DataFrame, *, share: float = 0.1, seed: int = 0,
    device: str = "auto", bands: Sequence[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Run a random share of the sites of a table again; return the rows whose counts differ."""
    compute = devices.compute(device)
    names = np.array(sorted(set(table["site"])))
    taken = np.random.default_rng(seed).choice(names, max(1, round(share * len(names))), False)
    wrong = []
    for name in taken.tolist():
        there = table[table["site"] == name]
        learners, replicates = (there[key].unique().tolist() for key in ("learner", "replicate"))
        scribbled = "scribbles" in set(there["labels"])
        made = rows(dataset, name, learners, replicates, compute, bands, scribbled)
        wrong.append(tables.differing(there, made, KEY, ("confusion", "far")))
        told = dataset.name, name, len(there), len(wrong[-1])
        log.info("%s, site %s: %d rows, %d differ", *told)
    return pd.concat(wrong, ignore_index=True)


@cache
def code() -> str:
    """SHA-256 over the modules that a row of W follows from, see `source_hash`."""
    return code_of(Path(__file__), Path(site_draws.__file__))


def code_of(*more: Path) -> str:
    """SHA-256 over data, learners and measures, and over more files or folders."""
    here = Path(__file__).parents[1]
    names = ("data", "learners", "scoring/calibration.py", "scoring/metrics.py",
             "training/networks/lite0.py")  # fmt: skip
    files = [
        file
        for path in (*(here / name for name in names), *more)
        for file in (sorted(path.rglob("*.py")) or [path])
        if file in more or file.name not in ("download.py", "network.py")
    ]
    return source_hash.sha256(files)


def _mapped(
    found: Site, learner: FeatureLearner, train: np.ndarray, test: np.ndarray, compute: Compute
) -> tuple[UInt8[np.ndarray, " m"], Float32[np.ndarray, " m"], float | None]:
    """The class of each scored pixel, its probability, and the penalty of a linear head."""
    known = np.unique(found.y[train])
    if len(known) < 2:
        return np.full(len(test), known[0], np.uint8), np.ones(len(test), np.float32), None
    made = learner.part_of(found.bank)
    columns = features.columns_of(found.bank, made)
    x = found.x[:, columns] if len(columns) < found.x.shape[1] else found.x
    marked = x[train], found.y[train], units(found.tile[train], found.at[train])
    head = learner.fitted(made, *marked, int(known[-1]) + 1, compute).head
    shares = head.probabilities(x[test])
    guess = head.known[shares.argmax(axis=1)].astype(np.uint8)
    penalty = head.penalty if isinstance(head, heads.Linear) else None
    return guess, shares.max(axis=1).astype(np.float32), penalty


def far_from_labels(
    found: Site, dataset: Dataset, name: str, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Which scored pixels lie more than FAR pixels from every label of their tile."""
    far = np.ones(len(test), bool)
    for number, tile in enumerate(tiles_of(dataset, name)):
        free = labels_on(found, number, tile, train) == IGNORE
        if not free.all():
            own = found.tile[test] == number
            far[own] = distance_transform_edt(free)[tuple(found.at[test[own]].T)] > FAR
    return far


def units(tile: int | Int[np.ndarray, " n"], at: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
    """The square of 64 pixels a side in which each pixel of a site lies."""
    return tile * 2**20 + (at // 64 @ [1024, 1])


def labels_on(found: Site, number: int, tile: Tile, train: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """The labels of a tile, IGNORE elsewhere."""
    own, labels = train[found.tile[train] == number], np.full(tile.mask.shape, IGNORE, np.uint8)
    labels[tuple(found.at[own].T)] = found.y[own]
    return labels


def tiles_of(dataset: Dataset, site: str) -> list[Tile]:
    """The tiles of a site, in the data set's order."""
    return [dataset[i] for i, shown in enumerate(dataset.sites) if shown == site]


def generator(*parts: str) -> np.random.Generator:
    """Random numbers that follow from names alone."""
    return np.random.default_rng(_number(*parts))


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256(" ".join(["W", *parts]).encode()).digest()[:8])
