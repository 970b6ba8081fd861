"""Records: what a run was, what it did and what it scored, in one folder, whole or not there.

    runs/<key>/record.json          declaration, data, labels, weights, versions, device, scores
    runs/<key>/history.csv          one row a step
    runs/<key>/confusion.npz        tiles [n], confusion i64[n k k], boundaries i64[n k 7],
                                    calibration f64[n 15 3]: all scores follow from it;
                                    curve_step i64[m], curve_confusion, curve_val_sparse_confusion,
                                    curve_val_dense_confusion i64[m k k]: those of history.csv
    runs/<key>/model.safetensors    the last weights

Earlier records hold no boundaries, no calibration (those scores of theirs are NaN) and no curves.

Nothing here needs torch: tables and figures are made from records in seconds, anywhere.
"""

import csv
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from safetensors.numpy import save

from fewlabels import boundaries, calibration, metrics
from fewlabels.boundaries import BoundaryScores
from fewlabels.files import whole_folder
from fewlabels.metrics import Scores, Statistics
from fewlabels.studies import Run
from fewlabels.types import RecordError, Row

CURVE = "curve_"
FORMAT = 1
UNIT = ("cell", "fold", "pair")
Unit = tuple[str, int, int]
"""One run of a study: the values of UNIT."""


@dataclass(frozen=True)
class Record:
    """A finished run as it was read back.

    Attributes:
        facts: everything of record.json besides `run`.
        history: one row a step, columns as `train.fit` wrote them.
        tiles: ids of the test tiles, aligned with `statistics`.
        curves: `step` i64[m], and by their names the matrices of those steps, i64[m k k], if any.
    """

    key: str
    run: Run
    facts: Mapping[str, object]
    history: pd.DataFrame
    tiles: tuple[str, ...]
    statistics: Statistics
    curves: Mapping[str, Int[np.ndarray, "m ..."]] = field(default_factory=dict)

    @property
    def confusion(self) -> Int[np.ndarray, "tiles k k"]:
        """Of each test tile: rows truth, columns prediction."""
        return self.statistics.confusion

    @property
    def left_out(self) -> tuple[int, ...]:
        """The classes left out of loss and scores, by number."""
        return tuple(self.facts["data"]["classes"].index(name) for name in self.run.left_out)

    @property
    def notice(self) -> str:
        """One sentence on what the images are; stands wherever a number from them does."""
        return str(self.facts["data"]["notice"])

    @property
    def scores(self) -> Scores:
        """Scores of the last weights, pooled over the test tiles."""
        return metrics.scores(self.confusion, self.left_out)

    @property
    def boundary(self) -> BoundaryScores:
        """Boundary scores, pooled likewise; NaN in a record that holds none."""
        found = self.statistics.boundaries
        if found is None:
            found = np.zeros((self.confusion.shape[-1], len(boundaries.COUNTS)), np.int64)
        return boundaries.scores(found, self.left_out)

    @property
    def ece(self) -> float:
        """Expected calibration error, pooled likewise; NaN in a record that holds none."""
        found = self.statistics.calibration
        return float("nan") if found is None else calibration.error(found)


def write(
    root: Path,
    key: str,
    run: Run,
    facts: Mapping[str, object],
    history: Sequence[Row],
    tiles: Sequence[str],
    statistics: Statistics,
    model: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write one record; if another process was first, theirs stays.

    Raises:
        DiskFullError: nothing is kept.
    """
    with whole_folder(root / key) as folder:
        text = {"format": FORMAT, "key": key, "run": asdict(run), **facts}
        (folder / "record.json").write_text(json.dumps(text, indent=1) + "\n")
        _write_history(folder / "history.csv", history)
        arrays = {k: v for k, v in vars(statistics).items() if v is not None}
        arrays |= {CURVE + name: array for name, array in _curves(history).items()}
        np.savez_compressed(folder / "confusion.npz", tiles=np.array(tiles), **arrays)
        if model is not None:
            (folder / "model.safetensors").write_bytes(save(dict(model), {"key": key}))
    return root / key


def exists(root: Path, key: str) -> bool:
    """Whether the run has been recorded; folders appear only when they are complete."""
    return (root / key / "record.json").is_file()


def read(root: Path, key: str) -> Record:
    """One record.

    Raises:
        RecordError: it is not there, damaged, or of another format.
    """
    folder = root / key
    run, facts = _facts(folder)
    try:
        history = pd.read_csv(folder / "history.csv")
        with np.load(folder / "confusion.npz", allow_pickle=False) as arrays:
            counts = dict(arrays)
        tiles = tuple(map(str, counts.pop("tiles")))
        _check_shapes(folder, len(tiles), {name: array.shape for name, array in counts.items()})
        curves = {n.removeprefix(CURVE): counts.pop(n) for n in [*counts] if n.startswith(CURVE)}
        return Record(key, run, facts, history, tiles, Statistics(**counts), curves)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise RecordError(_damaged(folder, str(error))) from error


def declared(root: Path, key: str) -> Run:
    """The run that a record is of, without what it did and scored, which takes longer to read.

    Raises:
        RecordError: as `read`.
    """
    return _facts(root / key)[0]


def read_all(root: Path) -> list[Record]:
    """Every record under `root`, by key."""
    files = sorted(root.glob("[!.]*/record.json"))  # what a killed writer left starts with a dot
    return [read(root, file.parent.name) for file in files]


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

    `train_miou`: of the last weights on labels drawn of training tiles, as many as were tested,
    over the classes that the test scores. `gap`: that less `miou`, both fractions.
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


def _facts(folder: Path) -> tuple[Run, dict[str, object]]:
    """What record.json holds: the run (JSON has no tuples, a run nothing that can change), and
    the rest.
    """
    try:
        facts = json.loads((folder / "record.json").read_text())
        if facts.pop("format") != FORMAT or facts.pop("key") != folder.name:
            what = f"it is not a record of format {FORMAT} named {folder.name}"
            raise RecordError(_damaged(folder, what))
        stored = facts.pop("run")
        return Run(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}), facts
    except FileNotFoundError as error:
        raise RecordError(f"'{folder}' holds no record: there is no record.json") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(_damaged(folder, str(error))) from error


def _check_shapes(folder: Path, tiles: int, found: Mapping[str, tuple[int, ...]]) -> None:
    classes, steps = found["confusion"][-1:], found.get(CURVE + "step", ())[:1]
    fitting = {
        CURVE + "step": steps,
        "confusion": (tiles, *classes, *classes),
        "boundaries": (tiles, *classes, len(boundaries.COUNTS)),
        "calibration": (tiles, calibration.BINS, 3),
    }
    curve = (*steps, *classes, *classes)
    if any(shape != fitting.get(name, curve) for name, shape in found.items()):
        raise RecordError(_damaged(folder, f"{tiles} tiles but statistics {dict(found)}"))


def _curves(history: Sequence[Row]) -> dict[str, Int[np.ndarray, "m ..."]]:
    rows = [row for row in history if "confusion" in row]
    names = ["step", *(n for n, v in rows[0].items() if isinstance(v, list))] if rows else []
    return {name: np.array([row[name] for row in rows], np.int64) for name in names}


def _write_history(file: Path, history: Sequence[Row]) -> None:
    values = [{n: v for n, v in row.items() if not isinstance(v, list)} for row in history]
    columns = list(dict.fromkeys(name for row in values for name in row))
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(values)


def _damaged(folder: Path, what: str) -> str:
    return f"the record '{folder}' cannot be read: {what}; delete that folder and run again"
