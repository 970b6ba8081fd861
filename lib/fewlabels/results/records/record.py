"""Describe a finished run, and turn it into a row of a table and back.

    key, run, facts            text; `run` and `facts` are JSON
    tiles                      ids of the test tiles
    confusion, boundaries      counts of each test tile, int64, see `metrics.Statistics`
    calibration                the same, float64
    history_<column>           one value a training step: `step` int64, the others float64
    curve_step, curve_<name>   the steps at which tiles were scored, and their matrices, int64
    digest                     of all the above, so that damage is noticed

Arrays are flat, with tiles or steps as the last axis: the same count of different tiles compresses
better than different counts of one tile. Early records have no boundaries, calibration and curves.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Int

from fewlabels.scoring import boundaries, calibration, metrics
from fewlabels.scoring.boundaries import BoundaryScores
from fewlabels.scoring.metrics import Scores, Statistics
from fewlabels.studies import Run

ALIASES: Mapping[str, str] = MappingProxyType({
    "left_out": "ignored", "train_places": "train_sites",
    "test_places": "test_sites", "validation_places": "validation_sites",
})  # fmt: skip
"""Old -> new name of a factor of `Run` or of a fact; records keep the names of their day."""
CURVE, HISTORY = "curve_", "history_"


@dataclass(frozen=True)
class Record:
    """A finished run, as read back.

    Attributes:
        facts: data, labels, weights, scores, costs, environment and so on, as JSON holds them.
        history: one row a step, columns as `loop.fit` wrote them.
        tiles: ids of the test tiles, aligned with `statistics`.
        curves: `step` i64[m], and by name the confusion matrices at those steps, i64[m k k].
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
        """The confusion matrix of each test tile: rows truth, columns prediction."""
        return self.statistics.confusion

    @property
    def ignored(self) -> tuple[int, ...]:
        """The numbers of the classes that loss and scores ignore."""
        return tuple(self.facts["data"]["classes"].index(name) for name in self.run.ignored)

    @property
    def notice(self) -> str:
        """One sentence on what the images are, to show wherever a number from them stands."""
        return str(self.facts["data"]["notice"])

    @property
    def scores(self) -> Scores:
        """Scores of the weights that were kept, pooled over the test tiles."""
        return metrics.scores(self.confusion, self.ignored)

    @property
    def boundary(self) -> BoundaryScores:
        """Boundary scores, pooled over the test tiles; NaN where the record has no boundaries."""
        found = self.statistics.boundaries
        if found is None:
            found = np.zeros((self.confusion.shape[-1], len(boundaries.COUNTS)), np.int64)
        return boundaries.scores(found, self.ignored)

    @property
    def ece(self) -> float:
        """Expected calibration error, pooled over the test tiles; NaN without calibration."""
        found = self.statistics.calibration
        return float("nan") if found is None else calibration.error(found)


def to_row(record: Record) -> dict[str, object]:
    """Turn a record into the values of a row."""
    texts = {"run": json.dumps(asdict(record.run)), "facts": json.dumps(dict(record.facts))}
    arrays = {name: a for name, a in vars(record.statistics).items() if a is not None}
    arrays |= {CURVE + name: array for name, array in record.curves.items()}
    row = {"key": record.key, **texts, "tiles": list(record.tiles)}
    row |= {name: np.moveaxis(array, 0, -1).ravel() for name, array in arrays.items()}
    row |= {f"{HISTORY}{name}": values.to_numpy() for name, values in record.history.items()}
    return row | {"digest": _digest(row)}


def from_row(row: Mapping[str, object]) -> Record:
    """Turn the values of a row back into the record.

    Raises:
        KeyError, TypeError, ValueError: values are missing, altered or do not fit together.
    """
    row = {name: value for name, value in row.items() if value is not None}
    tiles = row["tiles"] = [*row["tiles"]]
    if row.pop("digest") != _digest(row):
        raise ValueError("it does not hold what was written")
    key, run, facts, _ = (row.pop(name) for name in ("key", "run", "facts", "tiles"))
    history = {name: row.pop(name) for name in [*row] if name.startswith(HISTORY)}
    frame = pd.DataFrame({n.removeprefix(HISTORY): values for n, values in history.items()})
    facts = parsed(facts)
    _check_history(frame["step"].to_list(), facts)
    arrays = _shaped(row, len(tiles))
    curves = {n.removeprefix(CURVE): arrays.pop(n) for n in row if n.startswith(CURVE)}
    return Record(key, to_run(run), facts, frame, tuple(tiles), Statistics(**arrays), curves)


def to_run(text: str) -> Run:
    """Read a declaration; JSON has no tuples, and a run has no lists."""
    return Run(**{k: tuple(v) if isinstance(v, list) else v for k, v in parsed(text).items()})


def parsed(text: str) -> dict[str, object]:
    """Read the JSON of a record, by the names of today."""
    return json.loads(text, object_hook=lambda o: {ALIASES.get(k, k): v for k, v in o.items()})


def _digest(row: Mapping[str, object]) -> str:
    total = hashlib.sha256()
    for name in sorted(row):
        total.update(name.encode() + np.asarray(row[name]).tobytes())
    return total.hexdigest()[:16]


def _shaped(flat: Mapping[str, np.ndarray], tiles: int) -> dict[str, np.ndarray]:
    """Give each array its shape, which follows from the numbers of tiles and of scored steps."""
    classes, steps = math.isqrt(flat["confusion"].size // tiles), len(flat.get(f"{CURVE}step", ()))
    shapes = {
        f"{CURVE}step": (steps,),
        "confusion": (classes, classes, tiles),
        "boundaries": (classes, len(boundaries.COUNTS), tiles),
        "calibration": (calibration.BINS, 3, tiles),
    }
    curve = (classes, classes, steps)
    found = {name: array.reshape(shapes.get(name, curve)) for name, array in flat.items()}
    return {name: np.moveaxis(array, -1, 0).copy() for name, array in found.items()}


def _check_history(steps: Sequence[int], facts: Mapping[str, object]) -> None:
    kept = facts.get("kept", {"rule": "last", "step": len(steps)})
    whole = len(steps) == kept["step"] if kept["rule"] == "last" else len(steps) >= kept["step"]
    if steps != list(range(1, len(steps) + 1)) or not whole:
        raise ValueError(f"the history has {len(steps)} steps, step {kept['step']} was kept")
