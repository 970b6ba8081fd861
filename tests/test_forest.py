"""The pixel forest: scikit-learn's, kept by skops, scored and stored like a network."""

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
from fewlabels.learners import LEARNERS, pixel_forest
from fewlabels.mapping import fit, model_folder, score, score_summary, survey
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.types import IGNORE, NoLabelsError, UnknownName

CPU = compute("cpu", "fp32")
QUICK = Recipe(method="forest", trees=7, crop=32, side=32, window=32, folds=3, gap=2)


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16) and labels.gpkg."""
    scene(tmp_path / "scene.tif", halves())
    labels(tmp_path / "labels.gpkg", SPOTS)
    return tmp_path


def trained(folder: Path, how: Recipe, name: str = "model") -> model_folder.About:
    given = survey.Labels(folder / "labels.gpkg")
    return fit.fit(folder / "scene.tif", given, folder / name, how, device="cpu")


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_gives_probabilities_and_comes_back_from_its_file(name: str, tmp_path: Path):
    """Class 0 of 3 has no label; dark is class 2."""
    image = np.zeros((32, 48, 4), np.uint8)
    image[:, 24:] = 200
    drawn = np.full((32, 48), IGNORE, np.uint8)
    drawn[4:9, 4:9], drawn[4:9, 40:45] = 2, 1
    options = {} if name == "pixel_forest" else {
        "model": "unet:depth=2,width=4", "steps": 60, "batch": 2, "crop": 32, "lr": 3e-2
    }  # fmt: skip
    empty = np.full_like(drawn, IGNORE)
    learner = LEARNERS[name]
    made = learner.fit([image, image], [drawn, empty], 3, seed=1, compute=CPU, **options)
    found = made.probabilities(image)
    assert (found.shape, found.dtype) == ((3, 32, 48), np.float32)
    assert found.sum(axis=0) == pytest.approx(1, abs=1e-5)
    assert (found.argmax(axis=0)[:, 2:20] == 2).all()
    assert (found.argmax(axis=0)[:, 28:46] == 1).all()
    made.write(tmp_path / learner.FILE)
    kept = {k: v for k, v in options.items() if k == "model"}
    again = learner.read(tmp_path / learner.FILE, 3, 4, CPU, **kept)
    assert np.array_equal(again.probabilities(image), found)
    with pytest.raises(NoLabelsError):
        learner.fit([image], [empty], 3, compute=CPU, **options)
    with pytest.raises((ValueError, RuntimeError)):
        learner.read(tmp_path / learner.FILE, 3, 5, CPU, **kept)


def test_a_forest_votes_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 20, 5)).astype(np.uint8)
    drawn = (image[..., 0] // 90 + (image[..., 1] > 200)).astype(np.uint8) * 2  # 0, 2, 4, 6
    drawn[10:] = IGNORE
    made = pixel_forest.fit([image], [drawn], 8, trees=20)
    votes = made.forest.predict_proba(image.reshape(-1, 5).astype(np.float32))
    found = made.probabilities(image).reshape(8, -1)
    assert pytest.approx(votes, abs=1e-6) == found[[0, 2, 4, 6]].T
    assert not found[1::2].any()


def test_more_pixels_than_a_forest_needs_are_drawn_by_class(monkeypatch):
    monkeypatch.setattr(pixel_forest, "MOST", 5)
    wanted = np.array([0] * 20 + [3] * 4, np.uint8)
    taken = np.concatenate(list(pixel_forest._drawn(wanted, 0)))
    assert np.bincount(wanted[taken]).tolist() == [5, 0, 0, 4]
    assert len(set(taken.tolist())) == 9


def test_a_forest_is_stored_without_a_pickle_and_maps_its_scene(ground):
    about = trained(ground, QUICK)
    assert (about.network, about.learner) == ("forest", "pixel_forest")
    assert about.record["scores"]["miou"] == 1.0
    assert about.record["difference"] is None
    assert about.record["weights"]["origin"].endswith("7 trees")
    assert sorted(p.name for p in (ground / "model").iterdir()) == ["model.json", "model.skops"]
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

    refused("for 4 bands and classes .* needed are 3", replace(about, bands=about.bands[:3]))
    for field, value in (("left_child", 10**6), ("right_child", 0), ("feature", 4)):
        forest = skops.io.loads(whole, trusted=pixel_forest.TRUSTED)
        tree = next(e.tree_ for e in forest.estimators_ if e.tree_.node_count > 1)
        state = tree.__getstate__()
        state["nodes"][field][0] = value
        tree.__setstate__(state)
        skops.io.dump(forest, file)
        refused("a node leads nowhere")
    skops.io.dump({"not": "a forest"}, file)
    refused("a dict is no random forest")
    skops.io.dump(json.JSONEncoder(), file)
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


def test_the_better_one_is_kept_and_both_are_reported(ground):
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
    assert score._kept("best", same)[0] == "network"
    neither = {"network": {"scored": False}, "forest": {"scored": False}}
    assert score._kept("best", neither)[0] == "network"


def test_the_command_line_trains_a_forest(ground, capsys):
    asked = [
        "train", str(ground / "scene.tif"), str(ground / "labels.gpkg"), str(ground / "m"),
        "--method", "forest", "--trees", "3", "--device", "cpu",
    ]  # fmt: skip
    assert cli.main(asked) == 0
    said = capsys.readouterr().out
    assert "forest: mIoU 100.0 [100.0, 100.0] %" in said
    assert "kept: forest (it was asked for)" in said
    with pytest.raises(UnknownName, match="method 'trees'"):
        replace(QUICK, method="trees")
