"""Tables of rows, one file a data set: what every row says, which are missing, and adding more.

Rows are added as soon as they are made, so what makes them can be stopped at any time and resumed.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fewlabels import environment
from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.files import whole_file

KEYS = ("data", "site", "fold", "replicate", "labels", "budget", "learner", "condition",
        "fingerprint")  # fmt: skip
"""Columns by which rows are found; a table has some of them."""


def facts(dataset: Dataset, compute: Compute, code: str) -> dict[str, str]:
    """What every row says of its data and its making."""
    return {"data": dataset.name, "fingerprint": dataset.fingerprint, "code": code,
            "device": compute.hardware, "finished": environment.now()}  # fmt: skip


def read(file: Path) -> pd.DataFrame:
    """Read a table; an empty one where there is no file."""
    return pd.read_parquet(file) if file.exists() else pd.DataFrame(columns=list(KEYS))


def of(table: pd.DataFrame, dataset: Dataset, **key: object) -> pd.DataFrame:
    """The rows with these values that are of the data set as it is now."""
    wanted = {"fingerprint": dataset.fingerprint, **key}
    return table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]


def add(file: Path, rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Add rows to a table, which is written whole or not at all; return the table."""
    if not (made := list(rows)):
        return read(file)
    parts = [read(file)] * file.exists() + [pd.DataFrame(made)]
    table = pd.concat(parts, ignore_index=True)
    with whole_file(file) as scratch:
        table.to_parquet(scratch, compression="zstd", index=False)
    return table


def differing(
    there: pd.DataFrame, again: Iterable[Mapping[str, object]], key: Sequence[str],
    counts: Sequence[str],
) -> pd.DataFrame:  # fmt: skip
    """Join rows with the same ones made again; those whose counts differ."""
    both = there.merge(pd.DataFrame(again), on=list(key), suffixes=("", "_again"))
    same = [
        all(np.array_equal(row[name], row[f"{name}_again"]) for name in counts)
        for row in both.to_dict("records")
    ]
    return both[~np.array(same, bool)]
