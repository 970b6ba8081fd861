"""The explorer without a browser: clicks, their file, their map, and what stands still."""

import base64
import json
import threading
from pathlib import Path

import geopandas
import nbformat
import numpy as np
import pytest
import rasterio
import rasters
import shapely
from rasterio.transform import Affine

from fewlabels.learners import bank
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.widget import annotations, notebook, quick_fit
from fewlabels.mapping.widget.annotations import Click
from fewlabels.report.convert import convert, png_inches
from fewlabels.types import DataError, NoLabelsError, UnknownName

CLASSES = ["dark", "bright"]


@pytest.fixture
def image() -> np.ndarray:
    """A made image u8[48 64 3], dark on the left and bright on the right, with noise."""
    image = np.random.default_rng(0).normal(60, 20, (48, 64, 3))
    image[:, 32:] += 140
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def explorer(image: np.ndarray, tmp_path: Path) -> notebook.Explorer:
    """Six clicks on that image, three of each class."""
    made = notebook.explore(image, CLASSES, file=tmp_path / "clicks.geojson", device="cpu")
    for row in (5, 20, 40):
        made.add(10, row, "dark")
        made.add(50, row, "bright")
    return made


def opened(file: Path, **how: object) -> scenes.Scene:
    return scenes.opened(rasters.scene(file, rasters.halves(side=64), **how))


def asked(explorer: notebook.Explorer, action: str, **given: object) -> None:
    """What the front end sends."""
    explorer._asked(explorer, {"do": action} | given, [])


def followed(explorer: notebook.Explorer) -> None:
    """Wait for the trainings that are under way, and for those that these are followed by."""
    while found := [thread for thread in threading.enumerate() if "_told" in thread.name]:
        found[0].join()


def test_a_pixel_has_the_class_of_its_last_click(explorer):
    explorer.add(10, 20, "bright")
    assert explorer.clicks[-1] == Click(10, 20, 1)
    assert [click[:2] for click in explorer.clicks].count((10, 20)) == 1
    assert len(explorer.clicks) == 6


def test_undo_goes_back_one_change_and_brings_cleared_clicks_back(explorer):
    six = explorer.clicks
    explorer.clear()
    assert explorer.clicks == ()
    explorer.undo()
    assert explorer.clicks == six
    explorer.remove(10, 5)
    explorer.undo()
    explorer.undo()
    assert explorer.clicks == six[:-1]
    for _ in range(9):
        explorer.undo()
    assert explorer.clicks == ()
    assert not explorer.undoable


def test_a_click_outside_and_an_unknown_class_are_refused(explorer):
    with pytest.raises(DataError, match="64 columns and 48 rows"):
        explorer.add(64, 0, "dark")
    with pytest.raises(UnknownName, match="known: bright, dark"):
        explorer.add(0, 0, "grey")


def test_clicks_are_saved_at_the_middle_of_their_pixels_in_the_scenes_system(tmp_path: Path):
    file, scene = tmp_path / "clicks.geojson", opened(tmp_path / "scene.tif")
    clicks = (Click(3, 10, 1), Click(0, 63, 0))
    annotations.write(file, clicks, CLASSES, scene)
    frame = geopandas.read_file(file)
    assert frame.crs == rasters.UTM
    assert frame["class"].tolist() == ["bright", "dark"]
    assert shapely.get_coordinates(frame.geometry).tolist() == [
        [400_000 + 3.5 * 30, 1_700_000 - 10.5 * 30],
        [400_000 + 0.5 * 30, 1_700_000 - 63.5 * 30],
    ]
    assert annotations.read(file, scene, CLASSES) == (clicks, 0)


def test_clicks_on_a_plain_image_are_saved_in_pixels_and_the_file_says_so(explorer, tmp_path):
    explorer.save(tmp_path / "clicks.geojson")
    text = json.loads((tmp_path / "clicks.geojson").read_text())
    assert text["features"][0]["geometry"]["coordinates"] == [10.5, 5.5]
    assert text["features"][0]["properties"] == {"class": "dark"}
    assert "coordinates are pixels" in text["note"]
    assert text["crs"] is None  # GDAL takes them for degrees all the same


PLACES = {
    "northing before easting": ("EPSG:2180", rasters.GRID),
    "degrees": ("EPSG:4326", Affine(1e-5, 0, 21, 0, -1e-5, 52)),
    "a system without a code": ("+proj=laea +lat_0=50 +lon_0=20 +a=6371228", rasters.GRID),
    "a grid without a system": (None, rasters.GRID),
    "turned": (rasters.UTM, Affine.translation(400_000, 1_700_000) @ Affine.rotation(30)),
}


DEGREES = {"degrees", "a system without a code"}


@pytest.mark.parametrize("place", PLACES)
def test_saved_clicks_are_loaded_again_pixel_by_pixel(tmp_path: Path, place: str):
    crs, grid = PLACES[place]
    scene = opened(tmp_path / "scene.tif", crs=crs, transform=grid)
    clicks = tuple(Click(x, y, (x + y) % 2) for x in (0, 31, 63) for y in (0, 17, 63))
    annotations.write(tmp_path / "clicks.geojson", clicks, CLASSES, scene)
    assert annotations.read(tmp_path / "clicks.geojson", scene, CLASSES) == (clicks, 0)
    assert ("CRS84" in (tmp_path / "clicks.geojson").read_text()) == (place in DEGREES)


def test_labels_of_another_file_that_are_no_clicks_are_counted(tmp_path: Path):
    scene = opened(tmp_path / "scene.tif")
    shapes = {
        rasters.pixels(2, 2, 3, 3).centroid: "dark",
        rasters.pixels(2, 2, 3, 3).centroid.buffer(1).centroid: "bright",  # the same pixel
        rasters.pixels(9, 9, 12, 12): "bright",
        rasters.pixels(4, 4, 5, 5).centroid: "grey",
        rasters.pixels(-40, 4, -39, 5).centroid: "dark",
    }
    file = rasters.labels(tmp_path / "drawn.gpkg", shapes, to="EPSG:4326")
    assert annotations.read(file, scene, CLASSES) == ((Click(2, 2, 1),), 4)


def test_a_file_of_somebody_elses_is_not_overwritten_before_it_is_loaded(explorer, image, tmp_path):
    file = tmp_path / "clicks.geojson"
    explorer.save(file)
    explorer.remove(10, 5)
    explorer.save(file)  # its own
    other = notebook.explore(image, CLASSES, file=tmp_path / "none", device="cpu")
    other.add(1, 1, "dark")
    with pytest.raises(DataError, match="load it first"):
        other.save(file)
    other.load(file)
    assert other.clicks == explorer.clicks
    other.save(file)
    fewer = notebook.explore(image, ["dark", "grey"], file=file, device="cpu")
    assert "3 other labels" in fewer.message
    with pytest.raises(DataError, match="load it first"):
        fewer.save(file)  # the three would be lost


def test_no_clicks_are_not_saved(explorer, tmp_path):
    explorer.clear()
    with pytest.raises(NoLabelsError, match="no click to save"):
        explorer.save(tmp_path / "clicks.geojson")
    assert not list(tmp_path.iterdir())


def test_clicks_of_a_file_that_is_there_are_taken_up(explorer, image, tmp_path):
    explorer.save(tmp_path / "clicks.geojson")
    again = notebook.explore(image, CLASSES, file=tmp_path / "clicks.geojson")
    assert again.clicks == explorer.clicks


def test_a_training_maps_the_image_and_the_same_clicks_give_the_same_map(explorer):
    first = explorer.train()
    assert first.classes.shape == first.confidence.shape == (48, 64)
    assert (first.classes[:, :28] == 0).mean() > 0.95
    assert (first.classes[:, 36:] == 1).mean() > 0.95
    assert first.confidence.min() >= 50  # of two classes the more probable one
    assert (first.classes + first.second == 1).all()
    assert explorer.classes_map == first.classes.tobytes()
    assert explorer.state == "trained"
    assert "6 clicks (dark 3, bright 3)" in explorer.message
    clicks = explorer.clicks
    explorer.clear()
    for click in reversed(clicks):
        explorer.add(*click[:2], CLASSES[click.value])
    second = explorer.train()
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_features_are_computed_once_and_those_of_a_click_outside_once_too(tmp_path, monkeypatch):
    computed = []
    layers = bank.layers
    monkeypatch.setattr(bank, "layers", lambda *a: computed.append(a[1].shape) or layers(*a))
    monkeypatch.setattr(quick_fit, "MOST", 32)
    file = rasters.scene(tmp_path / "scene.tif", rasters.halves(side=96))
    made = notebook.explore(file, CLASSES, file=tmp_path / "c", device="cpu")
    made.add(40, 40, "dark")
    made.add(50, 40, "bright")
    made.train()
    assert len(computed) == 1
    made.add(44, 44, "dark")
    made.train()
    assert len(computed) == 1
    for column in (51, 52):
        made.add(90, 90, "bright")
        made.add(column, 50, "bright")
        made.train()
    assert len(computed) == 2


def test_one_class_alone_is_refused(explorer):
    for click in explorer.clicks[::2]:
        explorer.remove(*click[:2])
    with pytest.raises(NoLabelsError, match="at least two"):
        explorer.train()
    assert explorer.map is None


def test_what_is_wrong_becomes_the_second_class_of_the_map(explorer):
    with pytest.raises(DataError, match="no map yet"):
        explorer.wrong(3, 30)
    explorer.train()
    assert explorer.map.classes[30, 3] == 0
    explorer.wrong(3, 30)
    assert explorer.clicks[-1] == Click(3, 30, 1)
    with pytest.raises(DataError, match="column 64, row 0"):
        explorer.wrong(64, 0)


def test_learners_disagree_where_both_are_sure_of_different_classes():
    valid = np.array([[True, True, True, True, False]])
    ours = np.array([[0.9, 0.9, 0.9, 0.4, 0.9], [0.1, 0.1, 0.1, 0.3, 0.1], [0, 0, 0, 0.3, 0]])
    theirs = np.array([[0.1, 0.8, 0.3, 0.1, 0.1], [0.9, 0.2, 0.4, 0.9, 0.9], [0, 0, 0.3, 0, 0]])
    shaped = (array[:, None].astype(np.float32) for array in (ours, theirs))
    found = quick_fit.disagreement(*shaped, valid)
    assert found.tolist() == [[1, 0, 0, 0, 255]]


def test_a_second_learner_is_asked_only_where_it_is_wanted(explorer, monkeypatch):
    names = []
    mapped = quick_fit.mapped
    monkeypatch.setattr(quick_fit, "mapped", lambda *a: names.append(a[3:]) or mapped(*a))
    explorer.train()
    assert explorer.disagreement == b""
    explorer.compared = True
    followed(explorer)
    assert names == [(), (), ("pixel_forest",)]
    found = np.frombuffer(explorer.disagreement, np.uint8)
    assert len(found) == 48 * 64
    assert set(found.tolist()) <= {0, 1}
    assert "disagree on" in explorer.message


def test_a_part_is_shown_and_mapped_and_clicks_outside_it_train_too(tmp_path: Path, monkeypatch):
    """The part lies across the edge at column 48, and all dark clicks outside of the part."""
    monkeypatch.setattr(quick_fit, "MOST", 32)
    file = rasters.scene(tmp_path / "scene.tif", rasters.halves(side=96, bands=2))
    made = notebook.explore(
        file, CLASSES, file=tmp_path / "c", at=(0, 56), colours=(0, 1, 1), device="cpu"
    )
    assert made.frame == {"x": 40, "y": 0, "w": 32, "h": 32}
    assert "columns 40 to 71 of 96" in made.message
    for row in (5, 15, 25):
        made.add(2 * row, 40 + row, "dark")
        made.add(60, row, "bright")
    found = made.train().classes
    assert found.shape == (32, 32)
    assert (found[:, :6] == 0).mean() > 0.9
    assert (found[:, 10:] == 1).mean() > 0.9


def test_void_pixels_are_grey_and_have_no_class(tmp_path: Path):
    values = rasters.halves(bands=4)
    values[:, :10] = 0
    file = rasters.scene(tmp_path / "scene.tif", values, nodata=0)
    seen = quick_fit.view(file)
    assert (quick_fit.picture(seen)[:10] == 128).all()
    made = notebook.explore(file, CLASSES, file=tmp_path / "c", device="cpu")
    made.add(3, 30, "dark")
    made.add(60, 30, "bright")
    found = made.train()
    assert (found.classes[:10] == 255).all()
    assert (found.classes[10:] < 2).all()


def test_bytes_are_shown_as_they_are_and_one_band_as_grey(image):
    assert (quick_fit.picture(quick_fit.view(image)) == image).all()
    grey = quick_fit.picture(quick_fit.view(image[..., 0]))
    assert (grey == image[..., :1]).all()
    with pytest.raises(DataError, match="has 0 to 2"):
        quick_fit.picture(quick_fit.view(image), (0, 1, 3))


def test_bands_that_are_called_red_green_and_blue_are_shown_as_such(tmp_path: Path):
    values = np.stack([np.full((20, 20), 50 * i + np.eye(20), "uint8") for i in range(5)])
    file = rasters.scene(tmp_path / "scene.tif", values)
    with rasterio.open(file, "r+") as target:
        target.descriptions = ("near infrared", "blue", "green", "red", "thermal")
    assert quick_fit.picture(quick_fit.view(file))[3, 4].tolist() == [150, 100, 50]


def test_what_is_no_image_and_no_classes_are_refused(image):
    for wrong in (image.astype(complex), image[0, 0], np.zeros((0, 4))):
        with pytest.raises(DataError, match="an image is an array"):
            quick_fit.view(wrong)
    for names in (["one"], ["one", "one"]):
        with pytest.raises(DataError, match="at least two classes"):
            notebook.explore(image, names)


def test_the_front_end_is_answered_and_errors_become_its_message(explorer, tmp_path):
    asked(explorer, "add", column=1, row=2, name="dark")
    assert explorer.points[-1] == [1, 2, 0]
    followed(explorer)
    asked(explorer, "add", column=99, row=2, name="dark")
    assert (explorer.state, len(explorer.points)) == ("failed", 7)
    asked(explorer, "load", file=str(tmp_path / "none.geojson"))
    assert "does not open" in explorer.message
    asked(explorer, "save", file=str(tmp_path))
    assert explorer.state == "failed"


def test_a_click_of_the_front_end_trains_once_two_classes_have_one(explorer):
    explorer.clear()
    asked(explorer, "add", column=10, row=20, name="dark")
    followed(explorer)
    assert (explorer.state, explorer.map) == ("ready", None)
    assert "1 click (dark 1)" in explorer.message
    asked(explorer, "add", column=50, row=20, name="bright")
    followed(explorer)
    assert explorer.state == "trained"
    assert explorer.map.classes[20, [10, 50]].tolist() == [0, 1]
    asked(explorer, "wrong", column=10, row=5)
    followed(explorer)
    assert explorer.points[-1] == [10, 5, 1]
    assert explorer.map.classes[5, 10] == 1
    explorer.live = False
    asked(explorer, "undo")
    followed(explorer)
    assert explorer.map.classes[5, 10] == 1  # until it is asked for
    asked(explorer, "train")
    followed(explorer)
    assert explorer.map.classes[5, 10] == 0


def test_clicks_during_a_training_are_followed_by_one_more(explorer, monkeypatch):
    mapped, taken = quick_fit.mapped, []

    def slow(part, clicks, *more):
        taken.append(len(clicks))
        if len(taken) == 1:
            for row in (1, 2, 3):
                asked(explorer, "add", column=20, row=row, name="dark")
        return mapped(part, clicks, *more)

    monkeypatch.setattr(quick_fit, "mapped", slow)
    asked(explorer, "train")
    followed(explorer)
    assert taken == [6, 9]


def test_a_training_that_breaks_off_leaves_the_map_and_says_so(explorer, monkeypatch):
    monkeypatch.setattr(quick_fit, "mapped", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        explorer.train()
    assert (explorer.state, explorer.classes_map) == ("failed", b"")
    with pytest.raises(ZeroDivisionError):
        explorer.train()  # and the next can begin


def test_where_nobody_can_click_a_figure_stands(explorer, tmp_path):
    bundle, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    wide, _ = png_inches(base64.b64decode(bundle["image/png"]))
    explorer.train()
    wider, _ = png_inches(base64.b64decode(explorer._repr_mimebundle_()[0]["image/png"]))
    assert wider > 2 * wide  # map and confidence stand beside it
    source = "#| label: fig-x\n#| fig-cap: Clicks.\nexplorer"
    output = nbformat.v4.new_output("execute_result", bundle)
    cell = nbformat.v4.new_code_cell(source, outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    (tmp_path / "figures").mkdir()
    assert "fig-x" in convert(tmp_path / "n.ipynb", tmp_path / "figures")
    assert len(list((tmp_path / "figures").glob("*.webp"))) == 1
