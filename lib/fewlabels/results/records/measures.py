"""Measure recorded runs: a table with one row a run, and what its columns need.

For a comparison, records can be regrouped by test tiles, or read at another step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fewlabels.results.records.record import Record
from fewlabels.scoring import metrics
from fewlabels.scoring.metrics import Statistics
from fewlabels.types import RecordError

UNIT = ("condition", "fold", "replicate")
Unit = tuple[str, int, int]
"""One run of a study: the values of UNIT."""


def table(named: Mapping[Unit, Record]) -> pd.DataFrame:
    """Tabulate the runs of a study, one row each, with their scores and costs.

    - `miou`, `accuracy`, `boundary_iou`, `boundary_f1` (means over classes), `ece` and, for each
      class, `iou_`, `f1_`, `precision_`, `recall_`: fractions, of the weights that were kept; NaN
      if the record lacks them. `truth_<class>`: its share of the scored test pixels.
    - `rarest_iou`: IoU of the scored class with the fewest labels.
    - `best_miou`: the highest of the watched curve; too high, since it is chosen on the test tiles.
    - `steps_to_95`: the first watched step from which mIoU stays at or above 95 % of the last.
    - `pixels`: drawn as labels; `pixels_a_tile`: mean over the training tiles; `seen`: trained on.
    - `seconds`: training time; `step_seconds`: median of one step, so that pauses do not count.
    - the columns of `validated` and `fitted`, for runs that have them.
    """
    rows = []
    for (condition, fold, replicate), record in named.items():
        score, outline = record.scores, record.boundary
        watched = record.history.dropna(subset="miou")
        labels, seconds = record.facts["labels"], record.history["seconds"]
        row = {
            "condition": condition,
            "fold": fold,
            "replicate": replicate,
            "key": record.key,
            "miou": score.miou,
            "accuracy": score.accuracy,
            "best_miou": watched["miou"].max(),
            "boundary_iou": outline.mean_iou,
            "boundary_f1": outline.mean_f1,
            "ece": record.ece,
            "steps_to_95": steps_to_share(watched, 0.95),
            "seconds": seconds.iloc[-1],
            "step_seconds": seconds.diff().median(),
            "pixels": labels["pixels"],
            "seen": labels["seen"],
            "pixels_a_tile": labels["pixels"] / record.facts["data"]["train_tiles"],
        }
        rarest_iou = {"rarest_iou": score.iou[rarest(record)]}
        rows.append(row | _by_class(record) | rarest_iou | validated(record) | fitted(record))
    return pd.DataFrame(rows)


def _by_class(record: Record) -> dict[str, float]:
    truth = record.confusion.sum(axis=(0, 2)).astype(float)
    truth[list(record.ignored)] = 0
    names, score = ("precision", "recall", "f1", "iou"), record.scores
    columns = {name: getattr(score, name) for name in names} | {"truth": truth / truth.sum()}
    classes = record.facts["data"]["classes"]
    return {
        f"{column}_{name}": float(value)
        for column, values in columns.items()
        for name, value in zip(classes, values, strict=True)
    }


def rarest(record: Record) -> int:
    """Find the class with the fewest labels, among those that the test tiles hold and score."""
    names, counts = record.facts["data"]["classes"], record.facts["labels"]["per_class"]
    scored = np.flatnonzero(np.isfinite(record.scores.iou)).tolist()
    return min(scored, key=lambda i: counts[names[i]])


def fitted(record: Record) -> dict[str, float]:
    """Measure how well a run fits its own labels; empty for early records, which do not say it.

    `train_miou`: mIoU of the kept weights on the labels of as many training tiles as were tested,
    over the classes that the test scores. `gap`: `train_miou` - `miou`. Both are fractions.
    """
    if "training" not in record.facts:
        return {}
    test = record.scores
    apart = tuple(np.flatnonzero(np.isnan(test.iou)).tolist())
    score = metrics.scores(np.array(record.facts["training"]["confusion"]), apart)
    return {"train_miou": score.miou, "gap": score.miou - test.miou}


def validated(record: Record) -> dict[str, float]:
    """Read the validation of a run; empty if it had none.

    `val_sparse_miou`, `val_dense_miou`: of the weights that were kept, fractions.
    `lowest_loss_elsewhere`: 1 if the lowest validation loss and the highest dense validation mIoU
    are at different steps, else 0.
    """
    if "val_loss" not in record.history:
        return {}
    rows = record.history.dropna(subset="val_loss").set_index("step")
    apart = rows["val_loss"].idxmin() != rows["val_dense_miou"].idxmax()
    kept = record.facts.get("kept", {"rule": "last"})
    at = rows.index[-1] if kept["rule"] == "last" else kept["step"]
    of_kept = rows.loc[at, ["val_sparse_miou", "val_dense_miou"]].astype(float)
    return {**of_kept, "lowest_loss_elsewhere": float(apart)}


def steps_to_share(watched: pd.DataFrame, share: float) -> int:
    """Find the first watched step from which mIoU stays at or above `share` of its last value."""
    below = watched.loc[watched["miou"] < share * watched["miou"].iloc[-1], "step"]
    reached = watched["step"] > (-1 if below.empty else below.max())
    return int(watched.loc[reached, "step"].iloc[0])


def regroup_by_test_tiles(named: Mapping[Unit, Record], like: str) -> dict[Unit, Record]:
    """Regroup the statistics so that a fold of every condition holds the test tiles of `like`.

    Units of conditions that split their tiles differently then have the same ground. A replicate is
    returned only with all tiles of all conditions. Facts and history stay those of the run whose
    fold has the same number.
    """
    conditions = dict.fromkeys(condition for condition, _, _ in named)
    tested = {
        (condition, replicate, tile): (record.statistics, i)
        for (condition, _, replicate), record in named.items()
        for i, tile in enumerate(record.tiles)
    }
    wanted = {unit[1:]: record.tiles for unit, record in named.items() if unit[0] == like}
    short = {
        replicate
        for (_, replicate), tiles in wanted.items()
        if any(
            (condition, replicate, tile) not in tested for condition in conditions for tile in tiles
        )
    }
    return {
        (condition, fold, replicate): replace(
            named[condition, fold, replicate],
            tiles=tiles,
            statistics=_gathered([tested[condition, replicate, tile] for tile in tiles]),
        )
        for (fold, replicate), tiles in wanted.items()
        for condition in conditions
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
