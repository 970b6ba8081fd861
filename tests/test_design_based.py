"""Estimators of accuracy and area, and allocation: worked examples, all samples, simulation."""

from importlib import resources
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fewlabels.scoring.allocation import SampleError, allocated, expected_error, smallest
from fewlabels.scoring.design_based import OUTSIDE, Sample, accuracy, proportion

TABLE = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
SIZES = np.array([200_000, 150_000, 3_200_000, 6_450_000])
"""Table 8 of Olofsson et al. 2014: deforestation, forest gain, stable forest, stable non-forest."""


def units(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices(table.shape)
    return np.repeat(rows, table.ravel()), np.repeat(columns, table.ravel())


def letters(text: str) -> np.ndarray:
    return np.array(["ABCD".index(letter) for letter in text])


def halves(estimates) -> list[float]:
    """What the paper prints behind ±."""
    return [1.96 * estimate.se for estimate in estimates]


def test_olofsson_2014_comes_out():
    mapped, truth = units(TABLE)
    sample = Sample(mapped, mapped, truth, SIZES, finite=False)
    found = accuracy(sample, 4, np.full(640, 0.09))
    assert (found.counts == TABLE).all()
    assert found.overall.value == pytest.approx(0.95, abs=0.005)
    assert 1.96 * found.overall.se == pytest.approx(0.02, abs=0.005)
    pixels = accuracy(sample, 4).areas[0]
    assert (round(pixels.value), round(1.96 * pixels.se)) == (235_086, 68_418)
    assert [round(area.value) for area in found.areas] == [21_158, 11_686, 285_770, 581_386]
    assert [round(half) for half in halves(found.areas)] == [6_158, 3_756, 15_510, 16_282]
    assert [round(e.value, 2) for e in found.users] == [0.88, 0.73, 0.93, 0.96]
    assert np.round(halves(found.users), 2).tolist() == [0.07, 0.10, 0.04, 0.02]
    assert [round(e.value, 2) for e in found.producers] == [0.75, 0.85, 0.93, 0.96]
    # the paper prints 0.23 and 0.01 for the second and fourth; its own equation 7 gives these
    assert np.round(halves(found.producers), 3).tolist() == [0.213, 0.254, 0.034, 0.018]


def test_stehman_2014_comes_out():
    mapped = letters("AAAAAAABBB" + "ABBBBBBBBB" + "BBCCCCCCBB" + "DDDDDDDDDD")
    truth = letters("AAAAACBABC" + "ABBBBBAABB" + "CCCCCDDBBA" + "DDDDDDDCCB")
    sizes = np.array([40_000, 30_000, 20_000, 10_000])
    found = accuracy(Sample(np.repeat(np.arange(4), 10), mapped, truth, sizes), 4)
    assert (found.overall.value, found.overall.se) == pytest.approx((0.63, 0.085), abs=5e-4)
    assert (found.users[1].value, found.users[1].se) == pytest.approx((0.574, 0.125), abs=5e-4)
    assert (found.shares[0].value, found.shares[0].se) == pytest.approx((0.35, 0.082), abs=5e-4)
    assert (found.shares[2].value, found.shares[2].se) == pytest.approx((0.20, 0.064), abs=5e-4)
    assert found.proportions[1, 2] == pytest.approx(0.08)
    producer = found.producers[1]
    assert (producer.value, producer.se) == pytest.approx((0.794, 0.1165), abs=5e-4)
    # a printed error below that is without the variance of stratum D, which is 0.10 and not 0.00
    left_out = (10_000 * producer.value / 34_000) ** 2 * 0.10 / 10 * (1 - 10 / 10_000)
    assert np.sqrt(producer.se**2 - left_out) == pytest.approx(0.114, abs=5e-4)


def test_over_all_samples_the_means_are_the_truth():
    """Two strata of 4 and 3 pixels, 2 drawn of each: 18 samples, equally likely."""
    truth, mapped = np.array([0, 1, 1, 0, 0, 0, 1]), np.array([0, 1, 0, 0, 1, OUTSIDE, 1])
    found = []
    for some, others in product(combinations(range(4), 2), combinations(range(4, 7), 2)):
        at = np.array([*some, *others])
        drawn = Sample(np.array([0, 0, 1, 1]), mapped[at], truth[at], np.array([4, 3]))
        found.append(accuracy(drawn, 2).areas[0])
    values = np.array([area.value for area in found])
    assert values.mean() == pytest.approx(3)  # pixels 0, 3 and 4; the map lacks pixel 5
    assert np.mean([area.se**2 for area in found]) == pytest.approx(values.var())


def test_a_sample_of_all_pixels_has_no_error():
    mapped, truth = units(np.array([[6, 2], [1, 3]]))
    found = accuracy(Sample(mapped, mapped, truth, np.array([8, 4])), 2)
    assert (found.overall.value, found.overall.se) == (0.75, 0)
    assert (found.areas[0].low, found.areas[0].high) == (7, 7)
    assert (found.producers[1].low, found.producers[1].high) == (0.6, 0.6)


def test_without_an_error_the_interval_is_of_the_points():
    """Wilson's interval of 20 in 20: from 20 / (20 + z^2) to 1."""
    stratum = np.repeat([0, 1], 20)
    found = accuracy(Sample(stratum, stratum, stratum, np.array([1000, 3000])), 3)
    assert found.users[0].se == 0
    assert (found.users[0].low, found.users[0].high) == pytest.approx((0.8389, 1), abs=1e-4)
    assert found.overall.low == pytest.approx(40 / (40 + 1.96**2), abs=1e-4)
    assert found.areas[0].low < found.areas[0].value == 1000 < found.areas[0].high
    assert np.isnan(found.users[2].value)  # a class that is nowhere
    assert found.shares[2].value == 0 < found.shares[2].high < 0.11


def test_what_a_stratum_can_hold_unseen_is_in_the_interval():
    """Of 30 points in 900 pixels none is class 1, so up to 1 - 0.05^(1 / 30) of them may be."""
    stratum, truth = np.repeat([0, 1], 30), np.repeat([0, 1], 30)
    truth[-3:] = 0
    found = accuracy(Sample(stratum, stratum, truth, np.array([900, 100])), 2)
    limit = 0.9 * (1 - 0.05 ** (1 / 30))
    assert found.unseen == pytest.approx((0, limit))
    share, producer = found.shares[1], found.producers[1]
    assert (share.value, share.high) == pytest.approx((0.09, 0.09 + limit))
    assert found.areas[1].high == pytest.approx(90 + 1000 * limit)
    assert producer.low == pytest.approx(0.09 / (0.09 + limit))
    every = Sample(np.repeat([0, 1], [900, 30]), np.zeros(930, int), np.zeros(930, int),
                   np.array([900, 100]))  # fmt: skip
    assert accuracy(every, 2).unseen[1] == pytest.approx(0.1 * (1 - 0.05 ** (1 / 30)))


def test_a_stratum_of_one_point_borrows_the_mean_of_all():
    """Residuals: 0.5 and -0.5 in the first stratum, the second's only one is 1 - 0.8."""
    part, whole = np.array([1, 0, 1]), np.ones(3, int)
    sample = Sample(np.array([0, 0, 1]), whole, whole, np.array([400, 600]), finite=False)
    found = proportion(part, whole, sample)
    assert found.value == 0.8
    assert found.se == pytest.approx(np.sqrt(400**2 * 0.5 / 2 + 600**2 * 0.2**2) / 1000)


def test_pixels_that_are_not_there_cannot_be_drawn():
    one = np.zeros(3, int)
    for sizes in ([2], [5, 5]):
        with pytest.raises(ValueError, match="cannot be drawn"):
            Sample(one, one, one, np.array(sizes))
    with pytest.raises(ValueError, match="no class"):
        accuracy(Sample(one, one - 1, one, np.array([5])), 1)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """The packaged dense mask, and as its map the same mask 12 pixels to the side."""
    with (resources.files("fewlabels.mapping") / "example/dubai_mask.png").open("rb") as source:
        mask = np.asarray(Image.open(source)).astype(np.int64)
    shifted = np.roll(mask, 12, axis=1)
    there = (mask < 5) & (shifted < 5)
    truth, mapped = mask[there], shifted[there]
    sizes = np.bincount(mapped)
    drawn = allocated(200, sizes, "proportional", np.ones(5), 25)
    ground = [np.flatnonzero(mapped == value) for value in range(5)]
    actual = [(truth == mapped).mean(), *np.bincount(truth) / len(truth)]
    held, rng = [], np.random.default_rng(0)
    for _ in range(300):
        at = np.concatenate(
            [rng.choice(own, n, replace=False) for own, n in zip(ground, drawn, strict=True)]
        )
        found = accuracy(Sample(mapped[at], mapped[at], truth[at], sizes), 5)
        pairs = zip((found.overall, *found.shares), actual, strict=True)
        held.append([estimate.low <= value <= estimate.high for estimate, value in pairs])
    assert ((np.mean(held, axis=0) > 0.91) & (np.mean(held, axis=0) < 0.99)).all()
    assert 0.93 < np.mean(held) < 0.97


def test_allocation_of_olofsson_2014_comes_out():
    """Table 5 and equation 13: 641 pixels for a standard error of 0.01."""
    right = np.array([0.7, 0.6, 0.9, 0.95])
    deviations = np.sqrt(right * (1 - right))
    assert smallest(0.01, SIZES, "neyman", deviations, 0).sum() == 641
    assert allocated(641, SIZES, "proportional", deviations, 0).tolist() == [13, 10, 205, 413]
    assert allocated(640, SIZES, "equal", deviations, 0).tolist() == [160, 160, 160, 160]
    assert allocated(641, SIZES, "proportional", deviations, 100).tolist() == [100, 100, 146, 295]


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    st.sampled_from(["proportional", "equal", "neyman"]),
    st.integers(0, 30),
    st.integers(0, 2000),
)
def test_allocation_keeps_to_its_bounds(sizes, rule, least, more):
    sizes = np.array(sizes)
    low = np.minimum(least, sizes)
    n = min(int(low.sum()) + more, int(sizes.sum()))
    found = allocated(n, sizes, rule, np.zeros(len(sizes)), least)
    assert found.sum() == n
    assert (found >= low).all()
    assert (found <= sizes).all()


def test_the_smallest_sample_is_just_large_enough():
    sizes, deviations = np.array([500, 40_000, 9000]), np.array([0.5, 0.3, 0.4])
    found = smallest(0.02, sizes, "proportional", deviations, 30)
    one_less = allocated(int(found.sum()) - 1, sizes, "proportional", deviations, 30)
    assert expected_error(found, sizes, deviations) <= 0.02
    assert expected_error(one_less, sizes, deviations) > 0.02
    with pytest.raises(SampleError, match="20 points cannot be drawn: 3 classes"):
        allocated(20, sizes, "equal", deviations, 30)
