"""Exported graphs give our maps, to onnxruntime as Deepness feeds it, and say what it reads."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import rasterio
import torch
from rasters import SPOTS, labels, pixels, scene
from scipy import ndimage

from fewlabels import cli
from fewlabels.learners import graph, texture
from fewlabels.mapping import examples, export, fit, model_folder, survey
from fewlabels.mapping.export import ExportError
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.types import DataError

HALO = 192


def trained(folder: Path, file: Path, shapes: Path, method: str, **how: object) -> Path:
    """A model folder, named after its method."""
    recipe = Recipe(method=method, folds=0, **how)
    fit.fit(file, survey.Labels(shapes), folder / method, recipe, device="cpu")
    return folder / method


def metadata(file: Path) -> dict[str, object]:
    return {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}


def shares_as_deepness_maps(graph_file: Path, file: Path, side: int) -> np.ndarray:
    """Scores of the first tile of a scene, which is filled up with zeros."""
    with rasterio.open(file) as source:
        values = source.read(window=((0, side), (0, side))).transpose(1, 2, 0)
    height, width = values.shape[:2]
    tile = np.zeros((side, side, values.shape[2]), values.dtype)
    tile[:height, :width] = values
    return export.scores(graph_file, tile)[:, :height, :width]


def check_map(model: Path, file: Path, out: Path, margin: int) -> None:
    """Hold the graph's map against the written one, but for a margin at right and bottom."""
    side = metadata(out)["tile_size"]
    found = shares_as_deepness_maps(out, file, side).argmax(axis=0)[:-margin, :-margin]
    predict(file, model, model.parent / "map.tif", device="cpu")
    with rasterio.open(model.parent / "map.tif") as source:
        ours = source.read(1)[: len(found), : found.shape[1]]
    assert found.size > 100_000
    assert len(np.unique(ours)) > 1
    assert (found == ours).mean() >= 0.999


def test_the_graph_of_the_packaged_example_gives_its_map(tmp_path, capsys):
    made = examples.example("dubai", tmp_path, tmp_path)
    model = trained(tmp_path, made.scene, made.labels, "frozen_linear")
    assert cli.main(["export", str(model), str(tmp_path / "out.onnx")]) == 0
    assert "gives our map in" in capsys.readouterr().out
    check_map(model, made.scene, tmp_path / "out.onnx", HALO)
    told = metadata(tmp_path / "out.onnx")
    assert told["model_type"] == "Segmentor"
    assert told["class_names"] == {
        str(n): c for n, c in enumerate(model_folder.about(model).classes)
    }
    assert told["tile_size"] * told["tiles_overlap"] / 100 == 2 * HALO
    assert (told["tile_size"] - 2 * HALO) % 32 == 0
    assert (told["standardization_mean"], told["standardization_std"]) == ([0] * 3, [1] * 3)
    assert told["seg_thresh"] == 0  # below it Deepness turns a pixel into class 0
    assert "resolution" not in told  # its pixels lie nowhere
    assert [d.dim_value for d in onnx.load(tmp_path / "out.onnx").graph.output[0].type.tensor_type
            .shape.dim] == [1, 5, 960, 960]  # fmt: skip
    with pytest.raises(DataError, match="there already"):
        export.export(model, tmp_path / "out.onnx")


def test_the_graph_of_four_bands_of_which_one_is_constant_gives_their_map(tmp_path):
    rng = np.random.default_rng(0)
    parts = [ndimage.gaussian_filter(rng.normal(size=(4, 620, 600)), (0, s, s)) for s in (1, 9)]
    noise = sum(part / part.std() for part in parts)
    values = (5000 + 900 * noise).clip(1).astype(np.uint16)
    values[2] = 7
    file = scene(tmp_path / "scene.tif", values)
    with rasterio.open(file, "r+") as target:
        target.descriptions = ("red", "near infrared", "thermal", "green")
    shapes = {
        pixels(x, y, x + 3, y + 3): "high" if values[0, y + 1, x + 1] > 5000 else "low"
        for x in range(30, 500, 60) for y in range(30, 500, 60)
    }  # fmt: skip
    model = trained(tmp_path, file, labels(tmp_path / "labels.gpkg", shapes), "frozen_linear")
    assert export.export(model, tmp_path / "out.onnx") >= 0.999
    check_map(model, file, tmp_path / "out.onnx", HALO)
    assert metadata(tmp_path / "out.onnx")["resolution"] == 3000  # centimetres
    assert metadata(tmp_path / "out.onnx")["bands"][1] == "near infrared"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif and labels.gpkg of two classes."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(1)
    scene(folder / "scene.tif", rng.integers(1, 9000, (4, 64, 64)).astype(np.uint16))
    labels(folder / "labels.gpkg", SPOTS)
    return folder


def test_the_graph_of_a_network_gives_the_scores_of_a_tile(small, tmp_path):
    asked = {"model": "unet:depth=2,width=4", "weights": "none", "steps": 2, "batch": 1}
    sides = {"side": 64, "crop": 32, "window": 40}
    files = small / "scene.tif", small / "labels.gpkg"
    model = trained(tmp_path, *files, "network", **asked, **sides)
    assert export.export(model, tmp_path / "out.onnx") == 1
    told = metadata(tmp_path / "out.onnx")
    assert (told["tile_size"], told["tiles_overlap"]) == (64, 25)


def test_the_graph_of_a_fine_tuned_head_holds_its_own_encoder(small, tmp_path):
    how = {"steps": 2, "batch": 2, "lr": 1e-2, "side": 64, "crop": 32}
    model = trained(tmp_path, small / "scene.tif", small / "labels.gpkg", "fine_tuned", **how)
    assert export.export(model, tmp_path / "out.onnx") >= 0.999


def test_what_cannot_be_exported_is_said_and_leaves_nothing(small, tmp_path, monkeypatch):
    files = small / "scene.tif", small / "labels.gpkg"
    forest = trained(tmp_path, *files, "pixel_forest", trees=2)
    with pytest.raises(
        ExportError, match="is a pixel_forest.*--method frozen_linear, fine_tuned or network"
    ):
        export.export(forest, tmp_path / "out.onnx")
    asked = {"model": "unet:depth=2,width=4", "weights": "none", "steps": 1, "batch": 1}
    model = trained(tmp_path, *files, "network", **asked, side=64, crop=32, window=32)
    monkeypatch.setattr(graph, "normalise", lambda x: 1 - x.float())
    with pytest.raises(ExportError, match=r"gives our map in \d+\.\d+ % .* nothing is written"):
        export.export(model, tmp_path / "out.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["network", "pixel_forest"]


@pytest.mark.parametrize("scale", [1, 8])
def test_texture_as_convolutions_is_that_of_the_bank(scale):
    rng = np.random.default_rng(0)
    channels = ndimage.gaussian_filter(rng.uniform(0, 255, (40, 27, 3)), (1, 1, 0), mode="wrap")
    channels = channels.astype(np.float32)
    grey = channels.mean(axis=2)
    slow = texture.bank(channels, grey, scale)
    given = torch.from_numpy(channels).permute(2, 0, 1), torch.from_numpy(grey)
    assert np.allclose(graph.textures(*given, scale).numpy(), slow, atol=0.02)
