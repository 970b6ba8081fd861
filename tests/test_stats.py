"""Intervals, tests, shares and summaries against arithmetic done by hand, and their error rates."""

from itertools import product
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from fewlabels.results import statistics
from fewlabels.results.statistics import intervals
from fewlabels.results.statistics.verdicts import paired, verdict
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


def test_the_interval_covers_as_often_as_it_says():
    rng, blocks, hits = np.random.default_rng(1), np.repeat(np.arange(5), 3), 0
    for _ in range(400):
        values = rng.normal(size=5)[blocks] + 0.3 * rng.normal(size=15)
        found = statistics.interval(values, blocks)
        hits += found.low <= 0 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_sign_flip_by_hand():
    assert intervals.sign_flip(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert intervals.sign_flip(np.array([1.0, -1.0])) == 1
    assert intervals.sign_flip(np.array([3.0, 1.0, -1.0])) == 6 / 8


def test_sign_flip_errs_as_often_as_it_says():
    rng = np.random.default_rng(2)
    small = sum(intervals.sign_flip(rng.normal(size=8)) <= 0.05 for _ in range(600))
    assert 0.02 <= small / 600 <= 0.08


def test_the_smallest_p_is_that_of_units_which_all_agree():
    for units in (3, 8, 15):
        assert intervals.sign_flip(np.ones(units)) == intervals.smallest_p(units) == 2 / 2**units
    assert intervals.smallest_p(40) == 2e-5


def test_many_units_are_flipped_at_random_with_the_same_answer():
    values = np.array([0.9, -0.2, 0.4, 0.3, -0.5, 0.8, 0.1, 0.2, -0.3, 0.6, 0.2, 0.1, -0.1, 0.4])
    exact = intervals.sign_flip(values)
    many = intervals.sign_flip(np.append(values, [0.0, 0.0]))  # zeros change no sum
    assert many == pytest.approx(exact, abs=0.005)


def test_paired_takes_the_difference_within_each_unit():
    got = paired(table(0.05), CLAIM)
    assert got["value"].to_numpy() == pytest.approx(0.05)  # sites differ by 0.1, units by nothing
    share = Claim("", "", ("a",), ("b",), measure="share", threshold=0.5)
    equal = paired(table(0.0), share)  # of the mean of b, not of each b: 0.4 to 0.8
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


def test_holm_multiplies_the_larger_p_by_fewer_claims():
    """By Holm the least p counts twice and the other once; Bonferroni counts both twice."""
    rows = table(0.05, folds=3, replicates=2, noise=1e-4)
    units = rows["condition"] == "a"
    third = rows[units].assign(condition="c")
    third["miou"] = rows[~units]["miou"].to_numpy() + np.array([1, 2, 3, 4, -1, -2]) / 100
    claims = {"X": CLAIM, "Y": Claim("c beats b", "", plus=("c",), minus=("b",))}
    got = statistics.verdicts(pd.concat([rows, third]), claims)
    least, other = got["p"]
    assert (least, other) == (pytest.approx(2 / 64), pytest.approx(22 / 64))
    assert got["p_holm"].tolist() == [pytest.approx(4 / 64), pytest.approx(22 / 64)]


def test_a_claim_that_holds_alone_may_not_in_a_family():
    """Every site has the same mean, so only p decides: 0.014 alone, more than 0.05 in a family."""
    rows = table(0.0)
    rows.loc[rows["condition"] == "a", "miou"] += np.tile([0.05, 0.02, -0.01], 5)
    alone, four = (statistics.verdicts(rows, dict.fromkeys(n, CLAIM)) for n in ("X", "WXYZ"))
    assert 0.05 / 4 < alone["p"].item() < 0.05
    assert alone["verdict"].item() == "holds"
    assert set(four["verdict"]) == {"cannot tell"}


def test_a_verdict_needs_15_units():
    claim = Claim("", "", ("a",), ("b",))
    few, enough = (statistics.Interval(0.1, 0.05, 0.15, n, 5) for n in (14, 15))
    assert verdict(claim, few, 1e-5) == "cannot tell (14 of 15 units)"
    assert verdict(claim, enough, 1e-5) == "holds"


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
    found = intervals.quotient(plus, minus, folds)
    assert found.mean == pytest.approx(plus.mean() / minus.mean())
    for end in (found.low, found.high):
        told = statistics.interval(plus - end * minus, folds)
        assert min(abs(told.low), abs(told.high)) == pytest.approx(0, abs=1e-12)
    fixed = intervals.quotient(plus, np.full(15, 0.5), folds)
    plain = statistics.interval(plus / 0.5, folds)
    assert (fixed.low, fixed.high) == pytest.approx((plain.low, plain.high))


def test_a_quotient_by_what_may_be_nothing_has_no_ends():
    found = intervals.quotient(np.ones(4), np.array([1.0, -1.0, 2.0, -1.5]), np.arange(4))
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert found.text().endswith("[no interval]")
    assert np.isnan(intervals.quotient(np.ones(1), np.ones(1), np.zeros(1)).low)


def test_fiellers_interval_covers_the_quotient_as_often_as_it_says():
    """Five noisy sites: a mean of quotients would be about 2 points too high."""
    rng, hits, means, folds = np.random.default_rng(0), 0, [], np.arange(5)
    for _ in range(2_000):
        plus, minus = rng.normal(0.38, 0.06, 5), rng.normal(0.4, 0.06, 5)
        found = intervals.quotient(plus, minus, folds)
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


BLOCKS = np.repeat(np.arange(5), 3)


def drawn(rng: np.random.Generator, mean: float, between: float, within: float) -> np.ndarray:
    """15 units of 5 sites with the spread given."""
    return mean + between * rng.normal(size=5)[BLOCKS] + within * rng.normal(size=15)


def test_equivalence_by_hand():
    values, blocks = np.array([0.0, 0.002, 0.004]), np.arange(3)
    error = 0.002 / np.sqrt(3)
    worst = min((0.01 - 0.002) / error, (0.002 + 0.01) / error)
    assert intervals.equivalence(values, blocks, 0.01) == pytest.approx(t.sf(worst, 2))


def test_equivalence_is_the_90_per_cent_interval_within_the_margin():
    rng = np.random.default_rng(3)
    for _ in range(50):
        values = drawn(rng, 0.005, 0.004, 0.004)
        inside = statistics.interval(values, BLOCKS, 0.9)
        within = max(abs(inside.low), abs(inside.high)) < 0.01
        assert within == (intervals.equivalence(values, BLOCKS, 0.01) < 0.05)


def test_equivalence_of_values_without_spread():
    assert intervals.equivalence(np.full(4, 0.002), np.arange(4), 0.01) == 0
    assert intervals.equivalence(np.full(4, 0.01), np.arange(4), 0.01) == 1
    assert np.isnan(intervals.equivalence(np.array([0.0]), np.array([0]), 0.01))


def test_equivalence_errs_as_often_as_it_says():
    rng = np.random.default_rng(4)
    false = sum(
        intervals.equivalence(drawn(rng, 0.01, 0.004, 0.004), BLOCKS, 0.01) < 0.05
        for _ in range(600)
    )
    assert 0.02 <= false / 600 <= 0.08


def test_binomial_by_hand_and_its_error_rate_by_counting():
    ones = np.array([1.0, 1.0, 1.0, 0.0])
    assert intervals.binomial(ones, 0.5) == pytest.approx(2 * 5 / 16)
    assert intervals.binomial(np.ones(4), 0.5) == pytest.approx(2 / 16)
    assert intervals.binomial(np.array([1.0, 0.0]), 0.5) == 1
    for share in (0.3, 0.5, 0.8):
        chance = [comb(15, k) * share**k * (1 - share) ** (15 - k) for k in range(16)]
        p = [intervals.binomial(np.repeat([1.0, 0.0], [k, 15 - k]), share) for k in range(16)]
        assert sum(c for c, q in zip(chance, p, strict=True) if q <= 0.05) <= 0.05


def test_a_share_of_all_runs_keeps_an_interval():
    got = intervals.proportion(np.ones(15), BLOCKS)
    assert (got.mean, got.high) == (1, 1)
    assert got.low == pytest.approx(0.025 ** (1 / 15))  # Clopper and Pearson, all of n


def test_an_interval_of_a_share_covers_where_runs_of_a_site_are_alike():
    rng, hits = np.random.default_rng(5), 0
    for _ in range(200):
        of_site = rng.beta(1.4, 0.6, 5)  # mean 0.7
        got = intervals.proportion((rng.random(15) < of_site[BLOCKS]).astype(float), BLOCKS)
        hits += got.low <= 0.7 <= got.high
    assert hits / 200 >= 0.93


def test_spread_by_hand():
    values, sites = np.array([0.0, 2.0, 10.0, 12.0]), np.array([0, 0, 1, 1])
    between, within = intervals.spread(values, sites)
    assert within == pytest.approx(2**0.5)  # each site: variance 2
    assert between == pytest.approx((50 - 1) ** 0.5)  # means 1 and 11: 50, less 2 / 2
    one_each = intervals.spread(np.array([0.0, 2.0]), np.array([0, 1]))
    assert one_each == (pytest.approx(2**0.5), 0)
    with pytest.raises(ValueError, match="at least two"):
        intervals.spread(np.zeros(3), np.zeros(3))


def test_the_smallest_effect_is_seen_by_80_per_cent_of_studies():
    effect, rng = intervals.smallest_effect(0.02, 0.03, 5, 15), np.random.default_rng(6)
    seen = sum(
        statistics.interval(drawn(rng, effect, 0.02, 0.03), BLOCKS).low > 0 for _ in range(500)
    )
    assert 0.75 <= seen / 500 <= 0.85


def test_more_pairs_lower_the_smallest_effect_down_to_what_sites_allow():
    few, many = (intervals.smallest_effect(0.02, 0.03, 5, n) for n in (5, 5000))
    floor = intervals.smallest_effect(0.02, 0.0, 5, 5)
    assert few > many == pytest.approx(floor, rel=0.01)
    assert np.isnan(intervals.smallest_effect(0.02, 0.03, 1, 3))
