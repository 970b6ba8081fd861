"""Two annotations of one ground, on made-up tiles whose shift is known."""

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewlabels import paths
from fewlabels.data.source import Source
from fewlabels.experiments import agreement
from fewlabels.experiments.agreement import View
from fewlabels.results import records
from fewlabels.scoring import boundaries, metrics
from fewlabels.scoring.metrics import Statistics
from fewlabels.studies import Run
from fewlabels.types import IGNORE, RecordError

FILE = Path(__file__).parents[1] / "bench" / "agreement.py"
SPEC = spec_from_file_location("measuring", FILE)
measuring = module_from_spec(SPEC)
SPEC.loader.exec_module(measuring)
WORLD = np.random.default_rng(0)
GREY = WORLD.integers(0, 256, (120, 120)).astype(np.uint8)
CLASSES = np.kron(WORLD.integers(0, 3, (30, 30)), np.ones((4, 4), int)).astype(np.uint8)
CORNERS = {"north": (0, 0), "south": (20, 40)}  # of the two tiles on the ground: x, y
NONE = pd.DataFrame()
SHIFT = {("north", "south"): ((1.0, 0.0, 20.0), (0.0, 1.0, 40.0))}


def tiles(second: np.ndarray = CLASSES) -> Source:
    """Two tiles of 9 images of 20 x 24 pixels on one ground, the second annotated as `second`."""
    ids = [f"{tile}-{n}" for tile in CORNERS for n in range(1, 10)]

    def decode(i: int) -> tuple[np.ndarray, np.ndarray]:
        tile, n = ids[i].split("-")
        down, right = divmod(int(n) - 1, 3)
        x, y = CORNERS[tile][0] + 24 * right, CORNERS[tile][1] + 20 * down
        at = np.s_[y : y + 20, x : x + 24]
        return np.repeat(GREY[at][..., None], 3, axis=2), (CLASSES, second)[tile == "south"][at]

    sites = tuple(id.split("-")[0] for id in ids)
    folds = (("north", "south"),)
    return Source("made up", ("a", "b", "c"), True, tuple(ids), sites, folds, "f", decode)


def test_the_same_annotation_agrees_with_itself_on_exactly_the_common_ground():
    north, south = measuring.measured(tiles(), SHIFT)
    table = agreement.table([north, south])
    assert (table["pixels"] == (72 - 20) * (60 - 40)).all()
    assert (table[["accuracy", "miou", "boundary_f1"]] == 1).all(axis=None)
    assert north.tiles == ("north-7", "north-8", "north-9")  # the lowest row of images
    assert north.shared == (4 / 24, 1, 1)
    assert north.twice() == ("north-8", "north-9")


def test_a_turned_and_moved_annotation_is_followed_pixel_by_pixel():
    """The second tile as it would be if its camera had been upside down."""
    whole = CLASSES[40:100, 20:92]
    turned, ids = whole[::-1, ::-1], [f"t-{n}" for n in range(9)] + [f"u-{n}" for n in range(9)]

    def decode(i: int) -> tuple[np.ndarray, np.ndarray]:
        down, right = divmod(i % 9, 3)
        at = np.s_[20 * down : 20 * down + 20, 24 * right : 24 * right + 24]
        return np.zeros((20, 24, 3), np.uint8), (whole, turned)[i > 8][at]

    sites = tuple(id.split("-")[0] for id in ids)
    made_up = Source("m", ("a", "b", "c"), True, tuple(ids), sites, (("t", "u"),), "f", decode)
    upside_down = {("t", "u"): ((-1.0, 0.0, 71.0), (0.0, -1.0, 59.0))}
    table = agreement.table(measuring.measured(made_up, upside_down))
    assert table["pixels"].tolist() == [72 * 60] * 2
    assert table["accuracy"].tolist() == [1, 1]


def test_disagreement_by_hand_and_from_either_side():
    second = CLASSES.copy()
    second[40:60, 30:50] = (CLASSES[40:60, 30:50] + 1) % 3  # 400 pixels of another class
    second[40:50, 50:60] = IGNORE  # 100 that only the first knows
    north, south = measuring.measured(tiles(second), SHIFT)
    table = agreement.table([north, south])
    assert (table["pixels"] == 52 * 20 - 100).all()
    assert table["accuracy"].to_numpy() == pytest.approx(1 - 400 / 940)
    mine, theirs = (v.statistics.confusion.sum(axis=0) for v in (north, south))
    assert (mine == theirs.T).all()


def test_views_are_read_as_they_were_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "published_root", lambda: tmp_path)
    with pytest.raises(RecordError, match=r"python bench/agreement\.py"):
        agreement.recorded("dubai")
    views = measuring.measured(tiles(), SHIFT)
    measuring.record(views, replace(tiles(), name="dubai"))
    for stored, view in zip(agreement.recorded("dubai"), views, strict=True):
        for field in ("confusion", "boundaries"):
            ours, theirs = (getattr(v.statistics, field) for v in (stored, view))
            assert (ours == theirs).all()
        assert replace(stored, statistics=view.statistics) == view


def test_a_network_is_held_against_people_on_the_same_images_and_classes():
    people = np.array([[[5, 5, 0], [0, 10, 0], [0, 0, 0]], [[9, 9, 9]] * 3])
    view = View("x", "y", ("a", "b", "c"), ("x-1", "x-2"), (0.9, 0.2), Statistics(people))
    network = np.array([[[9, 9, 9]] * 3, [[10, 0, 0], [10, 5, 0], [0, 0, 7]]])
    facts = {"data": {"classes": ["a", "b", "c"]}}
    runs = {
        ("condition", 0, 0): records.Record(
            "k", Run(), facts, NONE, ("z", "x-1"), Statistics(network)
        ),
        ("condition", 1, 0): records.Record(
            "l", Run(), facts, NONE, ("z",), Statistics(network[:1])
        ),
    }
    (row,) = agreement.beside(view, runs).to_dict("records")  # the other run was tested elsewhere
    assert row["miou"] == pytest.approx((10 / 20 + 5 / 15) / 2)  # c is in no annotation of people
    assert row["below"] == pytest.approx((5 / 10 + 10 / 15) / 2 - row["miou"])  # of x-1: a and b


def test_the_committed_views_are_of_the_overlaps_and_add_up():
    views = agreement.recorded("dubai")
    assert [(v.truth, v.other) for v in views[::2]] == list(measuring.OVERLAPS)
    for view in views:
        known = boundaries.scores(view.statistics.boundaries).f1
        scores = metrics.scores(view.statistics.confusion)
        assert 0.5 < scores.accuracy < 1
        assert np.isfinite(known).any()
