"""What users' files hold: each habit gives the right labels and map, or an error with a way out.

Scenes are 10 x 12 pixels in UTM; see `rasters`.
"""

import errno
import io
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_origin
from rasters import GRID, SPOTS, UTM, halves, labels, pixels, scene

from fewlabels import cli
from fewlabels.mapping import (
    class_text,
    fit,
    grid,
    label_image,
    maps,
    model_folder,
    survey,
    tiles,
    unlike,
)
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.formats import foreign, unsplit
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.scene import Ranges
from fewlabels.mapping.widget import quick_fit
from fewlabels.mapping.widget.notebook import explore
from fewlabels.results import figures
from fewlabels.types import IGNORE, DataError, NoLabelsError

ALL = slice(0, 10), slice(0, 12)
AT = {"a": (2, 3), "b": (7, 8)}  # row and column of one label of each class
FOREST = Recipe(method="pixel_forest", trees=5, folds=0)


@pytest.fixture
def plain(tmp_path: Path) -> scenes.Scene:
    return scenes.opened(scene(tmp_path / "scene.tif", np.ones((2, 10, 12), np.uint16)))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16), labels.gpkg, and a forest."""
    folder = tmp_path_factory.mktemp("inputs")
    with rasterio.open(scene(folder / "scene.tif", halves()), "r+") as target:
        target.descriptions = ("red", "green", "blue", "nir")
        target.scales = (1e-4,) * 4
    labels(folder / "labels.gpkg", SPOTS)
    given = survey.Labels(folder / "labels.gpkg")
    fit.fit(folder / "scene.tif", given, folder / "model", FOREST, device="cpu")
    return folder


def point(row: float, column: float) -> shapely.Point:
    return shapely.Point(GRID @ (column + 0.5, row + 0.5))


def drawn(found: survey.Marks, plain: scenes.Scene) -> dict[str, list[list[int]]]:
    """Rows and columns of each class."""
    burnt = tiles.burning(found)(*ALL).labels
    return {n: np.argwhere(burnt == i).tolist() for i, n in enumerate(found.classes)}


def painted(found: label_image.Painted, plain: scenes.Scene) -> np.ndarray:
    with label_image.reading(found, plain) as read:
        return read(*ALL)


def listed(file: Path, rows: list[str], encoding: str = "utf-8") -> survey.Labels:
    file.write_bytes("\n".join(rows).encode(encoding))
    return survey.Labels(file, crs=UTM)


def with_mask(file: Path, values: np.ndarray, there: np.ndarray, **how: object) -> Path:
    profile = {"driver": "GTiff", "count": 1, "crs": UTM, "transform": GRID} | how
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        file, "w", height=len(values), width=len(values[0]), dtype=values.dtype, **profile
    ) as target:  # fmt: skip
        target.write(values, 1)
        target.write_mask(there)
    return file


@pytest.mark.parametrize("finer", [1, 2])
@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint32, np.float32, np.float64])
def test_a_mask_inside_a_label_image_is_kept_through_a_warp(tmp_path, plain, kind, finer):
    values = np.zeros((10 * finer, 12 * finer), kind)
    there = np.zeros(values.shape, bool)
    there[: 2 * finer] = there[4 * finer : 6 * finer] = True
    values[4 * finer :] = 7
    grid = GRID @ Affine.scale(1 / finer)
    found = label_image.opened(with_mask(tmp_path / "l.tif", values, there, transform=grid), plain)
    labelled = painted(found, plain)
    assert found.classes == ("0", "7")
    assert (labelled[:2] == 0).all()
    assert (labelled[4:6] == 1).all()
    assert (labelled[2:4] == IGNORE).all()
    assert (labelled[6:] == IGNORE).all()


def test_what_lies_beyond_a_smaller_label_image_has_no_class(tmp_path, plain):
    values = np.full((1, 4, 5), 255, np.uint8)
    values[:, :2] = 0
    file = scene(tmp_path / "l.tif", values, transform=GRID @ Affine.translation(3, 2))
    found = label_image.opened(file, plain)
    assert found.classes == ("0", "255")
    assert (painted(found, plain) != IGNORE).sum() == 20
    assert (painted(found, plain)[4:6, 3:8] == 1).all()


def test_the_value_255_is_a_class_like_another(tmp_path, plain, caplog):
    values = np.full((1, 10, 12), 7, np.uint8)
    values[:, :3], values[:, 3:5], values[:, 5:6] = 0, 128, 255
    file = scene(tmp_path / "l.tif", values)
    found = label_image.opened(file, plain, no_label=7)
    assert found.classes == ("0", "128", "255")
    assert (painted(found, plain)[5] == 2).all()
    assert "12 pixels of the value 255 are taken for a class" in caplog.text
    assert found.report["no label"] == {"7": 48}
    named = label_image.opened(file, plain, {255: "water", 0: "land", 9: "ice"})
    assert named.classes == ("water", "land", "ice")
    assert (painted(named, plain) == 0).sum() == 12


@pytest.mark.parametrize("value", [0, 255])
def test_a_value_that_covers_nearly_all_is_told_and_is_no_class(tmp_path, plain, value, caplog):
    values = np.full((1, 10, 12), value, np.uint8)
    values[0, 2, :4], values[0, 7, :4] = 1, 2
    found = label_image.opened(scene(tmp_path / "l.tif", values), plain)
    assert found.classes == ("1", "2")
    assert f"the value {value} covers 93.3 %" in caplog.text
    values[0, 2] = value  # what is left is one class, so the other is one as well
    assert len(label_image.opened(scene(tmp_path / "m.tif", values), plain).classes) == 2


def test_whole_numbers_that_are_stored_as_fractions_are_classes(tmp_path, plain):
    values = np.full((1, 10, 12), np.nan, np.float32)
    values[0, :2], values[0, 5:] = 1, 3
    found = label_image.opened(scene(tmp_path / "l.tif", values), plain)
    assert found.classes == ("1", "3")
    assert (painted(found, plain) == IGNORE).sum() == 36
    values[0, 0, 0] = 1.5
    with pytest.raises(DataError, match=r"holds 1\.5; a class is a whole number"):
        label_image.opened(scene(tmp_path / "l.tif", values), plain)


def test_values_of_one_name_are_one_class(tmp_path, plain):
    values = np.repeat(np.arange(5, dtype=np.uint8), 24).reshape(1, 10, 12)
    file = scene(tmp_path / "l.tif", values)
    given = survey.Labels(file, classes=("1=wet", "3=dry, or so", "4=wet"), no_label=4)
    found = survey.labelled(given, plain)
    assert found.classes == ("wet", "dry, or so")
    assert (painted(found, plain) == 0).sum() == 24
    found = survey.labelled(replace(given, no_label=None), plain)
    assert (painted(found, plain) == 0).sum() == 48
    merged = replace(given, classes=("4=wet", "3=dry", "1=wet"), no_label=None)
    assert survey.codes(survey.labelled(merged, plain)) == (4, 3)  # the first of two values
    shapes = {point(1, 1): "Water", point(2, 2): "WATER", point(3, 3): "a=b", point(4, 4): "x"}
    given = survey.Labels(labels(tmp_path / "l.gpkg", shapes), classes=("Water=wet", "WATER=wet"))
    assert survey.labelled(given, plain).classes == ("wet",)
    given = replace(given, classes=("a=b", "x=y"))
    assert drawn(survey.labelled(given, plain), plain) == {"a=b": [[3, 3]], "y": [[4, 4]]}


def test_grids_are_compared_in_pixels(tmp_path):
    small = Affine(9e-8, 0, 15, 0, -9e-8, 45)
    file = scene(tmp_path / "s.tif", np.ones((1, 10, 12)), crs="EPSG:4326", transform=small)
    found = scenes.opened(file)
    values = np.tile(np.arange(12, dtype=np.uint8), (1, 10, 1))
    moved = small @ Affine.translation(3, 0)
    file = scene(tmp_path / "l.tif", values, crs="EPSG:4326", transform=moved)
    labelled = painted(label_image.opened(file, found), found)
    assert (labelled[:, :3] == IGNORE).all()
    assert (labelled[:, 3:] == np.arange(9)).all()
    assert grid.same(GRID, Affine.translation(1e-4, 0) @ GRID, 10, 12)
    assert not grid.same(GRID, GRID @ Affine.scale(1.002), 10, 12)


def test_a_label_image_without_a_system_fits_where_its_grid_does(tmp_path, plain):
    values = np.tile(np.arange(12, dtype=np.uint8) % 3, (10, 1))
    Image.fromarray(values).save(tmp_path / "l.png")
    (tmp_path / "l.pgw").write_text("30\n0\n0\n-30\n400015\n1699985\n")
    assert (painted(label_image.opened(tmp_path / "l.png", plain), plain) == values).all()
    (tmp_path / "l.pgw").write_text("30\n0\n0\n-30\n400045\n1699985\n")
    with pytest.raises(DataError, match="different grids.*--labels-crs"):
        label_image.opened(tmp_path / "l.png", plain)
    for said in ("scene", UTM):
        found = label_image.opened(tmp_path / "l.png", plain, crs=said)
        assert (painted(found, plain)[:, 1:] == values[:, :-1]).all()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["01", "1", "010", "10"], ["01", "1", "010", "10"]),
        (["NA", "null", "None", "nan"], ["NA", "None", "nan", "null"]),
        (["  a\u00a0 b ", "a b", "a\nb", "c"], ["a b", "c"]),
        (["E\u0301tang", "\u00c9tang", "", "  "], ["\u00c9tang"]),
        (["1.0", "2", "\u200b2", "-3.00"], ["-3", "1", "2"]),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "gpkg", "geojson", "fgb", "parquet"])
def test_names_of_classes_are_read_as_text_in_one_form(tmp_path, plain, written, read, ending):
    file = tmp_path / f"l.{ending}"
    at = [point(row, row) for row in range(1, 5)]
    frame = geopandas.GeoDataFrame({"class": written}, geometry=at, crs=UTM)
    if ending == "csv":
        rows = [f'{p.x},{p.y},"{name}"' for p, name in zip(at, written, strict=True)]
        listed(file, ["x,y,class", *rows])
    elif ending == "parquet":
        frame.to_parquet(file)
    else:
        frame.to_file(file)
    crs = UTM if ending == "csv" else None
    found = survey.labelled(survey.Labels(file, crs=crs), plain)
    assert sorted(found.classes) == sorted(read)
    assert found.report["without a class"] == sum(not name.strip() for name in written)


def test_names_that_differ_in_case_or_zeros_are_warned_about(tmp_path):
    scene(tmp_path / "scene.tif", halves())
    spots = zip(SPOTS, ["Dark", "bright", "dark", "bright", "007", "7"], strict=True)
    given = survey.Labels(labels(tmp_path / "l.gpkg", dict(spots)))
    said = "\n".join(survey.survey(tmp_path / "scene.tif", given, FOREST).found["warnings"])
    assert "the classes 'Dark', 'dark' differ only in case" in said
    assert "--classes 007=7,7=7,..." in said


LISTS = {
    "points": ["x,y,class", "{x:.1f},{y:.1f},{n}"],
    "padded": [" X , Y ,  class ", " {x:.1f} , {y:.1f} , {n} "],
    "tabs": ["id\tx\ty\tclass", "1\t{x:.1f}\t{y:.1f}\t{n}"],
    "semicolons": ["x;y;class;", "{x:.1f};{y:.1f};{n};"],
    "decimal commas": ["x;y;class", "{c:};{d:};{n}"],
    "quoted commas": ["x,y,class", '"{c:}","{d:}",{n}'],
    "bars, a line of the separator": ["sep=|", "class|Easting|Northing", "{n}|{x:.1f}|{y:.1f}"],
    "blanks": ["", "x y class", "{x:.1f} {y:.1f} {n}", "", ",,"],
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_read_in_the_dialect_of_their_program(tmp_path, plain, name):
    *header, row = [line for line in LISTS[name] if line != ",,"]
    header, row = (header, row) if row else (header[:-1], header[-1])
    rows = []
    for word, (r, c) in AT.items():
        x, y = GRID @ (c + 0.51, r + 0.51)
        x, y = round(x, 1), round(y, 1)
        texts = {"c": f"{x:.1f}".replace(".", ","), "d": f"{y:.1f}".replace(".", ",")}
        rows.append(row.format(x=x, y=y, n=word, **texts))
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        given = listed(tmp_path / "l.csv", [*header, *rows, ""], encoding)
        found = drawn(survey.labelled(given, plain), plain)
        assert found == {n: [list(at)] for n, at in AT.items()}


def test_what_is_no_number_in_a_list_is_counted_with_its_row(tmp_path, plain):
    x, y = GRID @ (3.5, 2.5)
    rows = ["x,y,class", f"{x},{y},a", f'"{x:.0f},5",{y},a', f"{x},north,b", f",{y},b"]
    found = survey.labelled(listed(tmp_path / "l.csv", rows), plain)
    assert found.report["no numbers"] == ["row 3 '400105,5'", "row 4 'north'"]
    assert found.report["without geometry"] == 1
    assert len(found.shapes) == 1


def test_a_row_of_another_length_and_a_column_twice_are_named(tmp_path, plain):
    given = listed(tmp_path / "l.csv", ["x,y,class", "1,2,a", "1,2,field, dry"])
    with pytest.raises(DataError, match=r"row 3 has 4 fields.* 3: '1, 2, field, dry'"):
        survey.labelled(given, plain)
    given = listed(tmp_path / "l.csv", ["id,x,y,class", "1,2,a"])
    with pytest.raises(DataError, match="row 2 has 3 fields"):
        survey.labelled(given, plain)
    given = listed(tmp_path / "l.csv", ["x,y,class,class", "1,2,a,b"])
    with pytest.raises(DataError, match="column 'class' twice"):
        survey.labelled(given, plain)


def test_degrees_are_used_where_a_list_has_counters_as_well(tmp_path, plain, caplog):
    (at,) = geopandas.GeoSeries([point(2, 3)], crs=UTM).to_crs(4326)
    for x, y in (("lon", "lat"), ("Long", "Lat"), ("lng", "lat")):
        given = listed(tmp_path / "l.csv", [f"x,y,{x},{y},class", f"1,1,{at.x},{at.y},a"])
        found = survey.labelled(replace(given, crs=None), plain)
        assert drawn(found, plain) == {"a": [[2, 3]]}
    assert "not from x and y" in caplog.text


def test_only_the_column_of_classes_has_to_be_readable(tmp_path, plain):
    frame = geopandas.GeoDataFrame(
        {"name": ["Gewässer", "b"], "note": ["x", "y"], "photo": [b"\xff\xd8", b"\x00"]},
        geometry=[pixels(1, 1, 3, 3), pixels(5, 5, 7, 7)], crs=UTM,
    )  # fmt: skip
    frame.to_file(tmp_path / "l.gpkg")
    assert len(survey.labelled(survey.Labels(tmp_path / "l.gpkg", "name"), plain).shapes) == 2
    frame.drop(columns="photo").to_file(tmp_path / "l.shp", encoding="cp1252")
    (tmp_path / "l.cpg").write_text("UTF-8")
    with pytest.raises(DataError, match=r"l\.shp': the column 'name' does not read.*\.cpg"):
        survey.labelled(survey.Labels(tmp_path / "l.shp", "name"), plain)
    assert len(survey.labelled(survey.Labels(tmp_path / "l.shp", "note"), plain).shapes) == 2


def test_a_column_and_a_class_that_are_not_there_name_the_nearest(tmp_path, plain):
    file = labels(tmp_path / "l.gpkg", {point(1, 1): "water", point(2, 2): "wood"})
    with pytest.raises(DataError, match="no column 'Class'; it has: class; did you mean 'class'"):
        survey.labelled(survey.Labels(file, column="Class"), plain)
    found = survey.labelled(survey.Labels(file, classes=("watr", "wood")), plain)
    assert found.report["absent"] == {"watr": "; did you mean 'water'?"}
    with pytest.raises(NoLabelsError, match="'watr' occurs nowhere; did you mean 'water'"):
        survey.labelled(survey.Labels(file, classes=("watr",)), plain)


def test_labels_that_lie_elsewhere_say_where_and_what_was_assumed(tmp_path, plain):
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[point(1, 1)])
    frame.to_file(tmp_path / "l.geojson")
    with pytest.raises(NoLabelsError, match=r"400045.*\(EPSG:4326\).*400000.*32615.*--labels-crs"):
        survey.labelled(survey.Labels(tmp_path / "l.geojson"), plain)
    found = survey.labelled(survey.Labels(tmp_path / "l.geojson", crs="scene"), plain)
    assert drawn(found, plain) == {"a": [[1, 1]]}


def test_systems_of_engineers_are_an_error_with_a_way_out(tmp_path):
    words = 'LOCAL_CS["unnamed",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    found = scenes.opened(scene(tmp_path / "s.tif", np.ones((1, 10, 12)), crs=words))
    file = labels(tmp_path / "l.gpkg", {point(1, 1): "a"})
    with pytest.raises(DataError, match="cannot be transformed.*--labels-crs"):
        survey.labelled(survey.Labels(file), found)
    assert len(survey.labelled(survey.Labels(file, crs="scene"), found).shapes) == 1


def test_rows_of_a_plain_image_may_count_down(tmp_path):
    found = scenes.opened(
        scene(tmp_path / "s.tif", np.ones((1, 10, 12)), crs=None, transform=Affine.identity())
    )
    for sign in (1, -1):
        frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.Point(3.5, sign * 2.5)])
        frame.to_file(tmp_path / "l.gpkg")
        given = survey.Labels(tmp_path / "l.gpkg", crs="scene")
        assert drawn(survey.labelled(given, found), found) == {"a": [[2, 3]]}


def test_options_that_do_not_apply_are_refused(tmp_path, plain):
    file = scene(tmp_path / "l.tif", np.ones((1, 10, 12), np.uint8))
    drawn_labels = labels(tmp_path / "l.gpkg", {point(1, 1): "a"})
    table = listed(tmp_path / "l.csv", ["x,y,class", "400045,1699955,a"])
    for given in (
        survey.Labels(file, column="kind"), survey.Labels(file, layer="l"),
        survey.Labels(drawn_labels, no_label=0), replace(table, layer="l"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=r"(--(column|no|layer).*|has no layers; )leave"):
            survey.labelled(given, plain)


@pytest.mark.parametrize("place", ["a!b", "a#1 ü&b", "b%20?c", "data.zip"])
def test_no_path_is_taken_for_an_address(tmp_path, place, plain):
    folder = tmp_path / place
    folder.mkdir()
    labels(tmp_path / "l.shp", {pixels(1, 1, 3, 3): "a"})
    for made in tmp_path.glob("l.*"):
        made.rename(folder / f"one!{made.suffix}")
    found = survey.labelled(survey.Labels(folder / "one!.shp"), plain)
    assert drawn(found, plain)["a"] == [[1, 1], [1, 2], [2, 1], [2, 2]]
    with unsplit(folder / "new!.txt") as path:
        assert "!" not in str(path)
        path.write_text("x")
    assert (folder / "new!.txt").read_text() == "x"
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[shapely.Point(1, 1)])
    maps.layers(folder / "n!.gpkg", plain, {"points": frame})
    assert (folder / "n!.gpkg").stat().st_size > 0


def test_large_values_of_small_differences_are_told_apart(tmp_path):
    values = 4_000_000_000 + np.arange(120, dtype=np.uint32).reshape(1, 10, 12)
    with scenes.reading(scenes.opened(scene(tmp_path / "s.tif", values))) as read:
        found, valid = read(*ALL)
    assert np.array_equal(found[..., 0], values[0])
    made = scenes.to_bytes(found, valid, Ranges((4e9,), (4e9 + 119,)))
    assert len(np.unique(made)) == 120


def test_pages_are_not_taken_for_bands(tmp_path):
    for page in range(2):
        with rasterio.open(
            tmp_path / "s.tif", "w", driver="GTiff", count=1, height=10, width=12, dtype="uint8",
            crs=UTM, transform=GRID, APPEND_SUBDATASET="YES" if page else "NO",
        ) as target:  # fmt: skip
            target.write(np.ones((1, 10, 12), np.uint8))
    with pytest.raises(DataError, match="2 images one after the other, not bands"):
        scenes.opened(tmp_path / "s.tif")


def test_the_band_that_makes_pixels_void_is_named(tmp_path):
    array = halves().astype(np.float32)
    array[2, :10] = -1
    file = scene(tmp_path / "s.tif", array, nodata=-1)
    given = survey.Labels(labels(tmp_path / "l.gpkg", SPOTS))
    found = survey.survey(file, given, FOREST).found
    assert found["void bands"] == {"band 3": 36 + 24}
    assert "of those, so many lack a value in band 3 (60)" in found["warnings"]
    array[2] = -1
    with pytest.raises(NoLabelsError, match=r"by band: \{'band 3': 164\}.*--bands"):
        survey.survey(scene(tmp_path / "t.tif", array, nodata=-1), given, FOREST)


def test_contradictions_are_told_by_three_examples_and_not_of_our_own_columns(tmp_path):
    scene(tmp_path / "scene.tif", halves())
    at = [(row, column) for row in range(0, 64, 8) for column in range(0, 64, 8)]
    names = ["dark" if column < 32 else "bright" for _, column in at]
    other = ["bright" if i % 8 == 0 else n for i, n in enumerate(names)]
    frame = geopandas.GeoDataFrame(
        {"class": names, "first": other, "second": other}, crs=UTM,
        geometry=[point(*each) for each in at],
    )  # fmt: skip
    frame.to_file(tmp_path / "l.gpkg")
    given = survey.Labels(tmp_path / "l.gpkg")
    assert survey.survey(tmp_path / "scene.tif", given, FOREST).found["doubtful"] == []
    frame.rename(columns={"first": "annotator"}).to_file(tmp_path / "l.gpkg")
    said = survey.survey(tmp_path / "scene.tif", given, FOREST).found["warnings"]
    assert sum("contradict" in line for line in said) == 4
    assert "and 5 more attributes contradict each other" in said


def test_codes_of_classes_are_those_of_the_map(ground, tmp_path):
    codes = {"dark": 10, "bright": 2}
    spots = {shape: codes[name] for shape, name in SPOTS.items()}
    file = labels(tmp_path / "l.gpkg", spots)
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, 2:8, 2:8], image[0, 4:8, 50:56] = 10, 2
    mask = scene(tmp_path / "l.tif", image, nodata=0)
    named = survey.Labels(mask, classes=("10=night", "2=day"))
    for number, given in enumerate((survey.Labels(file), named)):
        fit.fit(ground / "scene.tif", given, tmp_path / f"m{number}", FOREST, device="cpu")
        out = tmp_path / f"map{number}.tif"
        predict(ground / "scene.tif", tmp_path / f"m{number}", out, polygons=True, device="cpu")
        with rasterio.open(out) as found:
            values, tags = found.read(1), found.tags()
            colours = [found.colormap(1)[code][:3] for code in (2, 10)]
        assert (values == np.where(np.arange(64) < 32, 10, 2)).mean() > 0.95
        words = ("10", "2") if number == 0 else ("night", "day")
        order = ("2", "10") if number == 0 else ("night", "day")
        expected = dict(zip(order, fit.palette(order), strict=True))
        assert colours == [expected[words[1]], expected[words[0]]]
        assert (tags["class_10"], tags["class_2"]) == words
        side_car = maps.side_car(out).read_text()
        assert side_car.index(f"<Category>{words[1]}<") < side_car.index(f"<Category>{words[0]}<")
        areas = geopandas.read_file(out.with_suffix(".gpkg"))
        assert dict(zip(areas["class"], areas["value"], strict=True)) == dict(
            zip(words, (10, 2), strict=True)
        )


ODD = {
    "rotated pole": "+proj=ob_tran +o_proj=longlat +o_lon_p=-162 +o_lat_p=39 +lon_0=180 "
    "+to_meter=0.0174532925199433 +ellps=WGS84 +no_defs",
    "equal earth": "EPSG:8857",
    "with heights": "EPSG:32633+5773",
}


@pytest.mark.parametrize("name", ODD)
def test_maps_keep_a_system_that_fits_no_tag(ground, tmp_path, name):
    there = from_origin(1, 2, 0.01, 0.01) if name == "rotated pole" else GRID
    file = scene(tmp_path / "s.tif", halves(), crs=ODD[name], transform=there)
    predict(file, ground / "model", tmp_path / "map.tif", polygons=True, clicks=2, device="cpu")
    expected = scenes.opened(file).crs
    for made in ("map.tif", "map_confidence.tif"):
        assert scenes.opened(tmp_path / made).crs == expected
    for made in ("map.gpkg", "map_next.gpkg"):
        assert pyogrio.read_info(tmp_path / made, layer=0)["crs"]
    moved = replace(scenes.opened(file), transform=there @ Affine.translation(1, 0))
    with pytest.raises(DataError, match="system and grid must be the same"):
        maps.check(tmp_path / "map.tif", moved)
    maps.side_car(tmp_path / "map.tif").unlink()
    if name == "rotated pole":
        with pytest.raises(DataError, match="has the system none"):
            maps.check(tmp_path / "map.tif", scenes.opened(file))


def test_layers_that_cannot_be_written_are_refused_before_any_work(ground, tmp_path, monkeypatch):
    file = scene(tmp_path / "s.tif", halves())
    fails = OSError(errno.EACCES, "denied")
    monkeypatch.setattr(maps, "_write_layer", lambda *_, **__: (_ for _ in ()).throw(fails))
    with pytest.raises(OSError, match="denied"):
        predict(file, ground / "model", tmp_path / "map.tif", clicks=2, device="cpu")
    assert {f.name for f in tmp_path.iterdir()} == {"s.tif"}


def other(file: Path, array: np.ndarray, names: tuple[str, ...] = (), **how: object) -> Path:
    offset = how.pop("offset", 0.0)
    with rasterio.open(scene(file, array, **how), "r+") as target:
        target.descriptions = names or (None,) * len(array)
        target.scales, target.offsets = (1e-4,) * len(array), (offset,) * len(array)
    return file


def test_bands_are_taken_by_their_names(ground, tmp_path, caplog):
    array = np.stack([halves(seed=i)[0] for i in range(5)])
    array[0] = 7  # of no use
    names = ("mask", "NIR", "red", "Green ", "blue")
    made = unlike.fitting(other(tmp_path / "s.tif", array, names), model(ground), ground)
    assert made.bands == (3, 4, 5, 2)
    assert "bands are taken by name, as numbers 3, 4, 5, 2" in caplog.text
    with pytest.raises(DataError, match="has 5 bands.*needs 4"):
        unlike.fitting(other(tmp_path / "t.tif", array), model(ground), ground)


def model(ground: Path):
    return model_folder.about(ground / "model")


def test_a_scene_of_other_values_is_refused_unless_forced(ground, tmp_path, caplog):
    for name, array in {
        "reflectance": halves() / 1e4,
        "another sensor": np.concatenate([halves()[:3], 20 * halves()[3:].astype(np.uint32)]),
    }.items():
        file = other(tmp_path / f"{name}.tif", array.astype(np.float32))
        with pytest.raises(DataError, match=r"outside the range of training: .* 100 %.*--force"):
            predict(file, ground / "model", tmp_path / "map.tif", device="cpu")
        made = unlike.fitting(file, model(ground), ground, force=True)
        assert made.width == 64
    predict(file, ground / "model", tmp_path / "map.tif", force=True, device="cpu")
    caplog.clear()
    unlike.fitting(other(tmp_path / "like.tif", halves(seed=3)), model(ground), ground)
    assert "outside" not in caplog.text


def test_other_units_and_pixels_are_warned_about(ground, tmp_path, caplog):
    file = other(tmp_path / "s.tif", halves(), offset=-0.1)
    unlike.fitting(file, model(ground), ground)
    assert "scale and offset differ, here and in training: red 0.0001, -0.1" in caplog.text
    degrees = from_origin(15, 60, 60 / 111_320, 60 / 111_320)
    for name, crs, there in (
        ("zone", "EPSG:32616", from_origin(4e5, 1.7e6, 60, 60)),
        ("feet", "EPSG:2264", from_origin(4e5, 1.7e6, 60 / 0.3048, 60 / 0.3048)),
        ("degrees", "EPSG:4326", degrees @ Affine.scale(2, 1)),
    ):
        caplog.clear()
        file = other(tmp_path / f"{name}.tif", halves(), crs=crs, transform=there)
        unlike.fitting(file, model(ground), ground)
        assert "a pixel of the scene is 2 times as long as in training" in caplog.text


def test_shares_outside_a_range_are_counted_by_band():
    values = np.array([[0.0, 5.0], [10.5, 5.0], [12.0, 5.0], [21.0, 9.0]])
    shares, far = unlike.outside(values, Ranges((0.0, 5.0), (10.0, 5.0)))
    assert shares.tolist() == [0.5, 0.0]
    assert far.tolist() == [0.25, 0.0]


@pytest.mark.parametrize("kind", ["list", "masked", "pillow", "tensor", "bool"])
def test_the_explorer_takes_whatever_is_an_array(kind):
    import torch

    array = np.tile(np.arange(20, dtype=np.uint8), (20, 1))
    given = {
        "list": array.tolist(),
        "masked": np.ma.masked_equal(array.astype(np.int16), 3),
        "pillow": Image.fromarray(array),
        "tensor": torch.tensor(array.astype(np.int32)),
        "bool": array > 3,
    }[kind]
    described, reading = quick_fit.opened_array(given)
    with reading() as read:
        values, valid = read(slice(0, 20), slice(0, 20))
    assert (described.height, described.width) == (20, 20)
    expected = array > 3 if kind == "bool" else array
    assert (values[..., 0] == expected)[valid].all()
    assert (~valid).sum() == (20 if kind == "masked" else 0)


def test_what_is_no_image_names_the_way_out(tmp_path):
    for given, words in (
        (np.zeros((4, 90, 120)), r"looks like \[bands h w\].*transpose\(1, 2, 0\)"),
        (np.zeros(3), "found float64 of shape"),
        ([[1], [2, 3]], "a list is no image"),
        ([["a"]], "real numbers"),
        (None, "found object"),
    ):
        with pytest.raises(DataError, match=words):
            quick_fit.opened_array(given)
    for names in ("water", ["a", " "], ["a", "a "]):
        with pytest.raises(DataError, match="at least two classes"):
            explore(np.zeros((20, 20)), names, file=tmp_path / "c.geojson")


def test_names_in_figures_are_no_formulas():
    figure = figures.maps.Figure()
    figures.legend(figure, ("_water", "a|b $x_{$"))
    figure.savefig(io.BytesIO())  # a formula that has no end would be an error
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["_water", "a|b $x_{$"]


def test_foreign_errors_and_warnings_are_said_in_one_line(caplog):
    import warnings

    for error in (RuntimeError("a\nb"), UnicodeDecodeError("utf8", b"", 0, 1, "bad"), KeyError(1)):
        says = pytest.raises(DataError, match=r"^'f' does not open \(.*\); do this$")
        with says, foreign("'f' does not open", "do this"):
            raise error
    with foreign("'f' does not open"):
        for _ in range(3):
            warnings.warn("odd\n geometry", stacklevel=1)
        warnings.warn("nothing", rasterio.errors.NotGeoreferencedWarning, stacklevel=1)
    assert caplog.messages == ["'f' is read with a warning: odd geometry"]


def test_no_warning_of_a_library_reaches_the_user(tmp_path, recwarn):
    for name, alpha in (("plain.tif", "no"), ("alpha.tif", "yes")):
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", count=4, height=64, width=64, dtype="uint16",
            nodata=0, photometric="RGB", alpha=alpha,
        ) as target:  # fmt: skip
            target.write(halves())
    recwarn.clear()
    spots = {shapely.affinity.affine_transform(s, [1 / 30, 0, 0, -1 / 30, -4e5 / 30, 1.7e6 / 30]): n
             for s, n in SPOTS.items()}  # fmt: skip
    frame = geopandas.GeoDataFrame({"class": list(spots.values())}, geometry=list(spots))
    frame.to_file(tmp_path / "l.gpkg")
    recwarn.clear()
    given = survey.Labels(tmp_path / "l.gpkg", crs="scene")
    for name in ("plain", "alpha"):
        fit.fit(tmp_path / f"{name}.tif", given, tmp_path / name, FOREST, device="cpu")
        predict(
            tmp_path / f"{name}.tif", tmp_path / name, tmp_path / f"{name}-map.tif", polygons=True,
            clicks=2, device="cpu",
        )  # fmt: skip
    said = [w.message for w in recwarn if not issubclass(w.category, ResourceWarning)]
    assert said == []


def test_an_error_that_nobody_foresaw_ends_in_one_line(monkeypatch, capsys):
    def broken(wanted: object) -> None:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(cli, "COMMANDS", {"lint": broken})
    assert cli.main(["lint"]) == 1
    assert capsys.readouterr().err == (
        "ZeroDivisionError: one two (not foreseen; --debug shows where it was raised)\n"
    )
    assert cli.main(["lint", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_console_without_the_letters_and_a_closed_pipe_end_no_finished_work(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    monkeypatch.setattr(cli, "COMMANDS", {"lint": lambda _: print("水田, Łąka")})
    assert cli.main(["lint"]) == 0
    assert rb"\u6c34\u7530" in raw.getvalue()


def test_classes_of_the_command_line_are_quoted_as_in_csv():
    assert class_text.listed('oak, "beech, old",1=x') == ("oak", "beech, old", "1=x")


def test_a_scene_by_ground_control_points_is_refused(tmp_path):
    points = [GroundControlPoint(r, c, *(GRID @ (c, r))) for r, c in ((0, 0), (0, 9), (9, 0))]
    with rasterio.open(
        tmp_path / "s.tif", "w", driver="GTiff", count=1, height=10, width=12, dtype="uint8"
    ) as target:
        target.gcps = (points, rasterio.crs.CRS.from_string(UTM))
    with pytest.raises(DataError, match="3 ground control points"):
        scenes.opened(tmp_path / "s.tif")


def test_names_hold_no_character_that_a_file_of_a_map_cannot(ground, tmp_path):
    named = {shape: f"{name}\x01\ufffe" for shape, name in SPOTS.items()}
    given = survey.Labels(labels(tmp_path / "l.gpkg", named))
    made = fit.fit(ground / "scene.tif", given, tmp_path / "m", FOREST, device="cpu")
    assert made.classes == ("bright", "dark")
    out = tmp_path / "map.tif"
    predict(ground / "scene.tif", tmp_path / "m", out, gis=True, polygons=True, device="cpu")
    assert "<Category>dark<" in maps.side_car(out).read_text()
    assert class_text.plain("a\ud800\0 \u00e9\u200d\U0001f333\x85b") == "a \u00e9\u200d\U0001f333 b"


def test_coordinates_of_no_place_are_outside_and_raise_no_warning(tmp_path, plain, recwarn):
    far = shapely.Polygon([(1e308, -1e308), (-1e308, 1e308), (2, 2)])
    found = survey.labelled(
        survey.Labels(labels(tmp_path / "l.gpkg", {far: "a", point(1, 1): "b"})), plain
    )
    assert drawn(found, plain) == {"a": [], "b": [[1, 1]]}
    assert found.report["outside the scene"] == 1
    assert [w.message for w in recwarn if issubclass(w.category, RuntimeWarning)] == []


def test_a_scene_whose_pixels_have_no_area_is_refused(tmp_path):
    flat = Affine(0, 0, 5, 0, 0, 5)
    with pytest.raises(DataError, match=r"has no grid of pixels.*gdalwarp"):
        scenes.opened(scene(tmp_path / "s.tif", np.ones((1, 10, 12)), transform=flat))


def test_an_error_about_labels_says_which_were_skipped_and_why(tmp_path, plain):
    rows = ["x,y,class", '"500,045",1,a', "1,north,a"]
    with pytest.raises(NoLabelsError, match=r"3 with a coordinate that is no number \(row 2 '500,"):
        survey.labelled(listed(tmp_path / "l.csv", [*rows, "0.5,x,b"]), plain)
    scene(tmp_path / "scene.tif", halves())
    x, y = GRID @ (3.5, 2.5)
    given = listed(tmp_path / "l.csv", [*rows, f"{x},{y},b"])
    with pytest.raises(NoLabelsError, match=r"only the class 'b' .* 2 coordinates are no numbers"):
        survey.survey(tmp_path / "scene.tif", given, FOREST)


def test_a_warning_about_a_file_of_labels_is_said_once(tmp_path, plain, caplog):
    file = labels(tmp_path / "l.gpkg", {pixels(1, 1, 3, 3): "a", pixels(4, 4, 6, 6): "b"})
    with closing(sqlite3.connect(file)) as base, base:
        base.execute("update gpkg_geometry_columns set geometry_type_name='CURVEPOLYGON'")
    assert len(survey.labelled(survey.Labels(file), plain).shapes) == 2
    assert [m.count("CURVEPOLYGON") for m in caplog.messages] == [1]
