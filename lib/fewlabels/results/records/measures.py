"""What is measured of recorded runs: a table with one row a run, and what makes its columns."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fewlabels.results.records.store import Record
from fewlabels.scoring import metrics

UNIT = ("cell", "fold", "pair")
Unit = tuple[str, int, int]
"""One run of a study: the values of UNIT."""


def table(named: Mapping[Unit, Record]) -> pd.DataFrame:
    """One row a run of a study, (cell, fold, pair) -> its factors, scores and costs.

    Columns `miou`, `accuracy`, `boundary_iou`, `boundary_f1` (means over classes), `ece`,
    `iou_<class>`, `f1_<class>`, `precision_<class>` and `recall_<class>` are fractions, of the last
    weights; NaN where a record holds none. `truth_<class>` is the share of the scored test pixels.
    `pixels` were drawn as labels, `pixels_a_tile` in the mean of the training tiles; `seen` of them
    were touched in training.
    `best_miou` is the highest on the watched curve, which is chosen on the test tiles and therefore
    too high; `steps_to_95` is the first watched step from which on the score stays at or above 95 %
    of the last. `seconds` are of the training, `step_seconds` of one step (median, so that what
    else a machine does for a while is not in it). `rarest_iou` is the IoU of the scored class with
    the fewest labels. Of runs with a validation also what `validated` says, and what `fitted` does.
    """
    rows = []
    for (cell, fold, pair), record in named.items():
        score, outline, watched = record.scores, record.boundary, watched_curve(record)
        rows.append(
            {"cell": cell, "fold": fold, "pair": pair, "key": record.key}
            | {"miou": score.miou, "accuracy": score.accuracy, "best_miou": watched["miou"].max()}
            | {"boundary_iou": outline.mean_iou, "boundary_f1": outline.mean_f1, "ece": record.ece}
            | {"steps_to_95": steps_to_share(watched, 0.95)}
            | {"seconds": record.history["seconds"].iloc[-1]}
            | {"step_seconds": record.history["seconds"].diff().median()}
            | {name: record.facts["labels"][name] for name in ("pixels", "seen")}
            | {"pixels_a_tile": _pixels_a_tile(record)}
            | _by_class(record)
            | {"rarest_iou": score.iou[rarest(record)]}
            | validated(record)
            | fitted(record)
        )
    return pd.DataFrame(rows)


def _pixels_a_tile(record: Record) -> float:
    return record.facts["labels"]["pixels"] / record.facts["data"]["train_tiles"]


def _by_class(record: Record) -> dict[str, float]:
    """`precision_<class>`, `recall_<class>`, `f1_<class>`, `iou_<class>` and `truth_<class>` of a
    run.
    """
    truth = record.confusion.sum(axis=(0, 2)).astype(float)
    truth[list(record.left_out)] = 0
    names, score = ("precision", "recall", "f1", "iou"), record.scores
    columns = {name: getattr(score, name) for name in names} | {"truth": truth / truth.sum()}
    classes = record.facts["data"]["classes"]
    return {
        f"{column}_{name}": float(value)
        for column, values in columns.items()
        for name, value in zip(classes, values, strict=True)
    }


def rarest(record: Record) -> int:
    """The class with the fewest labels drawn, of those that the test holds and scores."""
    names, counts = record.facts["data"]["classes"], record.facts["labels"]["per_class"]
    scored = np.flatnonzero(np.isfinite(record.scores.iou)).tolist()
    return min(scored, key=lambda i: counts[names[i]])


def fitted(record: Record) -> dict[str, float]:
    """How well a run fits its own labels; nothing in an earlier record, which does not say it.

    `train_miou`: of the weights that were kept on labels drawn of training tiles, as many as were
    tested, over the classes that the test scores. `gap`: that less `miou`, both fractions.
    """
    if "training" not in record.facts:
        return {}
    test = record.scores
    apart = tuple(np.flatnonzero(np.isnan(test.iou)).tolist())
    score = metrics.scores(np.array(record.facts["training"]["confusion"]), apart)
    return {"train_miou": score.miou, "gap": score.miou - test.miou}


def validated(record: Record) -> dict[str, float]:
    """What a validation said of a run; nothing where there was none.

    `val_sparse_miou`, `val_dense_miou`: of the weights that were kept, fractions.
    `lowest_loss_elsewhere`: 1 where the lowest validation loss and the highest mIoU on dense masks
    of the same places are of different steps, else 0.
    """
    if "val_loss" not in record.history:
        return {}
    rows = record.history.dropna(subset="val_loss").set_index("step")
    apart = rows["val_loss"].idxmin() != rows["val_dense_miou"].idxmax()
    kept = record.facts.get("kept", {"rule": "last"})
    at = rows.index[-1] if kept["rule"] == "last" else kept["step"]
    of_kept = rows.loc[at, ["val_sparse_miou", "val_dense_miou"]].astype(float)
    return {**of_kept, "lowest_loss_elsewhere": float(apart)}


def watched_curve(record: Record) -> pd.DataFrame:
    """The rows of the history at which the test tiles were scored: `step`, `miou`, `accuracy`."""
    return record.history.dropna(subset="miou")[["step", "miou", "accuracy"]]


def steps_to_share(watched: pd.DataFrame, share: float) -> int:
    """First watched step from which on mIoU stays at or above `share` of its last value."""
    below = watched.loc[watched["miou"] < share * watched["miou"].iloc[-1], "step"]
    return int(
        watched["step"].iloc[0]
        if below.empty
        else watched.loc[watched["step"] > below.max(), "step"].iloc[0]
    )
