"""Scenes of 64 and 128 bands, and scenes of several files: everything is generated."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters import GRID, SPOTS, halves, labels, scene

from fewlabels import cli
from fewlabels.mapping import fit, model_folder, stream, survey, unlike
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import CHEAP, Recipe
from fewlabels.mapping.scene import Ranges
from fewlabels.mapping.widget import quick_fit
from fewlabels.types import DataError


def embedding(bands: int, side: int = 64) -> np.ndarray:
    """Two directions of unit length with noise, one for each half; a corner has no value."""
    rng = np.random.default_rng(0)
    ends = rng.normal(size=(2, bands))
    half = (np.arange(side) >= side // 2).astype(int)
    values = ends[half][None] + rng.normal(0, 0.5, (side, side, bands))
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    values[-6:, -6:] = np.nan
    return values.transpose(2, 0, 1).astype(np.float32)


def fitted(folder: Path, file: Path, method: str, **options: object) -> model_folder.About:
    given = survey.Labels(folder / "labels.gpkg")
    how = Recipe(method=method, trees=10, side=64, crop=32, folds=0)
    return fit.fit(file, given, folder / "model", how, device="cpu", **options)


@pytest.mark.parametrize("bands", [64, 128])
@pytest.mark.parametrize("method", CHEAP)
def test_every_quick_learner_maps_an_embedding(tmp_path, method, bands):
    file = scene(tmp_path / "scene.tif", embedding(bands))
    labels(tmp_path / "labels.gpkg", SPOTS)
    about = fitted(tmp_path, file, method)
    assert (len(about.bands), about.kind) == (bands, "float32")
    made = predict(file, tmp_path / "model", tmp_path / "map.tif", window=32, device="cpu")
    assert made.valid == pytest.approx(1 - 36 / 4096)
    with rasterio.open(tmp_path / "map.tif") as source:
        found = source.read(1)
    truth = np.tile(np.where(np.arange(64) < 32, 1, 0), (64, 1))  # dark is the second class
    valid = found != 255
    assert (valid == np.isfinite(embedding(bands)[0])).all()
    assert (found == truth)[valid].mean() > 0.97


def test_an_embedding_is_shown_in_its_first_three_bands(tmp_path):
    shown = quick_fit.picture(quick_fit.view(scene(tmp_path / "scene.tif", embedding(64))))
    assert (shown.shape, shown.dtype) == ((64, 64, 3), np.uint8)
    assert shown.std(axis=(0, 1)).min() > 30


def test_windows_shrink_where_a_scene_has_many_bands():
    assert [stream.window(bands, 192) for bands in (3, 32, 64, 128)] == [1024, 1024, 512, 256]
    assert stream.window(64, 0) == 1024
    assert stream.window(10_000, None) == 256


def test_bytes_of_a_band_follow_from_that_band_alone():
    """The slow twin: all bands at once in double precision."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 9, 5)).astype(np.float32)
    valid = rng.random((7, 9)) < 0.8
    values[~valid] = np.nan
    low, high = np.array([-1.1, -0.5, 0, 0.3, -2]), np.array([1.3, 0.5, 0, 0.7, 2.2])
    found = scenes.to_bytes(values, valid, Ranges(tuple(low), tuple(high)))
    span = np.where(high > low, high - low, 1)
    scaled = 255 * ((np.where(valid[..., None], values, low) - low) / span)
    there = valid[..., None] & (high > low)
    assert np.array_equal(found, np.rint(np.clip(np.where(there, scaled, 128), 0, 255)))


def test_files_on_one_grid_make_one_scene(tmp_path):
    whole = halves()
    one = scene(tmp_path / "a.tif", whole[:1])
    two = scene(tmp_path / "b.tif", whole[1:].astype(np.float32), nodata=-1)
    found = scenes.opened(one, (4, 1), [two])
    assert (found.bands, found.names) == ((4, 1), ("band 3", "band 1"))
    with scenes.reading(found) as read:
        values, valid = read(slice(3, 9), slice(30, 40))
    assert np.array_equal(values, whole[[3, 0], 3:9, 30:40].transpose(1, 2, 0))
    assert valid.all()
    with pytest.raises(DataError, match="4 bands together and no band 5"):
        scenes.opened(one, (5,), [two])


def test_a_pixel_is_valid_where_every_file_has_a_value(tmp_path):
    array = np.ones((1, 4, 4), np.float32)
    holes = [array.copy(), array.copy()]
    holes[0][0, 0, 0], holes[1][0, 1, 1] = np.nan, -9
    one, two = (scene(tmp_path / f"{i}.tif", a, nodata=-9) for i, a in enumerate(holes))
    with scenes.reading(scenes.opened(one, (), [two])) as read:
        _, valid = read(slice(0, 4), slice(0, 4))
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("other", ["shifted", "smaller", "system"])
def test_files_on_different_grids_are_refused(tmp_path, other):
    one = scene(tmp_path / "a.tif", halves())
    array = halves()[:, :32] if other == "smaller" else halves()
    grid = GRID * rasterio.Affine.translation(0.5, 0) if other == "shifted" else GRID
    two = scene(tmp_path / "b.tif", array, transform=grid,
                crs="EPSG:32616" if other == "system" else "EPSG:32615")  # fmt: skip
    with pytest.raises(DataError, match=r"b\.tif.*a\.tif.*different grids.*--like"):
        scenes.opened(one, (), [two])


def test_a_model_of_two_files_maps_two_files(tmp_path, capsys):
    whole = halves()
    scene(tmp_path / "all.tif", whole)
    one, two = scene(tmp_path / "a.tif", whole[:1]), scene(tmp_path / "b.tif", whole[1:])
    labels(tmp_path / "labels.gpkg", SPOTS)
    for name, first, more in (("m1", "all.tif", []), ("m2", "a.tif", ["--also", f"{two}"])):
        asked = [f"{tmp_path / first}", f"{tmp_path / 'labels.gpkg'}", f"{tmp_path / name}"]
        how = ["--method", "pixel_forest", "--trees", "5", "--folds", "0", "--device", "cpu"]
        assert cli.main(["train", *asked, *how, *more]) == 0
        asked = [f"{tmp_path / name}", f"{tmp_path / first}", f"{tmp_path / name}.tif"]
        assert cli.main(["predict", *asked, "--device", "cpu", *more]) == 0
    with rasterio.open(tmp_path / "m1.tif") as x, rasterio.open(tmp_path / "m2.tif") as y:
        assert np.array_equal(x.read(), y.read())
    about = model_folder.about(tmp_path / "m2")
    assert (about.record["scene"], about.record["also"]) == ("a.tif", ["b.tif"])
    assert cli.main(["predict", f"{tmp_path / 'm2'}", f"{one}", f"{tmp_path / 'x.tif'}"]) == 1
    said = capsys.readouterr().err
    assert "has 1 bands" in said
    assert "--also FILE adds bands" in said


def test_of_many_band_names_a_message_lists_the_ends():
    names = [f"b{number}" for number in range(64)]
    assert unlike._listed(names) == "b0, b1, b2, b3, ..., b62, b63"
    assert unlike._listed(names[:3]) == "b0, b1, b2"
