"""The ledger of labels: how many distinct labelled pixels training has really seen.

Public code often draws new labels at every access; after e epochs the network has then seen up to
e times the budget that is reported. Here every batch is entered, and a run that has touched more
than it declared fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from fewlabels.types import IGNORE, BudgetError


@dataclass(frozen=True)
class Ledger:
    """Distinct labelled pixels seen, tile by tile.

    Attributes:
        declared: labelled pixels that each tile may show.
        seen: which pixels of each tile have been shown with a label.
    """

    declared: Mapping[str, int]
    seen: Mapping[str, Bool[np.ndarray, "h w"]]

    def enter(self, tile: str, top: int, left: int, labels: UInt8[np.ndarray, "h w"]) -> None:
        """Note the labels of one window of a tile, with its upper left corner.

        Raises:
            BudgetError: the tile has now shown more distinct labelled pixels than declared.
        """
        h, w = labels.shape
        self.seen[tile][top : top + h, left : left + w] |= labels != IGNORE
        touched = int(self.seen[tile].sum())
        if touched > self.declared[tile]:
            raise BudgetError(
                f"tile '{tile}': training has seen {touched} distinct labelled pixels, "
                f"{self.declared[tile]} were declared; were labels drawn again?"
            )

    @property
    def touched(self) -> int:
        """Distinct labelled pixels seen so far, over all tiles."""
        return sum(int(seen.sum()) for seen in self.seen.values())


def ledger(labels: Mapping[str, UInt8[np.ndarray, "h w"]]) -> Ledger:
    """An empty ledger that declares exactly the pixels labelled in these tiles."""
    return Ledger(
        declared={tile: int((drawn != IGNORE).sum()) for tile, drawn in labels.items()},
        seen={tile: np.zeros(drawn.shape, bool) for tile, drawn in labels.items()},
    )
