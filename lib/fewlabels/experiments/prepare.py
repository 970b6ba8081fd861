"""From a run's declaration to what it trains and tests on: tiles, labels drawn, labels expanded."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from fewlabels import paths
from fewlabels.data import registry
from fewlabels.files import Shelf
from fewlabels.labels import expansion, ledger, sampling
from fewlabels.scoring import validation
from fewlabels.studies import Run
from fewlabels.training import augmentation, losses
from fewlabels.training.batches import Batches, LabelledTile, Rare
from fewlabels.types import IGNORE, FactorError, Tile, unknown

log = logging.getLogger(__name__)

REDRAWN = 1_000_000  # between the seeds of two rounds' draws, so that no replicate has another's
Labels = UInt8[np.ndarray, "h w"]


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
    drawn: Mapping[str, Labels]
    cost: Mapping[str, sampling.Cost]
    labelled: tuple[LabelledTile, ...]
    shelf: Shelf
    validation: registry.Dataset | None = None
    validation_drawn: Mapping[str, Labels] = field(default_factory=dict)

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
        book = ledger.ledger(self.drawn, trained, self.shelf.zeros)
        if self.run.rounds > 1:
            return replace(book, declared=dict.fromkeys(book.declared, self.run.amount))
        return book


def prepare(run: Run, root: Path | None = None) -> Prepared:
    """Load the tiles, draw their labels (of the first round) and expand them; nothing is trained.

    Raises:
        FactorError: factors that exclude each other.
    """
    _check(run)
    load = partial(registry.load, run.data, root, run.fold, grid=run.grid)
    validation = None if run.validation == "none" else load("val")
    tiles, test = load("train" if validation is None else "fit"), load("test")
    for name in run.ignored:
        if name not in tiles.classes:
            raise unknown("class to ignore", name, tiles.classes)
    shelf, amount = Shelf(paths.cache_root()), _amount(run, 1)
    drawn, cost, labelled, held_out = {}, {}, [], {}
    for tile in tiles:
        found, cost[tile.id] = sampling.draw_with_cost(
            tile.mask, run.sampler, amount, seed=run.draw, tile=tile.id
        )
        drawn[tile.id] = labels = _shelved(shelf, found)
        if run.expansion != "none":
            labels = _shelved(shelf, expanded(run, labels, tile.image))
        again = tuple(_shelved(shelf, found) for found in redrawn(run, tile, len(tiles)))
        labelled.append(LabelledTile(tile.id, tile.image, labels, again))
    for tile in validation or ():
        found = sampling.draw(tile.mask, run.sampler, run.amount, seed=run.draw, tile=tile.id)
        held_out[tile.id] = _shelved(shelf, found)
    ready = Prepared(run, tiles, test, drawn, cost, tuple(labelled), shelf, validation, held_out)
    for name, pixels in zip(tiles.classes, ready.counts, strict=True):
        if not pixels:
            log.warning("no pixel of class '%s' is labelled: it cannot be learned", name)
    return ready


def next_round(
    ready: Prepared,
    number: int,
    probabilities: Callable[[UInt8[np.ndarray, "h w c"]], Float32[np.ndarray, "k h w"]],
) -> Prepared:
    """Add the labels of annotation round `number`, the first being 1.

    Args:
        probabilities: of an image, by the network that the rounds before have trained. Masks answer
            for the annotator alone: training gets labels.
    """
    run, drawn, cost = ready.run, {}, {}
    before, now = _amount(run, number - 1), _amount(run, number)
    for tile in ready.train:
        mask, how, amount = tile.mask, run.sampler, now
        if run.query == "margin":
            rng, seen = _generator(run, tile.id, number - 1), probabilities(tile.image)
            known = ready.drawn[tile.id]
            mask = sampling.undecided(seen, known, mask, now - before, rng)
            how, amount = "random", int((mask != IGNORE).sum())  # draws them all, with their cost
        found, cost[tile.id] = sampling.draw_with_cost(
            mask, how, amount, seed=run.draw, tile=tile.id
        )
        drawn[tile.id] = _shelved(ready.shelf, found)
    labelled = tuple(replace(tile, labels=drawn[tile.id]) for tile in ready.labelled)
    return replace(ready, drawn=drawn, cost=cost, labelled=labelled)


def _amount(run: Run, number: int) -> float | int:
    """The label budget of a tile after so many annotation rounds."""
    return run.amount * number // run.rounds if run.rounds > 1 else run.amount


def _generator(run: Run, what: str, number: int) -> np.random.Generator:
    digest = hashlib.sha256(f"clicks {run.draw} {run.seed} {what} {number}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def redrawn(run: Run, tile: Tile, tiles: int) -> Iterator[Labels]:
    """The labels of a tile in the second round of so many tiles, the third, ..."""
    rounds = -(-run.steps * run.batch // tiles) if run.redrawn else 1
    for number in range(1, rounds):
        seed = run.draw + REDRAWN * number
        yield sampling.draw(tile.mask, run.sampler, run.amount, seed=seed, tile=tile.id)


def _in_any_round(tile: LabelledTile) -> Labels:
    return np.minimum.reduce([tile.labels, *tile.redrawn])  # IGNORE is the greatest


def expanded(run: Run, labels: Labels, image: UInt8[np.ndarray, "h w c"]) -> Labels:
    """A tile's drawn labels as the run's expansion leaves them."""
    if run.expansion == "none":
        return labels
    reach = {expansion.METHODS[run.expansion].reach: run.reach}
    return expansion.expand(labels, run.expansion, image=image, **reach)


def batches(ready: Prepared, seen: ledger.Ledger, number: int = 1) -> Batches:
    """The batches of annotation round `number`; their labels are entered into `seen`."""
    run, (usual, targeted) = ready.run, _augments(ready.run)
    found = {
        tile: np.flatnonzero(np.isin(labels, ready.rare)) for tile, labels in ready.drawn.items()
    }
    rare = Rare({t: at for t, at in found.items() if len(at)}, run.rare_times, targeted)
    steps, seed = run.steps // run.rounds, run.seed
    if run.rounds > 1:
        seed = int(_generator(run, "batches", number).integers(2**31))
    return Batches(ready.labelled, run.crop, run.batch, steps, seed, usual, seen, rare, run.cutmix)


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


def _shelved(shelf: Shelf, labels: Labels) -> Labels:
    stored = shelf.zeros(labels.shape)
    stored[:] = labels
    return stored


def _check(run: Run) -> None:
    tables: Mapping[str, tuple[object, Mapping | tuple]] = {
        "sampler": (run.sampler, sampling.SAMPLERS),
        "expansion": (run.expansion, expansion.NAMES),
        "loss": (run.loss, losses.LOSSES),
        "class weighting": (run.class_weights, losses.WEIGHTINGS),
        "validation": (run.validation, validation.MODES),
        "query": (run.query, sampling.QUERIES),
    }
    for kind, (found, known) in tables.items():
        if found not in known:
            raise unknown(kind, found, known)
    _augments(run)
    if run.redrawn and run.expansion != "none":
        raise FactorError("labels that are drawn anew each round cannot be expanded; choose one")
    if run.rounds == 1:
        return
    if not isinstance(run.amount, int) or run.amount % run.rounds or run.steps % run.rounds:
        raise FactorError(
            f"{run.rounds} annotation rounds share amount {run.amount} and steps {run.steps}, so "
            "both must be whole multiples of it"
        )
    if run.redrawn or run.expansion != "none" or run.validation != "none":
        raise FactorError(
            "labels of several annotation rounds are not redrawn, expanded or validated on"
        )


def _augments(run: Run) -> tuple[augmentation.Augment, augmentation.Augment]:
    """Of the tiles, and of those that hold a rare class."""
    motion = augmentation.Motion(run.motion_share, run.rotation, run.shift, run.zoom, run.fill)
    usual = augmentation.augmentation(run.augmentation, motion)
    if run.rare_augmentation == "same":
        return usual, usual
    return usual, augmentation.augmentation(run.rare_augmentation, motion)
