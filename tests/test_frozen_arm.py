"""The frozen arm: what its head is trained on, and that it is the regression it says it is."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from fewlabels import devices, studies
from fewlabels.data import load
from fewlabels.experiments import fold_networks
from fewlabels.experiments import frozen_arm as runs
from fewlabels.labels import sampling
from fewlabels.learners import heads
from fewlabels.results import frozen_arm as results
from fewlabels.results.statistics.intervals import Interval
from fewlabels.studies import frozen_arm
from fewlabels.training import losses

CPU = devices.compute("cpu", "fp32")


def pixels(classes=3, n=300, depth=4, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n).astype(np.uint8)
    x = rng.normal(size=(n, depth)).astype(np.float32) * [1, 10, 0.1, 0] + y[:, None]
    return x.astype(np.float32), y


@pytest.mark.parametrize("decay", [0.02, 0.5])
def test_head_trained_by_partial_cross_entropy_is_penalised_logistic_regression(decay):
    x, y = pixels()
    head = heads.trained(x, y, 3, losses.partial_cross_entropy, decay)
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    twin = LogisticRegression(C=1 / (decay * len(y)), max_iter=2000, tol=1e-8).fit(z, y)
    assert head.probabilities(x) == pytest.approx(twin.predict_proba(z), abs=2e-3)


def test_focal_head_at_gamma_0_is_the_cross_entropy_head():
    x, y = pixels()
    plain, focal = (
        heads.trained(x, y, 3, loss, 0.1)
        for loss in (losses.partial_cross_entropy, partial(losses.partial_focal, gamma=0.0))
    )
    assert np.array_equal(plain.weights, focal.weights)


def test_class_without_labels_is_never_the_most_probable():
    x, y = pixels()
    head = heads.trained(x, y, 5, losses.partial_cross_entropy, 0.1)
    assert set(head.probabilities(x).argmax(axis=1)) <= {0, 1, 2}


def test_every_claim_of_the_arm_is_one_of_its_study_and_all_its_conditions_are_run():
    conditions = frozen_arm.runs("cz_ortho")
    for of, names in frozen_arm.TESTED.items():
        for name in names:
            assert set(studies.study(of).claims[name].conditions) <= set(conditions)
    assert len(frozen_arm.claims()) == 12


def test_conditions_that_differ_only_in_what_a_network_reads_are_trained_once():
    declared = frozen_arm.runs("dubai")
    assert declared.pop("patches at random").data == "dubai:patches"
    assert declared["random, 100 px"] == declared["100 px"]  # of two studies
    assert declared["dense"] == declared["dense, PCE"]
    texts = {frozen_arm.described(run) for run in declared.values()}
    assert len(texts) == len(set(declared.values())) == 16


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A table of two folds of synthetic scenes, as an interrupted run leaves it, and run on."""
    folder = tmp_path_factory.mktemp("arm")
    dataset = load("synthetic", split="all", grid=64, cache_root=folder / "cache")
    dataset = replace(dataset, folds=dataset.folds[:2], members=dataset.members[::3])
    file = folder / "synthetic.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frozen_arm, "MOST", 60)  # so few labels and iterations take a moment
        patch.setattr(heads, "ITERATIONS", 5)
        first = runs.run(dataset, file, [0], device="cpu")
        first[first["fold"] == 0].to_parquet(file)
        whole = runs.run(dataset, file, [0], learners=["pixel_forest"], device="cpu")
        yield dataset, first, whole


def test_arm_scores_every_test_site_once_a_condition_and_resumes_fold_by_fold(rows):
    dataset, first, whole = rows
    head = whole[whole["learner"] == frozen_arm.HEAD]
    key = ["fold", "condition", "site"]
    assert not head.duplicated(key).any()
    both = first.merge(head, on=key, suffixes=("", "_again"))
    assert len(both) == len(first) == len(head)
    assert all(map(np.array_equal, both["confusion"], both["confusion_again"]))
    for fold, part in head.groupby("fold"):
        assert set(part["site"]) == set(dataset.folds[fold]) & set(dataset.sites)
    assert set(whole[whole["learner"] == "pixel_forest"]["condition"]) == {
        f"amount {n}" for n in frozen_arm.BUDGETS
    }


def test_labels_of_the_arm_are_the_draws_of_the_studies(rows):
    dataset, *_ = rows
    tile, made = dataset[0], runs._scaled(dataset, ["pixel_forest"], CPU)
    asked = runs.asked("synthetic", 1, [frozen_arm.HEAD])
    found = runs.pixels(tile, made, asked, len(dataset), CPU)
    for text, run in asked.items():
        at, y = found.labelled[text]
        drawn = sampling.draw(tile.mask, run.sampler, run.amount, seed=1, tile=tile.id)
        if run.expansion == "none" and not run.redrawn:
            assert len(at) == min((drawn != 255).sum(), frozen_arm.MOST)
            assert np.array_equal(y, found.y[at])
    assert len(found.labelled["amount 10, redrawn True"][0]) > 10


def test_a_part_of_a_table_run_again_comes_out_and_a_changed_count_does_not(rows):
    dataset, _, whole = rows
    head = whole[whole["learner"] == frozen_arm.HEAD]
    assert runs.differing(dataset, head, device="cpu").empty
    wrong = head.assign(confusion=[np.asarray(c) + 1 for c in head["confusion"]])
    assert len(runs.differing(dataset, wrong, device="cpu")) > 0


def made(values):
    """Rows in which the head is right in so many of 100 pixels: {data: {condition: right}}."""
    rng, found = np.random.default_rng(0), []
    for data, conditions in values.items():
        texts = {name: frozen_arm.described(run) for name, run in frozen_arm.runs(data).items()}
        for site in range(12):
            noise = rng.normal(0, 3)
            for name, right in conditions.items():
                n = round(right + noise)
                found += [(data, site % 5, r, frozen_arm.HEAD, texts[name], site,
                           [n, 100 - n, 100 - n, n]) for r in range(2)]  # fmt: skip
    columns = ["data", "fold", "replicate", "learner", "condition", "site", "confusion"]
    table = pd.DataFrame(found, columns=columns)
    return table.assign(miou=[n[0] / (n[0] + 2 * n[1]) for n in table["confusion"]])


def test_effect_over_data_sets_is_the_mean_of_their_effects_and_signs_that_differ_are_told():
    same = {"1,000 px": 90, "30 px": 80}
    table = made({"dubai": same, "cz_ortho": {"1,000 px": 90, "30 px": 70}})
    claim = {"N2": frozen_arm.claims()["N2"]}
    row = results.claims(table, claim).iloc[0]
    effect = row["effect"]
    assert effect["all"].mean == pytest.approx((effect["dubai"].mean + effect["cz_ortho"].mean) / 2)
    assert row["verdict"] == "holds"
    assert row["decision"].advice == "take it"
    table = made({"dubai": same, "cz_ortho": {"1,000 px": 70, "30 px": 90}})
    assert results.claims(table, claim).iloc[0]["verdict"] == (
        "cz_ortho: does not hold; dubai: holds"
    )


def test_share_of_the_dense_bound_is_the_quotient_of_means():
    table = made({"dubai": {"100 px": 80, "dense": 90}})
    claim = frozen_arm.claims()["N1"]
    row = results.claims(table, {"N1": claim}).iloc[0]
    bound = results.bound(table, claim)
    means = [
        table[table["condition"] == text]["miou"].mean() for text in ("amount 100", "sampler all")
    ]
    assert bound == pytest.approx(means[1])
    said = results.text(claim, row["effect"]["all"], bound)
    assert said.startswith(f"{100 * means[0] / means[1]:.0f} [")


def test_scores_by_fold_add_up_the_counts_of_its_sites():
    table = made({"dubai": {"30 px": 80}})
    folds = results.by_fold(table, "dubai")
    assert folds.groupby("fold").size().tolist() == [2] * 5
    one = table[(table["fold"] == 0) & (table["replicate"] == 0)]
    a, b, *_ = np.sum(one["confusion"].tolist(), axis=0)
    assert folds["miou"].iloc[0] == pytest.approx(a / (a + 2 * b))


def test_a_network_of_the_arm_has_the_labels_and_the_scored_pixels_of_the_head(
    tmp_path, monkeypatch
):
    dataset = load("synthetic", split="all", grid=64, cache_root=tmp_path / "cache")
    one = frozen_arm.runs("dubai")["30 px"]
    monkeypatch.setattr(frozen_arm, "TUNED", {"few": 2})
    monkeypatch.setattr(frozen_arm, "tuned", lambda data: [replace(one, data=data)])
    file = tmp_path / "networks.parquet"
    table = fold_networks.run(dataset, file, [0], ["few"], device="cpu")
    assert set(table["fold"]) == set(range(len(dataset.folds)))
    key = table.iloc[0]
    train = [tile for tile in dataset if tile.site not in dataset.folds[key["fold"]]]
    assert key["trained_pixels"] == 30 * len(train)
    own = [tile for tile in dataset if tile.site == key["site"]]
    truth = np.concatenate([tile.mask.ravel()[runs.scored_pixels(tile)] for tile in own])
    counts = np.reshape(key["confusion"], (len(dataset.classes), -1)).sum(axis=1)
    assert counts.tolist() == np.bincount(truth, minlength=len(dataset.classes)).tolist()
    again = fold_networks.run(dataset, file, [0], ["few"], device="cpu")
    assert again["finished"].tolist() == table["finished"].tolist()


def test_a_claim_on_a_network_is_paired_with_the_head_of_the_same_labels():
    rows = [
        {"data": "dubai", "site": site, "replicate": 0, "learner": learner,
         "condition": frozen_arm.described(frozen_arm.runs("dubai")["dense"]), "miou": value + n}
        for learner, value in (("fine_tuned", 0.5), (frozen_arm.HEAD, 0.4))
        for n, site in enumerate("ab")
    ]  # fmt: skip
    claim = next(c for c in frozen_arm.CLAIMS.values() if c.plus == ("fine_tuned, dense",))
    values = results.differences(pd.DataFrame(rows), claim)["value"]
    assert values.tolist() == pytest.approx([0.1, 0.1])


def test_a_claim_of_the_head_is_asked_of_the_network_by_the_network_s_rows():
    head = made({"dubai": {"1,000 px": 90, "30 px": 80}})
    network = made({"dubai": {"1,000 px": 80, "30 px": 90}}).assign(learner=frozen_arm.NETWORK)
    both, claim = pd.concat([head, network]), {"N2": frozen_arm.claims()["N2"]}
    assert results.claims(both, claim)["verdict"].tolist() == ["holds"]
    asked = results.claims(both, claim, learner=frozen_arm.NETWORK)
    assert asked["verdict"].tolist() == ["does not hold"]
    assert results.claims(head, claim, learner=frozen_arm.NETWORK).empty


def test_patches_dealt_into_the_folds_train_with_other_tiles_of_the_tested_site(
    tmp_path, monkeypatch
):
    """Every tile is tested once, in the fold it is dealt to, and never trains there."""
    monkeypatch.setattr(frozen_arm, "MOST", 60)
    monkeypatch.setattr(heads, "ITERATIONS", 2)
    cache = tmp_path / "cache"
    dataset = load("synthetic:patches", split="all", grid=64, cache_root=cache)
    table = runs.run(dataset, tmp_path / "dubai_patches.parquet", [0], device="cpu")
    table = table[table["condition"] == "defaults"]
    assert table.duplicated("site").any()  # a site is in several folds
    scored = [runs.scored_pixels(tile).size for tile in dataset]
    assert np.sum([np.sum(counts) for counts in table["confusion"]]) == sum(scored)
    dealt = dict(zip(dataset.ids, dataset.sites, strict=True))
    for fold, part in table.groupby("fold"):
        assert set(part["site"]) == {dealt[name] for name in dataset.folds[fold]}
        outside = len(dataset) - len(dataset.folds[fold])
        assert set(part["trained_pixels"]) == {outside * min(60, round(0.01 * 64 * 64))}
    whole = results.scored(tmp_path).query("condition == 'defaults'")
    assert sorted(whole["site"]) == sorted(set(dataset.sites))


def test_the_leak_is_paired_by_site(tmp_path):
    apart = made({"dubai": {"places apart": 70}})
    patches = made({"dubai": {"places apart": 80}}).assign(data="dubai:patches")
    row = results.claims(
        pd.concat([apart, patches]), {"L1": frozen_arm.claims()["L1"]}
    ).iloc[0]  # fmt: skip
    assert row["verdict"] == "holds"
    assert list(row["effect"]) == ["dubai", "all"]


def test_other_ways_to_pool_are_those_of_their_papers():
    """By the formulas, on two data sets of five folds with one site each a fold."""
    claim, rng, rows = frozen_arm.claims()["N2"], np.random.default_rng(0), []
    gains = {"dubai": rng.normal(0.1, 0.02, 5), "cz_ortho": rng.normal(0.02, 0.03, 5)}
    for data, values in gains.items():
        texts = frozen_arm.runs(data)
        for fold, gain in enumerate(values):
            rows += [(data, fold, f"s{fold}", 0, frozen_arm.HEAD,
                      frozen_arm.described(texts[name]), 0.5 + more)
                     for name, more in (("1,000 px", gain), ("30 px", 0))]  # fmt: skip
    columns = ["data", "fold", "site", "replicate", "learner", "condition", "miou"]
    found = results.sensitivity(pd.DataFrame(rows, columns=columns), {"N2": claim}).iloc[0]

    v = np.array([np.var(each, ddof=1) / 5 for each in gains.values()])
    y = np.array([each.mean() for each in gains.values()])
    error = (2.25 * v.sum()) ** 0.5 / 2  # 1/5 + 1/4 for 1/5
    freedom = v.sum() ** 2 / (v**2 / 4).sum()
    half = stats.t.ppf(0.975, freedom) * error
    assert (
        found["Nadeau-Bengio"] == Interval(y.mean(), y.mean() - half, y.mean() + half, 0, 0).text()
    )

    w = 1 / v
    q = (w * (y - (w * y).sum() / w.sum()) ** 2).sum()
    assert found["p of heterogeneity"] == f"{stats.chi2.sf(q, 1):.3f}"
    between = max(0, (q - 1) / (w.sum() - (w**2).sum() / w.sum()))
    w = 1 / (v + between)
    mean = (w * y).sum() / w.sum()
    half = stats.t.ppf(0.975, 1) * ((w * (y - mean) ** 2).sum() / w.sum()) ** 0.5
    assert found["Hartung-Knapp"] == Interval(mean, mean - half, mean + half, 0, 0).text()
