"""Additions of study W: what is expanded, corrected and smoothed, on made sites."""

import numpy as np
import pytest

from fewlabels import devices
from fewlabels.data import load
from fewlabels.experiments import additions, whole_maps
from fewlabels.learners import bank
from fewlabels.scoring import superpixels
from fewlabels.studies import w

CPU = devices.compute("cpu", "fp32")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    dataset = load("synthetic", split="all", grid=96, cache_root=tmp_path_factory.mktemp("cache"))
    name = whole_maps.sites(dataset)[0]
    found = whole_maps.site(dataset, name, [additions.BASE], [0], CPU)
    tiles = whole_maps.tiles_of(dataset, name)
    return dataset, name, found, tiles, [list(bank.layers(found.bank, t.image, CPU)) for t in tiles]


def test_every_addition_is_a_row_of_the_same_site_and_scored_pixels(site):
    dataset, name, *_ = site
    rows = list(additions.rows(dataset, name, 0, CPU))
    plain = list(whole_maps.rows(dataset, name, [additions.BASE], [0], CPU))
    scored = {r["budget"]: sum(r["confusion"]) for r in plain if r["labels"] == "random"}
    kinds = {(r["learner"], r["labels"], r["budget"]) for r in rows}
    assert {("frozen_linear", "expanded", n) for n in w.EXPANDED} <= kinds
    assert {
        ("frozen_linear, smoothed", "random", 100),
        ("frozen_linear, mapped", "random", 100),
    } <= kinds
    assert all(sum(row["confusion"]) == scored[row["budget"]] for row in rows)
    same = next(r for r in plain if (r["labels"], r["budget"]) == ("random", 100))
    mapped = next(r for r in rows if r["learner"] == "frozen_linear, mapped")
    apart = np.abs(np.subtract(mapped["confusion"], same["confusion"])).sum()
    assert apart <= 0.002 * scored[100]  # the whole map is the map of the sampled pixels


def test_expanded_labels_keep_the_given_ones(site):
    _, _, found, tiles, layers = site
    train = found.draws[0, "random"][:30]
    x, y, units = additions._expanded(found, tiles, layers, train, w.EXPANSION)
    assert len(x) == len(y) == len(units) > 30
    for pixel in train:
        same = np.isclose(x, found.x[pixel], atol=1e-4).all(axis=1)
        assert (y[same] == found.y[pixel]).any()


def test_corrections_are_errors_apart_from_each_other_and_never_scored(site):
    _, _, found, tiles, layers = site
    half = found.draws[0, "random"][:10]
    first = additions._fitted(found, additions._labelled(found, half), 8, CPU)
    x, y, _ = additions._asked(found, tiles, layers, first, 5, "corrected")
    guess = first.head.known[first.head.probabilities(x).argmax(axis=1)]
    assert (guess != y).all()
    assert not any(np.isclose(found.x[found.scored], one, atol=1e-6).all(axis=1).any() for one in x)
    assert additions._asked(found, tiles, layers, first, 10**6, "corrected") is None


def test_unsure_labels_are_of_the_smallest_margins_apart_from_each_other(site):
    _, _, found, tiles, layers = site
    half = found.draws[0, "random"][:10]
    first = additions._fitted(found, additions._labelled(found, half), 8, CPU)

    def margins(x):
        shares = np.sort(first.head.probabilities(x), axis=1)
        return shares[:, -1] - shares[:, -2]

    x, *_ = additions._asked(found, tiles, layers, first, 5, "unsure")
    limit = np.quantile(margins(found.x[found.scored]), 2 * additions.UNSURE)
    assert (margins(x) < limit).all()
    assert not any(np.isclose(found.x[found.scored], one, atol=1e-6).all(axis=1).any() for one in x)


def test_kinds_that_a_table_lacks_are_added_alone(site, tmp_path):
    dataset, name, *_ = site
    file = tmp_path / "added.parquet"
    whole = additions.run(dataset, file, [name], [0], device="cpu")
    assert set(whole["labels"]) >= {"expanded", "unsure", "random"}
    whole[whole["labels"] != "unsure"].to_parquet(file)
    again = additions.run(dataset, file, [name], [0], device="cpu")
    key = ["labels", "budget", "learner"]
    assert not again.duplicated(key).any()
    assert len(again) == len(whole)
    both = whole.merge(again, on=key, suffixes=("", "_again"))
    assert all(map(np.array_equal, both["confusion"], both["confusion_again"]))


def test_smoothing_averages_within_superpixels_and_keeps_what_is_constant():
    rng = np.random.default_rng(0)
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    raw = rng.random((3, 40, 40), dtype=np.float32)
    shares = raw / raw.sum(axis=0)
    smooth = superpixels.smoothed(shares, image, 50)
    assert smooth.sum(axis=0) == pytest.approx(1, abs=1e-5)
    segments = superpixels.superpixels(image, 50)
    one = segments == segments[5, 5]
    assert smooth[:, 5, 5] == pytest.approx(shares[:, one].mean(axis=1), abs=1e-5)
    assert len(set(image[one, 0].tolist())) == 1  # a segment does not cross the edge
    constant = np.full((2, 40, 40), 0.5, np.float32)
    assert np.array_equal(superpixels.smoothed(constant, image, 50), constant)
