"""Study W: networks on a part of the sites, as the tool trains them.

`network` starts from random weights, `fine_tuned` from the linear head on frozen features. With
`taught` labels it also trains on the classes of pixels of which that head is sure.
"""

import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import tables, whole_maps
from fewlabels.experiments.tables import Job
from fewlabels.experiments.whole_maps import Site
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.studies import w
from fewlabels.studies.w import Condition
from fewlabels.types import IGNORE, Tile

SCRATCH = {"model": "smp:Unet:resnet18", "weights": "none"}
TEACHER, PLAIN = "frozen_linear", "pixel_forest"  # the latter needs no features but the bands
Labels = list[UInt8[np.ndarray, "_ _"]]


@tables.filling
def run(
    table: pd.DataFrame, dataset: Dataset, names: Sequence[str], replicates: Sequence[int], *,
    wanted: Sequence[Condition] = w.TRAINED, bands: Sequence[str] = (),
) -> Iterator[Job]:  # fmt: skip
    """List what a table lacks of some sites, network after network; see `tables.filling`."""
    for replicate, name, one in product(replicates, names, wanted):
        key = {"site": name, "replicate": replicate, "learner": one.learner,
               "budget": one.budget, "labels": one.labels}  # fmt: skip
        if tables.of(table, dataset, **key).empty:
            yield partial(rows, name=name, wanted=one, replicate=replicate, bands=bands)


def rows(
    dataset: Dataset, name: str, wanted: Condition, replicate: int, compute: Compute,
    bands: Sequence[str] = (),
) -> Iterator[dict[str, object]]:  # fmt: skip
    """Train one network on a site; a row as those of `whole_maps.rows`, none where the site has too
    few labelled pixels, or the draw a single class.
    """
    found = whole_maps.site(dataset, name, [PLAIN], [replicate], compute, bands)
    tiles, classes = whole_maps.tiles_of(dataset, name), len(dataset.classes)
    images = [tile.image for tile in tiles]
    train = found.draws[replicate, "random"][: wanted.budget]
    if len(train) < wanted.budget or len(np.unique(found.y[train])) < 2:
        return
    test = found.scored[~np.isin(found.scored, train)]
    far = whole_maps.far_from_labels(found, dataset, name, train, test)
    began = time.perf_counter()
    labels = [whole_maps.labels_on(found, i, tile, train) for i, tile in enumerate(tiles)]
    options = SCRATCH if wanted.learner == "network" else {"bands": bands}
    if wanted.labels == "taught":
        teacher = LEARNERS[TEACHER].fit(images, labels, classes, compute=compute, bands=bands)
        labels = _taught(teacher, tiles, labels)
    made = LEARNERS[wanted.learner].fit(
        images, labels, classes, seed=replicate, compute=compute, ids=[tile.id for tile in tiles],
        **options,
    )  # fmt: skip
    guess = _mapped(made, found, tiles, test)
    yield tables.facts(dataset, compute, code()) | {
        "site": name, "replicate": replicate, "labels": wanted.labels, "budget": wanted.budget,
        "learner": wanted.learner, "penalty": None,
        **whole_maps.counted(found, train, test, far, guess, classes),
        "seconds": round(time.perf_counter() - began, 3),
    }  # fmt: skip


@cache
def code() -> str:
    """SHA-256 over the modules that a row follows from, see `whole_maps.code_of`."""
    library = Path(__file__).parents[1]
    return whole_maps.code_of(Path(__file__), library / "learners/network.py", library / "training")


def _taught(teacher: Predictor, tiles: Sequence[Tile], labels: Labels) -> Labels:
    """Add the teacher's class where it is sure; a label that was given stays."""
    more = []
    for tile, given in zip(tiles, labels, strict=True):
        shares = teacher.probabilities(tile.image)
        guess = shares.argmax(axis=0).astype(np.uint8)
        sure = np.where(shares.max(axis=0) >= w.SURE, guess, np.uint8(IGNORE))
        more.append(np.where(given != IGNORE, given, sure))
    return more


def _mapped(
    made: Predictor, found: Site, tiles: Sequence[Tile], test: np.ndarray
) -> UInt8[np.ndarray, " m"]:
    guess = np.empty(len(test), np.uint8)
    for number, tile in enumerate(tiles):
        own = found.tile[test] == number
        mapped = made.probabilities(tile.image).argmax(axis=0).astype(np.uint8)
        guess[own] = mapped[tuple(found.at[test][own].T)]
    return guess
