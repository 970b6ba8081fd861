"""Cells that show images, on a machine without images: their kept outputs, or an error."""

import json
from pathlib import Path

import jupytext
import nbformat
import pytest

from fewlabels.report import execute_all
from fewlabels.report.cells import first_line
from fewlabels.report.kept import keep, needing
from fewlabels.types import NotebookError

NOTEBOOK = """
# %% tags=["parameters"]
data = "here"

# %%
import os
count = 3

# %%
#| needs: images
images = [len(data) for image in range(count)]
print("table T_0a1b2 row")

# %%
shown = sum(images)
print("images", shown, os.getpid())

# %%
images = None
print("executed", os.getpid())

# %%
print("of images", shown)

# %%
shown = [image for image in range(count)]
print("of none", images, shown)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (file := tmp_path / "00_some.py").write_text(NOTEBOOK)
    return file


def printed(executed: Path) -> list[str]:
    cells = nbformat.read(executed, as_version=4).cells
    return ["".join(o.get("text", "") for o in c.outputs) for c in cells if c.get("outputs")]


def test_cells_need_images_that_say_so_or_use_what_such_a_cell_has_set_last(source: Path):
    """The fifth sets `images` anew without reading it; a comprehension's name is its own."""
    found = [first_line(cell) for cell in needing(jupytext.read(source))]
    assert found == [
        "images = [len(data) for image in range(count)]",
        "shown = sum(images)",
        'print("of images", shown)',
    ]


def test_without_images_kept_outputs_stand_between_executed_ones(source: Path, tmp_path: Path):
    (first,) = execute_all([source], tmp_path / "with", {"data": "here"})
    keep(first, tmp_path / "kept")
    (second,) = execute_all([source], tmp_path / "without", {}, kept=tmp_path / "kept")
    before, after = printed(first), printed(second)
    assert [before[i] == after[i] for i in range(5)] == [True, True, False, True, True]
    assert after[1].startswith("images 12 ")
    assert after[4] == "of none None [0, 1, 2]\n"


def test_a_changed_cell_has_no_kept_output(source: Path, tmp_path: Path):
    (executed,) = execute_all([source], tmp_path / "with", {"data": "here"})
    keep(executed, tmp_path / "kept")
    source.write_text(NOTEBOOK.replace("sum(images)", "max(images)"))
    for kept in (tmp_path / "kept", tmp_path / "nowhere"):
        with pytest.raises(NotebookError, match=r"00_some\.py.*needs images.*where the images are"):
            execute_all([source], tmp_path / "without", {}, kept=kept)


def test_what_is_kept_is_written_anew_only_where_it_differs(source: Path, tmp_path: Path):
    (executed,) = execute_all([source], tmp_path / "with", {"data": "here"})
    keep(executed, tmp_path / "kept")
    file = tmp_path / "kept" / "00_some.json"
    facts = json.loads(file.read_text()) | {"kept": "long ago"}
    assert "table T_0a1b2 row" in facts["cells"][0]["outputs"][0]["text"]
    file.write_text(json.dumps(facts).replace("T_0a1b2", "T_3c4d5"))
    keep(executed, tmp_path / "kept")
    assert json.loads(file.read_text())["kept"] == "long ago"
    facts["cells"].pop()
    file.write_text(json.dumps(facts))
    keep(executed, tmp_path / "kept")
    assert json.loads(file.read_text())["kept"] != "long ago"
