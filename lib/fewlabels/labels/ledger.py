"""Account for labels: how many distinct labelled pixels training has really seen.

Public code often draws new labels at every access; after e epochs the network has then seen up to
e times the reported budget. Here a draw is made once, every batch is entered, and a run that has
seen more than it declared fails.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from fewlabels.types import IGNORE, BudgetError, RecordError

Labels = Mapping[str, UInt8[np.ndarray, "h w"]]


@dataclass(frozen=True)
class Ledger:
    """Distinct labelled pixels seen, tile by tile.

    Attributes:
        declared: labelled pixels that each tile may show.
        derived: pixels whose label an expansion derived from those, which are not counted; holds
            only tiles that have any.
        seen: which pixels of each tile have been shown with a label.
    """

    declared: Mapping[str, int]
    derived: Mapping[str, Bool[np.ndarray, "h w"]]
    seen: Mapping[str, Bool[np.ndarray, "h w"]]

    def enter(self, tile: str, top: int, left: int, labels: UInt8[np.ndarray, "h w"]) -> None:
        """Note the labels of one window of a tile, given its upper left corner.

        Raises:
            BudgetError: the tile has now shown more distinct labelled pixels than declared.
        """
        h, w = labels.shape
        self.seen[tile][top : top + h, left : left + w] |= labels != IGNORE
        if (touched := self._touched(tile)) > self.declared[tile]:
            raise BudgetError(
                f"tile '{tile}': training has seen {touched} distinct labelled pixels, "
                f"{self.declared[tile]} were declared; were labels drawn again?"
            )

    @property
    def touched(self) -> int:
        """Distinct labelled pixels seen so far, over all tiles, without derived ones."""
        return sum(map(self._touched, self.seen))

    def _touched(self, tile: str) -> int:
        seen = self.seen[tile]
        return int((seen & ~self.derived[tile] if tile in self.derived else seen).sum())


def ledger(
    drawn: Labels, trained: Labels | None = None, zeros: Callable[..., np.ndarray] = np.zeros
) -> Ledger:
    """Make an empty ledger that declares exactly the pixels drawn in these tiles.

    Args:
        trained: the labels that training gets where an expansion has added to those drawn.
        zeros: makes the arrays, as zeros(shape, bool).
    """
    derived = {}
    for tile, labels in (trained or {}).items():
        added = (labels != IGNORE) & (drawn[tile] == IGNORE)
        if added.any():
            derived[tile] = zeros(added.shape, bool)
            derived[tile][:] = added
    return Ledger(
        declared={tile: int((labels != IGNORE).sum()) for tile, labels in drawn.items()},
        derived=derived,
        seen={tile: zeros(labels.shape, bool) for tile, labels in drawn.items()},
    )


def packed(ledger: Ledger) -> dict[str, UInt8[np.ndarray, " bytes"]]:
    """Compress what each tile has shown, a bit a pixel, row after row."""
    squeezed = {t: zlib.compress(np.packbits(seen), level=1) for t, seen in ledger.seen.items()}
    return {tile: np.frombuffer(bits, np.uint8).copy() for tile, bits in squeezed.items()}


def unpack(ledger: Ledger, packed: Mapping[str, UInt8[np.ndarray, " bytes"]]) -> None:
    """Set what each tile has shown to what `packed` returned.

    Raises:
        RecordError: it is of other tiles.
    """
    bits = {tile: np.frombuffer(zlib.decompress(found), np.uint8) for tile, found in packed.items()}
    sizes = {tile: -(-seen.size // 8) for tile, seen in ledger.seen.items()}
    if sizes != {tile: found.size for tile, found in bits.items()}:
        raise RecordError("the stored ledger is of other tiles; delete it and run again")
    for tile, seen in ledger.seen.items():
        seen[:] = np.unpackbits(bits[tile], count=seen.size).reshape(seen.shape)
