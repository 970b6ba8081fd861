"""Store the outputs of cells that need images, so that the published report can be rebuilt without.

Such a cell says `#| needs: images`; so does every cell that uses what one of them has made. Its
outputs are found again by its code, options aside.
"""

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

SKIPPED = "skip-execution"  # nbclient's tag


def keep(executed: Path, folder: Path) -> None:
    """Write these outputs of an executed copy to `folder`/NN.json, unless they are there."""
    cells = {
        _digest(cell): [_bare(output) for output in cell.outputs]
        for cell in _needing(nbformat.read(executed, as_version=4))
    }
    # pandas draws a new number for every table
    cells = json.loads(re.sub(r"\bT_[0-9a-f]{5}", "T_", json.dumps(cells)))
    file = folder / f"{executed.stem}.json"
    if cells == (json.loads(file.read_text())["cells"] if file.exists() else {}):
        return
    with whole_file(file) as scratch:
        facts = {"commit": environment.facts()["commit"], "cells": cells}
        scratch.write_text(json.dumps(facts, indent=1) + "\n")


def skip(notebook: NotebookNode, source: Path, folder: Path) -> None:
    """Tag the cells that need images so that they are not executed.

    Raises:
        NotebookError: no output of such a cell is stored.
    """
    stored = _stored(folder, source.stem)
    for cell in _needing(notebook):
        if _digest(cell) not in stored:
            raise NotebookError(
                f"notebook '{source.name}', cell '{first_line(cell)}' needs images, which are not "
                f"here, and '{folder}' holds no output of its present code; build the report once "
                "where the images are"
            )
        cell.metadata["tags"] = sorted(tags(cell) | {SKIPPED})


def put_back(executed: Path, folder: Path, stem: str) -> None:
    """Give the skipped cells of an executed copy their stored outputs."""
    notebook, stored = nbformat.read(executed, as_version=4), _stored(folder, stem)
    for cell in _needing(notebook):
        cell.outputs = [nbformat.from_dict(output) for output in stored[_digest(cell)]]
    nbformat.write(notebook, executed)


def _needing(notebook: NotebookNode) -> list[NotebookNode]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in code if options(cell.source)[0].get("needs") == "images"]


def _stored(folder: Path, stem: str) -> dict[str, list]:
    file = folder / f"{stem}.json"
    return json.loads(file.read_text())["cells"] if file.exists() else {}


def _digest(cell: NotebookNode) -> str:
    return hashlib.sha256(options(cell.source)[1].encode()).hexdigest()


def _bare(output: NotebookNode) -> NotebookNode:
    """Return an output without its execution count, which differs from run to run."""
    return output | {"execution_count": None} if "execution_count" in output else output
