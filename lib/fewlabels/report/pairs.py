"""Notebook pairs: NN.py is the source, NN.ipynb its copy without outputs, for Colab.

`python -m fewlabels.report.pairs sync` writes what is missing or older in a pair, `check` compares
sources (not file times, which a clone does not keep).
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from jupytext.cli import jupytext as jupytext_command

from fewlabels import paths
from fewlabels.types import NotebookError


def sync(folder: Path) -> None:
    """Bring every pair in step, the newer file first, and drop all outputs."""
    sources = sorted(folder.glob("*.py"))
    jupytext_command(["--quiet", "--sync", *map(str, sources)])
    for source in sources:
        pair = source.with_suffix(".ipynb")
        notebook = nbformat.read(pair, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, pair)
        source.touch()


def check(folder: Path) -> None:
    """Raises NotebookError: a pair is incomplete, differs in a cell, or holds outputs."""
    for source in sorted(folder.glob("*.py")):
        pair = source.with_suffix(".ipynb")
        if not pair.exists():
            raise NotebookError(f"'{pair.name}' is missing; run `make sync`")
        text, twin = jupytext.read(source), nbformat.read(pair, as_version=4)
        if _content(text) != _content(twin):
            raise NotebookError(f"'{source.name}' and '{pair.name}' differ; run `make sync`")
        if any(c.get("outputs") or c.get("execution_count") for c in twin.cells):
            raise NotebookError(f"'{pair.name}' holds outputs; run `make sync`")


def _content(notebook: nbformat.NotebookNode) -> list[tuple]:
    return [(c.cell_type, c.source, c.metadata.get("tags")) for c in notebook.cells]


if __name__ == "__main__":
    {"sync": sync, "check": check}[sys.argv[1]](paths.project_root() / "notebooks")
