"""Networks of study W: what trains them, what is counted, and that a stop loses nothing."""

import numpy as np
import pytest

from fewlabels import devices
from fewlabels.data import load
from fewlabels.experiments import site_networks, whole_maps
from fewlabels.learners import LEARNERS
from fewlabels.studies import w
from fewlabels.types import IGNORE

CPU = devices.compute("cpu", "fp32")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load("synthetic", split="all", grid=64, cache_root=tmp_path_factory.mktemp("cache"))


class Made:
    """A predictor of the same probabilities everywhere."""

    halo, origin, history = 0, {}, ()

    def __init__(self, shares: np.ndarray) -> None:
        self.shares = shares

    def probabilities(self, image):
        return self.shares

    def write(self, file):
        raise AssertionError


class Instead:
    """A learner that maps class 1 everywhere, and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[int, list[np.ndarray], dict]] = []

    def fit(self, images, labels, classes, *, seed, compute, ids, **options):
        self.given.append((sum((part != IGNORE).sum() for part in labels), labels, options))
        shares = np.zeros((classes, *images[0].shape[:2]), np.float32)
        shares[1] = 1
        return Made(shares)


def test_rows_count_what_w_counts_and_networks_see_the_labels_of_the_draw(dataset, monkeypatch):
    name = whole_maps.sites(dataset)[0]
    plain = list(whole_maps.rows(dataset, name, ["pixel_forest"], [0], CPU))
    wanted = {r["budget"]: r for r in plain if r["labels"] == "random"}
    instead = Instead()
    monkeypatch.setattr(site_networks, "LEARNERS", {**LEARNERS, "fine_tuned": instead})
    conditions = [one for one in w.TRAINED if one.learner == "fine_tuned"]
    rows = [row for one in conditions for row in site_networks.rows(dataset, name, one, 0, CPU)]
    assert [(row["budget"], row["labels"]) for row in rows] == [
        *((n, "random") for n in w.NETWORK_BUDGETS),
        (w.TAUGHT, "taught"),
    ]
    for row, (number, *_) in zip(rows, instead.given, strict=True):
        classes = len(dataset.classes)
        counts = np.reshape(row["confusion"], (classes, classes))
        assert counts.sum() == counts[:, 1].sum()  # all is mapped to class 1
        same = wanted[row["budget"]]
        assert (
            counts.sum(axis=1).tolist()
            == np.reshape(same["confusion"], (classes, -1)).sum(axis=1).tolist()
        )
        assert sum(row["far"]) == sum(same["far"])
        assert number == row["budget"] or row["labels"] == "taught"


def test_a_teacher_adds_classes_where_it_is_sure_and_no_label_is_lost(dataset):
    name = whole_maps.sites(dataset)[0]
    tiles = whole_maps.tiles_of(dataset, name)
    labels = [np.full(tile.mask.shape, IGNORE, np.uint8) for tile in tiles]
    labels[0][3, 3:6] = 2
    shares = np.full((4, *tiles[0].mask.shape), 0.05, np.float32)
    shares[3, :, ::2], shares[3, :, 1::2] = 0.9, 0.85
    taught = site_networks._taught(Made(shares), tiles, labels)
    assert (taught[0][3, 3:6] == 2).all()
    assert (taught[0][5, ::2] == 3).all()  # sure
    assert (taught[0][5, 1::2] == IGNORE).all()  # not sure enough


def test_a_study_that_stopped_goes_on_with_what_is_missing(dataset, tmp_path, monkeypatch):
    ran = []

    def rows(dataset, name, wanted, replicate, **_):
        ran.append((name, wanted))
        yield {"data": dataset.name, "site": name, "replicate": replicate,
                "labels": wanted.labels, "budget": wanted.budget, "learner": wanted.learner,
                "fingerprint": dataset.fingerprint, "confusion": [1], "far": [1]}  # fmt: skip

    monkeypatch.setattr(site_networks, "rows", rows)
    file = tmp_path / "rows.parquet"
    site_networks.run(dataset, file, ["a"], [0], wanted=w.TRAINED[:2], device="cpu")
    table = site_networks.run(dataset, file, ["a", "b"], [0], device="cpu")
    assert ran == [(site, one) for site in "ab" for one in w.TRAINED]
    assert len(table) == len(ran)
