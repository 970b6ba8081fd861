"""What `predict` does to a map and lays beside it, against small maps done by hand."""

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
from rasterio import features
from rasters import GRID, SPOTS, UTM, halves, labels, scene
from scipy.ndimage import gaussian_filter
from shapely.geometry import shape

from fewlabels import cli
from fewlabels.mapping import fit, gis, maps, smoothing, survey
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe, RecipeError
from fewlabels.mapping.scene import Ranges
from fewlabels.scoring import superpixels
from fewlabels.types import DataError

FOREST = Recipe(method="pixel_forest", trees=3, side=64, crop=32, window=32, folds=0)
CELL = 0.09  # hectares of a pixel of GRID


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16), labels.gpkg, and a forest grown on them."""
    folder = tmp_path_factory.mktemp("ground")
    array = halves()
    array[:, 60:, :] = 0  # nodata
    scene(folder / "scene.tif", array, nodata=0)
    labels(folder / "labels.gpkg", SPOTS)
    given = survey.Labels(folder / "labels.gpkg")
    fit.fit(folder / "scene.tif", given, folder / "model", FOREST, device="cpu")
    return folder


def read(file: Path) -> np.ndarray:
    with rasterio.open(file) as source:
        return source.read()


def test_everything_that_can_be_asked_for_agrees_with_the_map(ground, tmp_path):
    made = predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", smooth=True,
                   sieve=2 * CELL, probabilities=True, polygons=True, clicks=2, gis=True,
                   device="cpu")  # fmt: skip
    names = [file.name for file in made.files]
    assert names == ["map_confidence.tif", "map.tif", "map.gpkg", "map_probabilities.tif",
                     "map.qml", "map_areas.csv", "map.json", "map_next.gpkg"]  # fmt: skip
    (found,), shares = read(tmp_path / "map.tif"), read(tmp_path / "map_probabilities.tif")
    assert (shares[:, 60:] == 255).all()
    assert (found[60:] == 255).all()
    assert abs(shares[:, :60].astype(int).sum(axis=0) - 100).max() <= 1
    (sure,) = read(tmp_path / "map_confidence.tif")
    assert np.array_equal(shares.max(axis=0), sure)
    table = pd.read_csv(tmp_path / "map_areas.csv")
    assert table["pixels"].tolist() == np.bincount(found[found < 255]).tolist()
    assert table["hectares"].sum() == pytest.approx(60 * 64 * CELL)
    assert table["share"].tolist() == pytest.approx([made.share[n] for n in table["class"]])
    with rasterio.open(tmp_path / "map.tif") as source:
        colours = {name: source.colormap(1)[v][:3] for v, name in enumerate(table["class"])}
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    style = ElementTree.parse(tmp_path / "map.qml").iter("paletteEntry")
    assert {e.get("label"): e.get("color") for e in style} == {
        name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in colours.items()
    }
    frame = geopandas.read_file(tmp_path / "map.gpkg")
    assert (frame.dissolve("class").area / 900).to_dict() == dict(
        zip(table["class"], table["pixels"], strict=True)
    )
    assert made.notes[0].startswith("smoothing changed the class of ")
    assert made.notes[1].startswith("areas below 0.18 ha (2 pixels) took the class around them")


def test_the_stac_item_says_where_the_map_lies_and_names_files_that_exist(ground, tmp_path):
    predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", gis=True, device="cpu")
    item = json.loads((tmp_path / "map.json").read_text())
    needed = {"type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets"}
    assert needed <= item.keys()
    assert (item["type"], item["stac_version"], item["id"]) == ("Feature", "1.0.0", "map")
    assert item["properties"]["proj:epsg"] == 32615
    assert item["properties"]["proj:transform"] == list(GRID)[:6]
    assert item["properties"]["proj:shape"] == [64, 64]
    back = geopandas.GeoSeries([shape(item["geometry"])], crs="EPSG:4326").to_crs(UTM)
    assert back.total_bounds == pytest.approx((400_000, 1_698_080, 401_920, 1_700_000), abs=0.01)
    assert item["bbox"] == pytest.approx(shape(item["geometry"]).bounds)
    for asset in item["assets"].values():
        assert (tmp_path / asset["href"]).exists()
    assert item["assets"]["classes"]["raster:bands"] == [{"data_type": "uint8", "nodata": 255}]


def test_the_stac_item_has_what_the_schemas_ask_for(ground, tmp_path):
    """The rules of the item schema 1.0.0 and of the extensions, read by hand."""
    predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", gis=True, polygons=True,
            probabilities=True, device="cpu")  # fmt: skip
    item = json.loads((tmp_path / "map.json").read_text())
    told = item["properties"]
    assert datetime.strptime(told["datetime"], "%Y-%m-%dT%H:%M:%SZ")
    assert told["proj:wkt2"].startswith("PROJCRS[")  # PROJCS[ would be WKT 1
    (ring,) = item["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert shapely.LinearRing(ring).is_ccw
    assert len(item["bbox"]) == 4
    assert all(url.endswith("/v1.1.0/schema.json") for url in item["stac_extensions"])
    assert isinstance(item["links"], list)
    for asset in item["assets"].values():
        assert isinstance(asset["href"], str)
        assert isinstance(asset["type"], str)
        for band in asset.get("raster:bands", ()):
            assert band["data_type"] in ("uint8", "float32")
            assert band["nodata"] == (255 if band["data_type"] == "uint8" else "nan")
            assert isinstance(band.get("unit", ""), str)


def test_a_map_without_a_system_has_no_place_and_cannot_be_sieved(ground, tmp_path):
    scene(tmp_path / "a.tif", halves(), crs=None)
    asked = tmp_path / "a.tif", ground / "model", tmp_path / "map.tif"
    with pytest.raises(RecipeError, match="does not say how large its pixels are"):
        predict(*asked, sieve=1.0, device="cpu")
    predict(*asked, gis=True, device="cpu")
    item = json.loads((tmp_path / "map.json").read_text())
    assert item["geometry"] is None
    assert "bbox" not in item
    assert pd.read_csv(tmp_path / "map_areas.csv")["hectares"].isna().all()


def test_sieving_gives_small_areas_to_their_largest_neighbour_and_keeps_nodata(tmp_path):
    values = np.zeros((8, 8), np.uint8)
    values[:, 4:] = 1
    values[2, 2] = 1  # one pixel
    values[5:7, 1:3] = 1  # four pixels
    values[7, 6:] = maps.NODATA
    values[7, 5] = 2  # one pixel, between 1, 1 and nodata
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 8, 8), np.uint8)))
    maps.write(tmp_path / "map.tif", found, [values])
    wanted = values.copy()
    wanted[2, 2], wanted[7, 5] = 0, 1
    assert np.array_equal(smoothing.sieved(tmp_path / "map.tif", found, 4 * CELL), wanted)
    wanted[5:7, 1:3] = 0
    assert np.array_equal(smoothing.sieved(tmp_path / "map.tif", found, 4.01 * CELL), wanted)
    assert smoothing.pixels(found, 4 * CELL) == 4


def test_a_small_area_at_the_edge_of_the_scene_is_not_made_nodata(tmp_path):
    values = np.full((8, 8), maps.NODATA, np.uint8)
    values[:, :2], values[0, 2] = 0, 1  # most of what the one pixel touches is nodata
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 8, 8), np.uint8)))
    maps.write(tmp_path / "map.tif", found, [values])
    wanted = values.copy()
    wanted[0, 2] = 0
    assert np.array_equal(smoothing.sieved(tmp_path / "map.tif", found, 2 * CELL), wanted)


@pytest.mark.parametrize("hectares", [-1.0, float("nan"), float("inf")])
def test_a_smallest_area_that_is_none_is_refused(ground, tmp_path, hectares):
    with pytest.raises(RecipeError, match="above 0 hectares"):
        predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", sieve=hectares,
                device="cpu")  # fmt: skip


def test_sieving_by_blocks_is_sieving_at_once(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    values = gaussian_filter(rng.normal(size=(3, 120, 90)), (0, 2, 2)).argmax(0).astype(np.uint8)
    values[40:50, 30:70] = maps.NODATA
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 120, 90), np.uint8)))
    maps.write(tmp_path / "map.tif", found, [values])
    wanted = features.sieve(values, 12, mask=values != maps.NODATA)
    wanted[values == maps.NODATA] = maps.NODATA
    assert (wanted != values).mean() > 0.02
    monkeypatch.setattr(smoothing, "SIEVED", 32)
    monkeypatch.setattr(smoothing, "NEAR", 40)
    assert np.array_equal(smoothing.sieved(tmp_path / "map.tif", found, 12 * CELL), wanted)


def test_smoothing_is_the_mean_over_the_superpixels_of_a_block():
    """The slow twin: the superpixels of study W, of one block, over valid pixels alone."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 40, 3)).astype(np.uint8)
    valid = rng.random((24, 40)) < 0.9
    shares = rng.dirichlet((1, 1, 1), (24, 40)).transpose(2, 0, 1).astype(np.float32)
    weights = (rng.random((24, 40)) + 0.5) * valid
    held = torch.from_numpy(np.concatenate([np.log(shares) * weights, weights[None]]).astype("f4"))
    read = lambda rows, columns: (image[rows, columns].astype("f4"), valid[rows, columns])  # noqa: E731
    ranges = Ranges((0.0,) * 3, (255.0,) * 3)
    changed = smoothing.within_superpixels(read, ranges)(held, slice(0, 24))
    numbers = superpixels.superpixels(np.where(valid[..., None], image, np.uint8(128)), 30.0)
    for number in np.unique(numbers):
        own = valid & (numbers == number)
        if own.any():
            wanted = shares[:, own].mean(axis=1)
            found = (held[:3, own] / held[3, own]).exp().numpy()
            assert np.allclose(found, wanted[:, None], atol=1e-5)
            assert np.array_equal(changed[own], shares[:, own].argmax(axis=0) != wanted.argmax())
    assert not changed[~valid].any()
    assert (held[:, ~valid] == 0).all()


def test_smoothed_maps_do_not_depend_on_windows(ground, tmp_path, monkeypatch):
    monkeypatch.setattr(smoothing, "BLOCK", 16)
    for window in (16, 20, 64):
        predict(ground / "scene.tif", ground / "model", tmp_path / f"{window}.tif", window=window,
                smooth=True, probabilities=True, device="cpu")  # fmt: skip
    wanted = read(tmp_path / "64_probabilities.tif")
    for window in (16, 20):
        assert np.array_equal(read(tmp_path / f"{window}_probabilities.tif"), wanted)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 20])
def test_areas_found_strip_by_strip_are_those_of_the_whole_map(rows):
    rng = np.random.default_rng(rows)
    values = np.kron(rng.integers(0, 3, (10, 8)), np.ones((2, 2), int)).astype(np.uint8)
    values[rng.random(values.shape) < 0.1] = maps.NODATA
    whole = features.shapes(values, mask=values != maps.NODATA, connectivity=4)
    wanted = sorted((int(value), shape(area).normalize().wkt) for area, value in whole)
    edges = [*range(0, 20, rows), 20]
    strips = (values[start:stop] for start, stop in pairwise(edges))
    found = [pair for part in gis.polygons(strips) for pair in zip(*part, strict=True)]
    assert sorted((value, area.normalize().wkt) for area, value in found) == wanted


def test_a_map_whose_areas_all_reach_its_end_keeps_their_names(tmp_path):
    values = np.zeros((4, 4), np.uint8)
    values[:, 2:] = 1
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8)))
    maps.write(tmp_path / "map.tif", found, [values])
    assert gis.write_polygons(tmp_path / "p.gpkg", tmp_path / "map.tif", {0: "x", 1: "y"}) == 2
    frame = geopandas.read_file(tmp_path / "p.gpkg")
    assert sorted(zip(frame["class"], frame["value"], strict=True)) == [("x", 0), ("y", 1)]


def test_an_area_that_winds_through_strips_is_one():
    values = np.ones((9, 5), np.uint8)  # a comb: columns 0, 2, 4 joined in the last row
    values[:8, 1] = values[:8, 3] = 0
    ((area,), _), *_ = [part for part in gis.polygons(values[i : i + 1] for i in range(9))
                        if 1 in part[1]]  # fmt: skip
    assert area.area == 9 * 3 + 2
    assert len(area.exterior.coords) == 13


def test_the_command_line_says_what_it_changed_and_wrote(ground, tmp_path, capsys):
    asked = [f"{ground / 'model'}", f"{ground / 'scene.tif'}", f"{tmp_path / 'map.tif'}"]
    assert cli.main(["predict", *asked, "--smooth", "--sieve", "0.2", "--gis"]) == 0
    said = capsys.readouterr().out
    for words in ("map.qml", "smoothing changed", "areas below 0.2 ha (3 pixels)", "assess"):
        assert words in said
    assert cli.main(["predict", *asked]) == 1  # it is there already
    assert cli.main(["predict", *asked[:2], f"{tmp_path / 'plain.tif'}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3  # two files and the shares


def test_options_that_exist_nowhere_are_refused(ground, tmp_path):
    with pytest.raises(TypeError, match="smoth"):
        predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", smoth=True)
    (tmp_path / "map.qml").write_text("someone else's")
    with pytest.raises(DataError, match=r"map\.qml' is there already"):
        predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", gis=True)
