"""Samples for assessing a map, and assessments of it: files, strata, bad input, command line."""

import json
import sqlite3
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasters import GRID, UTM, labels, pixels, scene

from fewlabels import cli
from fewlabels.mapping import assess_text, class_map, grid
from fewlabels.mapping.assess import assess, write
from fewlabels.mapping.sample import Design, key_of, sample
from fewlabels.scoring.allocation import SampleError
from fewlabels.types import DataError, NoLabelsError, UnknownName

NAMES = {0: "water", 3: "forest <\"&'", 7: "city"}
WATER, FOREST, CITY = NAMES.values()


def written(file: Path, values: np.ndarray, names: dict[int, str] = NAMES, **where) -> Path:
    """A class map u8[h w], nodata 255, as `fewlabels predict` writes it."""
    made = scene(file, values[None].astype(np.uint8), nodata=255, **where)
    with rasterio.open(made, "r+") as target:
        target.update_tags(**{f"class_{value}": name for value, name in names.items()})
    return made


def stripes(height: int = 40, width: int = 60) -> np.ndarray:
    """A quarter water, a half forest, a quarter city, and two rows of nodata."""
    values = np.repeat([0, 3, 3, 7], width // 4)[None].repeat(height, 0)
    values[-2:] = 255
    return values


def answered(
    points: Path, truth: np.ndarray, names: dict[int, str] = NAMES
) -> geopandas.GeoDataFrame:
    """The points with the class of `truth` on their pixels, also written back."""
    frame = geopandas.read_file(points, layer="points")
    columns, rows = ~GRID @ (frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy())
    frame["truth"] = [names[v] for v in truth[rows.astype(int), columns.astype(int)].tolist()]
    frame.to_file(points, layer="points")
    return frame


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Path, Path]:
    """A map, and 60 points of it with answers: water is right, half of the forest is city."""
    made = written(tmp_path / "map.tif", stripes())
    sample(made, tmp_path / "points.gpkg", Design(n=60))
    truth = stripes()
    truth[:20, 15:45] = 7
    answered(tmp_path / "points.gpkg", truth)
    return made, tmp_path / "points.gpkg"


def test_the_interpreter_does_not_see_the_map(tmp_path):
    made = written(tmp_path / "map.tif", stripes())
    found = sample(made, tmp_path / "points.gpkg", Design(n=60))
    assert found.strata.to_dict("index") == {
        WATER: {"pixels": 570, "points": 20}, FOREST: {"pixels": 1140, "points": 20},
        CITY: {"pixels": 570, "points": 20},
    }  # fmt: skip
    frame = geopandas.read_file(found.points, layer="points")
    assert set(frame.columns) == {"id", "truth", "geometry"}
    assert frame["truth"].isna().all()
    assert frame["id"].tolist() == list(range(1, 61))
    assert frame.crs == UTM
    columns, rows = ~GRID @ (frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy())
    assert np.allclose(columns % 1, 0.5)
    key = json.loads(found.key.read_text())["points"]
    values = stripes()[rows.astype(int), columns.astype(int)]
    assert [NAMES[value] for value in values.tolist()] == key["stratum"]
    assert len(set(zip(key["row"], key["column"], strict=True))) == 60
    assert len(set(key["stratum"][:12])) > 1  # the order says nothing


def test_qgis_finds_a_list_of_the_classes(tmp_path):
    made = written(tmp_path / "map.tif", stripes())
    found = sample(made, tmp_path / "points.gpkg", Design(n=60), also=["snow"])
    with sqlite3.connect(found.points) as base:
        table, column, default, style = base.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchone()
        known = dict(base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"))
    assert (known[table], default) == (column, 1)
    root = ElementTree.fromstring(style)
    (widget,) = root.iterfind("fieldConfiguration/field[@name='truth']/editWidget")
    offered = [each.get("value") for each in widget.iter("Option") if each.get("value")]
    assert widget.get("type") == "ValueMap"
    assert offered[1:] == [*NAMES.values(), "snow"]
    sizes = [each.get("value") for each in root.iter("Option") if each.get("name") == "size"]
    assert sizes == ["30"]  # the frame is as large as a pixel


def test_the_sample_follows_from_map_design_and_seed(tmp_path, monkeypatch):
    made = written(tmp_path / "map.tif", stripes())
    keys = []
    for number, (strip, seed) in enumerate([(256, 0), (7, 0), (256, 1)]):
        monkeypatch.setattr(class_map, "STRIP", strip)
        found = sample(made, tmp_path / f"{number}.gpkg", Design(n=60, seed=seed))
        keys.append(json.loads(found.key.read_text()))
    assert keys[0] == keys[1]
    assert keys[0]["points"] != keys[2]["points"]
    assert keys[0]["sha256"] == keys[2]["sha256"]


def test_points_on_labels_are_marked(tmp_path):
    made = written(tmp_path / "map.tif", stripes())
    given = labels(tmp_path / "labels.gpkg", {pixels(0, 0, 15, 40): "water"})
    found = sample(made, tmp_path / "points.gpkg", Design(n=60), labels=given)
    key = json.loads(found.key.read_text())["points"]
    assert key["trained"] == [stratum == WATER for stratum in key["stratum"]]
    assert "20 points lie on ground that trained" in found.lines()[-1]
    answered(found.points, np.where(stripes() == 3, 7, stripes()))
    record = assess(made, found.points)
    assert record["trained"] == 20
    assert record["overall"]["value"] == pytest.approx(0.5)
    assert record["overall_without_trained"]["value"] == pytest.approx(1 / 3)


def test_labels_without_a_system_are_placed_by_the_one_that_is_named(tmp_path):
    made = written(tmp_path / "map.tif", stripes())
    given = labels(tmp_path / "labels.gpkg", {pixels(0, 0, 15, 40): "water"}, crs=None)
    with pytest.raises(DataError, match="--labels-crs"):
        sample(made, tmp_path / "points.gpkg", Design(n=60), labels=given)
    named = ["--n", "60", "--labels", str(given), "--labels-crs", "scene"]
    assert cli.main(["sample", str(made), str(tmp_path / "points.gpkg"), *named]) == 0
    key = json.loads((tmp_path / "points_strata.json").read_text())["points"]
    assert key["trained"] == [stratum == WATER for stratum in key["stratum"]]


def test_all_pixels_give_the_truth(tmp_path):
    """With every pixel interpreted areas are what they are: 0.09 hectares a pixel."""
    made = written(tmp_path / "map.tif", stripes(12, 8))
    truth = np.where(np.arange(12)[:, None] < 3, 0, stripes(12, 8))
    sample(made, tmp_path / "points.gpkg", Design(n=80))
    answered(tmp_path / "points.gpkg", truth)
    record = assess(made, tmp_path / "points.gpkg")
    assert record["estimators"] == "Olofsson et al. 2014"
    for value, name in NAMES.items():
        row, size = record["of_class"][name], int((truth[:10] == value).sum())
        assert row["pixels"]["value"] == pytest.approx(size)
        assert row["hectares"]["low"] == pytest.approx(0.09 * size)
        assert row["mapped_hectares"] == pytest.approx(0.09 * (stripes(12, 8)[:10] == value).sum())
    assert record["overall"]["se"] == pytest.approx(0, abs=1e-9)


def test_the_matrix_names_its_axes_and_everything_is_written(drawn, tmp_path):
    record = assess(*drawn)
    matrix = record["matrix"]
    assert (matrix["rows"], matrix["columns"]) == ("map", "reference")
    counts = np.array(matrix["counts"])
    assert counts.sum(axis=1).tolist() == [20, 20, 20]
    wrong = counts[1, 2]  # forest that is city
    assert record["overall"]["value"] == pytest.approx(1 - wrong / 20 / 2)
    assert record["of_class"][CITY]["hectares"]["value"] == pytest.approx(
        0.09 * (570 + 1140 * wrong / 20)
    )
    files = write(record, tmp_path / "found")
    assert [file.suffix for file in files] == [".json", ".csv", ".png", ".txt"]
    assert json.loads(files[0].read_text())["overall"] == record["overall"]
    assert "Olofsson et al. 2014 (https://doi.org" in files[3].read_text()
    table = pd.read_csv(files[1], index_col=[0, 1])
    assert table.loc[(FOREST, "user's accuracy"), "value"] == pytest.approx(1 - wrong / 20)
    write(record, tmp_path / "found")  # again, as interpretation goes on


def test_what_cannot_be_used_is_counted(drawn):
    made, points = drawn
    frame = geopandas.read_file(points, layer="points")
    frame.loc[:2, "truth"] = [None, " ", "snow"]
    frame = frame.iloc[[*range(60), 5, 6]]
    frame.iloc[-1, frame.columns.get_loc("truth")] = "ice"
    frame.iloc[10, frame.columns.get_loc("geometry")] = pixels(0, 0, 1, 1).centroid
    frame.to_file(points, layer="points")
    record = assess(made, points)
    counted = record["counted"]
    assert counted == {
        "used": 57, "found": 62, "without an answer": 2, "without geometry": 0,
        "not of the sample": 0, "moved from their pixel": 1, "that are duplicates": 2,
        "pixels with two answers": 1, "outside the map": 0, "on nodata": 0,
    }  # fmt: skip
    assert record["new_classes"] == ["snow"]
    assert record["of_class"]["snow"]["producers"]["value"] == 0
    assert record["of_class"]["snow"]["users"]["value"] is None
    assert any("the map has no class 'snow'" in line for line in record["notes"])


def test_points_of_ones_own_are_strata_of_the_map(drawn, tmp_path):
    made, points = drawn
    before = assess(made, points)
    key_of(points).unlink()
    frame = geopandas.read_file(points, layer="points").drop(columns="id")
    out = frame.iloc[[0, 1]].set_geometry(
        [pixels(-9, 0, -8, 1).centroid, pixels(3, 39, 4, 40).centroid]
    )
    geopandas.GeoDataFrame(np.concatenate([frame, out]), columns=frame.columns, crs=UTM).to_crs(
        "EPSG:4326"
    ).to_file(points, layer="points")
    record = assess(made, points)
    assert record["overall"] == before["overall"]
    assert (record["counted"]["outside the map"], record["counted"]["on nodata"]) == (1, 1)
    assert "no file of strata" in " ".join(record["notes"])
    away = written(tmp_path / "away.tif", stripes(), transform=GRID @ GRID.translation(99, 0))
    with pytest.raises(NoLabelsError, match="none of 62 points.*62 outside the map"):
        assess(away, points)


def test_an_older_sample_keeps_its_strata(drawn, tmp_path):
    """The newer map calls all forest city, and has no class on the lower half."""
    _, points = drawn
    newer = np.where(stripes() == 3, 7, stripes())
    newer[20:] = 255
    record = assess(written(tmp_path / "newer.tif", newer), points)
    assert (record["estimators"], record["strata_of"]) == ("Stehman 2014", "map.tif")
    assert {row["points"] for row in record["strata"].values()} == {20}
    key = json.loads(key_of(points).read_text())["points"]
    upper = np.array(key["row"]) < 20
    assert record["counted"]["on nodata"] == (~upper).sum()
    assert record["overall"]["value"] == 1
    forest = upper & (np.array(key["stratum"]) == FOREST)
    city = upper & (np.array(key["stratum"]) == CITY)
    assert record["of_class"][CITY]["pixels"]["value"] == pytest.approx(
        forest.sum() / 20 * 1140 + city.sum() / 20 * 570
    )
    assert "an earlier map, map.tif" in assess_text.paragraph(record)


def test_a_stratum_without_answers_is_left_out_and_said(drawn):
    made, points = drawn
    key = json.loads(key_of(points).read_text())["points"]
    frame = geopandas.read_file(points, layer="points")
    city = np.array(key["stratum"]) == CITY
    frame.loc[city, "truth"] = None
    frame.loc[np.flatnonzero(np.array(key["stratum"]) == WATER)[1:], "truth"] = None
    frame.to_file(points, layer="points")
    said = " ".join(assess(made, points)["notes"])
    assert f"stratum '{CITY}' has no answered point: 25.00 %" in said
    assert f"stratum '{WATER}' has one answered point" in said
    frame["truth"] = None
    frame.to_file(points, layer="points")
    with pytest.raises(NoLabelsError, match="none of 60 points can be used.*60 without an answer"):
        assess(made, points)


def test_values_stand_for_their_classes(drawn):
    made, points = drawn
    before = assess(made, points)
    frame = geopandas.read_file(points, layer="points")
    frame["truth"] = frame["truth"].map({name: value for value, name in NAMES.items()})
    frame.to_file(points, layer="points")
    assert assess(made, points)["matrix"] == before["matrix"]


def test_maps_that_cannot_be_sampled(tmp_path):
    bare = written(tmp_path / "bare.tif", stripes(), {})
    out = tmp_path / "points.gpkg"
    with pytest.raises(DataError, match="does not name its classes.*--classes 1=water"):
        sample(bare, out, Design(n=60))
    with pytest.raises(DataError, match="values without a name: 7"):
        sample(bare, out, Design(n=60), classes=["0=water", "3=forest"])
    with pytest.raises(DataError, match="'forest' has no value"):
        sample(bare, out, Design(n=60), classes=["0=water", "forest"])
    with pytest.raises(DataError, match="have the same name"):
        sample(bare, out, Design(n=60), classes=["0=a", "3=a", "7=b"])
    found = sample(bare, out, Design(n=60), classes=["0=water", "3=forest", "7=city"])
    assert found.strata.index.tolist() == ["water", "forest", "city"]
    with pytest.raises(DataError, match="is there already"):
        sample(bare, out, Design(n=60), classes=["0=water", "3=forest", "7=city"])
    with pytest.raises(DataError, match="all are nodata"):
        sample(
            written(tmp_path / "void.tif", np.full((4, 4), 255)),
            out.with_name("a.gpkg"),
            Design(n=1),
        )
    wide = scene(tmp_path / "wide.tif", np.full((1, 4, 4), 300, np.uint16))
    with pytest.raises(DataError, match="values from 300 to 300"):
        sample(wide, out.with_name("a.gpkg"), Design(n=1), classes=["1=a"])
    two = scene(tmp_path / "two.tif", np.ones((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match="has 2 bands of uint8"):
        sample(two, out.with_name("a.gpkg"), Design(n=1), classes=["1=a"])
    with pytest.raises(DataError, match="NAME.gpkg"):
        sample(bare, tmp_path / "points.shp", Design(n=1))
    assert not key_of(out.with_name("a.gpkg")).exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Design(), "either how many points"),
        (Design(n=10_000), "10000 points cannot be drawn"),
        (Design(n=60, least=30), "need at least 90"),
        (Design(se=1.5), "between 0 and 1; found 1.5"),
        (Design(n=60, of="citi"), "no pixel of 'citi'; did you mean 'city'"),
        (Design(n=60, expected=("0.8", "citi=0.7")), "no such class; did you mean 'city'"),
        (Design(n=60, expected=("good",)), "found 'good'"),
        (Design(n=60, allocation="random"), "unknown allocation 'random'"),
    ],
)
def test_samples_that_cannot_be_drawn(tmp_path, how, said):
    made = written(tmp_path / "map.tif", stripes())
    with pytest.raises((SampleError, UnknownName), match=said):
        sample(made, tmp_path / "points.gpkg", how)
    assert not list(tmp_path.glob("points*"))


def test_the_standard_error_asked_for_is_expected(tmp_path):
    """Errors of 0.1 in water and 0.4 elsewhere; a class's share also errs by what others take."""
    made = written(tmp_path / "map.tif", stripes())
    how = Design(se=0.03, expected=("0.6", f"{WATER}=0.9"), allocation="neyman", least=10)
    found = sample(made, tmp_path / "points.gpkg", how)
    share, n = np.array([0.25, 0.5, 0.25]), found.strata["points"].to_numpy()
    sizes = found.strata["pixels"].to_numpy()
    spread = np.array([0.09, 0.24, 0.24])
    assert found.se == pytest.approx(np.sqrt((share**2 * spread * (1 / n - 1 / sizes)).sum()))
    assert 0.0295 < found.se <= 0.03
    of_water = sample(made, tmp_path / "water.gpkg", Design(n=60, of=WATER, expected=("0.6",)))
    spread = np.array([0.6 * 0.4, 0.2 * 0.8, 0.2 * 0.8])
    assert of_water.se == pytest.approx(np.sqrt((share**2 * spread * (1 / 20 - 1 / sizes)).sum()))


def test_files_that_are_no_strata(drawn):
    made, points = drawn
    key_of(points).write_text('{"format": 1}')
    with pytest.raises(DataError, match="cannot be read as the strata of a sample"):
        assess(made, points)
    key_of(points).unlink()
    with pytest.raises(DataError, match="has no column 'answer'; it has: id, truth"):
        assess(made, points, "answer")


def test_points_without_their_number_are_refused(drawn):
    made, points = drawn
    geopandas.read_file(points, layer="points").drop(columns="id").to_file(points, layer="points")
    with pytest.raises(DataError, match="no column 'id'"):
        assess(made, points)


def test_hectares_are_of_the_ground():
    at = np.array([0]), np.array([0])
    utm, mercator, degrees = (CRS.from_epsg(code) for code in (32615, 3857, 4326))
    assert grid.hectares(GRID, utm, *at)[0] == pytest.approx(0.09, abs=1e-12)
    north = from_origin(0, 8_399_738, 10, 10)  # at 60 degrees, where lengths are doubled
    assert grid.hectares(north, mercator, *at)[0] == pytest.approx(0.01 / 4, rel=0.01)
    second = grid.hectares(from_origin(10, 60, 1 / 3600, 1 / 3600), degrees, *at)[0]
    assert second == pytest.approx(30.92**2 / 2 / 10_000, rel=0.01)
    assert grid.hectares(GRID, None, *at) is None


def test_the_command_line_goes_from_map_to_assessment(tmp_path, capsys):
    made = written(tmp_path / "map.tif", stripes())
    points = tmp_path / "points.gpkg"
    assert cli.main(["sample", str(made), str(points), "--se", "0.05", "--least", "5"]) == 0
    assert "expected standard error of overall accuracy: " in capsys.readouterr().out
    answered(points, stripes())
    assert cli.main(["assess", str(made), str(points)]) == 0
    said = capsys.readouterr().out
    assert "points (rows: map, columns: reference)" in said
    assert (tmp_path / "points_assessment.csv").exists()
    assert cli.main(["sample", str(made), str(points), "--n", "60"]) == 1
    assert "is there already" in capsys.readouterr().err
