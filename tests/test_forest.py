"""The per-pixel forest: scikit-learn's, as arrays, scored and stored like a network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasters import halves, labels, pixels, scene
from safetensors.torch import load_file, save_file
from sklearn.ensemble import RandomForestClassifier

from fewlabels import cli
from fewlabels.mapping import compare, fit, forest, grow, model_folder, score, score_summary, survey
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.types import UnknownName

QUICK = Recipe(method="forest", trees=7, crop=32, side=32, window=32, folds=3, gap=2)
SPOTS = {
    pixels(2, 2, 8, 8): "dark", pixels(50, 4, 56, 8): "bright", pixels(10, 40, 16, 44): "dark",
    pixels(40, 50, 44, 60): "bright", pixels(20, 20, 24, 24): "dark",
    pixels(58, 30, 62, 36): "bright",
}  # fmt: skip


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16) and labels.gpkg."""
    scene(tmp_path / "scene.tif", halves())
    labels(tmp_path / "labels.gpkg", SPOTS)
    return tmp_path


def trained(folder: Path, how: Recipe, name: str = "model") -> model_folder.About:
    given = survey.Labels(folder / "labels.gpkg")
    return fit.fit(folder / "scene.tif", given, folder / name, how, device="cpu")


@pytest.mark.parametrize("bands", [3, 5])
def test_trees_as_arrays_vote_as_scikit_learn_does(bands):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (600, bands)).astype(np.uint8)
    wanted = (values[:, 0] // 90 + (values[:, 1] > 200)).astype(np.uint8) * 2  # classes 0, 2, 4, 6
    x = grow.normalised(values)
    grown = RandomForestClassifier(20, random_state=0).fit(x[:200], wanted[:200])
    made = grow.tables(grown, classes=8).checked(bands, 8)
    image = torch.from_numpy(x.reshape(1, 30, 20, bands)).permute(0, 3, 1, 2)
    found = made(image).softmax(dim=1).permute(0, 2, 3, 1).reshape(-1, 8).numpy()
    assert found[:, grown.classes_] == pytest.approx(grown.predict_proba(x), abs=1e-5)
    assert np.delete(found, grown.classes_, axis=1).max() <= 2 * forest.LEAST


def test_a_tree_of_one_class_is_a_leaf():
    x = np.zeros((3, 2), np.float32)
    grown = RandomForestClassifier(2, random_state=0).fit(x, np.array([1, 1, 1], np.uint8))
    shares = grow.tables(grown, 3)(torch.zeros(1, 2, 1, 1)).softmax(dim=1)
    assert shares.flatten().tolist() == pytest.approx([0, 1, 0], abs=1e-5)


def test_more_pixels_than_a_forest_needs_are_drawn_by_class(monkeypatch):
    monkeypatch.setattr(grow, "MOST", 5)
    wanted = np.array([0] * 20 + [3] * 4, np.uint8)
    taken = np.concatenate(list(grow._drawn(wanted, 0)))
    assert np.bincount(wanted[taken]).tolist() == [5, 0, 0, 4]
    assert len(set(taken.tolist())) == 9


def test_a_forest_is_stored_without_a_pickle_and_maps_its_scene(ground):
    about = trained(ground, QUICK)
    assert (about.network, about.of_pixels) == ("forest", True)
    assert about.record["scores"]["miou"] == 1.0
    assert about.record["difference"] is None
    assert about.record["weights"]["origin"].endswith("7 trees")
    assert sorted(p.name for p in (ground / "model").iterdir()) == [
        "model.json", "model.safetensors"
    ]  # fmt: skip
    made = predict(ground / "scene.tif", ground / "model", ground / "map.tif", device="cpu")
    assert made.share == {"bright": 0.5, "dark": 0.5}
    with rasterio.open(ground / "map.tif") as found:
        truth = np.where(np.arange(64) < 32, 1, 0)
        assert (found.read(1) == truth).all()
    again = trained(ground, QUICK, "again")
    assert again.record["scores"] == about.record["scores"]
    files = [load_file(ground / name / "model.safetensors") for name in ("model", "again")]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])


def test_a_damaged_forest_is_named(ground):
    about = trained(ground, replace(QUICK, folds=0))
    file = ground / "model" / "model.safetensors"
    whole = load_file(file)
    nowhere = whole["ways"].clone()
    nowhere[0, 0] = len(nowhere)
    for change in ({"ways": nowhere}, {"feature": whole["feature"] + 4}, {"share": None}):
        tables = {k: v for k, v in (whole | change).items() if v is not None}
        save_file(tables, file)
        with pytest.raises(model_folder.ModelError, match="do not fit"):
            model_folder.network(ground / "model", about)
    save_file(whole, file)
    with pytest.raises(model_folder.ModelError, match="no forest of 3 bands"):
        model_folder.network(ground / "model", replace(about, bands=about.bands[:3]))


class Fixed:
    """Confusions that a way to learn would have left."""

    def __init__(self, right: list[int]) -> None:
        matrices = [[[n, 10 - n], [0, 0]] if i % 2 else [[0, 0], [10 - n, n]]
                    for i, n in enumerate(right)]  # fmt: skip
        self.held = score.Held(range(len(right)), np.array(matrices), 2, ())


def test_the_difference_is_paired_over_units():
    one, other = Fixed([9, 2] * 8).held, Fixed([8, 1] * 8).held
    found = score.difference(one, other, 0)
    apart = [score.summary(held, ("a", "b"), 0)["miou"] for held in (one, other)]
    assert found["miou"] == pytest.approx(apart[0] - apart[1], abs=2e-6)
    assert found["interval"] == pytest.approx([found["miou"]] * 2)  # every unit says the same
    assert (found["units"], found["verdict"]) == (16, "better")
    assert score.difference(other, one, 0)["verdict"] == "worse"
    assert score.difference(one, one, 0) == {
        "miou": 0.0, "interval": [0.0, 0.0], "units": 16, "verdict": "cannot tell",
    }  # fmt: skip
    with pytest.raises(ValueError, match="different units"):
        score.difference(one, replace(other, units=range(1, 17)), 0)


def test_the_better_one_is_kept_and_both_are_told(ground, capsys):
    how = replace(QUICK, method="best", model="unet:depth=2,width=4", steps=1, batch=2, lr=1e-5)
    about = trained(ground, how)
    record = json.loads((ground / "model" / "model.json").read_text())["record"]
    assert set(record["tried"]) == {"network", "forest"}
    assert record["tried"]["forest"]["miou"] == 1.0 > record["tried"]["network"]["miou"]
    assert (record["method"], about.network) == ("forest", "forest")
    assert record["difference"]["units"] == 6
    assert record["difference"]["miou"] == pytest.approx(record["tried"]["network"]["miou"] - 1)
    text = "\n".join(score_summary.lines(record))
    assert "network minus forest: -" in text
    assert "kept: forest (its held-out mIoU is the higher one)" in text
    assert trained(ground, replace(how, method="network"), "asked").network == how.model
    assert trained(ground, replace(how, folds=0), "unscored").network == how.model


def test_of_equals_the_network_is_kept():
    same = {"network": {"scored": True, "miou": 0.5}, "forest": {"scored": True, "miou": 0.5}}
    assert compare._kept("best", same)[0] == "network"
    neither = {"network": {"scored": False}, "forest": {"scored": False}}
    assert compare._kept("best", neither)[0] == "network"


def test_the_command_line_trains_a_forest(ground, capsys):
    asked = [
        "train", str(ground / "scene.tif"), str(ground / "labels.gpkg"), str(ground / "m"),
        "--method", "forest", "--trees", "3", "--device", "cpu",
    ]  # fmt: skip
    assert cli.main(asked) == 0
    said = capsys.readouterr().out
    assert "forest: mIoU 100.0 %" in said
    assert "kept: forest (it was asked for)" in said
    with pytest.raises(UnknownName, match="method 'trees'"):
        trained(ground, replace(QUICK, method="trees"), "n")
