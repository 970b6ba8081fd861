"""Which code made a result: the part of a run's key that changes when a module does."""

import ast
import hashlib
from functools import cache
from pathlib import Path

from fewlabels import (
    augment,
    boundaries,
    calibration,
    evaluate,
    expand,
    ledger,
    loaders,
    losses,
    metrics,
    models,
    optimise,
    prepare,
    progress,
    sparsify,
    train,
    validate,
)

RESULT_MODULES = (
    augment,
    boundaries,
    calibration,
    evaluate,
    expand,
    ledger,
    loaders,
    losses,
    metrics,
    models,
    optimise,
    prepare,
    progress,
    sparsify,
    train,
    validate,
)


@cache
def code_version() -> str:
    """SHA-256 over the modules that can change a result, without comments and docstrings."""
    total = hashlib.sha256()
    for file in result_files():
        total.update(bare(file.read_text()).encode())
    return total.hexdigest()


def result_files() -> list[Path]:
    """The files of RESULT_MODULES; of a package, all of its modules."""
    files = [Path(module.__file__) for module in RESULT_MODULES]
    return [
        part
        for file in files
        for part in (sorted(file.parent.rglob("*.py")) if file.stem == "__init__" else [file])
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
