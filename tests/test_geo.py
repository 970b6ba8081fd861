"""Scenes, drawn labels, label images and maps, against pixels counted by hand."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from math import cos, radians, sin
from pathlib import Path
from unittest.mock import Mock

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine
from rasters import GRID, UTM, labels, pixels, scene
from shapely.geometry import LineString, MultiPoint, Point, Polygon, box

from fewlabels import files
from fewlabels.mapping import gis, label_image, maps, tiles, vector_labels
from fewlabels.mapping import scene as scenes
from fewlabels.types import IGNORE, DataError, DiskFullError, NoLabelsError, PlaceError

ALL = slice(0, 10), slice(0, 12)


@pytest.fixture
def plain(tmp_path: Path) -> scenes.Scene:
    """A scene of 10 x 12 pixels in UTM."""
    return scenes.opened(scene(tmp_path / "scene.tif", np.ones((2, 10, 12), np.uint16)))


def centre(column: int, row: int, transform: Affine = GRID) -> Point:
    return Point(transform @ (column + 0.5, row + 0.5))


def test_values_of_any_kind_come_out_as_they_went_in(tmp_path):
    for kind in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        array = np.arange(60).reshape(3, 4, 5).astype(kind)
        found = scenes.opened(scene(tmp_path / f"{np.dtype(kind)}.tif", array))
        with scenes.reading(found) as read:
            values, valid = read(slice(1, 3), slice(2, 5))
        assert np.array_equal(values, array[:, 1:3, 2:5].transpose(1, 2, 0))
        assert valid.all()


def test_a_pixel_without_a_value_in_one_band_is_void(tmp_path):
    array = np.ones((2, 3, 3), np.float32)
    array[0, 0, 0], array[1, 1, 1], array[1, 2, 2] = -9, np.nan, np.inf
    found = scenes.opened(scene(tmp_path / "a.tif", array, nodata=-9))
    with scenes.reading(found) as read:
        valid = read(slice(0, 3), slice(0, 3))[1]
    assert np.array_equal(np.argwhere(~valid), [[0, 0], [1, 1], [2, 2]])


def test_an_alpha_band_says_where_and_is_no_data(tmp_path):
    """What is not wholly transparent has a value."""
    file = tmp_path / "rgba.tif"
    array = np.full((4, 2, 2), 7, np.uint8)
    array[3] = [[255, 0], [1, 128]]
    with rasterio.open(
        file, "w", driver="GTiff", dtype="uint8", count=4, height=2, width=2, crs=UTM,
        transform=GRID, photometric="RGB", alpha="yes",
    ) as target:  # fmt: skip
        target.write(array)
    found = scenes.opened(file)
    assert found.bands == (1, 2, 3)
    with scenes.reading(found) as read:
        values, valid = read(slice(0, 2), slice(0, 2))
    assert values.shape == (2, 2, 3)
    assert valid.tolist() == [[True, False], [True, True]]


def test_what_is_no_geotiff_is_named(tmp_path):
    text, png = tmp_path / "notes.tif", tmp_path / "scene.png"
    text.write_text("not a picture")
    Image.new("RGB", (4, 4)).save(png)
    for file, why in ((text, "does not open"), (png, "is PNG"), (tmp_path / "none.tif", "open")):
        with pytest.raises(DataError, match=f"{file.name}.*{why}"):
            scenes.opened(file)


def test_a_file_that_was_cut_off_is_an_error_when_it_is_read(tmp_path):
    noise = np.random.default_rng(0).integers(0, 9999, (1, 200, 200)).astype(np.uint16)
    file = scene(tmp_path / "a.tif", noise)
    file.write_bytes(file.read_bytes()[:40_000])
    with pytest.raises(DataError, match=r"a\.tif"), scenes.reading(scenes.opened(file)) as read:
        read(slice(0, 200), slice(0, 200))


def test_ranges_are_percentiles_of_valid_pixels_and_bytes_follow_from_them():
    values = np.zeros((1, 1001, 2), np.float32)
    values[0, :, 0], values[0, :, 1] = np.arange(1001), 42
    valid = np.ones((1, 1001), bool)
    valid[0, 1000] = False  # 0 to 999: the 0.5th percentile is 4.995
    ranges = scenes.measured([(values, valid)], valid.size)
    assert ranges.low == pytest.approx((4.995, 42))
    assert ranges.high == pytest.approx((994.005, 42))
    assert ranges.constant == (1,)
    found = scenes.to_bytes(values, valid, ranges)
    assert found[0, [0, 5, 994, 999, 1000], 0].tolist() == [0, 0, 255, 255, 128]
    assert found[0, 500, 0] == round(255 * (500 - 4.995) / 989.01)
    assert (found[..., 1] == 128).all()
    parts = [(values[:, at : at + 143], valid[:, at : at + 143]) for at in range(0, 1001, 143)]
    assert scenes.measured(parts, valid.size) == ranges


def test_a_value_far_from_all_others_is_warned_about(caplog):
    values = np.random.default_rng(0).normal(100, 20, (40, 50, 2)).astype(np.float32)
    flags = np.zeros((40, 50, 1), np.float32)
    flags[:20] = 1  # a band of two values has no others
    valid = np.ones((40, 50), bool)
    scenes.measured([(np.concatenate([values, flags], 2), valid)], 2000)
    assert not caplog.records
    values[:, :5, 1] = -9999
    scenes.measured([(values, valid)], 2000)
    (said,) = caplog.messages
    assert said.startswith("10 % of the pixels of band 2 are -9999, far from all others")
    assert "-a_nodata -9999" in said


def test_not_a_number_never_reaches_a_network():
    values = np.full((2, 2, 1), np.nan, np.float32)
    found = scenes.to_bytes(values, np.zeros((2, 2), bool), scenes.Ranges((0.0,), (1.0,)))
    assert (found == 128).all()
    with pytest.raises(DataError, match="nodata"):
        scenes.measured([(values, np.zeros((2, 2), bool))], 4)


def test_bands_that_the_model_does_not_know_are_refused():
    with pytest.raises(DataError, match="3 bands and the model was trained on 2"):
        scenes.to_bytes(
            np.ones((2, 2, 3), np.float32), np.ones((2, 2), bool), scenes.Ranges((0, 0), (1, 1))
        )


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp"])
@pytest.mark.parametrize("to", [None, "EPSG:4326", "EPSG:3857"])
def test_drawn_labels_fall_on_the_pixels_they_were_drawn_on(tmp_path, plain, suffix, to):
    shapes = {
        centre(0, 0): "a",
        centre(11, 9): "b",
    }
    if suffix == "shp":  # one kind of geometry a file
        shapes = {p.buffer(1): name for p, name in shapes.items()}
    else:
        shapes |= {pixels(3, 2, 6, 4): "b", LineString([centre(1, 6), centre(5, 6)]): "a"}
    found = vector_labels.read(labels(tmp_path / f"l.{suffix}", shapes, to=to), plain)
    burnt = tiles.burning(found)(*ALL)
    expected = np.full((10, 12), IGNORE)
    expected[0, 0], expected[9, 11] = 0, 1
    if suffix != "shp":
        expected[2:4, 3:6], expected[6, 1:6] = 1, 0
    assert found.classes == ("a", "b")
    assert np.array_equal(burnt.labels, expected)
    assert burnt.contradictory == 0


def test_coordinates_in_a_list_become_pixels(tmp_path, plain):
    at = [GRID @ (2.5, 3.5), GRID @ (7.5, 8.5)]
    table = pd.DataFrame({"x": [x for x, _ in at], "y": [y for _, y in at], "kind": ["a", "b"]})
    table.to_csv(tmp_path / "xy.csv", index=False)
    geographic = geopandas.GeoSeries.from_xy(table.x, table.y, crs=UTM).to_crs(4326)
    lonlat = pd.DataFrame({"Lon": geographic.x, "Lat": geographic.y, "kind": ["a", "b"]})
    lonlat.to_csv(tmp_path / "lonlat.csv", index=False)
    for name, crs in (("xy", "scene"), ("xy", UTM), ("lonlat", None)):
        found = vector_labels.read(tmp_path / f"{name}.csv", plain, column="kind", crs=crs)
        assert np.argwhere(tiles.burning(found)(*ALL).labels != IGNORE).tolist() == [
            [3, 2],
            [8, 7],
        ]
    with pytest.raises(DataError, match=f"system none.*scene.*{UTM}"):
        vector_labels.read(tmp_path / "xy.csv", plain, column="kind")
    (tmp_path / "odd.csv").write_text("east,north,kind\n1,2,a\n")
    with pytest.raises(DataError, match="columns east, north, kind"):
        vector_labels.read(tmp_path / "odd.csv", plain, column="kind")


def test_a_turned_grid_is_followed(tmp_path):
    turned = Affine.translation(4e5, 1.7e6) @ Affine.rotation(30) @ Affine.scale(10, -10)
    file = scene(tmp_path / "turned.tif", np.ones((1, 10, 12), np.uint8), transform=turned)
    found = scenes.opened(file)
    where = vector_labels.read(labels(tmp_path / "l.gpkg", {centre(4, 7, turned): "a"}), found)
    assert np.argwhere(tiles.burning(where)(*ALL).labels == 0).tolist() == [[7, 4]]
    corner = found.transform @ (1, 0)
    assert corner == pytest.approx((4e5 + 10 * cos(radians(30)), 1.7e6 + 10 * sin(radians(30))))
    maps.write(tmp_path / "map.tif", found, [np.zeros((10, 12), np.uint8)])
    assert scenes.opened(tmp_path / "map.tif").transform.almost_equals(turned)


def test_what_a_person_says_of_the_system_wins(tmp_path, plain):
    """GeoJSON without a system counts as degrees; these are metres."""
    geopandas.GeoDataFrame({"class": ["a"]}, geometry=[centre(4, 7)]).to_file(
        tmp_path / "l.geojson"
    )
    with pytest.raises(NoLabelsError, match="1 outside the scene"):
        vector_labels.read(tmp_path / "l.geojson", plain)
    found = vector_labels.read(tmp_path / "l.geojson", plain, crs=UTM)
    assert np.argwhere(tiles.burning(found)(*ALL).labels == 0).tolist() == [[7, 4]]
    with pytest.raises(DataError, match="EPSG:999999"):
        vector_labels.read(
            labels(tmp_path / "l.gpkg", {centre(1, 1): "a"}), plain, crs="EPSG:999999"
        )


def test_a_label_where_the_scenes_system_has_no_place_is_outside(tmp_path, plain):
    here = geopandas.GeoSeries([centre(4, 7)], crs=UTM).to_crs(4326)[0]
    far = Polygon([(147, -40), (148, -40), (148, -41)])
    frame = geopandas.GeoDataFrame({"class": ["a", "b"]}, geometry=[here, far], crs=4326)
    frame.to_file(tmp_path / "l.gpkg")
    found = vector_labels.read(tmp_path / "l.gpkg", plain)
    assert found.report["outside the scene"] == 1
    assert len(found.shapes) == 1


def test_systems_that_cannot_be_brought_together_are_both_named(tmp_path, plain):
    bare = scenes.opened(scene(tmp_path / "bare.tif", np.ones((1, 10, 12), np.uint8), crs=None))
    file = labels(tmp_path / "l.gpkg", {centre(1, 1): "a"})
    with pytest.raises(DataError, match=r"l\.gpkg.*EPSG:32615.*bare\.tif.*none"):
        vector_labels.read(file, bare)
    assert len(vector_labels.read(file, bare, crs="scene").shapes) == 1
    unknown = labels(tmp_path / "l.shp", {pixels(1, 1, 3, 3): "a"}, crs=None)
    with pytest.raises(DataError, match=r"l\.shp.*none.*scene\.tif.*EPSG:32615"):
        vector_labels.read(unknown, plain)
    with pytest.raises(DataError, match=r"EPSG:999999"):
        vector_labels.read(unknown, plain, crs="EPSG:999999")


def test_what_is_left_out_is_counted(tmp_path, plain):
    shapes = [centre(1, 1), centre(2, 2), centre(50, 50), centre(3, 3), None,
              MultiPoint([centre(4, 4), centre(60, 4)])]  # fmt: skip
    frame = geopandas.GeoDataFrame(
        {"class": ["a", "b", "a", None, "a", "b"]}, geometry=shapes, crs=UTM
    )
    frame.to_file(tmp_path / "l.gpkg")
    found = vector_labels.read(tmp_path / "l.gpkg", plain, classes=("a", "c"))
    assert found.classes == ("a", "c")
    assert found.report == {
        "found": 6, "doubtful": [], "no numbers": [], "without a class": 1, "without geometry": 1,
        "alike": [], "absent": {"c": ""}, "unknown classes": {"b": 2}, "outside the scene": 1,
        "used": {"Point": 1},
    }  # fmt: skip
    every = vector_labels.read(tmp_path / "l.gpkg", plain)
    assert every.report["outside the scene"] == 2
    assert not every.areas
    with pytest.raises(
        NoLabelsError, match=r"none of 6 labels.*1 without a class.*\{'a': 2, 'b': 2\}"
    ):
        vector_labels.read(tmp_path / "l.gpkg", plain, classes=("z", "y"))


def test_pixels_of_two_classes_have_none(tmp_path, plain):
    shapes = {pixels(0, 0, 4, 4): "a", pixels(2, 2, 6, 6): "b", pixels(8, 0, 10, 2): "a",
              pixels(9, 0, 11, 2): "a"}  # fmt: skip
    burnt = tiles.burning(vector_labels.read(labels(tmp_path / "l.gpkg", shapes), plain))(*ALL)
    assert burnt.contradictory == 4
    assert (burnt.labels[2:4, 2:4] == IGNORE).all()
    assert (burnt.units[2:4, 2:4] == tiles.NOBODY).all()
    assert (burnt.labels == 0).sum() == 12 + 6
    assert (burnt.units[0, 8:11] == [2, 3, 3]).all()


def test_windows_burn_as_the_whole_does(tmp_path, plain):
    shapes = {box(400_010, 1_699_800, 400_250, 1_699_990): "a", centre(7, 7).buffer(70): "b"}
    put = tiles.burning(vector_labels.read(labels(tmp_path / "l.gpkg", shapes), plain))
    parts = [[put(slice(r, r + 5), slice(c, c + 4)).labels for c in (0, 4, 8)] for r in (0, 5)]
    assert np.array_equal(np.block(parts), put(*ALL).labels)


def test_attributes_that_contradict_each_other_are_listed():
    table = pd.DataFrame({"id": [1, 1, 1, 2, 2, 2, 2, 1], "name": list("aaabbbba"), "n": range(8)})
    assert vector_labels.doubtful(table, "name") == []
    table.loc[4, "name"] = "a"
    assert vector_labels.doubtful(table, "id") == ["label 5: id is '2' and name is 'a'"]
    table["name"] = list("abbbbbba")  # 6 of 8 fit: three quarters
    assert len(vector_labels.doubtful(table, "id")) == 2
    table["name"] = list("abbbbbab")  # 4 of 8 fit, so it names something else
    assert vector_labels.doubtful(table, "id") == []


def test_files_of_labels_that_cannot_be_used_say_why(tmp_path, plain):
    good = labels(tmp_path / "l.gpkg", {centre(1, 1): "a"})
    with pytest.raises(DataError, match="no column 'kind'; it has: class"):
        vector_labels.read(good, plain, column="kind")
    with pytest.raises(DataError, match="no column 'geometry'; it has: class"):
        vector_labels.read(good, plain, column="geometry")
    geopandas.read_file(good).to_file(good, layer="more")
    with pytest.raises(DataError, match="2 layers with geometry, not one: l, more; name one"):
        vector_labels.read(good, plain)
    assert len(vector_labels.read(good, plain, layer="more").shapes) == 1
    with pytest.raises(DataError, match="other"):
        vector_labels.read(good, plain, layer="other")
    (tmp_path / "l.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(NoLabelsError, match="empty"):
        vector_labels.read(tmp_path / "l.geojson", plain)
    (tmp_path / "bad.geojson").write_text("nothing")
    for name in ("bad.geojson", "none.gpkg", "none.csv"):
        with pytest.raises(DataError, match="does not open"):
            vector_labels.read(tmp_path / name, plain)


def test_a_label_image_on_the_grid_is_read_as_it_is(tmp_path, plain):
    values = np.zeros((10, 12), np.uint8)
    values[2, 3:5], values[7, 1] = 4, 9
    file = scene(tmp_path / "mask.tif", values[None], nodata=0)
    Image.fromarray(values).save(tmp_path / "mask.png")
    for found in (
        label_image.opened(file, plain),
        label_image.opened(tmp_path / "mask.png", plain, no_label=0),
    ):
        assert found.classes == ("4", "9")
        with label_image.reading(found, plain) as read:
            assert np.argwhere(read(*ALL) == 0).tolist() == [[2, 3], [2, 4]]
            assert np.argwhere(read(*ALL) == 1).tolist() == [[7, 1]]
    found = label_image.opened(file, plain, {9: "water", 1: "land"})
    assert found.report == {
        "found": 3, "share": 3 / 120, "unknown classes": {"4": 2}, "used": {"pixels": 1},
    }  # fmt: skip
    with pytest.raises(NoLabelsError, match=r"\{'4': 2, '9': 1\}"):
        label_image.opened(file, plain, {1: "land"})


def test_a_label_image_on_another_grid_is_brought_to_the_scenes(tmp_path, plain):
    values = np.zeros((1, 5, 6), np.uint8)
    values[0, 1, 2] = 3  # a pixel of 60 m covers 2 x 2 of the scene's
    coarse = scene(tmp_path / "coarse.tif", values, transform=GRID @ Affine.scale(2), nodata=0)
    with label_image.reading(label_image.opened(coarse, plain), plain) as read:
        assert np.argwhere(read(*ALL) == 0).tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]
    Image.fromarray(values[0]).save(tmp_path / "small.png")
    with pytest.raises(DataError, match=r"5 x 6 pixels.*none.*10 x 12 pixels, EPSG:32615"):
        label_image.opened(tmp_path / "small.png", plain)
    scene(tmp_path / "floats.tif", np.full((1, 10, 12), 1.5, np.float32))
    with pytest.raises(DataError, match=r"holds 1\.5; a class is a whole number"):
        label_image.opened(tmp_path / "floats.tif", plain)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_a_label_image_that_was_cut_off_is_named(tmp_path, name):
    values = np.random.default_rng(0).integers(0, 3, (200, 120)).astype(np.uint8)
    ground = scenes.opened(scene(tmp_path / "big.tif", np.ones((1, 200, 120), np.uint8)))
    file = tmp_path / name
    Image.fromarray(values).save(file) if name.endswith("png") else scene(file, values[None])
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match=f"label image.*{name}.*cut off"):
        label_image.opened(file, ground)


def test_blocks_are_numbered_over_the_scene():
    assert tiles.blocks(slice(0, 4), slice(2, 6), 6, 3).tolist() == [[0, 1, 1, 1]] * 3 + [
        [2, 3, 3, 3]
    ]


def test_a_map_has_the_grid_of_its_scene_and_the_colours_of_its_classes(tmp_path):
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 300, 20), np.uint8)))
    values = np.random.default_rng(0).integers(0, 3, (300, 20)).astype(np.uint8)
    values[5, 5] = maps.NODATA
    file, palette = tmp_path / "map.tif", [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
    strips = [values[:7], values[7:260], values[260:]]
    maps.write(file, found, strips, classes=["x", "y", "z"], palette=palette)
    with rasterio.open(file) as written:
        assert np.array_equal(written.read(1), values)
        assert (written.transform, written.crs, written.nodata) == (GRID, found.crs, 255)
        assert written.profile["tiled"]
        assert written.compression.name == "deflate"
        assert written.colormap(1)[2][:3] == palette[2]
        assert written.tags()["class_1"] == "y"
    with pytest.raises(DataError, match="there already"):
        maps.write(file, found, strips)


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond this size, on a disk with space left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_failed_write_leaves_nothing_and_is_a_full_disk_only_if_the_disk_is_full(
    tmp_path, monkeypatch
):
    """GDAL itself ends without an error where a file may not grow."""
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 300, 300), np.uint8)))
    noise = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8)
    blocks = np.arange(1600, dtype=np.uint8).reshape(40, 40) % 3
    areas = scene(tmp_path / "b.tif", blocks[None])

    def raster(size: int) -> None:
        with room(size):
            maps.write(tmp_path / "map.tif", found, [noise[:100], noise[100:]])

    def vector() -> None:
        with room(30_000):
            gis.write_polygons(tmp_path / "p.gpkg", areas, dict(enumerate("xyz")))

    for size in (0, 20_000, 60_000):
        with pytest.raises(PlaceError, match=r"map\.tif' could not be written"):
            raster(size)
    with pytest.raises(PlaceError, match=r"p\.gpkg' could not be written"):
        vector()
    full = OSError(errno.ENOSPC, "no space")
    monkeypatch.setattr(files.tempfile, "TemporaryFile", Mock(side_effect=full))
    with pytest.raises(DiskFullError, match=r"map\.tif"):
        raster(20_000)
    with pytest.raises(DiskFullError, match=r"p\.gpkg"):
        vector()
    assert {file.name for file in tmp_path.iterdir()} == {"a.tif", "b.tif"}


def test_polygons_cover_each_class_by_its_area(tmp_path):
    found = scenes.opened(scene(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8)))
    values = np.zeros((4, 4), np.uint8)
    values[0, 0] = values[1, 1] = 1  # two areas: they meet in a corner
    values[3, 3] = maps.NODATA
    maps.write(tmp_path / "map.tif", found, [values])
    assert gis.write_polygons(tmp_path / "p.gpkg", tmp_path / "map.tif", {0: "x", 1: "y"}) == 3
    frame = geopandas.read_file(tmp_path / "p.gpkg")
    assert frame.crs == UTM
    area = frame.dissolve("class").area
    assert area["x"] == pytest.approx(13 * 900)
    assert area["y"] == pytest.approx(2 * 900)


def test_odd_labels_are_counted_and_stop_nothing(tmp_path, plain):
    bow = Polygon([GRID @ p for p in ((1, 1), (5, 5), (5, 1), (1, 5))])
    tiny = Point(GRID @ (8.1, 8.1)).buffer(1)
    nowhere = Point(np.inf, np.inf)
    frame = geopandas.GeoDataFrame(
        {"kind": [1.0, 2.0, 1.0, None]}, geometry=[bow, tiny, nowhere, bow], crs=UTM
    )
    frame.to_file(tmp_path / "l.gpkg")
    found = vector_labels.read(tmp_path / "l.gpkg", plain, column="kind")
    assert found.classes == ("1", "2")
    assert found.report["without a class"] == 1
    assert found.report["outside the scene"] + found.report["without geometry"] == 1
    burnt = tiles.burning(found)(*ALL)
    assert set(np.unique(burnt.units)) == {
        tiles.NOBODY,
        0,
    }  # the tiny one holds no pixel's centre
    assert (burnt.labels == 0).any()


def test_empty_layers_of_every_format_say_so(tmp_path, plain):
    frame = geopandas.GeoDataFrame({"class": []}, geometry=[], crs=UTM)
    for name in ("l.gpkg", "l.shp"):
        frame.to_file(tmp_path / name)
        with pytest.raises(NoLabelsError, match="empty"):
            vector_labels.read(tmp_path / name, plain)
    (tmp_path / "l.csv").write_text("x,y,class\n")
    with pytest.raises(NoLabelsError, match="empty"):
        vector_labels.read(tmp_path / "l.csv", plain, crs="scene")
