"""Outputs of cells that show images, kept beside the records: on a machine that has the records
alone, the published report shows these and executes the other cells.

A cell that loads images says `#| needs: images`; those that use what it makes need them too.
"""

import ast
import hashlib
import json
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from fewlabels import environment
from fewlabels.files import whole_file
from fewlabels.report.cells import first_line, options, tags
from fewlabels.types import NotebookError

SKIPPED = "skip-execution"  # nbclient's tag for cells that are not to be executed


def needing(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that need images, in order: those that say so, and those that read a name which
    one of them has set last.
    """
    found, theirs = [], set()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        read, written = _names(cell.source)
        if options(cell.source)[0].get("needs") == "images" or read & theirs:
            found.append(cell)
            theirs |= written
        else:
            theirs -= written
    return found


def keep(executed: Path, folder: Path) -> None:
    """Write the outputs of an executed copy's cells that need images to `folder`/NN.json; what was
    kept before stays where it is the same.
    """
    cells = [
        {"source": _digest(cell), "outputs": [_bare(output) for output in cell.outputs]}
        for cell in needing(nbformat.read(executed, as_version=4))
    ]
    file = folder / f"{executed.stem}.json"
    before = json.loads(file.read_text())["cells"] if file.exists() else []
    if _without_ids(cells) == _without_ids(before):
        return
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"kept": environment.now(), "commit": environment.facts()["commit"], "cells": cells}
    with whole_file(file) as scratch:
        scratch.write_text(json.dumps(facts, indent=1) + "\n")


def skip(notebook: NotebookNode, source: Path, folder: Path) -> None:
    """Mark the cells that need images as not to be executed, with what was kept of each: `child`
    makes that their output.

    Raises:
        NotebookError: nothing was kept of such a cell as it is now.
    """
    cells, file = needing(notebook), folder / f"{source.stem}.json"
    there = json.loads(file.read_text())["cells"] if cells and file.exists() else []
    kept = {cell["source"]: cell["outputs"] for cell in there}
    for cell in cells:
        if _digest(cell) not in kept:
            raise NotebookError(
                f"notebook '{source.name}', cell '{first_line(cell)}' needs images, which are not "
                f"here, and '{file}' keeps nothing of it as it is now; build the report once where "
                "the images are"
            )
        cell.metadata["tags"] = sorted(tags(cell) | {SKIPPED})
        cell.metadata["kept"] = kept[_digest(cell)]


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell reads before it sets them, and those that it sets."""
    read, written = set(), set()
    for statement in ast.parse(source).body:
        its_read, its_written, inner = set(), set(), set()
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                (its_read if isinstance(node.ctx, ast.Load) else its_written).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                its_written.add(node.name)
            elif isinstance(node, ast.arg):
                inner.add(node.arg)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = (alias.asname or alias.name for alias in node.names)
                its_written |= {name.partition(".")[0] for name in names}
            if isinstance(node, ast.comprehension | ast.For):  # what runs through a loop
                inner |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        read |= its_read - written - inner
        written |= its_written - inner
    return read, written


def _digest(cell: NotebookNode) -> str:
    return hashlib.sha256(cell.source.encode()).hexdigest()


def _without_ids(cells: list[dict[str, object]]) -> str:
    """What is kept, but for the number that pandas draws for every table."""
    return re.sub(r"\bT_[0-9a-f]{5}", "T_", json.dumps(cells))


def _bare(output: NotebookNode) -> NotebookNode:
    """An output without the number of its execution, which says nothing of it."""
    return output | {"execution_count": None} if "execution_count" in output else output
