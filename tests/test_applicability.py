"""Where a map applies, against distances computed one by one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters import GRID, SPOTS, halves, labels, scene
from safetensors import safe_open
from safetensors.numpy import save
from scipy.spatial.distance import cdist, pdist
from sklearn.ensemble import RandomForestClassifier

from fewlabels import devices
from fewlabels.learners import bank, dissimilarity
from fewlabels.learners.heads import Forest, Linear
from fewlabels.mapping import applicability, fit, model_folder, score, survey
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.model_folder import ModelError
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe

RECIPE = Recipe(method="pixel_forest", trees=5, side=64, crop=32, folds=3,
                unit="block", block=8, gap=2)  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16), labels.gpkg, and a forest grown on them."""
    folder = tmp_path_factory.mktemp("ground")
    array = halves()
    array[:, :, 60:] = 0
    array[:, 50:58, 20:28] = 30_000  # like no training pixel
    scene(folder / "scene.tif", array, nodata=0)
    labels(folder / "labels.gpkg", SPOTS)
    given = survey.Labels(folder / "labels.gpkg")
    fit.fit(folder / "scene.tif", given, folder / "model", RECIPE, device="cpu")
    return folder


def opened(folder: Path) -> tuple[model_folder.About, object, applicability.Reference]:
    about = model_folder.about(folder)
    predictor = model_folder.predictor(folder, about, devices.compute("cpu"))
    return about, predictor, applicability.read(folder, predictor)


def test_the_raster_is_the_distance_to_the_nearest_training_pixel(ground, tmp_path):
    made = predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", window=24,
                   applicability=True, force=True, device="cpu")  # fmt: skip
    with rasterio.open(tmp_path / "map_applicability.tif") as source:
        unlike, inside = source.read()
        assert source.descriptions == applicability.BANDS
    about, predictor, known = opened(ground / "model")
    found = scenes.opened(ground / "scene.tif")
    with scenes.reading(found) as read:
        values, valid = read(slice(0, 64), slice(0, 64))
    image = scenes.to_bytes(values, valid, about.ranges)
    at = np.argwhere(valid)
    layers = bank.layers(predictor.bank, image, predictor.compute)
    x = (bank.sampled(layers, at, (64, 64)) - known.middle) * known.scale
    wanted = cdist(x, known.x).min(axis=1) / pdist(known.x).mean()
    assert np.allclose(unlike[valid], wanted, atol=1e-3)
    assert np.isnan(unlike[~valid]).all()
    assert np.isnan(inside[~valid]).all()
    assert np.array_equal(inside[valid] == 1, unlike[valid] <= np.float32(known.threshold))
    share = 100 * inside[valid].mean()
    assert made.notes[0].startswith(f"{share:.1f} % of the pixels lie in the area of applicability")


def test_the_threshold_is_that_of_held_out_pixels_from_what_trains_without_them(ground):
    """Blocks of 8 pixels in 3 parts, labels within 2 pixels of what is held out do not train."""
    _, _, known = opened(ground / "model")
    columns, rows = (np.array(~GRID @ tuple(known.at.T)) - 0.5).round().astype(int)
    blocks = rows // 8 * 8 + columns // 8
    assert len(rows) == 36 + 24 + 16 + 24 + 40 + 12  # two columns of one spot are nodata
    far = cdist(known.x, known.x)
    y = (columns < 32).astype(int)  # bright, dark
    counts = {b: np.bincount(y[blocks == b], minlength=2) for b in np.unique(blocks).tolist()}
    unlike, apart = [], []
    for group in score.folds(counts, 3, 0):
        held = np.isin(blocks, list(group))
        gaps = np.maximum(
            abs(rows[:, None] - rows[held]), abs(columns[:, None] - columns[held])
        ).min(axis=1)
        trains = ~held & (gaps > 2)
        unlike += far[held][:, trains].min(axis=1).tolist()
        steps = np.stack([rows, columns], axis=1)
        apart += cdist(steps[held], steps[trains]).min(axis=1).tolist()
    unlike = np.array(unlike) / known.mean
    low, high = np.percentile(unlike, (25, 75))
    assert known.threshold == pytest.approx(unlike[unlike <= high + 1.5 * (high - low)].max(), 1e-3)
    assert known.apart == pytest.approx(30 * np.median(apart))


def test_pixels_unlike_all_that_trained_are_outside(ground, tmp_path):
    predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", applicability=True,
            force=True, device="cpu")  # fmt: skip
    with rasterio.open(tmp_path / "map_applicability.tif") as source:
        _, inside = source.read()
    assert (inside[50:58, 20:28] == 0).mean() > 0.9
    assert np.nanmean(inside[:48]) > 0.8


def test_the_whisker_ends_at_the_largest_value_that_is_no_outlier():
    assert dissimilarity.whisker(np.array([1.0, 2, 3, 4, 5])) == 5
    assert dissimilarity.whisker(np.array([1.0, 2, 3, 4, 7.1])) == 4  # 4 + 1.5 * (4 - 2) = 7
    assert dissimilarity.whisker(np.array([1.0, 2, 3, 4, 7])) == 7


def test_features_weigh_as_much_as_the_learner_uses_them():
    linear = Linear(np.array([[3, 0, -1], [-3, 0, 1]], np.float32), np.zeros(2, np.float32),
                    np.arange(2), 0.1)  # fmt: skip
    deviation = np.array([1, 5, 3], np.float32)
    assert dissimilarity.importance(linear, deviation).tolist() == [1.5, 0, 1.5]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    grown = RandomForestClassifier(20, random_state=0).fit(x, (x[:, 1] > 0).astype(int))
    found = dissimilarity.importance(Forest(grown), np.ones(3, np.float32))
    assert found.mean() == pytest.approx(1)
    assert found[1] > 2


def test_a_map_far_from_all_labels_is_warned_about(tmp_path):
    one = np.ones((1, 1), np.float32)
    known = applicability.Reference(one, one[0], one[0], 1.0, np.array([[0.5, 0.5]]), 0.5, 10.0, "")
    far = np.array([[0, 10], [30, 40], [0, 70]])
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 80, 80), np.uint8), crs=None,
                                transform=rasterio.Affine.identity()))  # fmt: skip
    lines = applicability.said(known, found, 0.25, far)
    assert lines[0].startswith("25.0 % of the pixels")
    assert "50 pixels in the map, 10 pixels for held-out labels" in lines[1]
    assert lines[2].startswith("warning: that is 5.0 times as far")
    assert len(applicability.said(known, found, 1.0, far[:1])) == 2


def test_distances_to_a_scene_of_another_system_are_not_known(ground, tmp_path):
    scene(tmp_path / "a.tif", halves(), crs="EPSG:3857")
    made = predict(tmp_path / "a.tif", ground / "model", tmp_path / "map.tif", applicability=True,
                   device="cpu")  # fmt: skip
    assert "different coordinate reference systems" in made.notes[1]


def test_a_model_without_training_pixels_says_why_it_cannot_tell(ground, tmp_path):
    shutil.copytree(ground / "model", tmp_path / "model")
    (tmp_path / "model" / applicability.FILE).unlink()
    with pytest.raises(ModelError, match="keeps no training pixels.*--applicability"):
        predict(ground / "scene.tif", tmp_path / "model", tmp_path / "map.tif", force=True,
                applicability=True, device="cpu")  # fmt: skip
    predict(ground / "scene.tif", tmp_path / "model", tmp_path / "map.tif", force=True,
            device="cpu")  # fmt: skip


@pytest.mark.parametrize("change", ["cut", "nan", "narrow", "same", "text"])
def test_damaged_training_pixels_are_refused(ground, tmp_path, change):
    shutil.copytree(ground / "model", tmp_path / "model")
    file = tmp_path / "model" / applicability.FILE
    content = bytearray(file.read_bytes())
    if change == "cut":
        content = content[:-5]
    elif change == "nan":
        content[-8:] = np.float64(np.nan).tobytes()
    elif change == "text":
        content = bytearray(b"not a file of tensors")
    else:
        with safe_open(file, framework="numpy") as source:
            told = json.loads(source.metadata()["about"])
            parts = {name: source.get_tensor(name) for name in source.keys()}  # noqa: SIM118
        parts["x"] = parts["x"][:, :-1] if change == "narrow" else parts["x"]
        told["mean"] = 0.0 if change == "same" else told["mean"]
        rows = {name: np.ascontiguousarray(part) for name, part in parts.items()}
        content = save(rows, metadata={"about": json.dumps(told)})
    file.write_bytes(content)
    with pytest.raises(ModelError, match="training_pixels.*cannot be read.*train the model again"):
        opened(tmp_path / "model")
