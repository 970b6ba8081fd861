"""Tables of rows, one file a data set: what every row says, which are missing, and adding more.

Rows are added as soon as they are made, so what makes them can be stopped at any time and resumed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pandas as pd

from fewlabels import devices, environment
from fewlabels.data.dataset import Dataset
from fewlabels.devices import Compute
from fewlabels.files import claim, lock, whole_file
from fewlabels.types import FewLabelsError

log = logging.getLogger(__name__)

KEYS = ("data", "site", "fold", "replicate", "labels", "budget", "learner", "condition",
        "fingerprint")  # fmt: skip
"""Columns by which rows are found; a table has some of them."""

Rows = list[Mapping[str, object]]
Job = partial[Iterable[Mapping[str, object]]]
"""A function that makes rows, but for its `dataset` and `compute`."""
Each = Callable[[Dataset, Iterable[Job], str], Iterator[Rows]]
"""Does jobs on a data set and a device; gives the rows of each as soon as they are made."""


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


def here(dataset: Dataset, jobs: Iterable[Job], device: str) -> Iterator[Rows]:
    """Do one job after another in this process, on one thread."""
    for job in jobs:
        log.info("%s: %s", dataset.name, told(job))
        yield done(job, dataset, device)


@devices.one_thread()
def done(job: Job, dataset: Dataset, device: str) -> Rows:
    """Do one job in this process."""
    return list(job(dataset=dataset, compute=devices.compute(device)))


def told(job: Job) -> str:
    """Name a job by its plain arguments."""
    return ", ".join(f"{k} {v}" for k, v in job.keywords.items() if isinstance(v, str | int))


def filling(jobs: Callable[..., Iterable[Job]]) -> Callable[..., pd.DataFrame]:
    """Make a function that adds to a table what it lacks, from one that lists that.

    Of `jobs(table, dataset, *what, **how)` it makes `run(dataset, file, *what, device="auto",
    each=here, **how)`, which returns the table, and raises FewLabelsError where another process
    adds rows to it.
    """

    @wraps(jobs)
    def run(
        dataset: Dataset, file: Path, *what: object, device: str = "auto", each: Each = here,
        **how: object,
    ) -> pd.DataFrame:  # fmt: skip
        taken = lock(claim(file), wait=False)
        if taken is None:
            raise FewLabelsError(f"another process adds rows to '{file}'; wait for it, or give "
                                 "another folder by --runs")  # fmt: skip
        with taken:
            for made in each(dataset, jobs(read(file), dataset, *what, **how), device):
                add(file, made)
        return read(file)

    return run


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
