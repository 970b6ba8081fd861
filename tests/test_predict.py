"""Predictions that are killed, met by another, too large, or made by a model that is no good."""

import time
from pathlib import Path

import numpy as np
import pytest
from rasters import SPOTS, halves, labels, scene

from fewlabels.files import working
from fewlabels.mapping import fit, limits, model_folder, stream, survey
from fewlabels.mapping.predict import predict
from fewlabels.mapping.recipe import Recipe, RecipeError
from fewlabels.mapping.scene import Ranges
from fewlabels.types import DataError, DiskFullError, PlaceError

FOREST = Recipe(method="pixel_forest", trees=3, side=32, crop=32, window=32, folds=0)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scene.tif (64 x 64, 4 bands u16), labels.gpkg, and a forest grown on them."""
    folder = tmp_path_factory.mktemp("ground")
    scene(folder / "scene.tif", halves())
    labels(folder / "labels.gpkg", SPOTS)
    given = survey.Labels(folder / "labels.gpkg")
    fit.fit(folder / "scene.tif", given, folder / "model", FOREST, device="cpu")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_maps_that_a_killed_process_had_not_named_get_their_names_first(
    ground, tmp_path, monkeypatch
):
    asked = ground / "scene.tif", ground / "model", tmp_path / "map.tif"
    replaced, moved = Path.replace, []

    def killed(file: Path, target: Path) -> None:
        if file.parent.parent.name == ".map.tif.partial":
            moved.append(target.name)
            if len(moved) == 2:
                raise KeyboardInterrupt
        replaced(file, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        predict(*asked, polygons=True, device="cpu")
    monkeypatch.undo()
    assert names(tmp_path) == [".map.tif.partial", "map_confidence.tif"]
    (tmp_path / "map.tif").write_text("someone else's")
    with pytest.raises(DataError, match=r"map\.tif' is there already"):
        predict(*asked, polygons=True, device="cpu")
    (tmp_path / "map.tif").unlink()
    monkeypatch.setattr(stream, "strips", lambda *_, **__: pytest.fail("computed again"))
    made = predict(*asked, polygons=True, device="cpu")
    assert made.valid == 1
    assert names(tmp_path) == ["map.gpkg", "map.tif", "map.tif.aux.xml", "map_confidence.tif"]
    with pytest.raises(DataError, match="there already"):
        predict(*asked, polygons=True, device="cpu")


def test_clicks_that_failed_are_all_that_the_next_start_makes(ground, tmp_path, monkeypatch):
    asked = ground / "scene.tif", ground / "model", tmp_path / "map.tif"
    monkeypatch.setattr("fewlabels.mapping.predict._next", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(*asked, clicks=2, device="cpu")
    maps = ["map.tif", "map.tif.aux.xml", "map_confidence.tif"]
    assert names(tmp_path) == [".map.tif.partial", *maps]
    monkeypatch.undo()
    monkeypatch.setattr(stream, "strips", lambda *_, **__: pytest.fail("computed again"))
    predict(*asked, clicks=2, device="cpu")
    assert names(tmp_path) == [*maps, "map_next.gpkg"]


def test_maps_that_were_named_and_deleted_since_are_made_again(ground, tmp_path, monkeypatch):
    asked = ground / "scene.tif", ground / "model", tmp_path / "map.tif"
    monkeypatch.setattr("fewlabels.mapping.query.chosen", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(*asked, clicks=2, device="cpu")
    monkeypatch.undo()
    (tmp_path / "map_confidence.tif").unlink()
    with pytest.raises(DataError, match=r"map\.tif' is there already"):
        predict(*asked, clicks=2, device="cpu")
    (tmp_path / "map.tif").unlink()
    predict(*asked, clicks=2, device="cpu")
    there = ["map.tif", "map.tif.aux.xml", "map_confidence.tif", "map_next.gpkg"]
    assert names(tmp_path) == there


def test_a_target_that_another_process_makes_is_refused_at_once(ground, tmp_path, monkeypatch):
    monkeypatch.setattr(model_folder, "about", lambda *_: pytest.fail("begun"))
    monkeypatch.setattr(fit, "surveyed", lambda *_: pytest.fail("begun"))
    for name in ("map.tif", "model"):
        said = pytest.raises(PlaceError, match=f"another process is making '.*{name}' now")
        with working(tmp_path / f".{name}.partial", tmp_path / name), said:
            if name == "model":
                given = survey.Labels(ground / "labels.gpkg")
                fit.fit(ground / "scene.tif", given, tmp_path / name, FOREST, device="cpu")
            predict(ground / "scene.tif", ground / "model", tmp_path / name, device="cpu")
    assert names(tmp_path) == []


def test_a_damaged_strip_is_named(ground, tmp_path, monkeypatch):
    asked = ground / "scene.tif", ground / "model", tmp_path / "map.tif"
    monkeypatch.setattr("fewlabels.mapping.outputs.make", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(*asked, window=32, device="cpu")
    strip = next(tmp_path.rglob("strip-000001.npz"))
    with np.load(strip) as found:
        short = {name: values[:-1] for name, values in found.items()}
    np.savez(strip, **short)
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"strip-000001.*not of \d+ rows.*delete"):
        predict(*asked, window=32, device="cpu")


def test_what_cannot_fit_is_refused_before_it_starts(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match=r"256 x 100000000 pixels .* lower --window"):
        limits.check(stream.Plan(10**8, 10**8, 256, 64), 7, tmp_path / "map.tif")
    with pytest.raises(DiskFullError, match=r"map\.tif"):
        limits.check(stream.Plan(10**9, 10**6, 8, 2), 7, tmp_path / "map.tif")


def test_a_long_prediction_says_first_what_it_takes(ground, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(limits, "LONG", 64 * 64)
    with caplog.at_level("INFO"):
        predict(
            ground / "scene.tif", ground / "model", tmp_path / "map.tif", window=32, device="cpu"
        )
    assert "4 windows of 32 pixels: about 0 s, at most" in caplog.text


def test_a_long_training_says_first_what_it_takes(ground, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(limits, "LONG", 1)
    given = survey.Labels(ground / "labels.gpkg")
    with caplog.at_level("INFO"):
        fit.fit(ground / "scene.tif", given, tmp_path / "model", FOREST, device="cpu")
    assert "features of 0.0 Mpixel around the labels: about 0 s; then 1 fits" in caplog.text


def test_a_time_is_that_of_a_square_times_how_often_it_fits():
    seen = []

    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        seen.append((rows, columns))
        shape = rows.stop - rows.start, columns.stop - columns.start
        return np.zeros((*shape, 1)), np.ones(shape, bool)

    parts = [(slice(0, 2048), slice(2048 * n, 2048 * n + 2048)) for n in range(3)]
    ranges = Ranges((0.0,), (1.0,))
    found = limits.estimated(parts, read, ranges, lambda image: time.sleep(0.05))
    assert seen == [(slice(512, 1536), slice(2560, 3584))]
    assert 12 * 0.05 <= found < 12 * 5
    assert (limits.spoken(97.4), limits.spoken(299.0)) == ("97 s", "5 minutes")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 4 bytes")]
)
def test_memory_that_does_not_suffice_is_one_line_that_says_what_to_lower(
    ground, tmp_path, monkeypatch, error
):
    def spent(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(stream, "strips", spent)
    with pytest.raises(limits.MemoryFullError, match="not enough memory.*lower --window"):
        predict(ground / "scene.tif", ground / "model", tmp_path / "map.tif", device="cpu")
    with pytest.raises(RuntimeError, match="shapes"), limits.naming_full_memory("--window"):
        raise RuntimeError("shapes differ")
