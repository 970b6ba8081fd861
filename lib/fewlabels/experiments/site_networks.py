"""Study W: networks on a part of the sites, as the tool trains them.

`network` starts from random weights, `fine_tuned` from the linear head on frozen features. With
`taught` labels it also trains on the classes of pixels of which that head is sure.
"""

import logging
import time
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from fewlabels import devices
from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import tables, whole_maps
from fewlabels.experiments.whole_maps import Site
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.studies import w
from fewlabels.studies.w import Condition
from fewlabels.types import IGNORE, Tile

log = logging.getLogger(__name__)

SCRATCH = {"model": "smp:Unet:resnet18", "weights": "none"}
TEACHER, PLAIN = "frozen_linear", "pixel_forest"  # the latter needs no features but the bands
Labels = list[UInt8[np.ndarray, "_ _"]]


def row(
    dataset: Dataset, found: Site, name: str, wanted: Condition, replicate: int, compute: Compute,
    bands: Sequence[str] = (),
) -> dict[str, object] | None:  # fmt: skip
    """Train one network on a site; a row as those of `whole_maps.rows`, None where the site has too
    few labelled pixels, or the draw a single class.

    Args:
        found: the site, with its draws and scored pixels.
    """
    tiles, classes = whole_maps.tiles_of(dataset, name), len(dataset.classes)
    images = [tile.image for tile in tiles]
    train = found.draws[replicate, "random"][: wanted.budget]
    if len(train) < wanted.budget or len(np.unique(found.y[train])) < 2:
        return None
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
    return tables.facts(dataset, compute, code()) | {
        "site": name, "replicate": replicate, "labels": wanted.labels, "budget": wanted.budget,
        "learner": wanted.learner, "penalty": None,
        **whole_maps.counted(found, train, test, far, guess, classes),
        "seconds": round(time.perf_counter() - began, 3),
    }  # fmt: skip


@devices.one_thread()
def run(
    dataset: Dataset, file: Path, names: Sequence[str], replicates: Sequence[int], *,
    wanted: Sequence[Condition] = w.TRAINED, device: str = "auto", bands: Sequence[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Add the missing rows of some sites to a table, network after network; return the table."""
    table = tables.read(file)
    compute = devices.compute(device)
    for replicate, name in product(replicates, names):
        own = tables.of(table, dataset, site=name, replicate=replicate)
        done = set(zip(own["learner"], own["budget"], own["labels"], strict=True))
        left = [c for c in wanted if (c.learner, c.budget, c.labels) not in done]
        if left:
            found = whole_maps.site(dataset, name, [PLAIN], [replicate], compute, bands)
        for condition in left:
            log.info("%s: %s, site %s, replicate %d", dataset.name, condition, name, replicate)
            made = row(dataset, found, name, condition, replicate, compute, bands)
            table = tables.add(file, [made] if made else [])
    return table


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
