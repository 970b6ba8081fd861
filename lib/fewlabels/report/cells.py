"""What a notebook's cells say about themselves: tags, options, parameters, which one ran last."""

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
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def numbered(notebook: NotebookNode) -> list[tuple[int | None, NotebookNode]]:
    """Cells with their number from 1 as in the source; None for those that papermill put in."""
    pairs, number = [], 0
    for cell in notebook.cells:
        ours = not tags(cell) & _MADE_BY_PAPERMILL
        number += ours
        pairs.append((number if ours else None, cell))
    return pairs


def last_started(notebook: NotebookNode) -> tuple[int | None, NotebookNode] | None:
    """The last code cell that began to run, with its number in the source; None if none did."""
    begun = [
        (number, cell)
        for number, cell in numbered(notebook)
        if cell.cell_type == "code" and cell.metadata.get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else None


def first_line(cell: NotebookNode) -> str:
    """The first line of code of a cell, options and blank lines left out."""
    _, code = options(cell.source)
    return next((line.strip() for line in code.split("\n") if line.strip()), "")


def options(source: str) -> tuple[dict[str, str], str]:
    """The `#| option: value` lines at the top of a cell, and the code below them.

    A value may be quoted, and goes on in the next `#|` line where that one is indented.

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
    return {name: _unquoted(value) for name, value in found.items()}, "\n".join(lines).strip()


def _unquoted(value: str) -> str:
    quoted = re.fullmatch(r"""(["'])(.*)\1""", value)
    return quoted[2] if quoted else value


def parameters(notebook: NotebookNode) -> dict[str, str]:
    """Names and values, as code, of what the cells tagged `parameters` assign.

    In an executed copy the values that were given replace the declared ones.
    """
    values: dict[str, str] = {}
    for cell in notebook.cells:
        if tags(cell) & {"parameters", "injected-parameters"}:
            values |= _assigned(cell.source)
    return values


def _assigned(source: str) -> dict[str, str]:
    """Names and values, as code, of the assignments in a piece of plain Python."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise NotebookError(f"the cell tagged 'parameters' is no plain Python: {error}") from error
    values = {}
    for statement in statements:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            single = isinstance(statement, ast.AnnAssign)
            for target in [statement.target] if single else statement.targets:
                if isinstance(target, ast.Name):
                    values[target.id] = ast.unparse(statement.value)
    return values


def check_parameters(source: Path, notebook: NotebookNode, given: Iterable[str]) -> None:
    """Refuse what papermill would let pass: unknown names, and defaults that are not literals.

    A default such as `2 * steps` would be computed before the given `steps` takes effect.
    """
    declared = parameters(notebook)
    for name in given:
        if name not in declared:
            raise NotebookError(
                f"notebook '{source.name}' declares no parameter '{name}'; known: "
                f'{", ".join(declared) or "none"} (the cell tagged "parameters")'
            )
    for name, value in declared.items():
        try:
            ast.literal_eval(value)
        except ValueError as error:
            raise NotebookError(
                f"notebook '{source.name}': parameter '{name} = {value}' is not a plain literal, "
                "so it would not follow a given value"
            ) from error
