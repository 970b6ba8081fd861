import base64
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from fewlabels.report import publish
from fewlabels.types import NotebookError

START, END = publish.markers("findings")


def test_only_what_stands_between_the_markers_is_renewed():
    text = f"before\n{START}\nold\n{END}\nafter\n"
    for content in ("first", "second"):
        text = publish.renewed("README.md", text, "findings", content)
    assert text == f"before\n{START}\n\nsecond\n\n{END}\nafter\n"


@pytest.mark.parametrize("text", [f"{START}\nx", f"x\n{END}", f"{END}{START}", f"{START * 2}{END}"])
def test_a_lost_marker_is_an_error_that_names_file_and_marker(text: str):
    with pytest.raises(NotebookError, match=r"'README.md' must have the marker '<!-- .*findings"):
        publish.renewed("README.md", text, "findings", "new")


@pytest.mark.parametrize("lost", publish.PARTS)
def test_nothing_is_written_where_a_marker_is_lost(tmp_path: Path, monkeypatch, lost: str):
    monkeypatch.setattr(publish, "five", lambda: ["a finding"])
    readme = tmp_path / "README.md"
    marks = ["".join(publish.markers(part)) for part in publish.PARTS]
    readme.write_text("\n".join(marks).replace(publish.markers(lost)[1], "") + "\nthe rest\n")
    before = readme.read_text()
    notebook, label = publish.OPENING
    (tmp_path / "n.ipynb").write_text(nbformat.writes(pictured(label)))
    executed = {notebook: tmp_path / "n.ipynb"}
    with pytest.raises(NotebookError, match=f"end of {lost}"):
        publish.publish(readme, readme, executed, "dubai", {}, tmp_path / "report", readme)
    assert readme.read_text() == before
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("part", [publish.FIGURE, publish.FINDINGS])
def test_the_readme_of_the_project_has_the_markers(part: str):
    text = (Path(__file__).parents[1] / "README.md").read_text()
    assert [text.count(marker) for marker in publish.markers(part)] == [1, 1]


def test_tables_are_plain_markdown():
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert publish.markdown(table) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |"


def pictured(label: str):
    cell = nbformat.v4.new_code_cell(f'#| label: {label}\n#| fig-cap: "All of it."\n1')
    picture = base64.b64encode(b"picture").decode()
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": picture})]
    other = nbformat.v4.new_code_cell(f"#| label: {label}-other\n1")
    return nbformat.v4.new_notebook(cells=[other, cell])


def test_the_figure_is_taken_by_its_label(tmp_path: Path):
    nbformat.write(pictured("fig-e"), tmp_path / "n.ipynb")
    assert publish.figure_of(tmp_path / "n.ipynb", "fig-e") == (b"picture", "All of it.")
    with pytest.raises(NotebookError, match=r"n\.ipynb.*fig-x"):
        publish.figure_of(tmp_path / "n.ipynb", "fig-x")


def test_five_findings_come_first_each_with_its_interval_and_n():
    said = publish.five()
    assert len(said) == 5
    assert all(re.search(r"\[-?[\d.]+, -?[\d.]+\]", sentence) for sentence in said)
    assert sum("sites" in sentence or "runs" in sentence for sentence in said) >= 4
