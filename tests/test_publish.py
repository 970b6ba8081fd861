import base64
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from fewlabels.report import publish
from fewlabels.types import NotebookError


def test_only_what_stands_between_the_markers_is_renewed(tmp_path: Path):
    readme = tmp_path / "README.md"
    start, end = publish.markers("results")
    readme.write_text(f"before\n{start}\nold\n{end}\nafter\n")
    for text in ("first", "second"):
        publish._renew(readme, "results", text)
    assert readme.read_text() == f"before\n{start}\n\nsecond\n\n{end}\nafter\n"


def test_the_readme_of_the_project_has_the_markers():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    parts = (publish.FIGURE, publish.RESULTS)
    assert [text.count(marker) for part in parts for marker in publish.markers(part)] == [1] * 4


def test_tables_are_plain_markdown():
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert publish._markdown(table) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |"


def test_the_figure_is_taken_by_its_label(tmp_path: Path):
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell('#| label: fig-e\n#| fig-cap: "All of it."\n1')
    picture = base64.b64encode(b"picture").decode()
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": picture})]
    notebook.cells = [nbformat.v4.new_code_cell("#| label: fig-e-other\n1"), cell]
    nbformat.write(notebook, tmp_path / "n.ipynb")
    assert publish._figure(tmp_path / "n.ipynb", "fig-e") == (b"picture", "All of it.")
    with pytest.raises(NotebookError, match=r"n\.ipynb.*fig-x"):
        publish._figure(tmp_path / "n.ipynb", "fig-x")
