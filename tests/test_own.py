"""From a scene and labels to a model folder, its scores and maps."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine
from rasters import GRID, SPOTS, UTM, halves, labels, pixels, scene
from shapely.geometry import Point
from torch import nn

from fewlabels import cli, devices, paths
from fewlabels.devices import compute
from fewlabels.learners.network import NetworkPredictor
from fewlabels.mapping import (
    fit,
    maps,
    model_folder,
    recipe,
    score,
    score_summary,
    stream,
    survey,
    tiles,
)
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe, RecipeError
from fewlabels.mapping.scene import Ranges, to_bytes
from fewlabels.mapping.vector_labels import Marks
from fewlabels.scoring import inference
from fewlabels.training import networks
from fewlabels.training.state import CheckpointError
from fewlabels.types import IGNORE, DataError, NoLabelsError, PlaceError, UnknownName

CPU = compute("cpu", "fp32")
TINY = Recipe(
    method="network", model="unet:depth=2,width=4", weights="none", steps=30, batch=2, crop=32,
    side=32, window=32, lr=1e-2, folds=3, gap=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16), labels.gpkg, and a model trained on them."""
    folder = tmp_path_factory.mktemp("ground")
    scene(folder / "scene.tif", halves())
    labels(folder / "labels.gpkg", SPOTS, to="EPSG:4326")
    fit.fit(
        folder / "scene.tif", survey.Labels(folder / "labels.gpkg"), folder / "model", TINY,
        device="cpu", licence="for tests",
    )  # fmt: skip
    return folder


def local(bands: int, classes: int) -> nn.Module:
    """Looks at single pixels only."""
    net = nn.Conv2d(bands, classes, 1)
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return net


def streamed(file: Path, network: nn.Module, window: int, overlap: int, classes: int, **options):
    """The strips of a file, each band's bytes being its values."""
    found = scenes.opened(file)
    how = stream.Plan(found.height, found.width, window, overlap)
    ranges = Ranges((0.0,) * len(found.bands), (255.0,) * len(found.bands))
    predictor = NetworkPredictor(network, CPU)
    with scenes.reading(found) as read:
        return how, list(stream.strips(how, read, predictor, ranges, classes, **options))


@pytest.mark.parametrize(("window", "overlap"), [(16, 4), (16, 0), (16, 15), (37, 5), (99, 20)])
def test_blended_windows_are_the_whole_image_for_a_network_of_single_pixels(
    tmp_path, window, overlap
):
    array = np.random.default_rng(0).integers(0, 256, (5, 37, 45)).astype(np.uint8)
    network = local(5, 3)
    _, found = streamed(scene(tmp_path / "a.tif", array), network, window, overlap, 3)
    whole = inference.probabilities(network, array.transpose(1, 2, 0), CPU)
    assert np.array_equal(np.concatenate([s.classes for s in found]), whole.argmax(axis=0))
    percent = np.concatenate([s.confidence for s in found]).astype(float)
    assert np.abs(percent - 100 * whole.max(axis=0)).max() <= 0.5 + 1e-3


def test_strips_agree_with_the_evaluation_of_whole_images(tmp_path):
    array = np.random.default_rng(1).integers(0, 256, (5, 70, 50)).astype(np.uint8)
    network = networks.build("unet:depth=2,width=4", 3, channels=5)
    _, found = streamed(scene(tmp_path / "a.tif", array), network, 32, 8, 3)
    whole = inference.predict(network, array.transpose(1, 2, 0), CPU, window=32, overlap=8)
    assert (np.concatenate([s.classes for s in found]) == whole).mean() > 0.999  # ties by rounding


def test_where_windows_overlap_the_one_whose_centre_is_nearer_counts_more(tmp_path, monkeypatch):
    """Two windows of 8 columns share four; each is sure of a class of its own."""
    shares = {0: (0.9, 0.1), 4: (0.2, 0.8)}
    at = iter(shares)

    def constant(_, image: np.ndarray) -> np.ndarray:
        own = np.array(shares[next(at)], np.float32)
        return np.broadcast_to(own[:, None, None], (2, *image.shape[:2])).copy()

    monkeypatch.setattr(NetworkPredictor, "probabilities", constant)
    _, (found,) = streamed(
        scene(tmp_path / "a.tif", np.ones((1, 8, 12), np.uint8)), local(1, 2), 8, 4, 2
    )
    columns = np.arange(12)
    weights = [np.sin((columns - start + 0.5) * np.pi / 8) ** 2 for start in shares]
    weights = [np.where((columns >= s) & (columns < s + 8), w, 0)
               for s, w in zip(shares, weights, strict=True)]  # fmt: skip
    logs = sum(w[:, None] * np.log(shares[s]) for s, w in zip(shares, weights, strict=True))
    blended = np.exp(logs / sum(weights)[:, None])
    sure = blended.max(axis=1) / blended.sum(axis=1)
    assert np.abs(found.confidence - 100 * sure).max() <= 0.5 + 1e-3
    assert len(set(found.confidence[0].tolist())) == 6


def test_strips_from_any_on_are_those_from_the_first(tmp_path):
    array = np.random.default_rng(2).integers(0, 256, (2, 80, 20)).astype(np.uint8)
    file = scene(tmp_path / "a.tif", array)
    network = networks.build("unet:depth=2,width=4", 3, channels=2)
    for window, overlap in ((16, 4), (16, 13), (79, 3)):
        how, every = streamed(file, network, window, overlap, 3)
        assert [len(s.classes) for s in every] == np.diff(how.edges).tolist()
        assert how.edges[-1] == 80
        for first in range(len(every)):
            _, later = streamed(file, network, window, overlap, 3, first=first)
            assert len(later) == len(every) - first
            for a, b in zip(later, every[first:], strict=True):
                assert np.array_equal(a.classes, b.classes)
                assert np.array_equal(a.confidence, b.confidence)


def test_nodata_stays_nodata_and_is_not_computed(tmp_path):
    array = np.full((2, 48, 48), np.nan, np.float32)
    array[:, :10, :10] = 100
    array[:, 3, 4] = -1
    seen = []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape)
            assert x.isfinite().all()
            return torch.cat([x[:, :1], -x[:, :1]], dim=1)

    file = scene(tmp_path / "a.tif", array, nodata=-1)
    _, found = streamed(file, Counting(), 16, 0, 2)
    classes = np.concatenate([s.classes for s in found])
    expected = np.full((48, 48), maps.NODATA)
    expected[:10, :10] = 1  # bytes of 100 are below the middle
    expected[3, 4] = maps.NODATA
    assert np.array_equal(classes, expected)
    assert len(seen) == 1
    array[:] = np.nan
    _, found = streamed(scene(tmp_path / "b.tif", array), Counting(), 16, 0, 2)
    assert all((s.classes == 255).all() and (s.confidence == 255).all() for s in found)
    assert len(seen) == 1


def test_windows_that_cannot_be_are_refused():
    for window, overlap in ((0, 0), (8, 8), (8, -1)):
        with pytest.raises(RecipeError, match=f"window {window} with an overlap of {overlap}"):
            stream.Plan(20, 20, window, overlap)


def cut(folder: Path, **options) -> tuple[tiles.Cut, Marks]:
    found = scenes.opened(folder / "scene.tif")
    given = survey.labelled(survey.Labels(folder / "labels.gpkg"), found)
    asked = {"side": 32, "gap": 2, "block": None} | options
    with scenes.reading(found) as read, tiles.labelling(given, found) as burn:
        return tiles.cut(found, read, burn, **asked), given


def test_pieces_hold_every_labelled_pixel_once(ground):
    for side in (16, 32, 500):
        found, given = cut(ground, side=side)
        counts = sum(tiles.inventory(found.pieces, 2).values())
        assert given.classes == ("bright", "dark")
        assert counts.tolist() == [88, 76]
        assert found.shapes == set(range(6))
    by_shape = tiles.inventory(found.pieces, 2)
    assert [counts.max() for counts in by_shape.values()] == [36, 24, 24, 40, 16, 24]


def test_folds_hold_out_every_unit_once_and_spread_the_classes():
    units = {u: np.array([5, 0, 1] if u < 7 else [0, 9, 0]) for u in range(11)}
    groups = score.folds(units, 4, seed=0)
    assert sorted(u for group in groups for u in group) == list(range(11))
    assert {sum(u < 7 for u in group) for group in groups} == {1, 2}
    assert {sum(u >= 7 for u in group) for group in groups} == {1}
    assert score.folds(units, 4, seed=0) == groups
    assert len(score.folds({0: np.array([1])}, 5, seed=0)) == 1
    single = {unit: np.eye(3, dtype=int)[unit] for unit in range(3)}
    assert [len(group) for group in score.folds(single, 3, seed=0)] == [1, 1, 1]
    assert score.alone({0: np.array([1, 2, 0]), 1: np.array([3, 0, 0])}) == (1,)


def test_nothing_trains_within_the_gap_of_what_is_held_out(tmp_path):
    """Two shapes on both sides of the border of two pieces, one pixel apart."""
    scene(tmp_path / "scene.tif", halves())
    shapes = {pixels(20, 0, 32, 4): "a", pixels(32, 0, 40, 4): "b", pixels(0, 50, 2, 52): "b"}
    labels(tmp_path / "labels.gpkg", shapes)
    for gap, left in ((0, 12 * 4), (1, 11 * 4), (5, 7 * 4), (12, 0)):
        found, _ = cut(tmp_path, gap=gap)
        remaining = [score.remaining(piece, {1}, gap) for piece in found.pieces]
        assert sum(int((part == 0).sum()) for part in remaining) == left
        assert sum(int((part == 1).sum()) for part in remaining) == 4  # the other shape of b
        assert sum(int((piece.units == 1).sum()) for piece in found.pieces) == 8 * 4


def test_a_held_out_unit_is_predicted_by_a_network_that_never_saw_it(ground):
    trained = []
    found, given = cut(ground)

    class Bright(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x[:, :1], -x[:, :1]], dim=1)

    def learn(asked, parts, name):
        trained.append([np.where(part == IGNORE, -1, piece.units)
                        for piece, part in zip(asked.pieces, parts, strict=True)])  # fmt: skip
        ranges = Ranges((0.0,) * 4, (10_000.0,) * 4)
        return recipe.Learned(NetworkPredictor(Bright(), CPU), ranges, [], 0.0)

    with scenes.reading(scenes.opened(ground / "scene.tif")) as read:
        asked = recipe.Ground(
            read, (64, 64), found.pieces, given.classes, TINY, CPU, ground, "test"
        )
        held = score.held_out(asked, score.of_loop(asked, learn))
    groups = score.folds(tiles.inventory(found.pieces, 2), 3, seed=0)
    for group, units in zip(groups, trained, strict=True):
        assert not set(np.concatenate(units, axis=None).tolist()) & group
    assert list(held.units) == list(range(6))
    summary = score.summary(held, given.classes, 0)
    assert (summary["miou"], summary["miou_interval"]) == (1.0, [1.0, 1.0])
    assert (summary["pixels"], summary["few"]) == (164, True)
    assert "too narrow" in score_summary.scores(summary)[-1]


def test_scores_count_labelled_pixels_and_leave_out_classes_of_one_unit():
    confusion = np.array([[[8, 2, 0], [0, 0, 0], [0, 0, 0]], [[6, 0, 4], [0, 0, 0], [0, 0, 0]],
                          [[0, 0, 0], [5, 5, 0], [0, 0, 0]], [[0, 0, 0], [0, 10, 0], [0, 0, 0]],
                          [[0, 0, 0], [0, 0, 0], [7, 0, 0]]])  # fmt: skip
    held = score.Held(range(5), confusion, 2, (2,))
    found = score.summary(held, ("a", "b", "c"), 0)
    assert found["iou"] == {"a": round(14 / 25, 6), "b": round(15 / 22, 6), "c": None}
    assert found["accuracy"] == 29 / 40
    low, high = found["accuracy_interval"]
    assert (low, high) == (pytest.approx((12 + 10) / 40), pytest.approx((16 + 20) / 40))


def test_a_model_learns_what_is_plain_and_its_folder_says_how(ground):
    about = model_folder.about(ground / "model")
    record = about.record
    assert about.classes == ("bright", "dark")
    assert record["scores"]["miou"] > 0.9
    assert record["scores"]["units"] == 6
    assert record["labels"]["units"] == {"bright": 3, "dark": 3}
    assert record["trained_pixels"] == {"bright": 88, "dark": 76}
    assert record["labels"]["held out together"] == "drawn shapes"
    assert (about.kind, about.pixel, about.system) == ("uint16", 30, UTM)
    assert about.licence == "for tests"
    assert str(ground) not in (ground / "model" / "model.json").read_text()
    assert not list(ground.glob(".model*"))


def test_a_map_lies_on_its_scene_and_shows_the_classes(ground, tmp_path):
    shutil.copytree(ground / "model", tmp_path / "elsewhere")
    array = halves(seed=5)
    array[:, 60:, :] = 0
    file = scene(tmp_path / "other.tif", array, nodata=0)
    made = predict(file, tmp_path / "elsewhere", tmp_path / "map.tif", polygons=True, device="cpu")
    with rasterio.open(tmp_path / "map.tif") as found:
        classes = found.read(1)
        assert (found.transform, found.crs.to_string(), found.nodata) == (GRID, UTM, 255)
        assert found.tags()["class_0"] == "bright"
    assert (classes[60:] == 255).all()
    truth = np.where(np.arange(64) < 32, 1, 0)
    assert (classes[:60] == truth).mean() > 0.95
    assert made.valid == 60 / 64
    assert sum(made.share.values()) == pytest.approx(1)
    with rasterio.open(tmp_path / "map_confidence.tif") as found:
        sure = found.read(1)
        assert found.units == ("percent",)
    assert ((sure >= 50) & (sure <= 100))[:60].all()
    frame = geopandas.read_file(tmp_path / "map.gpkg")
    assert frame.area.sum() == pytest.approx(60 * 64 * 900)
    assert not list(tmp_path.glob(".*"))


def test_what_is_there_already_is_never_overwritten(ground, tmp_path):
    model, file = ground / "model", ground / "scene.tif"
    with pytest.raises(model_folder.ModelError, match="there already"):
        fit.fit(file, survey.Labels(ground / "labels.gpkg"), model, TINY, device="cpu")
    for name in ("map.tif", "map_confidence.tif", "map.gpkg"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(DataError, match=f"{name}.*there already"):
            predict(file, model, tmp_path / "map.tif", polygons=True, device="cpu")
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_maps_that_cannot_be_written_are_refused_before_any_work(ground, tmp_path, monkeypatch):
    model, file = ground / "model", ground / "scene.tif"
    monkeypatch.setattr(model_folder, "about", lambda *_: pytest.fail("begun"))
    with pytest.raises(DataError, match=r"map.gpkg.*is no name for a class map"):
        predict(file, model, tmp_path / "map.gpkg", polygons=True, device="cpu")
    with pytest.raises(DataError, match="is no name for a class map"):
        predict(file, model, Path(), device="cpu")
    with pytest.raises(PlaceError, match="name another place"):
        predict(file, model, file / "map.tif", device="cpu")
    monkeypatch.setattr(devices, "compute", lambda *_: pytest.fail("begun"))
    with pytest.raises(PlaceError, match="name another place"):
        fit.fit(file, survey.Labels(ground / "labels.gpkg"), file / "model", TINY)


def test_strips_of_a_map_with_odd_letters_are_cleared_away(ground, tmp_path):
    predict(ground / "scene.tif", ground / "model", tmp_path / "map[1].tif", device="cpu")
    made = {"map[1].tif", "map[1].tif.aux.xml", "map[1]_confidence.tif"}
    assert {f.name for f in tmp_path.iterdir()} == made


def test_a_value_that_is_named_twice_is_refused(ground):
    for file, twice in (("labels.gpkg", ("dark", " dark")), ("l.png", ("1=a", "1=b"))):
        given = survey.Labels(ground / file, classes=twice)
        with pytest.raises(DataError, match="class '(dark|1)' is named twice"):
            survey.labelled(given, scenes.opened(ground / "scene.tif"))


def test_a_prediction_that_was_interrupted_goes_on_to_the_same_map(ground, tmp_path, monkeypatch):
    file, model, computed = ground / "scene.tif", ground / "model", []
    asked = {"window": 16, "overlap": 4, "device": "cpu"}
    logits = inference.logits

    def counted(*arguments, **options):
        if len(computed) == 17:
            raise KeyboardInterrupt
        computed.append(1)
        return logits(*arguments, **options)

    monkeypatch.setattr(inference, "logits", counted)
    with pytest.raises(KeyboardInterrupt):
        predict(file, model, tmp_path / "map.tif", **asked)
    assert not (tmp_path / "map.tif").exists()
    whole = lambda *a, **o: computed.append(1) or logits(*a, **o)  # noqa: E731
    monkeypatch.setattr(inference, "logits", whole)
    made = predict(file, model, tmp_path / "map.tif", **asked)
    assert made.resumed == 3  # rows of 5 windows: three were whole, the fourth had begun
    assert len(computed) == 17 + 5 + 2 * 5  # the third row again, which reaches into the fourth
    predict(file, model, tmp_path / "whole.tif", **asked)
    for name in ("", "_confidence"):
        with (
            rasterio.open(tmp_path / f"map{name}.tif") as a,
            rasterio.open(tmp_path / f"whole{name}.tif") as b,
        ):
            assert np.array_equal(a.read(1), b.read(1))


def test_a_scene_with_other_bands_than_the_model_is_refused(ground, tmp_path):
    file = scene(tmp_path / "three.tif", halves(bands=3))
    with pytest.raises(DataError, match=r"three\.tif.*has 3 bands.*needs 4"):
        predict(file, ground / "model", tmp_path / "map.tif", device="cpu")
    assert [p.name for p in tmp_path.iterdir()] == ["three.tif"]


def test_an_infrared_band_that_is_marked_as_alpha_can_be_asked_for(ground, tmp_path, caplog):
    array = (halves() // 50).clip(0, 255).astype(np.uint8)
    array[:3, :, :], array[3, 0, 0] = 7, 0  # only the fourth band tells the classes apart
    file = scene(tmp_path / "a.tif", array)  # GDAL marks the fourth of four bytes as alpha
    assert scenes.opened(file).alpha == (4,)
    given = survey.Labels(ground / "labels.gpkg")
    how = replace(TINY, folds=0)
    asked = fit.fit(file, given, tmp_path / "m", how, bands=(4, 1), device="cpu")
    assert asked.bands == ("band 4", "band 1")
    assert "marked as alpha" not in caplog.text
    predict(file, tmp_path / "m", tmp_path / "map.tif", device="cpu")
    with rasterio.open(tmp_path / "map.tif") as found:
        assert (found.read(1) == np.where(np.arange(64) < 32, 1, 0)).mean() > 0.95
    fit.fit(file, given, tmp_path / "n", replace(how, steps=1), device="cpu")
    assert "band 4 is marked as alpha" in caplog.text
    with pytest.raises(DataError, match="no band 7"):
        scenes.opened(file, (7,))


def test_scenes_of_another_kind_are_warned_about(ground, tmp_path, caplog):
    coarse = scene(
        tmp_path / "a.tif", halves().astype(np.float32), transform=GRID @ Affine.scale(2)
    )
    predict(coarse, ground / "model", tmp_path / "map.tif", device="cpu")
    assert "float32, the training scene was of uint16" in caplog.text
    assert "2 times as long" in caplog.text


@pytest.mark.parametrize("side", [1, 20, 33])
def test_scenes_of_any_size_and_without_a_system_are_mapped(ground, tmp_path, side):
    file = scene(tmp_path / "a.tif", halves(side=side), crs=None)
    predict(file, ground / "model", tmp_path / "map.tif", device="cpu")
    with rasterio.open(tmp_path / "map.tif") as found:
        assert (found.shape, found.crs) == ((side, side), None)
        assert set(np.unique(found.read(1))) <= {0, 1}


def test_a_scene_smaller_than_a_crop_trains(tmp_path):
    scene(tmp_path / "scene.tif", halves(side=20))
    labels(tmp_path / "labels.gpkg", {pixels(0, 0, 4, 4): "a", pixels(15, 2, 18, 9): "b"})
    how = replace(TINY, steps=2, folds=0)
    about = fit.fit(
        tmp_path / "scene.tif", survey.Labels(tmp_path / "labels.gpkg"), tmp_path / "m", how,
        device="cpu",
    )  # fmt: skip
    assert about.record["scores"] == {"scored": False, "why": "it was not asked for (folds 0)"}


def test_a_class_of_one_polygon_is_warned_about_and_not_scored(tmp_path, caplog):
    scene(tmp_path / "scene.tif", halves())
    shapes = dict(SPOTS) | {pixels(30, 30, 34, 34): "rare"}
    labels(tmp_path / "labels.gpkg", shapes)
    how = replace(TINY, steps=2)
    caplog.set_level("INFO")
    about = fit.fit(
        tmp_path / "scene.tif",
        survey.Labels(tmp_path / "labels.gpkg", classes=("dark", "bright", "rare", "never")),
        tmp_path / "m", how, device="cpu",
    )  # fmt: skip
    assert "class 'rare' has a single polygon or line" in caplog.text
    assert "class 'never' has no labelled pixel" in caplog.text
    assert "network trains 4 times; a bar shows the time of one" in caplog.text
    assert about.record["scores"]["ignored"] == ["rare"]
    assert about.record["scores"]["iou"]["rare"] is None


def test_one_class_only_or_labels_on_nodata_cannot_train(tmp_path):
    array = halves()
    array[:, :10, :10] = 0
    scene(tmp_path / "scene.tif", array, nodata=0)
    shapes = {pixels(2, 2, 8, 8): "a", pixels(20, 20, 22, 22): "b"}
    void = {shape: name for shape, name in shapes.items() if name == "a"}
    asked = {"device": "cpu"}
    for number, (chosen, why) in enumerate(((shapes, "only the class 'b'"), (void, "36 labelled"))):
        file = labels(tmp_path / f"{number}.gpkg", chosen)
        with pytest.raises(NoLabelsError, match=why):
            fit.fit(tmp_path / "scene.tif", survey.Labels(file), tmp_path / "m", TINY, **asked)
    assert not (tmp_path / "m").exists()
    with pytest.raises(DataError, match="known are .csv"):
        fit.fit(tmp_path / "scene.tif", survey.Labels(Path("a.doc")), tmp_path / "m", TINY, **asked)


def test_a_label_image_without_an_empty_value_is_warned_about(tmp_path, caplog):
    scene(tmp_path / "scene.tif", halves())
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, :5, :5] = 1
    scene(tmp_path / "mask.tif", mask)
    given, how = survey.Labels(tmp_path / "mask.tif"), replace(TINY, steps=1, folds=0)
    fit.fit(tmp_path / "scene.tif", given, tmp_path / "m", how, device="cpu")
    assert "100 % of the scene is labelled" in caplog.text


def test_points_and_label_images_are_held_out_by_blocks(tmp_path):
    scene(tmp_path / "scene.tif", halves())
    rng = np.random.default_rng(0)
    at = rng.permutation(64 * 64)[:60]
    points = {Point(GRID @ (i % 64 + 0.5, i // 64 + 0.5)): "d" if i % 64 < 32 else "b" for i in at}
    labels(tmp_path / "labels.gpkg", points)
    mask = np.full((64, 64), 9, np.uint8)
    mask.ravel()[at] = np.where(at % 64 < 32, 1, 2)
    scene(tmp_path / "mask.tif", mask[None])
    how = replace(TINY, steps=2, block=16, folds=2)
    for name, options in (
        ("labels.gpkg", {}),
        ("mask.tif", {"classes": ("2=b", "1=d"), "no_label": 9}),
    ):
        given = survey.Labels(tmp_path / name, **options)
        about = fit.fit(tmp_path / "scene.tif", given, tmp_path / name[:2], how, device="cpu")
        found = about.record["labels"]
        assert about.classes == ("b", "d")
        assert found["held out together"] == "16 px blocks"
        dark = len({(i // 64 // 16, i % 64 // 16) for i in at if i % 64 < 32})
        assert found["units"]["d"] == dark
        assert sum(found["pixels"].values()) == 60
        assert about.record["scores"]["pixels"] == 60
    with pytest.raises(RecipeError, match="blocks"):
        fit.fit(
            tmp_path / "scene.tif", survey.Labels(tmp_path / "labels.gpkg"), tmp_path / "n",
            replace(how, unit="shape"), device="cpu",
        )  # fmt: skip
    with pytest.raises(DataError, match="VALUE=NAME"):
        fit.fit(
            tmp_path / "scene.tif", survey.Labels(tmp_path / "mask.tif", classes=("b",)),
            tmp_path / "n", how, device="cpu",
        )  # fmt: skip


def test_a_checkpoint_of_other_labels_or_settings_is_refused(ground, tmp_path, monkeypatch):
    given, out = survey.Labels(ground / "labels.gpkg"), tmp_path / "m"
    monkeypatch.setattr(recipe, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(
        model_folder, "write", lambda *arguments: (_ for _ in ()).throw(OSError("cut"))
    )
    how = replace(TINY, steps=4, folds=0)
    with pytest.raises(OSError, match="cut"):
        fit.fit(ground / "scene.tif", given, out, how, device="cpu")
    with pytest.raises(CheckpointError, match="delete"):
        fit.fit(ground / "scene.tif", given, out, replace(how, lr=2e-2), device="cpu")
    monkeypatch.undo()
    about = fit.fit(ground / "scene.tif", given, out, how, device="cpu")
    assert about.record["loss"]["last"] > 0
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_model_folder_is_named(ground, tmp_path):
    with pytest.raises(model_folder.ModelError, match="cannot be read as a model folder"):
        model_folder.about(tmp_path)
    folder = tmp_path / "m"
    shutil.copytree(ground / "model", folder)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(model_folder.ModelError, match="does not fit"):
        model_folder.predictor(folder, model_folder.about(folder), CPU)
    text = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(text | {"format": 99}))
    with pytest.raises(model_folder.ModelError, match="format"):
        model_folder.about(folder)
    (folder / "model.json").write_text(json.dumps(text | {"bands": ["one"]}))
    with pytest.raises(model_folder.ModelError, match="damaged"):
        model_folder.about(folder)


def test_recipes_that_cannot_be_are_refused():
    for change in (
        {"folds": 1},
        {"crop": 50},
        {"steps": 0},
        {"side": 64},
        {"gap": -1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"seed": -1},
        {"seed": 2**32},
    ):
        with pytest.raises(RecipeError):
            Recipe(**change)
    for change in ({"loss": "none"}, {"unit": "pixel"}, {"augmentation": "no"}):
        with pytest.raises(UnknownName):
            Recipe(**change)


def test_the_command_line_trains_and_maps(ground, tmp_path, capsys):
    recipe = ["--model", TINY.model, "--steps", "2", "--batch", "2", "--crop", "32"]
    asked = [str(ground / "scene.tif"), str(ground / "labels.gpkg"), str(tmp_path / "m")]
    assert cli.main(["train", *asked, *recipe, "--folds", "2", "--device", "cpu"]) == 0
    assert "units held out in 2 parts" in capsys.readouterr().out
    made = [str(tmp_path / "m"), str(ground / "scene.tif"), str(tmp_path / "map.tif")]
    assert cli.main(["predict", *made, "--device", "cpu"]) == 0
    assert "100.0 % of the pixels have a class" in capsys.readouterr().out
    assert cli.main(["predict", *made, "--device", "cpu"]) == 1
    assert "there already" in capsys.readouterr().err
    made[-1] = str(tmp_path / "other.tif")
    assert cli.main(["predict", *made, "--window", "8", "--overlap", "8"]) == 1
    assert "RecipeError" in capsys.readouterr().err


def test_bytes_of_a_scene_follow_the_ranges_of_training(ground):
    about = model_folder.about(ground / "model")
    values = np.array(about.ranges.high, np.float32)[None, None]
    assert (to_bytes(values, np.ones((1, 1), bool), about.ranges) == 255).all()


@pytest.mark.real
def test_the_hand_drawn_polygons_of_a_real_scene_fall_on_the_pixels_that_came_with_them(tmp_path):
    folder = paths.data_root() / "real_sparse_polygons"
    if not folder.is_dir():
        pytest.skip("real_sparse_polygons is not under DATA_ROOT")
    stored_with = np.load(folder / "landsat7_022049_1999_2002.npz")
    corner = Affine(30, 0, 462_405, 0, -30, 1_741_815)
    file = scene(tmp_path / "scene.tif", stored_with["bands_1999"], transform=corner)
    given = survey.Labels(folder / "landsat7_022049_polygons.geojson", column="id")
    found = survey.labelled(given, scenes.opened(file))
    with scenes.reading(scenes.opened(file)) as read:
        burnt = tiles.burning(found)(slice(0, 250), slice(0, 250))
        assert read(slice(0, 250), slice(0, 250))[0].shape == (250, 250, 8)
    assert np.array_equal(np.where(burnt.labels == IGNORE, 0, burnt.labels + 1),
                          stored_with["labels"])  # fmt: skip
    assert np.array_equal(burnt.units + 1, stored_with["poly"])
    assert found.report["doubtful"] == [
        "label 7: id is '5' and class is 'barren'",
        "label 9: id is '4' and class is 'urban'",
    ]
