"""The additions that CONTRIBUTING.md shows are performed on a copy of the library."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(
    r"^```(python|diff) (\S+)\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S
)
TRIED = {
    "stripes": """
from fewlabels.data import load
tiles = load("stripes", fold=1, split="test", grid=64)
assert tiles.ids == ("south-1", "south-2") and set(tiles.sites) == {"south"}
assert tiles[0].mask.max() == 1
""",
    "generalised": """
import torch
from fewlabels.experiments.run import execute
from fewlabels.studies import Run
from fewlabels.training.losses import LOSSES
labels = torch.full((1, 4, 4), 255)
labels[0, 0, :2] = 1
value = LOSSES["partial_generalised"](torch.zeros(1, 2, 4, 4), labels)
assert abs(float(value) - (1 - 0.5**0.7) / 0.7) < 1e-6
small = {"grid": 64, "crop": 32, "batch": 2, "steps": 2, "watch": 1, "precision": "fp32"}
run = Run(loss="partial_generalised", model="unet:depth=2,width=4", **small)
found = execute(run, device="cpu")
assert found.confusion.sum() > 0
""",
    "gamma": """
from fewlabels import studies
start = studies.scale("gamma", "published", "dubai").starts[0]
runs = studies.runs("gamma", "published", "dubai", start)
assert len(runs) == 2 * 5 * 3 and {run.gamma for run in runs.values()} == {1.0, 4.0}
""",
}


def changed(text: str, diff: str) -> str:
    """Apply lines `+` after the line before them, and lines `-` by the `+` that follows."""
    last = ""
    for line in diff.splitlines():
        sign, content = line[0], line[1:]
        if sign == "+" and last.startswith("-"):
            text = text.replace(f"{last[1:]}\n", f"{content}\n", 1)
        elif sign == "+":
            text = text.replace(f"{last[1:]}\n", f"{last[1:]}\n{content}\n", 1)
        else:
            assert text.count(f"{content}\n") == 1, f"the library has no line {content!r}"
        last = line
    return text


@pytest.mark.parametrize("name", TRIED)
def test_an_addition_is_one_file_and_one_entry(name: str, tmp_path: Path):
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    at = next(i for i, (_, file, _) in enumerate(BLOCKS) if Path(file).stem == name)
    (_, new, source), (kind, table, diff) = BLOCKS[at : at + 2]
    assert kind == "diff"
    assert not (ROOT / new).exists()
    (tmp_path / new).write_text(source)
    (tmp_path / table).write_text(changed((tmp_path / table).read_text(), diff))
    places = {k: str(tmp_path / k) for k in ("CACHE_ROOT", "RUNS_ROOT", "DATA_ROOT")}
    environment = os.environ | places | {"PYTHONPATH": str(tmp_path / "lib")}
    done = subprocess.run(
        [sys.executable, "-c", TRIED[name]], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_addition_is_tried():
    assert {Path(file).stem for kind, file, _ in BLOCKS if kind == "python"} == set(TRIED)
