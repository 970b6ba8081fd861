from math import comb

import numpy as np
import pytest
from scipy.stats import t

from fewlabels.results import statistics

BLOCKS = np.repeat(np.arange(5), 3)


def drawn(rng: np.random.Generator, mean: float, between: float, within: float) -> np.ndarray:
    """15 units of 5 sites with the spread given."""
    return mean + between * rng.normal(size=5)[BLOCKS] + within * rng.normal(size=15)


def test_effect_sizes_by_hand():
    assert statistics.d_z(np.array([1.0, 2.0, 3.0])) == 2
    assert statistics.d_z(np.array([0.5, 0.5])) == np.inf
    assert np.isnan(statistics.d_z(np.array([0.5])))
    assert statistics.cliffs_delta(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == -0.25  # < < > =
    assert statistics.cliffs_delta(np.array([5.0, 6.0]), np.array([1.0])) == 1


def test_equivalence_by_hand():
    values, blocks = np.array([0.0, 0.002, 0.004]), np.arange(3)
    error = 0.002 / np.sqrt(3)
    worst = min((0.01 - 0.002) / error, (0.002 + 0.01) / error)
    assert statistics.equivalence(values, blocks, 0.01) == pytest.approx(t.sf(worst, 2))


def test_equivalence_is_the_90_per_cent_interval_within_the_margin():
    rng = np.random.default_rng(3)
    for _ in range(50):
        values = drawn(rng, 0.005, 0.004, 0.004)
        inside = statistics.interval(values, BLOCKS, 0.9)
        within = max(abs(inside.low), abs(inside.high)) < 0.01
        assert within == (statistics.equivalence(values, BLOCKS, 0.01) < 0.05)


def test_equivalence_of_values_without_spread():
    assert statistics.equivalence(np.full(4, 0.002), np.arange(4), 0.01) == 0
    assert statistics.equivalence(np.full(4, 0.01), np.arange(4), 0.01) == 1
    assert np.isnan(statistics.equivalence(np.array([0.0]), np.array([0]), 0.01))


def test_equivalence_errs_as_often_as_it_says():
    rng = np.random.default_rng(4)
    false = sum(
        statistics.equivalence(drawn(rng, 0.01, 0.004, 0.004), BLOCKS, 0.01) < 0.05
        for _ in range(600)
    )
    assert 0.02 <= false / 600 <= 0.08


def test_binomial_by_hand_and_its_error_rate_by_counting():
    ones = np.array([1.0, 1.0, 1.0, 0.0])
    assert statistics.binomial(ones, 0.5) == pytest.approx(2 * 5 / 16)
    assert statistics.binomial(np.ones(4), 0.5) == pytest.approx(2 / 16)
    assert statistics.binomial(np.array([1.0, 0.0]), 0.5) == 1
    for share in (0.3, 0.5, 0.8):
        chance = [comb(15, k) * share**k * (1 - share) ** (15 - k) for k in range(16)]
        p = [statistics.binomial(np.repeat([1.0, 0.0], [k, 15 - k]), share) for k in range(16)]
        assert sum(c for c, q in zip(chance, p, strict=True) if q <= 0.05) <= 0.05


def test_a_share_of_all_runs_keeps_an_interval():
    got = statistics.proportion(np.ones(15), BLOCKS)
    assert (got.mean, got.high) == (1, 1)
    assert got.low == pytest.approx(0.025 ** (1 / 15))  # Clopper and Pearson, all of n


def test_an_interval_of_a_share_covers_where_runs_of_a_site_are_alike():
    rng, hits = np.random.default_rng(5), 0
    for _ in range(200):
        of_site = rng.beta(1.4, 0.6, 5)  # mean 0.7
        got = statistics.proportion((rng.random(15) < of_site[BLOCKS]).astype(float), BLOCKS)
        hits += got.low <= 0.7 <= got.high
    assert hits / 200 >= 0.93


def test_spread_by_hand():
    got = statistics.spread(np.array([0.0, 2.0, 10.0, 12.0]), np.array([0, 0, 1, 1]))
    assert got.within == pytest.approx(2**0.5)  # each site: variance 2
    assert got.between == pytest.approx((50 - 1) ** 0.5)  # means 1 and 11: 50, less 2 / 2
    one_each = statistics.spread(np.array([0.0, 2.0]), np.array([0, 1]))
    assert (one_each.between, one_each.within) == (pytest.approx(2**0.5), 0)
    with pytest.raises(ValueError, match="at least two"):
        statistics.spread(np.zeros(3), np.zeros(3))


def test_the_smallest_effect_is_seen_by_80_per_cent_of_studies():
    spread = statistics.Spread(0.02, 0.03)
    effect, rng = statistics.smallest_effect(spread, 5, 15), np.random.default_rng(6)
    seen = sum(
        statistics.interval(drawn(rng, effect, spread.between, spread.within), BLOCKS).low > 0
        for _ in range(500)
    )
    assert 0.75 <= seen / 500 <= 0.85


def test_more_replicates_lower_the_smallest_effect_down_to_what_sites_allow():
    few, many = (statistics.smallest_effect(statistics.Spread(0.02, 0.03), 5, n) for n in (5, 5000))
    floor = statistics.smallest_effect(statistics.Spread(0.02, 0.0), 5, 5)
    assert few > many == pytest.approx(floor, rel=0.01)
    assert np.isnan(statistics.smallest_effect(statistics.Spread(0.02, 0.03), 1, 3))
