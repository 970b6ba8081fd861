"""Errors inside and outside the area of applicability: counts on made sites, hand arithmetic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist, pdist

from fewlabels import devices
from fewlabels.data import load
from fewlabels.experiments import applied as runs
from fewlabels.experiments import whole_maps
from fewlabels.learners import LEARNERS, dissimilarity
from fewlabels.results import applied as results
from fewlabels.studies.w import APPLIED, APPLIES, DEVELOPMENT

CPU = devices.compute("cpu", "fp32")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load("synthetic", split="all", grid=64, cache_root=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def site(dataset):
    return whole_maps.site(dataset, whole_maps.sites(dataset)[0], [runs.LEARNER], [0], CPU)


def test_the_labelled_half_is_half_of_the_tiles_or_the_left_of_the_only_one(site):
    tiles = int(site.tile.max()) + 1
    half = runs.labelled_half(site, 64)
    if tiles > 1:
        assert set(site.tile[half].tolist()) == set(range(-(-tiles // 2)))
    one = replace(site, x=site.x[:3], y=site.y[:3], tile=np.zeros(3, int),
                  at=np.array([[9, 31], [0, 32], [5, 0]]))  # fmt: skip
    assert runs.labelled_half(one, 64).tolist() == [True, False, True]


def test_counts_are_those_of_distances_computed_one_by_one(dataset, site):
    train = site.draws[0, "random"][:100]
    fitted = LEARNERS[runs.LEARNER].fitted(
        site.bank, site.x[train], site.y[train], np.arange(100), len(dataset.classes), CPU
    )
    space = dissimilarity.space(site.x[train], fitted.head)
    test = site.scored[:500]
    unlike = cdist((site.x[test] - space.middle) * space.scale, space.x).min(axis=1)
    unlike /= pdist(space.x).mean()
    limit = float(np.median(unlike) + 1e-9)
    found = runs.counted(fitted, space, limit, site, test)
    shares = fitted.head.probabilities(site.x[test])
    wrong = fitted.head.known[shares.argmax(axis=1)] != site.y[test]
    out = unlike > limit
    assert abs(found["outside"] - out.sum()) <= 2  # half precision moves a pixel at the limit
    assert found["inside"] + found["outside"] == 500
    assert found["wrong_inside"] + found["wrong_outside"] == wrong.sum()
    order = np.argsort(shares.max(axis=1), kind="stable")
    assert found["unsure"] == wrong[order[: found["outside"]]].sum()


def test_the_threshold_is_that_of_squares_held_out_in_turn(site):
    """With two squares each is held against the other."""
    train = site.draws[0, "random"][:40]
    fitted = LEARNERS[runs.LEARNER].fitted(
        site.bank, site.x[train], site.y[train], np.arange(40), int(site.y.max()) + 1, CPU
    )
    space, units = dissimilarity.space(site.x[train], fitted.head), np.arange(40) % 2
    far = cdist(space.x[units == 0], space.x[units == 1])
    wanted = np.concatenate([far.min(axis=1), far.min(axis=0)]) / space.mean
    found = runs.threshold(space, units, np.random.default_rng(0))
    assert found == pytest.approx(dissimilarity.whisker(wanted), rel=1e-3)


def test_rows_are_added_once(dataset, tmp_path):
    names = whole_maps.sites(dataset)[:2]
    file = tmp_path / "applicability.parquet"
    table = runs.run(dataset, file, names[:1], [0], device="cpu")
    again = runs.run(dataset, file, names, [0], device="cpu")
    assert again.head(len(table))["finished"].tolist() == table["finished"].tolist()
    assert set(again["site"]) == set(names)
    assert set(again["ground"]) <= set(APPLIES)
    assert (again["wrong_inside"] <= again["inside"]).all()


def made(**columns: list) -> pd.DataFrame:
    rows = len(columns["inside"])
    fixed = {"data": "cz_ortho", "site": [f"s{i}" for i in range(rows)], "budget": APPLIED[0],
             "ground": "another site"}  # fmt: skip
    return pd.DataFrame(fixed | columns)


def test_a_difference_is_the_error_outside_minus_that_inside(tmp_path):
    rows = made(inside=[900, 800, 990], wrong_inside=[90, 80, 9], outside=[100, 200, 10],
                wrong_outside=[40, 40, 10], unsure=[60, 80, 9])  # fmt: skip
    rows.to_parquet(tmp_path / "applicability.parquet")
    table = results.scored(tmp_path)
    assert table["difference"].tolist()[:2] == pytest.approx([0.3, 0.1])
    assert table["unsure"].tolist()[:2] == pytest.approx([0.6 - 70 / 900, 0.4 - 40 / 800])
    assert np.isnan(table["difference"][2])  # 10 pixels outside are too few
    assert table["share"].tolist() == pytest.approx([0.1, 0.2, 0.01])


def test_development_sites_are_in_no_row():
    file = results.folder() / "applicability.parquet"
    if file.exists():
        for data, own in pd.read_parquet(file).groupby("data"):
            assert not set(own["site"]) & set(DEVELOPMENT[data])
