"""From a run's declaration to what it trains and tests on: tiles, labels drawn, labels expanded."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.files import Shelf
from fewlabels.labels import expansion, ledger, sampling
from fewlabels.scoring import validation
from fewlabels.studies import Run
from fewlabels.training import augmentation, losses
from fewlabels.training.batches import Batches, LabelledTile, Rare
from fewlabels.types import IGNORE, Tile, unknown

log = logging.getLogger(__name__)

REDRAWN = 1_000_000  # between the seeds of two rounds' draws, so that no replicate has another's


@dataclass(frozen=True)
class Prepared:
    """A run ready to train: what a notebook may look at before it starts.

    Attributes:
        drawn: the labels drawn for each training tile, by its id: the budget.
        cost: what drawing each of them would cost an annotator.
        labelled: what training gets: the labels drawn, or those expanded from them.
        validation: the tiles that something is chosen on, which do not train; None for none.
        validation_drawn: the labels drawn for each of them, never expanded.
        shelf: where all labels lie, on disk: with many tiles they would not fit the memory.
    """

    run: Run
    train: registry.Dataset
    test: registry.Dataset
    drawn: Mapping[str, UInt8[np.ndarray, "h w"]]
    cost: Mapping[str, sampling.Cost]
    labelled: tuple[LabelledTile, ...]
    shelf: Shelf
    validation: registry.Dataset | None = None
    validation_drawn: Mapping[str, UInt8[np.ndarray, "h w"]] = field(default_factory=dict)

    @property
    def counts(self) -> np.ndarray:
        """Labelled pixels of each class that training gets, over its tiles."""
        return sampling.counts((t.labels for t in self.labelled), len(self.train.classes))

    @cached_property
    def sha256(self) -> str:
        """Of the labels drawn, tile after tile."""
        return sampling.fingerprint(self.drawn.values())

    @property
    def ignored(self) -> tuple[int, ...]:
        """The classes that the loss ignores, by number."""
        return tuple(self.train.classes.index(name) for name in self.run.ignored)

    @cached_property
    def rare(self) -> tuple[int, ...]:
        """The rare classes, by number: those with labels, but with fewer than the run's
        `rare_below` of the labels drawn for all training tiles, ignored classes not counted.
        """
        counts = sampling.counts(self.drawn.values(), len(self.train.classes))
        counts[list(self.ignored)] = 0
        found = (counts > 0) & (counts < self.run.rare_below * counts.sum())
        return tuple(np.flatnonzero(found).tolist())

    def ledger(self) -> ledger.Ledger:
        """An empty ledger of the labels drawn, in all rounds where each has labels of its own."""
        if self.run.redrawn:
            return ledger.ledger({t.id: _in_any_round(t) for t in self.labelled})
        trained = {t.id: t.labels for t in self.labelled}
        return ledger.ledger(self.drawn, trained, self.shelf.zeros)


def prepare(run: Run, root: Path | None = None) -> Prepared:
    """Load the tiles, draw their labels and expand them; nothing is trained.

    Raises:
        UnknownName, DataError, BudgetError, NoLabelsError: as `data.load`, `sampling.draw`,
            `expansion.expand` and `augmentation.augmentation`.
        ValueError: labels drawn anew and expanded.
    """
    _check_names(run)
    _check_redrawn(run)
    _augments(run)
    load = partial(registry.load, run.data, root, run.fold, grid=run.grid)
    validation = None if run.validation == "none" else load("val")
    tiles, test = load("train" if validation is None else "fit"), load("test")
    for name in run.ignored:
        if name not in tiles.classes:
            raise unknown("class to ignore", name, tiles.classes)
    shelf = Shelf(paths.cache_root())
    drawn, cost, labelled, held_out = {}, {}, [], {}
    for tile in tiles:
        found, cost[tile.id] = sampling.draw_with_cost(
            tile.mask, run.sampler, run.amount, seed=run.draw, tile=tile.id
        )
        drawn[tile.id] = labels = _shelved(shelf, found)
        if run.expansion != "none":
            labels = _shelved(shelf, expanded(run, labels, tile.image))
        again = tuple(_shelved(shelf, found) for found in _redrawn(run, tile, len(tiles)))
        labelled.append(LabelledTile(tile.id, tile.image, labels, again))
    for tile in validation or ():
        found = sampling.draw(tile.mask, run.sampler, run.amount, seed=run.draw, tile=tile.id)
        held_out[tile.id] = _shelved(shelf, found)
    ready = Prepared(run, tiles, test, drawn, cost, tuple(labelled), shelf, validation, held_out)
    for name, pixels in zip(tiles.classes, ready.counts, strict=True):
        if not pixels:
            log.warning("no pixel of class '%s' is labelled: it cannot be learned", name)
    return ready


def _redrawn(run: Run, tile: Tile, tiles: int) -> Iterator[UInt8[np.ndarray, "h w"]]:
    """The labels of a tile in the second round of so many tiles, the third, ..."""
    rounds = -(-run.steps * run.batch // tiles) if run.redrawn else 1
    for number in range(1, rounds):
        seed = run.draw + REDRAWN * number
        yield sampling.draw(tile.mask, run.sampler, run.amount, seed=seed, tile=tile.id)


def _in_any_round(tile: LabelledTile) -> UInt8[np.ndarray, "h w"]:
    return np.minimum.reduce([tile.labels, *tile.redrawn])  # IGNORE is the greatest


def expanded(
    run: Run, labels: UInt8[np.ndarray, "h w"], image: UInt8[np.ndarray, "h w c"]
) -> UInt8[np.ndarray, "h w"]:
    """A tile's drawn labels as the run's expansion leaves them."""
    if run.expansion == "none":
        return labels
    reach = {expansion.METHODS[run.expansion].reach: run.reach}
    return expansion.expand(labels, run.expansion, image=image, **reach)


def batches(ready: Prepared, seen: ledger.Ledger) -> Batches:
    """The batches that a run trains on; their labels are entered into `seen`."""
    run, (usual, targeted) = ready.run, _augments(ready.run)
    found = {
        tile: np.flatnonzero(np.isin(labels, ready.rare)) for tile, labels in ready.drawn.items()
    }
    rare = Rare({t: at for t, at in found.items() if len(at)}, run.rare_times, targeted)
    return Batches(
        ready.labelled,
        run.crop,
        run.batch,
        run.steps,
        run.seed,
        usual,
        seen,
        rare,
        run.cutmix,
    )


def data_facts(ready: Prepared) -> dict[str, object]:
    """What a record says of the images."""
    data = ready.train
    return {
        "name": data.name,
        "synthetic": data.synthetic,
        "notice": data.notice,
        "fingerprint": data.fingerprint,
        "classes": list(data.classes),
        "channels": ready.labelled[0].image.shape[-1],
        "train_sites": sorted(set(data.sites)),
        "test_sites": sorted(set(ready.test.sites)),
        "validation_sites": sorted(set(ready.validation.sites)) if ready.validation else [],
        "train_tiles": len(data),
        "test_tiles": len(ready.test),
    }


def label_facts(ready: Prepared, seen: ledger.Ledger) -> dict[str, object]:
    """What a record says of the labels: the budget, what it would cost, and what came of it."""
    counts = sampling.counts(ready.drawn.values(), len(ready.train.classes))
    trained = ready.counts
    return {
        "sha256": ready.sha256,
        "pixels": int(counts.sum()),
        "of_pixels": sum(t.labels.size for t in ready.labelled),
        "per_class": dict(zip(ready.train.classes, counts.tolist(), strict=True)),
        "rare_classes": [ready.train.classes[i] for i in ready.rare],
        "rare_tiles": sum(bool(np.isin(v, ready.rare).any()) for v in ready.drawn.values()),
        "validation_pixels": sum(int((v != IGNORE).sum()) for v in ready.validation_drawn.values()),
        "seen": seen.touched,
        "marks": sum(c.marks for c in ready.cost.values()),
        "annotator_seconds": round(sum(c.seconds for c in ready.cost.values()), 1),
        "trained_pixels": int(trained.sum()),
        "trained_per_class": dict(zip(ready.train.classes, trained.tolist(), strict=True)),
    }


def _shelved(shelf: Shelf, labels: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    stored = shelf.zeros(labels.shape)
    stored[:] = labels
    return stored


def _check_names(run: Run) -> None:
    tables: Mapping[str, tuple[object, Mapping | tuple]] = {
        "sampler": (run.sampler, sampling.SAMPLERS),
        "expansion": (run.expansion, expansion.NAMES),
        "loss": (run.loss, losses.LOSSES),
        "class weighting": (run.class_weights, losses.WEIGHTINGS),
        "validation": (run.validation, validation.MODES),
    }
    for kind, (found, known) in tables.items():
        if found not in known:
            raise unknown(kind, found, known)


def _check_redrawn(run: Run) -> None:
    if run.redrawn and run.expansion != "none":
        raise ValueError("labels that are drawn anew each round cannot be expanded; choose one")


def _augments(run: Run) -> tuple[augmentation.Augment, augmentation.Augment]:
    """Of the tiles, and of those that hold a rare class."""
    motion = augmentation.Motion(run.motion_share, run.rotation, run.shift, run.zoom, run.fill)
    usual = augmentation.augmentation(run.augmentation, motion)
    if run.rare_augmentation == "same":
        return usual, usual
    return usual, augmentation.augmentation(run.rare_augmentation, motion)
