"""What a notebook's cells say about themselves: tags, options, parameters."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

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

    A value may be quoted, and continues in the next `#|` line where that one is indented.

    Raises:
        NotebookError: an option, or a value of one, that is not in OPTIONS.
    """
    found: dict[str, str] = {}
    lines = source.split("\n")
    while lines and lines[0].startswith("#|"):
        line = lines.pop(0)[2:]
        if found and line.startswith("  "):
            found[name] += " " + line.strip()
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if name not in OPTIONS or not colon:
            raise NotebookError(f"cell option '{line.strip()}'; known: {', '.join(OPTIONS)}")
        allowed = OPTIONS[name]
        if allowed and value not in allowed:
            raise NotebookError(f"cell option '{line.strip()}'; {name} is {' or '.join(allowed)}")
        found[name] = value
    unquoted = {k: re.sub(r"""^(["'])(.*)\1$""", r"\2", v) for k, v in found.items()}
    return unquoted, "\n".join(lines).strip()


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
