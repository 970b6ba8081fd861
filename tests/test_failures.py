"""What is read from the counts of single images, against counts made by hand."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fewlabels.data import registry
from fewlabels.experiments import agreement
from fewlabels.results import failures, figures
from fewlabels.results.records import Record
from fewlabels.scoring.metrics import Statistics
from fewlabels.studies import Run

mpl.use("Agg")

NAMES = ("land", "water")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def record(tiles: dict[str, list], full: bool = True, run: Run | None = None) -> Record:
    """A record of images with these confusion matrices; its outlines and bins are made up."""
    n = len(tiles)
    lines, bins = np.tile([4, 8, 8, 3, 4, 3, 4], (n, 2, 1)), np.zeros((n, 15, 3))
    bins[:, 14] = 10, 9.5, 8
    counts = (lines, bins) if full else (None, None)
    found = Statistics(np.array(list(tiles.values())), *counts)
    facts = {"data": {"classes": list(NAMES)}}
    return Record("k", run or Run(), facts, pd.DataFrame(), tuple(tiles), found)


GOOD, POOR, DRY = [[8, 2], [0, 10]], [[2, 6], [2, 10]], [[5, 5], [0, 0]]


@pytest.fixture
def runs() -> dict:
    return {
        ("a", 0, 0): record({"x": GOOD, "y": POOR}),
        ("b", 0, 0): record({"x": POOR, "y": POOR}),
        ("a", 1, 0): record({"z": DRY}),
        ("b", 1, 0): record({"z": DRY}),
    }


def test_each_image_is_scored_alone(runs: dict):
    table = failures.by_image(runs).set_index(["condition", "image"])
    assert table.loc[("a", "x"), "iou_land"] == pytest.approx(8 / 10)
    assert table.loc[("a", "x"), "miou"] == pytest.approx((8 / 10 + 10 / 12) / 2)
    assert table.loc[("a", "y"), "accuracy"] == pytest.approx(12 / 20)
    assert np.isnan(table.loc[("a", "z"), "iou_water"])  # its mask holds none
    assert len(table) == 6


def test_the_worst_image_comes_first_with_what_costs_it_most(runs: dict):
    table = failures.worst(runs, 2)
    assert table["image"].tolist() == ["y", "z"]  # 0.378, 0.5; x is at 0.597
    first = table.iloc[0]
    assert (first["truth"], first["taken_for"]) == ("land", "water")
    assert first["of_image"] == pytest.approx(6 / 20)
    assert first["of_truth"] == pytest.approx(6 / 8)
    assert first["miou"].mean == pytest.approx((2 / 10 + 10 / 18) / 2)
    assert (first["fold"], first["runs"], first["miou"].units) == (0, 2, 1)  # one replicate


def test_conditions_of_a_replicate_are_averaged_before_the_interval():
    runs = {(c, 0, p): record({"x": m}) for c, p, m in
            [("a", 0, GOOD), ("b", 0, POOR), ("a", 1, POOR), ("b", 1, POOR)]}  # fmt: skip
    accuracy = failures.worst(runs).loc[0, "accuracy"]
    assert accuracy.mean == pytest.approx((0.9 + 3 * 0.6) / 4)
    assert accuracy.blocks == 2
    half = 12.706 * abs(0.75 - 0.6) / 2  # Student's t of two means
    assert accuracy.high - accuracy.mean == pytest.approx(half, rel=1e-4)


def test_shares_of_a_class_are_means_of_folds_that_hold_it(runs: dict):
    table = failures.confused(runs).set_index(["truth", "taken_for"])
    wrong = table.loc[("land", "water"), "share"]
    a, b, dry = 8 / 18, 12 / 16, 1 / 2  # of 18 and 16 pixels in fold 0, of 10 in fold 1
    assert wrong.mean == pytest.approx(((a + b) / 2 + dry) / 2)
    assert table.loc[("land", "water"), "runs"] == 4
    assert table.loc[("water", "water"), "runs"] == 2  # fold 1 has no water
    right = table.loc[("land", "land"), "share"]
    assert wrong.mean + right.mean == pytest.approx(1)


def test_an_ignored_class_is_no_truth(runs: dict):
    only = {("a", 0, 0): record({"x": GOOD}, run=Run(ignored=("water",)))}
    assert set(failures.confused(only)["truth"]) == {"land"}
    assert failures.composition(only, "x").sum() == pytest.approx(1)
    assert failures.composition(only, "x")[1].sum() == 0


def test_composition_is_a_share_of_one_image(runs: dict):
    assert failures.composition(runs, "x") == pytest.approx(np.add(GOOD, POOR) / 40)


def test_earlier_records_are_told_apart(runs: dict):
    assert failures.counted(runs)
    assert not failures.counted(runs | {("a", 2, 0): record({"w": GOOD}, full=False)})


def test_outlines_stand_beside_areas(runs: dict):
    table = failures.outlines(runs).set_index("class")
    water = table.loc["water"]  # fold 1 has none
    assert (water["f1"].units, water["f1"].blocks) == (2, 2)  # one fold: of its units
    assert table.loc["land", "boundary_f1"].mean == pytest.approx(3 / 4)
    of_runs = [2 * 10 / (18 + 12), 2 * 4 / (16 + 8)], [2 * 5 / 15] * 2
    expected = np.mean([np.mean(fold) for fold in of_runs])
    assert table.loc["land", "f1"].mean == pytest.approx(expected)
    assert table.loc["land", "gap"].mean == pytest.approx(3 / 4 - expected)


def test_bins_are_added_up_within_a_fold(runs: dict):
    runs["b", 0, 0].statistics.calibration[:, 14] = 30, 28.5, 27
    runs["a", 1, 0].statistics.calibration[0, 7] = 10, 5, 5
    table = failures.reliability(runs)
    assert len(table) == 2  # all other bins are empty
    low, high = table.to_dict("records")
    assert (low["confidence"], low["right"].mean) == (0.5, 0.5)
    assert not np.isfinite(low["right"].low)  # one fold
    assert high["right"].mean == pytest.approx(((2 * 8 + 2 * 27) / 80 + 0.8) / 2)
    assert low["share"] == pytest.approx((0 + 10 / 30) / 2)
    assert low["share"] + high["share"] == pytest.approx(1)
    error = failures.calibration_error(runs)
    assert (error.units, error.blocks) == (4, 2)


def test_one_fold_has_its_interval_over_replicates(runs: dict):
    one = {("a", 0, p): record({"x": GOOD}) for p in range(2)}
    assert failures.reliability(one).loc[0, "right"].blocks == 2


def test_images_are_shown_only_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    assert failures.images("dubai", 64, ["tile1-1"]) == {}
    wanted = registry.load("synthetic", split="all", grid=64).ids[1::9]
    found = failures.images("synthetic", 64, wanted)
    assert [(id, tile.id) for id, tile in found.items()] == [(id, id) for id in wanted]


def test_figures_show_every_number_that_they_are_given(runs: dict):
    heat = figures.heat_maps({"p": failures.confused(runs)}, NAMES)
    assert [t.get_text() for t in heat.axes[0].texts][:2] == ["45", "55"]
    panel = (failures.reliability(runs), failures.calibration_error(runs))
    sure = figures.reliability({"a": panel, "b": panel, "c": panel})
    assert "ECE 15.0 [15.0, 15.0] %" in sure.axes[0].get_title()
    assert not sure.axes[3].axison


def test_networks_stand_below_people_only_where_they_were_tested(runs: dict):
    people = Statistics(np.array([[[10, 0], [0, 10]]]), np.ones((1, 2, 7), np.int64))
    views = [agreement.View("x", "w", NAMES, ("x",), (share,), people)
             for share in (0.9, 0.3)]  # fmt: skip
    table = agreement.compared(views, {"E": runs})
    assert table["by"].tolist() == ["people", "E: a", "E: b"]  # of the second, too little is common
    assert table["miou"][0].mean == 1
    assert table["below"][1].mean == pytest.approx(1 - (8 / 10 + 10 / 12) / 2)
