"""Change records for a comparison: regroup them by test tiles, or read them at another step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fewlabels.results.records import Record, Unit
from fewlabels.scoring.metrics import Statistics
from fewlabels.types import RecordError


def regroup_by_test_tiles(named: Mapping[Unit, Record], like: str) -> dict[Unit, Record]:
    """Regroup the statistics so that a fold of every condition holds the test tiles of `like`.

    Units of conditions that split their tiles differently then have the same ground. A replicate is
    returned only with all tiles of all conditions. Facts and history stay those of the run whose
    fold has the same number.
    """
    names = dict.fromkeys(name for name, _, _ in named)
    tested = {
        (condition, replicate, tile): (record.statistics, i)
        for (condition, _, replicate), record in named.items()
        for i, tile in enumerate(record.tiles)
    }
    wanted = {unit[1:]: record.tiles for unit, record in named.items() if unit[0] == like}
    short = {
        replicate
        for (_, replicate), tiles in wanted.items()
        if any((name, replicate, tile) not in tested for name in names for tile in tiles)
    }
    return {
        (condition, fold, replicate): replace(
            named[condition, fold, replicate],
            tiles=tiles,
            statistics=_gathered([tested[condition, replicate, tile] for tile in tiles]),
        )
        for (fold, replicate), tiles in wanted.items()
        for condition in names
        if replicate not in short
    }


def _gathered(parts: Sequence[tuple[Statistics, int]]) -> Statistics:
    """Stack one tile of each, without the fields that one of them lacks."""
    found = {name: [vars(s)[name] for s, _ in parts] for name in vars(parts[0][0])}
    return Statistics(
        **{
            name: np.stack([array[i] for array, (_, i) in zip(arrays, parts, strict=True)])
            for name, arrays in found.items()
            if not any(array is None for array in arrays)
        }
    )


def at_best_step(
    named: Mapping[Unit, Record], asked: Mapping[str, tuple[str, str]]
) -> dict[Unit, Record]:
    """Read records as if runs had kept the weights of their best step and not of the last one.

    The best step is the first one with the highest value of a column of the history. Of its weights
    only the confusion of all test tiles together is known: no boundaries, no calibration, and not
    how well they fit the labels.

    Args:
        asked: name -> (condition that is read, column), see `design.Study.readings`.

    Raises:
        RecordError: a record without that column or without the matrices of its curve.
    """
    return {
        (name, fold, replicate): _at_best(record, column)
        for name, (read, column) in asked.items()
        for (condition, fold, replicate), record in named.items()
        if condition == read
    }


def _at_best(record: Record, column: str) -> Record:
    if column not in record.history or "confusion" not in record.curves:
        raise RecordError(
            f"record '{record.key}' does not say what its weights scored at the best {column}: it "
            "has no such column or no curve; delete its folder and run again"
        )
    row = record.history.loc[record.history[column].idxmax()]
    (at,) = np.flatnonzero(record.curves["step"] == row["step"])
    kept = {"rule": "best", "step": int(row["step"]), "by": column, column: float(row[column])}
    return replace(
        record,
        facts={k: v for k, v in record.facts.items() if k != "training"} | {"kept": kept},
        tiles=("all",),
        statistics=Statistics(record.curves["confusion"][at][None]),
    )
