"""Where a run lies and how it gets there: in one folder, whole or not there.

    runs/<key>/record.json          declaration, data, labels, weights, versions, device, scores
    runs/<key>/history.csv          one row a step
    runs/<key>/confusion.npz        tiles [n], confusion i64[n k k], boundaries i64[n k 7],
                                    calibration f64[n 15 3]: all scores follow from it;
                                    curve_step i64[m], curve_confusion, curve_val_sparse_confusion,
                                    curve_val_dense_confusion i64[m k k]: those of history.csv
    runs/<key>/model.safetensors    the weights that were kept

Earlier records hold no boundaries, no calibration (those scores of theirs are NaN) and no curves.
"""

import csv
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from safetensors.numpy import save

from fewlabels.files import whole_folder
from fewlabels.scoring import boundaries, calibration, metrics
from fewlabels.scoring.boundaries import BoundaryScores
from fewlabels.scoring.metrics import Scores, Statistics
from fewlabels.studies import Run
from fewlabels.types import RecordError, Row

CURVE = "curve_"
FORMAT = 1
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
"""What the reading of a damaged zip file raises, besides OSError and ValueError."""


@dataclass(frozen=True)
class Record:
    """A finished run as it was read back.

    Attributes:
        facts: everything of record.json besides `run`.
        history: one row a step, columns as `loop.fit` wrote them.
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
        """Scores of the weights that were kept, pooled over the test tiles."""
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
    """Whether the run has been recorded; folders appear only when they are complete.

    Raises:
        RecordError: there is such a folder, but no record in it, so none could be put there.
    """
    if (root / key / "record.json").is_file():
        return True
    if (root / key).exists():
        raise RecordError(f"'{root / key}' is there, but holds no record.json; delete it")
    return False


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
        _check_history(folder, history, facts)
        curves = {n.removeprefix(CURVE): counts.pop(n) for n in [*counts] if n.startswith(CURVE)}
        return Record(key, run, facts, history, tiles, Statistics(**counts), curves)
    except (OSError, ValueError, KeyError, TypeError, *UNREADABLE) as error:
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


def _check_history(folder: Path, history: pd.DataFrame, facts: Mapping[str, object]) -> None:
    """A file that was cut off reads as well as a whole one."""
    kept = facts.get("kept", {"rule": "last", "step": len(history)})
    steps, last = history["step"].to_list(), kept["step"]
    whole = len(steps) == last if kept["rule"] == "last" else len(steps) >= last
    if steps != list(range(1, len(steps) + 1)) or not whole:
        raise RecordError(_damaged(folder, f"history.csv has {len(steps)} rows, step {last} kept"))


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
