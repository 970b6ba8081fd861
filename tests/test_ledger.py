from collections.abc import Sequence

import numpy as np
import pytest

from fewlabels.labels import expansion, ledger, sampling
from fewlabels.training.augmentation import augmentation
from fewlabels.training.batches import Batches, LabelledTile
from fewlabels.types import IGNORE, BudgetError, RecordError


def labels(seed: int) -> np.ndarray:
    return sampling.draw(np.zeros((20, 20), np.uint8), "random", 30, seed=seed, tile="t")


def test_the_same_labels_are_counted_once():
    book = ledger.ledger({"t": labels(0)})
    for _ in range(3):
        book.enter("t", 0, 0, labels(0)[:10])
        book.enter("t", 10, 0, labels(0)[10:])
    assert book.touched == 30


def test_windows_are_entered_where_they_lie():
    book = ledger.ledger({"t": labels(0)})
    book.enter("t", 5, 7, labels(0)[5:9, 7:20])
    assert (book.seen["t"][5:9, 7:20] == (labels(0)[5:9, 7:20] != IGNORE)).all()
    assert book.touched == (labels(0)[5:9, 7:20] != IGNORE).sum()


def test_labels_redrawn_each_epoch_are_caught():
    """What public code does: a new draw at every access, the budget still called 30 pixels."""
    book = ledger.ledger({"t": labels(0)})
    book.enter("t", 0, 0, labels(0))
    with pytest.raises(BudgetError, match=r"'t'.*30 were declared.*drawn again"):
        book.enter("t", 0, 0, labels(1))


def test_one_pixel_more_than_declared_is_too_many():
    book, more = ledger.ledger({"t": labels(0)}), labels(0)
    book.enter("t", 0, 0, labels(0))
    more.ravel()[np.flatnonzero(more == IGNORE)[0]] = 0
    with pytest.raises(BudgetError, match="seen 31 distinct labelled pixels, 30 were declared"):
        book.enter("t", 0, 0, more)


def test_public_codes_way_is_caught_in_training():
    """A data set that draws in __getitem__, as public code does: the second epoch fails."""

    class Redrawn(Sequence):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> LabelledTile:
            if index:
                raise IndexError
            self.visits = getattr(self, "visits", -1) + 1
            return LabelledTile("t", np.zeros((20, 20, 3), np.uint8), labels(self.visits))

    tiles = Redrawn()
    book = ledger.ledger({"t": tiles[0].labels})
    batches = Batches(tiles, 20, 1, 5, 0, augmentation("none"), book)
    with pytest.raises(BudgetError, match="drawn again"):
        for step in range(5):
            batches[step]


def test_derived_labels_do_not_use_up_the_budget_and_redrawn_ones_still_do():
    drawn = labels(0)
    trained = expansion.expand(drawn, "disc", radius=2)
    book = ledger.ledger({"t": drawn}, {"t": trained})
    book.enter("t", 0, 0, trained)
    assert book.touched == 30
    with pytest.raises(BudgetError, match="30 were declared"):
        book.enter("t", 0, 0, expansion.expand(labels(1), "disc", radius=2))


def test_what_was_seen_is_packed_and_unpacked():
    """380 = 20 x 19 pixels, which is no multiple of 8; of a tile without a label little is left."""
    shown = {"t": labels(0)[:, :19], "u": labels(1)}
    book, again = ledger.ledger(shown), ledger.ledger(shown)
    book.enter("t", 3, 2, shown["t"][3:17, 2:19])
    bits = ledger.packed(book)
    empty = ledger.ledger({"v": np.full((800, 800), IGNORE, np.uint8)})
    assert len(ledger.packed(empty)["v"]) < 400
    ledger.unpack(again, bits)
    assert all((again.seen[tile] == book.seen[tile]).all() for tile in shown)
    with pytest.raises(RecordError, match="of other tiles; delete it"):
        ledger.unpack(ledger.ledger({"t": labels(0)}), bits)
