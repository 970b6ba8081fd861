"""Examples, surveys, figures and scores: what the notebook on one's own images shows."""

from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from rasters import halves, labels, pixels, scene, surveyed

from fewlabels import cli, paths
from fewlabels.data.sources import dubai
from fewlabels.mapping import examples, score_summary, survey, tiles
from fewlabels.mapping import scene as scenes
from fewlabels.mapping.recipe import Recipe
from fewlabels.mapping.widget import static_view
from fewlabels.types import IGNORE, DataError, UnknownName

LABELS = survey.Labels


def test_the_packaged_example_is_labelled_as_its_mask_says(tmp_path):
    made = examples.example("dubai", tmp_path / "try", tmp_path)
    assert "CC0" in made.notice
    seen = surveyed(made.scene, LABELS(made.labels, made.column), Recipe())
    assert seen.found["pixels"] == dict.fromkeys(sorted(dubai.CLASSES), 12)
    assert seen.found["warnings"] == []
    assert seen.scene.names == ("red", "green", "blue")
    truth = scenes.opened(tmp_path / "try" / "truth.tif")
    with (
        scenes.reading(truth) as read,
        tiles.labelling(seen.given, seen.scene) as burn,
    ):
        whole = slice(0, truth.height), slice(0, truth.width)
        mask, burnt = read(*whole)[0][..., 0], burn(*whole).labels
    for value, name in enumerate(seen.given.classes):
        assert (mask[burnt == value] == dubai.CLASSES.index(name)).all()
    with pytest.raises(DataError, match="scene.tif' is there already"):
        examples.example("dubai", tmp_path / "try", tmp_path)


def test_a_scene_with_polygons_is_written_with_its_grid(tmp_path):
    root, given = tmp_path / "data", examples.SCENES["landsat"]
    (root / given.archive).parent.mkdir(parents=True)
    bands = np.arange(8 * 250 * 250, dtype=np.int16).reshape(8, 250, 250)
    np.savez(root / given.archive, bands_1999=bands)
    with pytest.raises(DataError, match="cannot be read"):
        examples.example("landsat", tmp_path / "without polygons", root)
    labels(root / given.polygons, {pixels(2, 2, 8, 8): "forest"})
    found = scenes.opened(examples.example("landsat", tmp_path / "try", root).scene)
    assert (found.system, found.pixel, len(found.bands)) == ("EPSG:32615", 30, 8)
    with scenes.reading(found) as read:
        values = read(slice(3, 4), slice(5, 6))[0]
    assert (values[0, 0] == bands[:, 3, 5]).all()
    (root / given.archive).write_bytes(b"not an archive")
    with pytest.raises(DataError, match="landsat7"):
        examples.example("landsat", tmp_path / "damaged", root)
    with pytest.raises(UnknownName, match="unknown example 'mars'"):
        examples.example("mars", tmp_path / "mars", root)


def test_the_command_line_writes_the_example_and_says_what_to_type(tmp_path, capsys):
    assert cli.main(["example", str(tmp_path / "try")]) == 0
    said = capsys.readouterr().out
    assert f"fewlabels train {tmp_path}/try/scene.tif {tmp_path}/try/labels.gpkg" in said
    assert f"fewlabels assess {tmp_path}/try/map.tif {tmp_path}/try/checked.gpkg" in said


def test_the_points_to_assess_with_are_a_random_sample_of_the_mask(tmp_path):
    examples.example("dubai", tmp_path / "try", tmp_path)
    checked = geopandas.read_file(tmp_path / "try" / "checked.gpkg")
    truth = scenes.opened(tmp_path / "try" / "truth.tif")
    with scenes.reading(truth) as read:
        mask = read(slice(0, truth.height), slice(0, truth.width))[0][..., 0]
    rows, columns = (
        np.floor(part).astype(int) for part in (checked.geometry.y, checked.geometry.x)
    )
    assert [dubai.CLASSES[int(v)] for v in mask[rows, columns]] == checked["truth"].tolist()
    assert len(set(zip(rows, columns, strict=True))) == examples.CHECKED == len(checked)


def test_a_survey_counts_what_training_would_and_writes_nothing(tmp_path):
    file = scene(tmp_path / "scene.tif", halves())
    shapes = {pixels(2, 2, 8, 8): "dark", pixels(50, 4, 56, 8): "bright"}
    given = LABELS(labels(tmp_path / "labels.gpkg", shapes))
    seen = surveyed(file, given, Recipe())
    assert seen.found["pixels"] == {"bright": 24, "dark": 36}
    assert seen.how.unit == "shape"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.gpkg", "scene.tif"]


def test_a_small_picture_shows_the_bands_that_are_called_red_green_and_blue(tmp_path):
    array = np.zeros((4, 40, 20), np.uint16)
    array[2, :20] = 1000  # red: upper half
    found = scenes.opened(scene(tmp_path / "a.tif", array))
    assert static_view.shown(found) == (0, 1, 2)
    named = replace(found, names=("B1 blue", "near infrared", "B3 RED", "green"))
    assert static_view.shown(named) == (2, 3, 0)
    image = static_view.small(named, longest=10)
    assert image.shape == (10, 5, 3)
    assert image[:5, :, 0].min() == 255
    assert image[5:, :, 0].max() == 0
    assert (image[..., 1:] == 128).all()  # bands of one value
    single = scenes.opened(scene(tmp_path / "b.tif", array[2:3]))
    assert static_view.small(single).shape == (40, 20, 3)
    ids = scene(tmp_path / "map.tif", np.full((1, 40, 20), 7, np.uint8))
    assert (static_view.small_map(ids, found, longest=10) == 7).all()


def test_figures_show_labels_maps_and_clicks(tmp_path):
    file = scene(tmp_path / "scene.tif", halves())
    shapes = {pixels(2, 2, 8, 8): "dark", pixels(50, 4, 56, 8): "bright"}
    seen = surveyed(file, LABELS(labels(tmp_path / "l.gpkg", shapes)), Recipe())
    classes = np.where(np.arange(64) < 32, 0, 1).astype(np.uint8)[None, None].repeat(64, axis=1)
    classes[0, 0, 0] = IGNORE
    ids, sure = (scene(tmp_path / name, classes) for name in ("c.tif", "s.tif"))
    assert len(static_view.labelled(seen.scene, seen.given).axes) == 2
    panels = static_view.mapped(seen.scene, ids, sure, ("dark", "bright")).axes
    assert len(panels) == 4  # with the colour bar
    assert not panels[0].axison
    assert panels[3].axison
    clicks = pd.DataFrame({"row": [3], "column": [60], "first": ["dark"], "second": ["bright"],
                           "rank": [1]})  # fmt: skip
    figure = static_view.asked(seen.scene, geopandas.GeoDataFrame(clicks), ("dark", "bright"))
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[60, 3]]


def test_scores_of_both_methods_stand_side_by_side():
    one = {
        "scored": True, "miou": 0.5, "miou_interval": [0.4, 0.6], "accuracy": 0.75,
        "accuracy_interval": [0.7, 0.8], "iou": {"a": 0.5, "b": None},
    }  # fmt: skip
    found = score_summary.table({"tried": {"network": one, "forest": {"scored": False}}})
    assert found["network"].to_dict() == {
        "mIoU": "50.0 [40.0, 60.0]", "accuracy": "75.0 [70.0, 80.0]", "IoU of a": "50.0",
        "IoU of b": "not scored",
    }  # fmt: skip
    assert list(found) == ["network"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "polygons", "labelled", "doubtful"),
    [("landsat", 30, 718, 2), ("romania", 59, 20943, 0), ("ethiopia", 16, 38765, 0),
     ("brazil", 36, 4410, 0)],
)  # fmt: skip
def test_the_polygons_of_real_scenes_are_all_found(tmp_path, name, polygons, labelled, doubtful):
    root: Path = paths.data_root()
    if not (root / examples.SCENES[name].archive).exists():
        pytest.skip(f"the scene '{name}' is not under DATA_ROOT")
    made = examples.example(name, tmp_path, root)
    found = surveyed(made.scene, LABELS(made.labels, made.column), Recipe()).found
    assert (found["found"], sum(found["pixels"].values())) == (polygons, labelled)
    assert len(found.get("doubtful", ())) == doubtful


def test_published_records_of_ones_own_scenes_are_read_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "published_root", lambda: tmp_path)
    assert score_summary.published() == {}
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "place.json").write_text('{"format": 1, "record": {"method": "forest"}}')
    assert score_summary.published() == {"place": {"method": "forest"}}
