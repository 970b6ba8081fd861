import numpy as np
import pytest

from fewlabels import ledger, sparsify
from fewlabels.types import IGNORE, BudgetError


def labels(seed: int) -> np.ndarray:
    return sparsify.draw(np.zeros((20, 20), np.uint8), "random", 30, seed=seed, tile="t")


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
