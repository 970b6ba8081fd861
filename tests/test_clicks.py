"""Where to click next: margins, the 5 %, spacing, and the file for QGIS."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import torch
from rasters import GRID, SPOTS, UTM, halves, labels, pixels, scene
from torch import nn

from fewlabels import cli
from fewlabels.devices import compute
from fewlabels.learners.network import NetworkPredictor
from fewlabels.mapping import (
    fit,
    maps,
    model_folder,
    query,
    recipe,
    stream,
    survey,
    vector_labels,
)
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe, RecipeError
from fewlabels.mapping.scene import Ranges
from fewlabels.types import DataError, DiskFullError

NONE = maps.NODATA


def strip(margin: np.ndarray) -> stream.Strip:
    """Class 1 before class 0 everywhere."""
    margin = margin.astype(np.uint8)
    same = [np.full_like(margin, value) for value in (1, 90, 0)]
    return stream.Strip(same[0], same[1], same[2], margin)


def chosen(margin: np.ndarray, number: int, *, rows: int = 7, seed: int = 0, other=None):
    parts = [strip(margin[at : at + rows]) for at in range(0, len(margin), rows)]
    return query.chosen(lambda: iter(parts), *margin.shape, number, seed, other)


def test_the_margin_is_first_minus_second_probability(tmp_path):
    """Logits x, -x, 0 of a byte x: at 1 the shares are e, 1/e and 1."""

    class Three(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x[:, :1] * 0 + 1, x[:, :1] * 0 - 1, x[:, :1] * 0], dim=1)

    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8)))
    how = stream.Plan(4, 4, 4, 1)
    with scenes.reading(found) as read:
        predictor = NetworkPredictor(Three(), compute("cpu", "fp32"))
        asked = read, predictor, Ranges((0.0,), (2.0,)), 3
        (only,) = stream.strips(how, *asked)
    total = np.e + 1 / np.e + 1
    assert (only.classes == 0).all()
    assert (only.second == 2).all()
    assert (only.confidence == round(100 * np.e / total)).all()
    assert (only.margin == round(254 * (np.e - 1) / total)).all()


def test_clicks_lie_on_the_uncertain_pixels_and_apart():
    rng = np.random.default_rng(0)
    margin = rng.integers(100, 255, (60, 80))
    margin[rng.random(margin.shape) < 0.04] = 20  # the 5 %: these and some of the next
    margin[:, 70:] = NONE
    found = chosen(margin, 12)["pixels"]
    assert len(found) == 12
    at = found[["row", "column"]].to_numpy()
    known = np.sort(margin[margin != NONE])
    assert margin[at[:, 0], at[:, 1]].max() <= known[int(0.05 * len(known))]
    assert np.array_equal(margin[at[:, 0], at[:, 1]] / 254, found["margin"])
    apart = np.hypot(*(at[:, None] - at[None]).T)[~np.eye(12, dtype=bool)]
    assert apart.min() >= round(np.sqrt(60 * 70 / 12) / 3)
    assert found["margin"].is_monotonic_increasing
    assert found["rank"].tolist() == list(range(1, 13))
    assert (found["first"] == 1).all()
    assert (found["second"] == 0).all()


def test_half_of_the_clicks_are_where_another_learner_disagrees_and_both_are_sure():
    """The first learner gives class 1 with 90 % everywhere."""
    margin = np.full((60, 60), 200)
    margin[:, 30:] = np.random.default_rng(0).integers(0, 99, (60, 30))
    margin[:2] = NONE
    other = np.ones((2, 60, 60), np.uint8)
    other[1] = 95
    for row, column, sure in ((20, 3, 51), (40, 4, 95), (50, 20, 50), (1, 9, 95)):
        other[:, row, column] = 2, sure
    found = chosen(margin, 6, other=other)["pixels"]
    apart = found[found["why"] == query.APART]
    assert sorted(apart[["row", "column"]].to_numpy().tolist()) == [[20, 3], [40, 4]]
    assert (apart["first"] == 1).all()
    assert (apart["second"] == 2).all()
    assert apart["rank"].tolist() == [1, 2]
    assert found["why"].tolist()[2:] == [query.UNDECIDED] * 4
    assert found["margin"][2:].is_monotonic_increasing
    other[0], other[1] = 2, 61
    found = chosen(margin, 6, other=other)["pixels"]
    assert found["why"].tolist() == [query.APART] * 3 + [query.UNDECIDED] * 3
    away = np.hypot(*(found[["row", "column"]].to_numpy()[:, None]
                      - found[["row", "column"]].to_numpy()[None]).T)  # fmt: skip
    assert away[~np.eye(6, dtype=bool)].min() >= round(np.sqrt(58 * 60 / 6) / 3)


def test_the_same_seed_draws_the_same_and_another_does_not():
    margin = np.full((40, 40), 30)
    first, again, other = (chosen(margin, 5, seed=s)["pixels"] for s in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_fewer_uncertain_places_give_fewer_clicks_and_void_scenes_none():
    margin = np.full((30, 30), 200)
    margin[3:6, 3:6], margin[20:26, 20:26] = 5, 6  # 45 pixels are the 5 %
    found = chosen(margin, 4)["pixels"]
    assert 2 <= len(found) <= 4
    assert found["margin"].max() == 6 / 254
    void = chosen(np.full((30, 30), NONE), 4)
    assert (len(void["pixels"]), len(void["blocks"])) == (0, 0)
    with pytest.raises(RecipeError, match="0 clicks"):
        chosen(margin, 0)


def test_blocks_are_ranked_by_their_mean_margin():
    margin = np.full((12, 12), 100)
    margin[4:8, 8:12] = 10  # with four clicks a square has 12 * 12 / 4 under the root / 3: 2
    margin[0, :2] = 0
    margin[10:, 10:] = NONE
    margin[10, 10] = 1  # a quarter of its square
    found = chosen(margin, 4, rows=5)["blocks"]
    assert (found["bottom"] - found["row"] == 2).all()
    assert sorted(zip(found["row"], found["column"], strict=True)) == [
        (4, 8), (4, 10), (6, 8), (6, 10)
    ]  # fmt: skip
    assert found["margin"].tolist() == pytest.approx([10 / 254] * 4)


def test_a_map_comes_with_points_that_become_labels(tmp_path: Path, caplog):
    caplog.set_level("INFO")
    file = scene(tmp_path / "scene.tif", halves())
    shapes = {pixels(2, 2, 8, 8): "dark", pixels(50, 4, 56, 8): "bright"}
    labels(tmp_path / "labels.gpkg", shapes)
    how = Recipe(method="pixel_forest", trees=5, folds=0)
    fit.fit(file, survey.Labels(tmp_path / "labels.gpkg"), tmp_path / "model", how, device="cpu")
    asked = ["predict", str(tmp_path / "model"), str(file), str(tmp_path / "map.tif")]
    assert cli.main([*asked, "--next", "6", "--device", "cpu"]) == 0
    found = geopandas.read_file(tmp_path / "map_next.gpkg", layer="pixels")
    assert found.crs == UTM
    assert set(found["first"]) | set(found["second"]) == {"bright", "dark"}
    assert found["class"].isna().all()
    assert 1 <= len(found) <= 6
    point, row = found.geometry[0], found.iloc[0]
    assert ~GRID @ (point.x, point.y) == pytest.approx((row["column"] + 0.5, row["row"] + 0.5))
    blocks = geopandas.read_file(tmp_path / "map_next.gpkg", layer="blocks")
    assert len(blocks) == 6
    assert blocks.area.max() == pytest.approx(round(np.sqrt(64 * 64 / 6) / 3) ** 2 * 900)
    found["class"] = "dark"
    found.to_file(tmp_path / "more.gpkg")
    assert len(vector_labels.read(tmp_path / "more.gpkg", scenes.opened(file)).shapes) == len(found)
    assert set(found["why"]) <= {"undecided between bright and dark",
                                 "undecided between dark and bright"}  # fmt: skip
    assert "holds one learner, so --next goes by its margins alone" in caplog.text


def test_a_scene_without_a_valid_pixel_gives_maps_and_layers_without_content(tmp_path: Path):
    file = scene(tmp_path / "scene.tif", halves())
    shapes = {pixels(2, 2, 8, 8): "dark", pixels(50, 4, 56, 8): "bright"}
    given = survey.Labels(labels(tmp_path / "labels.gpkg", shapes))
    how = Recipe(method="pixel_forest", trees=2, folds=0)
    fit.fit(file, given, tmp_path / "model", how, device="cpu")
    void = scene(tmp_path / "void.tif", np.full((4, 20, 30), np.nan, np.float32))
    asked = {"clicks": 3, "polygons": True, "device": "cpu"}
    made = predict(void, tmp_path / "model", tmp_path / "map.tif", **asked)
    assert (made.valid, made.share) == (0, {"bright": 0, "dark": 0})
    assert len(made.files) == 4
    for name, layer in (("map.gpkg", "classes"), ("map_next.gpkg", "pixels")):
        assert len(geopandas.read_file(tmp_path / name, layer=layer)) == 0
    (tmp_path / "other_next.gpkg").write_text("mine")
    with pytest.raises(DataError, match="other_next.*there already"):
        predict(void, tmp_path / "model", tmp_path / "other.tif", **asked)


def test_a_model_that_auto_chose_holds_a_second_learner_which_says_where_it_disagrees(
    tmp_path, monkeypatch
):
    """The second learner is a forest that takes left for right."""
    file = scene(tmp_path / "scene.tif", halves())
    given = survey.Labels(labels(tmp_path / "labels.gpkg", SPOTS))
    model, out = tmp_path / "model", tmp_path / "map.tif"
    about = fit.fit(file, given, model, Recipe(trees=5), device="cpu")
    assert about.second in set(recipe.CHEAP) - {about.learner}
    assert model_folder.file(model, about, second=True).is_file()
    taken = []
    right = query.chosen

    def turned(*asked: object) -> object:
        *rest, other = asked
        other[0] = 1 - other[0]
        if not taken:
            taken.append(other.shape)
            raise DiskFullError("no space left")
        return right(*rest, other)

    monkeypatch.setattr(query, "chosen", turned)
    with pytest.raises(DiskFullError):
        predict(file, model, out, clicks=4, device="cpu")
    assert out.exists()  # a map that is finished stays
    monkeypatch.setattr(stream, "strips", lambda *_, **__: pytest.fail("computed again"))
    made = predict(file, model, out, clicks=4, device="cpu")
    assert [each.name for each in made.files][-1] == "map_next.gpkg"
    found = geopandas.read_file(made.files[-1], layer="pixels")
    assert taken == [(2, 64, 64)]
    says = f"{about.learner} says (bright|dark), {about.second} says (bright|dark), both sure"
    assert found["why"].str.fullmatch(says).sum() == 2
    assert not (tmp_path / ".map.tif.partial").exists()
