"""What `pip install ".[mapping]"` gives works without notebooks, report and the other extras."""

import subprocess
import sys
from pathlib import Path

import rasterio
from rasterio.windows import Window

from fewlabels.mapping import examples

OTHERS = (
    "IPython", "anywidget", "cryptography", "distributed", "ipykernel", "ipywidgets", "jupytext",
    "kaggle", "kagglesdk", "nbclient", "nbformat", "onnx", "onnxruntime", "papermill", "pypandoc",
    "typst",
)  # fmt: skip
ALONE = f"""
import sys
sys.modules |= dict.fromkeys({OTHERS})  # what is None there cannot be imported
from fewlabels.cli import main
sys.exit(main(sys.argv[1:]))
"""


def alone(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ALONE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_scene_is_mapped_without_the_notebook_stack(tmp_path: Path):
    made = examples.example("dubai", tmp_path / "try", tmp_path)
    crop, model, out = (tmp_path / name for name in ("crop.tif", "model", "map.tif"))
    with rasterio.open(made.scene) as whole:
        window = Window(0, 0, 256, 256)
        profile = whole.profile | {"width": 256, "height": 256}
        with rasterio.open(crop, "w", **profile) as part:
            part.write(whole.read(window=window))
    fitted = alone("train", crop, made.labels, model, "--method", "frozen_linear", "--folds", 0)
    assert fitted.returncode == 0, fitted.stderr
    mapped = alone("predict", model, crop, out)
    assert mapped.returncode == 0, mapped.stderr
    assert rasterio.open(out).read(1).shape == (256, 256)


def test_what_an_extra_brings_is_asked_for_in_one_line():
    done = alone("export", "model", "model.onnx")
    assert done.returncode == 1
    assert "comes with an extra, as in pip install" in done.stderr.splitlines()[-1]
