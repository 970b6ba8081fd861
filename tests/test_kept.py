"""Cells that show images, on a machine without images: their kept outputs, or an error."""

import json
from pathlib import Path

import nbformat
import pytest

from fewlabels.report.cells import keep
from fewlabels.report.execute import execute_all
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
print("table T_" + "0a1b2 row")

# %%
#| needs: images
shown = sum(images)
print("images", shown, os.getpid())

# %%
images = None
print("executed", os.getpid())

# %%
#| needs: images
#| label: tbl-of-images
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


def test_without_images_kept_outputs_stand_between_executed_ones(source: Path, tmp_path: Path):
    (first,) = execute_all([source], tmp_path / "with", {"data": "here"})
    keep(first, tmp_path / "kept")
    (second,) = execute_all([source], tmp_path / "without", {}, kept=tmp_path / "kept")
    before, after = printed(first), printed(second)
    before[0] = before[0].replace("T_0a1b2", "T_")  # the number that pandas would draw
    assert [before[i] == after[i] for i in range(5)] == [True, True, False, True, True]
    assert after[1].startswith("images 12 ")
    assert after[4] == "of none None [0, 1, 2]\n"


def test_a_changed_cell_has_no_kept_output(source: Path, tmp_path: Path):
    (executed,) = execute_all([source], tmp_path / "with", {"data": "here"})
    keep(executed, tmp_path / "kept")
    source.write_text(NOTEBOOK.replace("tbl-of-images", "tbl-renamed"))
    (again,) = execute_all([source], tmp_path / "without", {}, kept=tmp_path / "kept")
    assert printed(again)[1].startswith("images 12 ")  # an option is no code
    source.write_text(NOTEBOOK.replace("sum(images)", "max(images)"))
    for kept in (tmp_path / "kept", tmp_path / "nowhere"):
        with pytest.raises(NotebookError, match=r"00_some\.py.*needs images.*where the images are"):
            execute_all([source], tmp_path / "without", {}, kept=kept)


def test_what_is_kept_is_written_anew_only_where_it_differs(source: Path, tmp_path: Path):
    (executed,) = execute_all([source], tmp_path / "with", {"data": "here"})
    keep(executed, tmp_path / "kept")
    file = tmp_path / "kept" / "00_some.json"
    facts = json.loads(file.read_text()) | {"commit": "of old"}
    file.write_text(json.dumps(facts))
    executed.write_text(executed.read_text().replace("T_0a1b2", "T_3c4d5"))
    keep(executed, tmp_path / "kept")
    assert json.loads(file.read_text())["commit"] == "of old"
    facts["cells"].popitem()
    file.write_text(json.dumps(facts))
    keep(executed, tmp_path / "kept")
    assert json.loads(file.read_text())["commit"] != "of old"
