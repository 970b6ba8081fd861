"""Records as a comparison needs them: put onto the same test tiles, or read at another step of the
same training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from fewlabels.results.records import Record, Unit
from fewlabels.scoring.metrics import Statistics
from fewlabels.types import RecordError


def retested(named: Mapping[Unit, Record], like: str) -> dict[Unit, Record]:
    """The records with their statistics sorted anew, so that a fold of every cell is of the tiles
    that the fold of the cell `like` tested; then units of cells that split their tiles otherwise
    are of the same ground.

    A pair is in only with all tiles of all cells. Facts and history stay those of the run that has
    the fold's number.
    """
    cells = dict.fromkeys(cell for cell, _, _ in named)
    tested = {
        (cell, pair, tile): (record.statistics, i)
        for (cell, _, pair), record in named.items()
        for i, tile in enumerate(record.tiles)
    }
    wanted = {unit[1:]: record.tiles for unit, record in named.items() if unit[0] == like}
    short = {
        pair
        for (_, pair), tiles in wanted.items()
        if any((cell, pair, tile) not in tested for cell in cells for tile in tiles)
    }
    return {
        (cell, fold, pair): replace(
            named[cell, fold, pair],
            tiles=tiles,
            statistics=_gathered([tested[cell, pair, tile] for tile in tiles]),
        )
        for (fold, pair), tiles in wanted.items()
        for cell in cells
        if pair not in short
    }


def _gathered(parts: Sequence[tuple[Statistics, int]]) -> Statistics:
    """One tile of each; what one of them lacks is left out."""
    found = {name: [vars(s)[name] for s, _ in parts] for name in vars(parts[0][0])}
    return Statistics(
        **{
            name: np.stack([array[i] for array, (_, i) in zip(arrays, parts, strict=True)])
            for name, arrays in found.items()
            if not any(array is None for array in arrays)
        }
    )


def readings(
    named: Mapping[Unit, Record], asked: Mapping[str, tuple[str, str]]
) -> dict[Unit, Record]:
    """What runs would have recorded, had they kept the weights of the step with the highest of a
    column of their history (of several the first) and not the last ones: training is the same.

    Of those weights there is the confusion of all test tiles together, and neither boundaries nor
    calibration nor how well they fit the labels.

    Args:
        asked: name -> the cell that is read, and the column, see `design.Study`.

    Raises:
        RecordError: a record without that column or without the matrices of its curve.
    """
    return {
        (name, fold, pair): _at_best(record, column)
        for name, (read, column) in asked.items()
        for (cell, fold, pair), record in named.items()
        if cell == read
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
