"""Which code made a result, what its record is called by that, and whether a record is of it.

Nothing here imports what needs torch, so records are read without it.
"""

import hashlib
from functools import cache
from pathlib import Path

from fewlabels import studies
from fewlabels.data import registry
from fewlabels.experiments import source_hash
from fewlabels.results import records
from fewlabels.results.records import Record
from fewlabels.studies.run import Run
from fewlabels.types import RecordError

RESULT_MODULES = (
    "data",
    "devices",
    "experiments/prepare",
    "experiments/run",
    "labels",
    "scoring",
    "training",
)
"""The modules and packages that can change a result, those that make the pixels among them: folds,
colour tables, resampling to the grid and outlier rules.
"""
FETCHING = frozenset({"download.py"})
"""The module that only brings files here; the files have a hash of their own."""


def key(run: Run, root: Path | None = None) -> str:
    """Twelve hex digits that name a run's record: its declaration, its data and the code that
    can change its result.

    Args:
        root: of the data, see `data.load`.
    """
    data = registry.load(run.data, root, run.fold, grid=run.grid).fingerprint
    text = f"{studies.digest(run)} {data} {code_version()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def recorded(run: Run, runs: Path, name: str) -> Record:
    """The record called `name`.

    Raises:
        RecordError: it is not there, damaged, of another run than `run`, or made by another version
            of the code.
    """
    record = records.read(runs, name)
    if record.run != run:
        raise RecordError(f"the record '{runs / name}' is of another run; delete that folder")
    if record.facts["environment"]["code"] != code_version():
        raise RecordError(
            f"the record '{runs / name}' was made by another version of the code; delete that "
            "folder and run again"
        )
    return record


@cache
def code_version() -> str:
    """SHA-256 over the modules that can change a result, see `source_hash`."""
    return source_hash.sha256(result_files())


def result_files() -> list[Path]:
    """The files of RESULT_MODULES; of a package, all of its modules."""
    here = Path(__file__).parents[1]
    return [
        file
        for name in RESULT_MODULES
        for file in (sorted((here / name).rglob("*.py")) or [here / f"{name}.py"])
        if file.name not in FETCHING
    ]
