"""Study W: draws and counts on made sites, and what its rows say by hand arithmetic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_1samp

from fewlabels import devices
from fewlabels.data import load
from fewlabels.experiments import tables
from fewlabels.experiments import whole_maps as runs
from fewlabels.experiments.site_draws import scribbled
from fewlabels.files import locked
from fewlabels.results import site_scores
from fewlabels.results import whole_maps as results
from fewlabels.results.recommend import AdviceError, advice, recommend
from fewlabels.results.statistics.intervals import Interval
from fewlabels.studies.w import (
    BUDGETS,
    CLAIMS,
    DATA,
    DEVELOPMENT,
    SCRIBBLES,
    VARIANTS,
    Condition,
)
from fewlabels.types import IGNORE, FewLabelsError, Tile

CPU = devices.compute("cpu", "fp32")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load("synthetic", split="all", grid=64, cache_root=tmp_path_factory.mktemp("cache"))


def test_draws_are_nested_and_follow_from_names_alone(dataset):
    name = runs.sites(dataset)[0]
    one, two = (runs.site(dataset, name, ["pixel_forest"], [0, 1], CPU) for _ in range(2))
    for key, drawn in one.draws.items():
        assert np.array_equal(drawn, two.draws[key])
        assert len(set(drawn.tolist())) == len(drawn)
    assert not np.array_equal(one.draws[0, "random"], one.draws[1, "random"])
    even = one.y[one.draws[0, "even"][:30]]
    counts = np.bincount(even)[np.unique(one.y)]
    present = np.bincount(one.y)[np.unique(one.y)]
    assert (counts >= np.minimum(present, 30 // len(counts))).all()
    assert runs.sites(dataset, without=[name])[0] != name


def test_a_row_counts_what_is_scored_without_the_labels_of_its_draw(dataset):
    name = runs.sites(dataset)[0]
    found = runs.site(dataset, name, ["pixel_forest"], [0], CPU)
    for row in runs.rows(dataset, name, ["pixel_forest"], [0], CPU):
        drawn = found.draws[0, row["labels"]][: row["budget"]]
        left = found.scored[~np.isin(found.scored, drawn)]
        assert sum(row["confusion"]) == len(left)
        counts = np.reshape(row["confusion"], (len(dataset.classes), -1))
        assert (
            counts.sum(axis=1).tolist()
            == np.bincount(found.y[left], minlength=len(dataset.classes)).tolist()
        )
        assert sum(row["far"]) <= len(left)


def test_far_pixels_are_farther_than_that_from_every_label(dataset):
    name = runs.sites(dataset)[0]
    found = runs.site(dataset, name, ["pixel_forest"], [0], CPU)
    train = found.draws[0, "random"][:3]
    far = runs.far_from_labels(found, dataset, name, train, found.scored)
    for number, pixel in enumerate(found.scored[:300]):
        near = [np.hypot(*(found.at[pixel] - found.at[label]))
                for label in train if found.tile[label] == found.tile[pixel]]  # fmt: skip
        assert far[number] == (not near or min(near) > runs.FAR)


def test_rows_are_added_once_and_come_out_again(dataset, tmp_path):
    file, names = tmp_path / "W.parquet", runs.sites(dataset)[:2]
    table = runs.run(dataset, file, names[:1], ["pixel_forest"], [0], device="cpu")
    assert len(table) == len(BUDGETS) + 2
    again = runs.run(dataset, file, names, ["pixel_forest"], [0], device="cpu")
    assert again["site"].tolist() == [names[0]] * 6 + [names[1]] * 6
    assert again.head(6)["finished"].tolist() == table["finished"].tolist()
    assert runs.differing(dataset, again, share=1.0, device="cpu").empty
    spoilt = again.copy()
    spoilt.at[3, "confusion"] = np.asarray(spoilt.at[3, "confusion"]) + 1
    assert len(runs.differing(dataset, spoilt, share=1.0, device="cpu")) == 1


def test_workers_make_the_rows_that_one_process_makes(dataset, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    from fewlabels.experiments import workers

    monkeypatch.setattr(workers, "connected", lambda where: distributed.Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None
    ))  # fmt: skip
    monkeypatch.setattr(workers, "_tiles", lambda *asked: dataset)
    names, each = runs.sites(dataset)[:2], workers.each("", "synthetic", None)
    alone, together = (
        runs.run(dataset, tmp_path / f"{n}.parquet", names, ["pixel_forest"], [0], **more)
        for n, more in enumerate(({"device": "cpu"}, {"device": "cpu", "each": each}))
    )
    assert len(alone) == len(together) > 0
    assert tables.differing(alone, together.to_dict("records"), runs.KEY, ["confusion"]).empty
    other = replace(dataset, fingerprint="another")
    with pytest.raises(workers.SweepError, match="its data is not the same") as raised:
        runs.run(other, tmp_path / "other.parquet", names, ["pixel_forest"], [0], each=each)
    assert str(raised.value).startswith("2 of 2 jobs failed")


def test_two_processes_do_not_add_to_one_table_at_once(dataset, tmp_path):
    file = tmp_path / "rows.parquet"
    with locked(file), pytest.raises(FewLabelsError, match="another process adds rows"):
        runs.run(dataset, file, runs.sites(dataset)[:1], ["pixel_forest"], [0], device="cpu")


def test_calibration_of_a_row_is_that_of_its_scored_pixels(dataset, monkeypatch):
    """A map of class 1 that is always 0.8 sure is wrong by |share right - 0.8|."""
    name = runs.sites(dataset)[0]

    def mapped(found, learner, train, test, compute):
        return np.full(len(test), 1, np.uint8), np.full(len(test), 0.8, np.float32), None

    monkeypatch.setattr(runs, "_mapped", mapped)
    for row in runs.rows(dataset, name, ["pixel_forest"], [0], CPU):
        counts = np.reshape(row["confusion"], (len(dataset.classes), -1))
        right = counts[1, 1] / counts.sum()
        assert row["calibration"] == pytest.approx(abs(right - 0.8), abs=1e-6)
        assert row["confidence"] == pytest.approx(0.8)


def test_clicks_take_as_long_as_the_strokes_of_each_class(dataset):
    """At 10.9 s a stroke, 2.4 s the first click of a class in a tile and 0.9 s each more."""
    tiles = runs.tiles_of(dataset, runs.sites(dataset)[0])
    truth = np.concatenate([tile.mask.ravel() for tile in tiles])
    tile = np.repeat(np.arange(len(tiles)), [one.mask.size for one in tiles])
    found = scribbled(tiles, 0, np.random.default_rng(0))
    kinds = len(set(truth.tolist()) - {IGNORE})
    for number in SCRIBBLES:
        drawn, clicks = found["scribbles", number], found["clicks", number]
        assert len(set(drawn.tolist())) == len(drawn)
        assert set(drawn.tolist()) <= set(found["scribbles", SCRIBBLES[-1]].tolist())
        assert len(set(truth[drawn].tolist())) == kinds
        first = len({(tile[pixel], truth[pixel]) for pixel in clicks.tolist()})
        seconds = 2.4 * first + 0.9 * (len(clicks) - first)
        assert seconds <= 10.9 * number * kinds < seconds + 2.4
        counts, there = (np.bincount(part, minlength=kinds) for part in (truth[clicks], truth))
        assert np.ptp(counts[counts < there[:kinds]]) <= 1
    one = np.full((40, 40), 1, np.uint8)
    few = scribbled([Tile("t", "s", np.zeros((40, 40, 3), np.uint8), one)], 0,
                    np.random.default_rng(0))  # fmt: skip
    assert (np.bincount(few["scribbles", 5]) <= 1).all()


def test_nobody_scribbles_in_a_speck_beside_a_larger_object():
    image, mask = np.zeros((60, 60, 3), np.uint8), np.zeros((60, 60), np.uint8)
    mask[30:, 30:], mask[2:5, 2:5] = 1, 1
    drawn = scribbled([Tile("t", "s", image, mask)], 0, np.random.default_rng(0))["scribbles", 20]
    rows, columns = np.divmod(drawn[mask.ravel()[drawn] == 1], 60)
    assert rows.min() >= 30
    assert columns.min() >= 30
    mask[30:, 30:] = 0
    drawn = scribbled([Tile("t", "s", image, mask)], 0, np.random.default_rng(0))["scribbles", 5]
    assert (mask.ravel()[drawn] == 1).any()


def test_scribbles_are_rows_of_their_own_and_come_out_again(dataset, tmp_path):
    file, name = tmp_path / "W.parquet", runs.sites(dataset)[0]
    table = runs.run(dataset, file, [name], ["pixel_forest"], [0], device="cpu", scribbled=True)
    kinds = list(zip(table["labels"], table["budget"], strict=True))
    assert kinds == [(kind, n) for n in SCRIBBLES for kind in ("scribbles", "clicks")]
    assert runs.differing(dataset, table, share=1.0, device="cpu").empty


def test_learners_on_other_images_have_a_name_of_their_own(tmp_path):
    data, other = next(iter(VARIANTS.items()))
    plain = pd.DataFrame([{"data": data, "site": "a", "replicate": 0, "labels": "random",
                           "budget": 30, "learner": "pixel_forest", "confusion": [3, 1, 0, 4],
                           "far": [1, 0, 0, 1]}])  # fmt: skip
    for part in ("", results.VARIED):
        plain.to_parquet(tmp_path / f"{data}{part}.parquet")
    found = results.scored(tmp_path)["learner"].tolist()
    assert found == ["pixel_forest", f"pixel_forest, {other.called}"]


def test_advice_on_scribbles_says_what_clicks_gain():
    rows = [
        row("cz_ortho", site, "pixel_forest", n, 40) | {"learner": learner}
        for site in "ab"
        for n in BUDGETS
        for learner in ("frozen_linear", "pixel_forest")
    ]
    rows += [row("cz_ortho", site, "frozen_linear", SCRIBBLES[0], hits) | {"labels": kind}
             for site in "ab" for kind, hits in (("clicks", 50), ("scribbles", 43))]  # fmt: skip
    said = recommend(100, "scribbles", table=pd.DataFrame(rows))
    assert "classes: 7.0 [7.0, 7.0] points more than 5 scribbles a class" in said[-1]


def test_the_worst_sites_come_first_with_their_largest_error():
    counts = {"a": [8, 2, 0, 10], "b": [5, 5, 1, 9]}
    rows = [row("x", site, "frozen_linear", 100, 0) | {"confusion": each}
            for site, each in counts.items()]  # fmt: skip
    one = Condition("frozen_linear", 100)
    found = site_scores.worst(pd.DataFrame(rows), one, {"x": ("sea", "land")})
    assert found["site"].tolist() == ["b", "a"]
    assert found["largest error"].tolist() == ["50 % of sea mapped as land",
                                               "20 % of sea mapped as land"]  # fmt: skip
    assert found["mIoU, %"].iloc[0] == pytest.approx(100 * (5 / 11 + 9 / 15) / 2)


def test_development_sites_are_in_no_result():
    for data in DATA:
        file = results.folder() / f"{data}.parquet"
        if file.exists():
            assert not set(pd.read_parquet(file)["site"]) & set(DEVELOPMENT[data])


def sites(**columns: list[float]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(
        [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2")], names=["data", "site"]
    )
    return pd.DataFrame(columns, index=index)


def draws(one: list[float], other: list[float], replicate: int = 0) -> pd.DataFrame:
    """Rows of ONE and OTHER on those sites."""
    index = sites(x=other).index
    return pd.DataFrame([
        {"data": data, "site": site, "replicate": replicate, "labels": "random",
         "budget": 30, "learner": learner, "miou": value}
        for learner, values in (("frozen_linear", one), ("pixel_forest", other))
        for (data, site), value in zip(index, values, strict=False)
    ])  # fmt: skip


ONE, OTHER = Condition("frozen_linear", 30), Condition("pixel_forest", 30)


def test_an_effect_is_the_mean_over_sites_and_data_sets_count_alike():
    table = draws([0.5, 0.6, 0.7, 0.9, 0.7], [0.4, 0.4, 0.4, 0.4, 0.4])
    found = results.effect(table, ONE, OTHER)
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.3])
    assert found["a"].mean == pytest.approx(0.2)
    low, high = ttest_1samp(a, 0).confidence_interval()
    assert (found["a"].low, found["a"].high) == (pytest.approx(low), pytest.approx(high))
    assert found["all"].mean == pytest.approx((0.2 + 0.4) / 2)
    va, vb = a.var(ddof=1) / 3 / 4, b.var(ddof=1) / 2 / 4
    freedom = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 1)
    half = t.ppf(0.975, freedom) * (va + vb) ** 0.5
    assert found["all"].high - found["all"].mean == pytest.approx(half)
    assert found["all"].units == 5


def test_conditions_are_compared_within_a_draw_and_draws_within_a_site():
    """OTHER alone has a second draw, of easier labels: it says nothing of the difference."""
    table = draws([0.5, 0.6, 0.7, 0.9, 0.7], [0.4, 0.4, 0.4, 0.4, 0.4])
    more = draws([], [0.9] * 5, replicate=1)
    both = results.effect(pd.concat([table, more]), ONE, OTHER)
    assert both["all"] == results.effect(table, ONE, OTHER)["all"]
    twice = pd.concat([table, draws([0.5] * 5, [0.4] * 5, replicate=1)])
    assert results.effect(twice, ONE, OTHER)["a"].mean == pytest.approx((0.2 + 0.1) / 2)
    assert results.effect(twice, ONE, OTHER)["a"].units == 3


def test_the_interval_over_data_sets_covers_what_it_says():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        parts = [rng.normal(mean, spread, n) for mean, spread, n in
                 ((0.1, 0.05, 12), (0.2, 0.1, 45), (0.0, 0.1, 134))]  # fmt: skip
        names = [(str(d), s) for d, part in enumerate(parts) for s in range(len(part))]
        index = pd.MultiIndex.from_tuples(names, names=["data", "site"])
        found = results.pooled(pd.Series(np.concatenate(parts), index))[results.ALL]
        hits += found.low <= 0.1 <= found.high
    assert 0.93 <= hits / 2000 <= 0.97


def test_a_verdict_needs_the_whole_interval():
    assert results.verdict(Interval(0.02, 0.01, 0.03, 9, 9)) == "holds"
    assert results.verdict(Interval(0.0, -0.01, 0.01, 9, 9)) == "cannot tell"
    assert results.verdict(Interval(-0.02, -0.03, -0.001, 9, 9)) == "does not hold"
    assert results.verdict(Interval(0.0, -0.009, 0.01, 9, 9), margin=0.01) == "holds"
    table = draws([0.5, 0.6, 0.7, 0.9, 0.7], [0.9, 0.8, 0.9, 1.2, 1.0])
    assert results.judged(results.effect(table, ONE, OTHER)) == "does not hold"
    mixed = draws([0.5, 0.6, 0.7, 0.9, 0.7], [0.9, 0.8, 0.9, 0.2, 0.1])
    assert results.judged(results.effect(mixed, ONE, OTHER)) == "a: cannot tell; b: holds"
    tests = pd.DataFrame(
        {"claim": ["W1", "W1", "W2"], "verdict": ["holds", "cannot tell", "holds"]}
    )
    verdicts = [results.claim_verdict(tests, claim) for claim in ("W1", "W2", "W5")]
    assert verdicts == ["in part", "holds", "not run yet"]


def test_the_label_saving_is_read_off_the_curve():
    """The forest's 0.6 at 1,000 labels is what the head has at the middle of 30 and 100."""
    curve = {30: 0.5, 100: 0.7, 300: 0.8, 1000: 0.9}
    columns = {str(Condition("frozen_linear", n)): [value] * 5 for n, value in curve.items()}
    columns[str(Condition("pixel_forest", 1000))] = [0.6] * 5
    found = site_scores.saving(sites(**columns), "frozen_linear")
    assert found["a"].mean == pytest.approx(1000 / (30 * 100) ** 0.5)
    assert found["a"].low == pytest.approx(found["a"].mean)
    columns[str(Condition("pixel_forest", 1000))] = [0.95] * 5
    assert np.isnan(site_scores.saving(sites(**columns), "frozen_linear")["a"].mean)


def test_every_claim_is_of_conditions_that_are_run():
    for claim in CLAIMS.values():
        for pair in claim.pairs:
            for condition in pair:
                strokes = condition.labels in ("scribbles", "clicks")
                assert condition.budget in (SCRIBBLES if strokes else BUDGETS)


def row(data: str, site: str, learner: str, budget: int, hits: int) -> dict:
    return {"data": data, "site": site, "replicate": 0, "labels": "random", "budget": budget,
            "learner": learner, "miou": hits / 100, "miou_far": hits / 100}  # fmt: skip


def test_advice_is_read_off_the_curves_of_images_alike():
    """Of coarse pixels the middle of 100 and 300 on the logarithm is half of what 300 brings."""
    gains = {30: 0, 100: 10, 300: 20, 1000: 30}
    rows = [
        row(data, site, learner, budget, 40 + (gain if learner == "frozen_linear" else 0) + n)
        for data in ("india_s2_nir", "cz_ortho")
        for n, site in enumerate("ab")
        for learner in ("frozen_linear", "pixel_forest")
        for budget, gain in gains.items()
    ]
    table = pd.DataFrame(rows)
    said = recommend(round((100 * 300) ** 0.5), pixel=10, table=table)
    assert said[0].startswith("frozen_linear: 15.0 [15.0, 15.0] points")
    assert "(2 sites of india_s2_nir, study W)" in said[0]
    assert "are of single pixels; polygons" in recommend(5000, "polygons", table=table)[-1]
    assert not any(line.startswith("fine_tuned") for line in said)
    more = [row("india_s2_nir", site, "fine_tuned", 100, 52 + n) for n, site in enumerate("ab")]
    said = recommend(120, pixel=10, table=pd.DataFrame([*rows, *more]))
    assert (
        "fine_tuned, which takes minutes: 2.0 [2.0, 2.0] points more than frozen_linear with 100 "
        "labels (2 sites)"
    ) in said
    assert recommend(5000, table=table)[1] == "twice the labels: 0.0 [0.0, 0.0] points more"
    with pytest.raises(AdviceError, match="0 labels of kind 'points'"):
        recommend(0, table=table)


def test_advice_takes_the_cheaper_learner_where_two_are_the_same():
    """Frozen features gain 20 points and the texture forest as much: the head is cheaper."""
    gains = {"pixel_forest": 0, "frozen_linear": 20, "texture_forest": 20}
    rows = [
        row(data, site, learner, budget, 40 + gain + n)
        for data in ("cz_ortho", "usgs_coast", "india_s2_nir")
        for n, site in enumerate("abcdefgh")
        for learner, gain in gains.items()
        for budget in BUDGETS
    ]
    table = advice(pd.DataFrame(rows))
    assert len(table) == 8
    assert set(table["take"]) == {"frozen_linear"}
    assert table["gain, points"].str.startswith("+20.0").all()
    assert table["saves"].iloc[0] == "> 970 labels, > 15 min"


def test_gains_of_classes_are_counted_over_the_sites_that_have_them():
    """Class 0 of site a: 8 of 10 right and none wrong elsewhere, then 5 of 10; site b lacks it."""
    one, other = Condition("frozen_linear", 100), Condition("pixel_forest", 100)
    counts = {
        ("a", "frozen_linear"): [8, 2, 0, 10], ("a", "pixel_forest"): [5, 5, 0, 10],
        ("b", "frozen_linear"): [0, 0, 0, 6], ("b", "pixel_forest"): [0, 0, 3, 3],
        ("c", "frozen_linear"): [1, 0, 0, 6], ("c", "pixel_forest"): [1, 0, 0, 6],
    }  # fmt: skip
    rows = pd.DataFrame([
        {"data": "d", "site": site, "replicate": 0, "learner": learner, "budget": 100,
         "labels": "random", "confusion": found}
        for (site, learner), found in counts.items()
    ])  # fmt: skip
    found = site_scores.class_gains(rows, one, other).set_index("class")
    assert found["sites"].tolist() == [2, 3]
    assert found.loc[0, "gain"].startswith("15.0 [")  # (80 - 50 + 0) / 2
    # 10/12 - 10/15, 6/6 - 3/6 and 0
    assert found.loc[1, "gain"].startswith("22.2 [")


def test_conditions_are_compared_on_the_sites_that_have_both():
    pair = Condition("frozen_linear", 100), Condition("network", 100)
    scores = {"frozen_linear": (50, 70, 10), "network": (40, 20)}
    rows = [row("d", site, learner, 100, hits) for learner, each in scores.items()
            for site, hits in zip("abc", each, strict=False)]  # fmt: skip
    found = site_scores.beside(pd.DataFrame(rows), [pair, (pair[0], Condition("x", 1))])
    assert len(found) == 1
    assert found["sites"].item() == 2
    assert found["mIoU of first"].item().startswith("60.0 [")
    assert found["of second"].item().startswith("30.0 [")
    assert found["difference"].item().startswith("30.0 [")
