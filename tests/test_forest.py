"""Learners on a scene of one's own: scored on the same held-out units, kept, stored and mapped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import skops.io
from rasters import SPOTS, halves, labels, scene

from fewlabels import cli
from fewlabels.devices import compute
from fewlabels.mapping import (
    fit,
    labelled_pixels,
    model_folder,
    recipe,
    score,
    score_summary,
    survey,
    tiles,
)
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.scene import Ranges
from fewlabels.types import UnknownName

CPU = compute("cpu", "fp32")
QUICK = Recipe(method="pixel_forest", trees=7, crop=32, side=32, window=32, folds=3, gap=2)


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16) and labels.gpkg."""
    scene(tmp_path / "scene.tif", halves())
    labels(tmp_path / "labels.gpkg", SPOTS)
    return tmp_path


def trained(folder: Path, how: Recipe, name: str = "model") -> model_folder.About:
    given = survey.Labels(folder / "labels.gpkg")
    return fit.fit(folder / "scene.tif", given, folder / name, how, device="cpu")


def test_a_forest_is_stored_without_a_pickle_and_maps_its_scene(ground):
    about = trained(ground, QUICK)
    assert (about.network, about.learner) == ("", "pixel_forest")
    assert about.record["scores"]["miou"] == 1.0
    assert about.record["differences"] == {}
    assert about.record["weights"]["features"] == 4
    names = ["model.json", "model.skops", "training_pixels.safetensors"]
    assert sorted(p.name for p in (ground / "model").iterdir()) == names
    made = predict(ground / "scene.tif", ground / "model", ground / "map.tif", device="cpu")
    assert made.share == {"bright": 0.5, "dark": 0.5}
    with rasterio.open(ground / "map.tif") as found:
        truth = np.where(np.arange(64) < 32, 1, 0)
        assert (found.read(1) == truth).all()
    assert trained(ground, QUICK, "again").record["scores"] == about.record["scores"]


def test_a_damaged_or_foreign_forest_is_refused(ground):
    about = trained(ground, replace(QUICK, folds=0))
    folder, file = ground / "model", ground / "model" / "model.skops"
    whole = file.read_bytes()

    def refused(why: str, about: model_folder.About = about) -> None:
        with pytest.raises(model_folder.ModelError, match=why):
            model_folder.predictor(folder, about, CPU)

    refused("for 4 bands .* needed are 3", replace(about, bands=about.bands[:3]))
    refused("unknown learner 'oracle'", replace(about, learner="oracle"))
    skops.io.dump({"forest": json.JSONEncoder(), "about": "{}"}, file)
    refused("JSONEncoder")
    file.write_bytes(whole[: len(whole) // 2])
    refused("cannot be read")
    file.unlink()
    refused("model.skops.*train it again")


def held(right: list[int]) -> score.Held:
    """Units of 10 pixels with so many right ones, of two classes in turn."""
    matrices = [[[n, 10 - n], [0, 0]] if i % 2 else [[0, 0], [10 - n, n]]
                for i, n in enumerate(right)]  # fmt: skip
    return score.Held(range(len(right)), np.array(matrices), 2, ())


def test_the_difference_is_paired_over_units():
    one, other = held([9, 2] * 8), held([8, 1] * 8)
    found = score.difference(one, other, 0)
    apart = [score.summary(each, ("a", "b"), 0)["miou"] for each in (one, other)]
    assert found["miou"] == pytest.approx(apart[0] - apart[1], abs=2e-6)
    assert found["interval"] == pytest.approx([found["miou"]] * 2)  # every unit says the same
    assert (found["units"], found["verdict"]) == (16, "better")
    assert score.difference(other, one, 0)["verdict"] == "worse"
    assert score.difference(one, one, 0) == {
        "miou": 0.0, "interval": [0.0, 0.0], "units": 16, "verdict": "cannot tell",
    }  # fmt: skip
    with pytest.raises(ValueError, match="different units"):
        score.difference(one, replace(other, units=range(1, 17)), 0)


def test_auto_scores_the_quick_learners_on_the_same_units_and_keeps_one(ground):
    about = trained(ground, replace(QUICK, method="auto"))
    record = json.loads((ground / "model" / "model.json").read_text())["record"]
    assert set(record["tried"]) == set(recipe.CHEAP)
    assert {scores["units"] for scores in record["tried"].values()} == {6}
    assert record["method"] == about.learner
    assert set(record["differences"]) == set(recipe.CHEAP) - {about.learner}
    text = "\n".join(score_summary.lines(record))
    assert f"kept: {about.learner}: " in text
    assert "also try --method fine_tuned" in text
    made = predict(ground / "scene.tif", ground / "model", ground / "map.tif", device="cpu")
    assert made.share["bright"] == pytest.approx(0.5, abs=0.1)


def test_a_network_is_scored_beside_the_cheapest_learner_and_kept(ground):
    how = replace(QUICK, method="network", model="unet:depth=2,width=4", weights="none", steps=1,
                  batch=2, lr=1e-5)  # fmt: skip
    about = trained(ground, how)
    assert set(about.record["tried"]) == {"frozen_linear", "network"}
    assert (about.learner, about.network) == ("network", how.model)
    assert about.record["differences"]["frozen_linear"]["units"] == 6
    assert "network minus frozen_linear: -" in "\n".join(score_summary.lines(about.record))


def test_a_fine_tuned_head_is_scored_beside_the_head_that_it_starts_from(ground):
    about = trained(ground, replace(QUICK, method="fine_tuned", steps=2, batch=2, side=64))
    assert set(about.record["tried"]) == {"frozen_linear", "fine_tuned"}
    assert (about.learner, about.network, about.second) == ("fine_tuned", "", "frozen_linear")
    assert about.record["weights"]["fine_tuned_steps"] == 2
    made = predict(ground / "scene.tif", ground / "model", ground / "map.tif", device="cpu")
    assert made.share["bright"] == pytest.approx(0.5, abs=0.1)


def test_features_of_labelled_pixels_do_not_depend_on_the_pieces(ground, monkeypatch):
    monkeypatch.setattr(tiles, "ranges", lambda *_: Ranges((0.0,) * 4, (10_000.0,) * 4))
    bands, found = ("red", "green", "blue", "nir"), []
    for side in (16, 500):
        how = replace(QUICK, side=64)
        with (
            survey.surveyed(
                ground / "scene.tif", survey.Labels(ground / "labels.gpkg"), how, ()
            ) as (seen, read, _),
            tiles.labelling(seen.given, seen.scene) as burn,
        ):
            cut = tiles.cut(seen.scene, read, burn, side=side, gap=0, block=None)
            asked = recipe.Ground(
                read, (64, 64), cut.pieces, seen.given.classes, how, CPU, ground, "test", bands
            )
            pixels = labelled_pixels.read(asked, ["frozen_forest"])
        corners = np.array([(piece.rows.start, piece.columns.start) for piece in cut.pieces])
        rows, columns = (corners[pixels.piece] + pixels.at).T
        found.append(pixels.x[np.lexsort((columns, rows))])
    assert np.abs(found[0] - found[1]).max() < 1e-2


def test_of_learners_within_a_point_the_cheapest_is_kept():
    def tried(**scores: float) -> dict:
        return {name: {"scored": True, "miou": scores.get(name, 0.2)} for name in recipe.CHEAP}

    kept = score._kept("auto", tried(frozen_forest=0.505, pixel_forest=0.5, frozen_linear=0.49))
    assert kept[0] == "pixel_forest"
    assert "costs less than that of frozen_forest" in kept[1]
    assert score._kept("auto", tried(frozen_forest=0.52, pixel_forest=0.5))[0] == "frozen_forest"
    neither = {name: {"scored": False} for name in recipe.CHEAP}
    assert score._kept("auto", neither)[0] == "frozen_linear"


def test_a_class_of_which_only_some_pixels_are_used_keeps_its_weight(ground, monkeypatch):
    monkeypatch.setattr(labelled_pixels, "MOST", 40)
    about = trained(ground, QUICK)
    assert about.record["trained_pixels"] == {"bright": 88, "dark": 76}
    assert about.record["weights"]["pixels"] == 40
    assert about.record["scores"]["pixels"] == pytest.approx(164, abs=6)
    monkeypatch.setattr(score.heads, "mapped", lambda head, x: np.zeros(len(x), np.uint8))
    rows = np.sum(trained(ground, QUICK, "one class").record["scores"]["confusion"], axis=1)
    assert rows.tolist() == pytest.approx([88, 76], abs=6)  # each by what its truth stands for


def test_the_command_line_trains_a_forest(ground, capsys):
    asked = [
        "train", str(ground / "scene.tif"), str(ground / "labels.gpkg"), str(ground / "m"),
        "--method", "pixel_forest", "--trees", "3", "--device", "cpu",
    ]  # fmt: skip
    assert cli.main(asked) == 0
    said = capsys.readouterr().out
    assert "pixel_forest: mIoU 100.0 [100.0, 100.0] %" in said
    assert "kept: pixel_forest: it was asked for" in said
    with pytest.raises(UnknownName, match="method 'trees'"):
        replace(QUICK, method="trees")
