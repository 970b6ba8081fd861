"""Does it pay to click where the network is undecided? A simulated annotator, on dense masks.

Every training image begins with the same random pixels. After each round but the last the annotator
labels as many more: in arm `random` the next of the random draw, in arm `margin` pixels drawn from
the 5 % with the smallest margin. Rounds, pixels, steps and seeds are the same in both, and crops as
far as they hold a label (`batches.Batches`); the network goes on from its weights, its learning
rate begins anew. The masks answer for the annotator alone: training gets labels.

Source: Shin et al. 2021 (PixelPick), https://arxiv.org/abs/2104.06394
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from torch import nn

from fewlabels import devices, environment, paths, studies
from fewlabels.experiments import locks, prepare, sweep
from fewlabels.experiments.plan import Unit
from fewlabels.experiments.prepare import Prepared
from fewlabels.labels import sampling
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.scoring import inference
from fewlabels.studies.run import Run
from fewlabels.training import augmentation, loop, losses, networks, optimisation
from fewlabels.training.batches import Batches, LabelledTile
from fewlabels.training.state import History
from fewlabels.types import IGNORE, RecordError, Row, Tile

log = logging.getLogger(__name__)

ARMS = ("random", "margin")
ROUNDS = 5
PIXELS = 10  # that an image gets in each round
SHARE = 0.05  # of the pixels that may be asked for, the most uncertain
Labels = UInt8[np.ndarray, "h w"]


def declared(profile: str, data: str) -> dict[Unit, Run]:
    """(arm, fold, replicate) -> run, both arms of one (fold, replicate) after another.

    Folds, replicates, network and sizes are those of study E; its steps are dealt out to the
    rounds. Of a run, `amount` is what an image has in the end, and `sampler` what it begins with.

    Raises:
        FewLabelsError: as `sweep.start_of` and `studies.runs`.
    """
    runs = studies.runs("E", profile, data, sweep.start_of("E", profile, data))
    return {
        (arm, fold, replicate): replace(
            run, amount=ROUNDS * PIXELS, steps=ROUNDS * max(1, run.steps // ROUNDS), watch=ROUNDS
        )
        for (condition, fold, replicate), run in runs.items()
        if condition == "random, PCE"
        for arm in ARMS
    }


def folder_of(profile: str) -> Path:
    """Where the records of a profile live."""
    return paths.published("clicks") if profile == "published" else paths.runs_root() / "clicks"


def recorded(runs: Mapping[Unit, Run], folder: Path) -> dict[Unit, Record]:
    """The records that are there.

    Raises:
        RecordError: one is damaged, or of another run than the one declared.
    """
    found = {}
    for unit, run in runs.items():
        name = _key(unit, run)
        if records.exists(folder, name):
            found[unit] = records.read(folder, name)
            if found[unit].run != run:
                raise RecordError(f"'{folder / name}' is of another run; delete that folder")
    return found


def execute(
    runs: Mapping[Unit, Run], folder: Path, *, root: Path | None = None, device: str = "auto"
) -> dict[Unit, Record]:
    """Every record, missing ones trained one after another; what is recorded stays.

    Raises:
        FewLabelsError: as `recorded`, `prepare.prepare` and `loop.fit`.
    """
    for number, (unit, run) in enumerate(runs.items(), 1):
        name, began = _key(unit, run), time.perf_counter()
        with locks.held(folder, name):
            if not records.exists(folder, name):
                _unit(unit[0], run, folder, name, root, devices.compute(device, run.precision))
        seconds = time.perf_counter() - began
        log.info("clicks, run %d of %d: %s (%.0f s)", number, len(runs), name, seconds)
    return recorded(runs, folder)


def uncertain(
    probabilities: Float32[np.ndarray, "k h w"],
    labels: Labels,
    mask: Labels,
    rng: np.random.Generator,
) -> Labels:
    """The labels with 10 more: drawn from the 5 % of smallest margin among the pixels that have no
    label yet and a class (void pixels the annotator passes over); all where there are fewer.
    """
    second, first = np.sort(probabilities, axis=0)[-2:]
    free = np.flatnonzero((labels == IGNORE) & (mask != IGNORE))
    order = np.argsort((first - second).ravel()[free], kind="stable")
    most = free[order[: max(PIXELS, round(SHARE * len(free)))]]
    more = labels.copy()
    picked = rng.permutation(most)[:PIXELS]
    more.ravel()[picked] = mask.ravel()[picked]
    return more


def _key(unit: Unit, run: Run) -> str:
    arm, fold, replicate = unit
    return f"{run.data}-{arm}-fold-{fold}-pair-{replicate}"


def _unit(
    arm: str, run: Run, folder: Path, name: str, root: Path | None, compute: devices.Compute
) -> None:
    ready = prepare.prepare(run, root)
    model, origin = networks.build_with_provenance(
        run.model, len(ready.train.classes), channels=ready.labelled[0].image.shape[-1],
        weights=run.weights, seed=run.seed,
    )  # fmt: skip
    labels = {tile.id: _random(tile, run, 1) for tile in ready.train}
    history: History = []
    for number in range(1, ROUNDS + 1):
        history += _round(number, model, labels, ready, compute, history)
        if number < ROUNDS:
            labels = {
                tile.id: _random(tile, run, number + 1)
                if arm == "random"
                else uncertain(
                    inference.probabilities(model, tile.image, compute),
                    labels[tile.id], tile.mask, _generator(run, tile.id, number),
                )
                for tile in ready.train
            }  # fmt: skip
    classes = len(ready.train.classes)
    found = inference.statistics(model, ready.test, classes, compute)
    counts = sampling.counts(labels.values(), classes)
    facts = {
        "clicks": {"arm": arm, "rounds": ROUNDS, "pixels": PIXELS, "share": SHARE},
        "data": prepare.data_facts(ready),
        "labels": {
            "pixels": int(counts.sum()),
            "seen": int(counts.sum()),
            "per_class": dict(zip(ready.train.classes, counts.tolist(), strict=True)),
        },
        "weights": asdict(origin),
        "cost": {"train_seconds": history[-1]["seconds"]},
        "environment": environment.facts()
        | {"device": compute.hardware, "precision": compute.precision},
    }
    records.write(folder, name, run, facts, history, [tile.id for tile in ready.test], found)


def _round(
    number: int,
    model: nn.Module,
    labels: Mapping[str, Labels],
    ready: Prepared,
    compute: devices.Compute,
    before: History,
) -> History:
    """Train on the labels as they are; the rows go on where those before ended."""
    run, steps = ready.run, ready.run.steps // ROUNDS
    tiles = [
        LabelledTile(tile.id, tile.image, labels[tile.id])
        for tile in ready.labelled
        if (labels[tile.id] != IGNORE).any()
    ]
    seed = int(_generator(run, "batches", number).integers(2**31))
    batches = Batches(
        tiles, run.crop, run.batch, steps, seed, augmentation.augmentation(run.augmentation)
    )
    names = (field.name for field in fields(optimisation.Optimisation))
    how = optimisation.Optimisation(**{name: getattr(run, name) for name in names})

    def watch(step: int, model: nn.Module) -> Row:
        found = inference.watched(model, ready.test, len(ready.test.classes), compute)
        log.info("round %d of %d: test mIoU %.3f", number, ROUNDS, found["miou"])
        return found

    rows = loop.fit(
        model, batches, losses.LOSSES[run.loss], how, compute, seed=seed, watch=watch,
        watch_at=frozenset({steps}),
    )  # fmt: skip
    seconds = before[-1]["seconds"] if before else 0.0
    later = {"step": (number - 1) * steps, "seconds": seconds}
    return [row | {name: row[name] + more for name, more in later.items()} for row in rows]


def _random(tile: Tile, run: Run, rounds: int) -> Labels:
    amount = min(rounds * PIXELS, int((tile.mask != IGNORE).sum()))
    return sampling.draw(tile.mask, "random", amount, seed=run.draw, tile=tile.id)


def _generator(run: Run, what: str, number: int) -> np.random.Generator:
    digest = hashlib.sha256(f"clicks {run.draw} {run.seed} {what} {number}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
