"""The words that every module shares: what a tile is, what "no label" is, what can go wrong.

A *mask* is dense truth, *labels* are the few pixels that training may see. Both hold a class in
[0, k) or IGNORE.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

IGNORE = 255
"""Mask and label value that means: no class is known here."""

Row = Mapping[str, float | int | list[list[int]]]
"""What a training notes of one step: numbers, and the confusion matrices that they follow from."""


@dataclass(frozen=True)
class Tile:
    """One image with its dense mask. `site` is the ground it shows: the unit of a split."""

    id: str
    site: str
    image: UInt8[np.ndarray, "h w c"]
    mask: UInt8[np.ndarray, "h w"]


class FewLabelsError(Exception):
    """Base of every error that this library raises on purpose."""


class DataError(FewLabelsError):
    """A file of a data set is missing, unreadable or not what its loader expects."""


class NoLabelsError(FewLabelsError):
    """A tile or a batch carries no class where at least one pixel is needed."""


class BudgetError(FewLabelsError, ValueError):
    """A label budget that cannot be drawn, or that a run has exceeded."""


class FactorError(FewLabelsError, ValueError):
    """A factor of a run outside the values that it can have."""


class WeightsError(FewLabelsError):
    """Pretrained weights that are not there or do not fit."""


class RecordError(FewLabelsError):
    """A run's record that is missing, half-written or from something else."""


class DiskFullError(FewLabelsError):
    """No space is left for something that would have been written."""


class PlaceError(FewLabelsError):
    """A folder or file that cannot be made where it was asked for."""


class NotebookError(FewLabelsError):
    """A notebook that raised, died or was given a parameter it does not declare."""


class LintError(FewLabelsError):
    """A number of a table that does not add up, and that nobody has explained."""


class UnknownName(FewLabelsError, ValueError):
    """A name that no table holds."""


def unknown(kind: str, found: object, known: Iterable[str]) -> UnknownName:
    """The error for a name that is not in a table: says what was found and lists what is known."""
    return UnknownName(f"unknown {kind} '{found}'; known: {', '.join(sorted(known))}")
