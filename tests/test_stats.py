from itertools import product

import numpy as np
import pandas as pd
import pytest

from fewlabels.results import statistics
from fewlabels.studies import Claim
from fewlabels.types import UnknownName

CLAIM = Claim("a beats b", "", plus=("a",), minus=("b",))


def table(
    effect: float, *, folds: int = 5, replicates: int = 3, noise: float = 0.0
) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for fold, replicate in product(range(folds), range(replicates)):
        base = 0.4 + 0.1 * fold
        rows.append({"condition": "b", "fold": fold, "replicate": replicate, "miou": base})
        shifted = base + effect + noise * rng.normal()
        rows.append({"condition": "a", "fold": fold, "replicate": replicate, "miou": shifted})
    return pd.DataFrame(rows)


def test_interval_by_hand():
    got = statistics.interval(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 2]))
    assert got.mean == 2
    assert got.high - got.mean == pytest.approx(4.302653 * 1 / np.sqrt(3), rel=1e-5)  # t(0.975, 2)
    assert (got.units, got.blocks) == (3, 3)


def test_units_of_one_site_count_as_one_block():
    values = np.array([1.0, 1.2, 0.8, 3.0, 3.2, 2.8])
    clustered = statistics.interval(values, np.array([0, 0, 0, 1, 1, 1]))
    assert (clustered.mean, clustered.blocks, clustered.units) == (2.0, 2, 6)
    assert clustered.high - clustered.mean == pytest.approx(12.7062 * np.sqrt(2) / np.sqrt(2), 1e-4)


def test_one_value_has_no_interval():
    got = statistics.interval(np.array([0.5]), np.array([0]))
    assert np.isnan(got.low)
    assert got.text() == "50.0 [no interval]"


def test_the_interval_covers_as_often_as_it_says_and_the_bootstrap_less():
    rng, blocks = np.random.default_rng(1), np.repeat(np.arange(5), 3)
    hits = {"t": 0, "bootstrap": 0}
    for _ in range(400):
        values = rng.normal(size=5)[blocks] + 0.3 * rng.normal(size=15)
        found = {"t": statistics.interval(values, blocks)}
        found["bootstrap"] = statistics.block_bootstrap(values, blocks, resamples=500)
        hits = {name: n + (found[name].low <= 0 <= found[name].high) for name, n in hits.items()}
    assert 0.92 <= hits["t"] / 400 <= 0.98
    assert 0.78 <= hits["bootstrap"] / 400 <= 0.90  # why it is shown and does not decide


def test_the_bootstrap_of_two_blocks_by_hand():
    values = np.array([0.0, 2.0, 8.0, 10.0])
    got = statistics.block_bootstrap(values, np.array([0, 0, 1, 1]))
    assert (got.mean, got.low, got.high) == (5, 1, 9)  # means 1, 5, 5, 9: a quarter at either end
    assert (got.units, got.blocks) == (4, 2)
    assert got == statistics.block_bootstrap(values, np.array([0, 0, 1, 1]))
    assert np.isnan(statistics.block_bootstrap(np.array([0.5]), np.array([0])).low)


def test_sign_flip_by_hand():
    assert statistics.sign_flip(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert statistics.sign_flip(np.array([1.0, -1.0])) == 1
    assert statistics.sign_flip(np.array([3.0, 1.0, -1.0])) == 6 / 8


def test_sign_flip_errs_as_often_as_it_says():
    rng = np.random.default_rng(2)
    small = sum(statistics.sign_flip(rng.normal(size=8)) <= 0.05 for _ in range(600))
    assert 0.02 <= small / 600 <= 0.08


def test_the_smallest_p_is_that_of_units_which_all_agree():
    for units in (3, 8, 15):
        assert statistics.sign_flip(np.ones(units)) == statistics.smallest_p(units) == 2 / 2**units
    assert statistics.smallest_p(40) == 1e-5


def test_many_units_are_flipped_at_random_with_the_same_answer():
    values = np.array([0.9, -0.2, 0.4, 0.3, -0.5, 0.8, 0.1, 0.2, -0.3, 0.6, 0.2, 0.1, -0.1, 0.4])
    exact = statistics.sign_flip(values)
    many = statistics.sign_flip(np.append(values, [0.0, 0.0]))  # zeros change no sum
    assert many == pytest.approx(exact, abs=0.005)


def test_paired_takes_the_difference_within_each_unit():
    got = statistics.paired(table(0.05), CLAIM)
    assert got["value"].to_numpy() == pytest.approx(0.05)  # sites differ by 0.1, units by nothing
    share = Claim("", "", ("a",), ("b",), measure="share", threshold=0.5)
    equal = statistics.paired(table(0.0), share)  # of the mean of b, not of each b: 0.4 to 0.8
    bounds = np.repeat([0.4, 0.5, 0.6, 0.7, 0.8], 3)
    assert equal["value"].to_numpy() == pytest.approx(0.5 * bounds / bounds.mean())
    assert equal["value"].mean() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("effect", "sign", "folds", "expected"),
    [
        (0.05, 1, 7, "holds"),
        (0.05, -1, 7, "does not hold"),
        (0.001, 1, 7, "holds"),
        (0.05, 1, 2, "cannot tell (6 of 15 units)"),
        (0.05, 1, 5, "holds"),
    ],
)
def test_verdicts_by_hand(effect: float, sign: int, folds: int, expected: str):
    claim = Claim("", "", ("a",), ("b",), sign=sign)
    got = statistics.verdicts(table(effect, folds=folds, noise=1e-4), {"X": claim})
    assert got["verdict"].item() == expected


def test_a_claimed_difference_within_the_margin_does_not_hold():
    got = statistics.verdicts(table(0.0, folds=7, noise=1e-3), {"X": CLAIM})
    assert got["verdict"].item() == "does not hold"


def test_holm_makes_a_family_stricter():
    few = table(0.05, folds=3, replicates=2, noise=1e-4)
    one, four = (statistics.verdicts(few, dict.fromkeys(names, CLAIM)) for names in ("X", "WXYZ"))
    assert one["p_holm"].item() == pytest.approx(2 / 64)
    assert four["p_holm"].to_numpy() == pytest.approx(8 / 64)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        statistics.interval(np.array([]), np.array([]))


def test_a_share_of_the_bound_is_the_quotient_of_the_means():
    found = statistics.shares_of_bound(table(-0.1, folds=2, replicates=1), "b")
    assert list(found) == ["a"]
    assert found["a"].mean == pytest.approx(0.35 / 0.45)  # 0.3 of 0.4 and 0.4 of 0.5
    assert (found["a"].units, found["a"].blocks) == (2, 2)
    with pytest.raises(UnknownName, match="condition 'dense'; known: a, b"):
        statistics.shares_of_bound(table(0.1), "dense")


def test_fiellers_interval_ends_where_the_test_of_its_quotient_does():
    rng = np.random.default_rng(3)
    plus, minus = rng.normal(0.4, 0.05, 15), rng.normal(0.5, 0.05, 15)
    folds = np.repeat(np.arange(5), 3)
    found = statistics.quotient(plus, minus, folds)
    assert found.mean == pytest.approx(plus.mean() / minus.mean())
    for end in (found.low, found.high):
        told = statistics.interval(plus - end * minus, folds)
        assert min(abs(told.low), abs(told.high)) == pytest.approx(0, abs=1e-12)
    fixed = statistics.quotient(plus, np.full(15, 0.5), folds)
    plain = statistics.interval(plus / 0.5, folds)
    assert (fixed.low, fixed.high) == pytest.approx((plain.low, plain.high))


def test_a_quotient_by_what_may_be_nothing_has_no_ends():
    found = statistics.quotient(np.ones(4), np.array([1.0, -1.0, 2.0, -1.5]), np.arange(4))
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert found.text().endswith("[no interval]")
    assert np.isnan(statistics.quotient(np.ones(1), np.ones(1), np.zeros(1)).low)


def test_fiellers_interval_covers_the_quotient_as_often_as_it_says():
    """Five noisy sites: a mean of quotients would be about 2 points too high."""
    rng, hits, means, folds = np.random.default_rng(0), 0, [], np.arange(5)
    for _ in range(2_000):
        plus, minus = rng.normal(0.38, 0.06, 5), rng.normal(0.4, 0.06, 5)
        found = statistics.quotient(plus, minus, folds)
        hits += found.low <= 0.95 <= found.high
        means.append((plus / minus).mean())
    assert hits / 2_000 == pytest.approx(0.95, abs=0.015)
    assert np.mean(means) - 0.95 > 0.015


def test_a_budget_table_has_a_row_a_budget_from_few_labels_to_all():
    runs = table(-0.1, folds=2, replicates=1)
    runs["pixels_a_tile"] = runs["condition"].map({"a": 30.0, "b": 12_000.0})
    found = statistics.budget_table(runs, "b")
    assert list(found.index) == ["a", "b"]
    assert found["pixels an image"].tolist() == ["30", "12,000"]
    assert found["% of its pixels"].tolist() == ["0.25", "100"]
    assert found["% of the dense score"].tolist() == ["78 [no interval]", "100"]  # two sites
    assert found["mIoU in %"].tolist() == ["35.0 [-28.5, 98.5]", "45.0 [-18.5, 108.5]"]
    assert found["n"].tolist() == [2, 2]


def test_the_area_under_the_budget_curve_by_hand():
    budgets, scores = np.array([0.001, 0.01, 1.0]), np.array([0.2, 0.4, 0.6])
    area = statistics.area_under_budget_curve(budgets, scores)
    assert area == pytest.approx((1 * 0.3 + 2 * 0.5) / 3)
    shuffled = [2, 0, 1]
    assert statistics.area_under_budget_curve(budgets[shuffled], scores[shuffled]) == area
    assert statistics.area_under_budget_curve(64 * budgets, scores) == pytest.approx(area)


def test_a_constant_score_is_its_own_area():
    budgets = np.array([4.0, 16.0, 50.0, 256.0])
    assert statistics.area_under_budget_curve(budgets, np.full(4, 0.37)) == pytest.approx(0.37)


@pytest.mark.parametrize("budgets", [[0.01], [0.0, 1.0], [0.01, 0.01, 1.0]])
def test_a_curve_that_has_no_area_is_refused(budgets: list[float]):
    with pytest.raises(ValueError, match="budgets"):
        statistics.area_under_budget_curve(np.array(budgets), np.ones(len(budgets)))


def test_the_budget_that_reaches_a_level_by_hand():
    budgets, scores = np.array([10.0, 100.0, 1000.0]), np.array([70.0, 90.0, 100.0])
    assert statistics.budget_reaching(budgets, scores, 95) == pytest.approx(10**2.5)
    assert statistics.budget_reaching(budgets[::-1], scores[::-1], 80) == pytest.approx(10**1.5)
    assert statistics.budget_reaching(budgets, scores, 60) == 10
    assert statistics.budget_reaching(budgets, scores, 101) == np.inf


def test_a_curve_that_falls_below_again_has_not_reached_the_level():
    falls = np.array([96.0, 94.0, 98.0])
    assert statistics.budget_reaching(np.array([1.0, 10.0, 100.0]), falls, 95) == pytest.approx(
        10**1.25
    )


def test_the_budget_that_reaches_a_level_has_an_interval_over_sites():
    budgets, blocks = np.array([10.0, 100.0]), np.array([0, 0, 1])
    scores = np.array([[80.0, 100.0], [80.0, 100.0], [96.0, 96.0]])
    found = statistics.budgets_reaching(budgets, scores, blocks, 95)
    assert found.mean == pytest.approx(10 ** (1 + (95 - 88) / (98 - 88)))
    assert (found.low, found.high) == (10, pytest.approx(10**1.75))
    assert (found.units, found.blocks) == (3, 2)
    assert np.isnan(statistics.budgets_reaching(budgets, scores[:2], blocks[:2], 95).low)


def test_a_summary_is_a_mean_and_interval_a_condition():
    table = pd.DataFrame(
        {
            "condition": ["b", "b", "a"],
            "fold": [0, 1, 0],
            "replicate": [0, 0, 0],
            "miou": [0.4, 0.6, 0.5],
        }
    )
    shown = statistics.summary(table, {"mIoU": ("miou", 100, 1)})
    assert list(shown.index) == ["b", "a"]
    assert shown["n"].tolist() == [2, 1]
    half = 12.706 * 10 * 2**0.5 / 2**0.5  # t(0.975, 1 degree) times the deviation over root 2
    assert shown.loc["b", "mIoU"] == f"50.0 [{50 - half:.1f}, {50 + half:.1f}]"
    assert shown.loc["a", "mIoU"] == "50.0 [no interval]"
