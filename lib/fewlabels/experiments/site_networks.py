"""Study W: networks on a part of the sites, as the tool trains them.

`network` starts from random weights, `fine_tuned` from the linear head on frozen features. With
`taught` labels it also trains on the classes of pixels of which that head is sure.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from fewlabels import devices, environment
from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.experiments import whole_maps
from fewlabels.experiments.whole_maps import Site
from fewlabels.files import whole_file
from fewlabels.learners import LEARNERS, Predictor
from fewlabels.scoring import metrics
from fewlabels.studies import w
from fewlabels.types import IGNORE, Tile

log = logging.getLogger(__name__)

SCRATCH = {"model": "smp:Unet:resnet18", "weights": "none"}
TEACHER = "frozen_linear"
Labels = list[UInt8[np.ndarray, "_ _"]]


def rows(
    dataset: Dataset, name: str, learner: str, replicate: int, compute: Compute,
    bands: Sequence[str] = (),
) -> Iterator[dict[str, object]]:  # fmt: skip
    """Train a network for each budget on a site; rows as those of `whole_maps.rows`."""
    found = whole_maps.site(dataset, name, ["pixel_forest"], [replicate], compute, bands)
    tiles, classes = whole_maps.tiles_of(dataset, name), len(dataset.classes)
    images = [tile.image for tile in tiles]
    wanted = [(budget, "random") for budget in w.NETWORK_BUDGETS]
    if learner != "network":
        wanted.append((w.TAUGHT, "taught"))
    for budget, kind in wanted:
        train = found.draws[replicate, "random"][:budget]
        if len(train) < budget or len(np.unique(found.y[train])) < 2:
            continue
        test = found.scored[~np.isin(found.scored, train)]
        far = whole_maps.far_from_labels(found, dataset, name, train, test)
        began = time.perf_counter()
        labels = _labels(found, tiles, train)
        options = SCRATCH if learner == "network" else {"bands": bands}
        if kind == "taught":
            teacher = LEARNERS[TEACHER].fit(images, labels, classes, compute=compute, bands=bands)
            labels = _taught(teacher, tiles, labels)
        made = LEARNERS[learner].fit(
            images, labels, classes, seed=replicate, compute=compute,
            ids=[tile.id for tile in tiles], **options,
        )  # fmt: skip
        guess = _mapped(made, found, tiles, test)
        counted = (
            metrics.confusion(guess[part][None], found.y[test][part][None], classes).ravel()
            for part in (slice(None), far)
        )
        every, beyond = (part.tolist() for part in counted)
        yield {
            "data": dataset.name, "site": name, "replicate": replicate, "labels": kind,
            "budget": budget, "learner": learner, "confusion": every, "far": beyond,
            "classes_labelled": len(np.unique(found.y[train])), "penalty": None,
            "seconds": round(time.perf_counter() - began, 3), "fingerprint": dataset.fingerprint,
            "code": code(), "device": compute.hardware, "finished": environment.now(),
        }  # fmt: skip


def run(
    dataset: Dataset, file: Path, names: Sequence[str], replicates: Sequence[int], *,
    device: str = "auto", bands: Sequence[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Add the missing rows of some sites to a table, site after site; return the table."""
    table = whole_maps.read(file)
    with devices.one_thread():
        compute = devices.compute(device)
        for replicate in replicates:
            for name in names:
                own = table[(table["site"] == name) & (table["replicate"] == replicate)]
                own = own[own["fingerprint"] == dataset.fingerprint]
                for learner in (each for each in w.NETWORKS if each not in set(own["learner"])):
                    log.info(
                        "%s: %s, site %s, replicate %d", dataset.name, learner, name, replicate
                    )
                    made = pd.DataFrame(rows(dataset, name, learner, replicate, compute, bands))
                    table = pd.concat([whole_maps.read(file), made], ignore_index=True)
                    with whole_file(file) as scratch:
                        table.to_parquet(scratch, compression="zstd", index=False)
    return table


@cache
def code() -> str:
    """SHA-256 over the modules that a row follows from, see `whole_maps.code_of`."""
    library = Path(__file__).parents[1]
    return whole_maps.code_of(Path(__file__), library / "learners/network.py", library / "training")


def _labels(found: Site, tiles: Sequence[Tile], train: np.ndarray) -> Labels:
    """The labels of each tile, IGNORE elsewhere."""
    drawn = [np.full(tile.mask.shape, IGNORE, np.uint8) for tile in tiles]
    for number, labels in enumerate(drawn):
        own = train[found.tile[train] == number]
        labels[tuple(found.at[own].T)] = found.y[own]
    return drawn


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
