import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewlabels.scoring.calibration import BINS, bins, error
from fewlabels.types import IGNORE


def taken(confidence: list[float], right: list[bool]) -> np.ndarray:
    """Bins of a row of pixels of class 0, where a wrong prediction is class 1."""
    sure, wrong = np.array([confidence], np.float32), ~np.array([right])
    return bins(sure, wrong.astype(np.uint8), np.zeros(sure.shape, np.uint8))


def test_a_constant_predictor_errs_by_its_confidence_less_its_accuracy():
    found = taken([0.8] * 4, [True, True, True, False])
    assert found[11].tolist() == pytest.approx([4, 3.2, 3])
    assert found.sum() == pytest.approx(4 + 3.2 + 3)
    assert error(found) == pytest.approx(0.05)


def test_bins_do_not_make_up_for_one_another_by_hand():
    found = taken([0.5, 0.5, 1.0, 1.0], [True, True, True, False])
    assert error(found) == pytest.approx((abs(2 - 1.0) + abs(1 - 2.0)) / 4)


def test_a_network_that_is_sure_and_right_has_no_error():
    assert error(taken([1.0] * 5, [True] * 5)) == 0


def test_a_bin_holds_its_upper_end():
    found = taken([1e-9, 1 / 15, 0.07, 14 / 15, 0.94, 1.0], [True] * 6)
    assert found[:, 0].tolist() == [2, 1] + 11 * [0] + [1, 2]


def test_void_is_not_counted_and_where_all_is_void_nothing_is_defined():
    mask = np.array([[0, IGNORE, 1]], np.uint8)
    sure = np.full(mask.shape, 0.9, np.float32)
    found = bins(sure, np.zeros_like(mask), mask)
    assert found[13].tolist() == pytest.approx([2, 1.8, 1])
    nothing = bins(sure, np.zeros_like(mask), np.full_like(mask, IGNORE))
    assert not nothing.any()
    assert np.isnan(error(nothing))


def test_tiles_are_added_up_first():
    tiles = np.stack([taken([0.6], [True]), taken([0.6] * 3, [True, False, False])])
    assert error(tiles) == pytest.approx(abs(2 / 4 - 0.6))


@given(st.integers(0, 2**32 - 1))
def test_the_error_agrees_with_its_definition(seed: int):
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.2, 1, (7, 9)).astype(np.float32)
    mask, guess = (rng.integers(0, 3, (7, 9)).astype(np.uint8) for _ in range(2))
    mask[0] = IGNORE
    total, known = 0.0, mask != IGNORE
    for b in range(BINS):
        here = known & (sure > b / BINS) & (sure <= (b + 1) / BINS)
        if here.any():
            total += here.sum() * abs((guess == mask)[here].mean() - sure[here].mean())
    assert error(bins(sure, guess, mask)) == pytest.approx(total / known.sum(), abs=1e-6)
