"""What a notebook's cells say about themselves, and what is kept of them.

Outputs of cells that need images are stored, so that the published report can be rebuilt without.
Such a cell says `#| needs: images`; so does every cell that uses what one of them has made. Its
outputs are found again by its code, options aside.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from fewlabels import environment
from fewlabels.files import whole_file
from fewlabels.types import NotebookError

OPTIONS = {
    "label": None,
    "fig-cap": None,
    "tbl-cap": None,
    "echo": ("true", "false"),
    "output": ("true", "false"),
    "data": ("reported",),
    "needs": ("images",),
}
"""What may stand in `#| option: value` lines at the top of a code cell; None: any text."""
SKIPPED = "skip-execution"  # nbclient's tag
_MADE_BY_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}


def tags(cell: NotebookNode) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def numbered(notebook: NotebookNode) -> list[tuple[int | None, NotebookNode]]:
    """Number the cells from 1 as in the source; None for cells that papermill added."""
    pairs, number = [], 0
    for cell in notebook.cells:
        ours = not tags(cell) & _MADE_BY_PAPERMILL
        number += ours
        pairs.append((number if ours else None, cell))
    return pairs


def first_line(cell: NotebookNode) -> str:
    """Return the first line of code below a cell's options."""
    return options(cell.source)[1].split("\n")[0].strip()


def options(source: str) -> tuple[dict[str, str], str]:
    """Split a cell's source into its `#| option: value` lines and the code below them.

    They are YAML: a value that holds a colon is quoted.

    Raises:
        NotebookError: an option, or a value of one, that is not in OPTIONS.
    """
    lines = source.split("\n")
    code = next((i for i, line in enumerate(lines) if not line.startswith("#|")), len(lines))
    try:
        found = yaml.load("\n".join(line[2:] for line in lines[:code]), yaml.BaseLoader) or {}
        for name, value in found.items():
            allowed = OPTIONS[name]
            if allowed and value not in allowed:
                said = f"cell option '{name}: {value}'; {name} is {' or '.join(allowed)}"
                raise NotebookError(said)
    except (yaml.YAMLError, KeyError, AttributeError) as error:
        said = " ".join(f"{error}".split())
        raise NotebookError(f"cell option {said}; known: {', '.join(OPTIONS)}") from error
    return found, "\n".join(lines[code:]).strip()


def parameters(notebook: NotebookNode) -> dict[str, object]:
    """Return names and values of the parameters; in an executed copy, the values in force.

    Raises:
        NotebookError: a default that is not a plain literal. One such as `2 * steps` would be
            computed before the given `steps` takes effect.
    """
    values: dict[str, object] = {}
    for cell in notebook.cells:
        if not tags(cell) & {"parameters", "injected-parameters"}:
            continue
        for statement in ast.parse(cell.source).body:
            text = ast.unparse(statement)
            name, _, value = text.partition(" = ")
            try:
                values[name] = ast.literal_eval(value)
            except (ValueError, SyntaxError) as error:
                raise NotebookError(f"parameter '{text}' is not a plain literal") from error
    return values


def check_parameters(source: Path, notebook: NotebookNode, given: Iterable[str]) -> None:
    """Refuse what papermill would let pass: unknown names, and defaults that are not literals.

    Raises:
        NotebookError: it names the notebook and the parameter.
    """
    try:
        declared = parameters(notebook)
    except NotebookError as error:
        raise NotebookError(f"notebook '{source.name}': {error}") from error
    for name in given:
        if name not in declared:
            raise NotebookError(
                f"notebook '{source.name}' declares no parameter '{name}'; known: "
                f'{", ".join(declared) or "none"} (the cell tagged "parameters")'
            )


def plain_text(text: object) -> str:
    """Return Markdown that shows exactly this text: names of classes, files and columns are made
    safe for a page here and nowhere else.
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(f"{text}".split()))


def keep(executed: Path, folder: Path) -> None:
    """Write these outputs of an executed copy to `folder`/NN.json, unless they are there.

    What cells write to stderr is left out: no report shows it, and it names paths of a machine.
    """
    cells = {
        _digest(cell): [_bare(out) for out in cell.outputs if out.get("name") != "stderr"]
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
