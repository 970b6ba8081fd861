"""Which code made a result, what its record is called by that, and whether a record is of it.

Nothing here imports what needs torch, so records are read without it.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from fewlabels import datasets, records, studies
from fewlabels.factors import Run
from fewlabels.records import Record
from fewlabels.types import RecordError

RESULT_MODULES = (
    "augment",
    "boundaries",
    "calibration",
    "devices",
    "evaluate",
    "expand",
    "ledger",
    "loaders",
    "losses",
    "metrics",
    "models",
    "optimise",
    "prepare",
    "progress",
    "run",
    "sparsify",
    "train",
    "validate",
)
"""The modules and packages that can change a result; data are told apart by their own hash."""


def key(run: Run, root: Path | None = None) -> str:
    """Twelve hex digits that name a run's record: its declaration, its data and the code that
    can change its result.

    Args:
        root: of the data, see `datasets.load`.
    """
    data = datasets.load(run.data, root, run.fold, grid=run.grid).fingerprint
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
    """SHA-256 over the modules that can change a result, without comments and docstrings."""
    total = hashlib.sha256()
    for file in result_files():
        total.update(bare(file.read_text()).encode())
    return total.hexdigest()


def result_files() -> list[Path]:
    """The files of RESULT_MODULES; of a package, all of its modules."""
    here = Path(__file__).parent
    return [
        file
        for name in RESULT_MODULES
        for file in (sorted((here / name).rglob("*.py")) or [here / f"{name}.py"])
    ]


def bare(source: str) -> str:
    """A module's code without docstrings and comments, so that prose never invalidates a run."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0].value = ast.Constant("")
    return ast.unparse(tree)
