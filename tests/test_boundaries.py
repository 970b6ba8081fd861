from itertools import product
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, maximum_filter

from fewlabels.scoring import boundaries
from fewlabels.scoring.boundaries import COUNTS, counts, near_another, over_window, reach, scores
from fewlabels.types import IGNORE


def split_at(edge: int, width: int = 100) -> np.ndarray:
    """One row: class 0 to the left of `edge`, class 1 from there on."""
    return (np.arange(width) >= edge).astype(np.uint8)[None]


def drawn(seed: int, k: int, shape: tuple[int, int] = (9, 11)) -> tuple[np.ndarray, np.ndarray]:
    """A random prediction, and a random mask with void, in blocks so that there is an inside."""
    rng = np.random.default_rng(seed)
    small = (-(-shape[0] // 2), -(-shape[1] // 2))
    guess, mask = (
        np.kron(rng.integers(0, k, small), np.ones((2, 2), int))[: shape[0], : shape[1]]
        for _ in range(2)
    )
    mask[rng.random(shape) < 0.15] = IGNORE
    return guess.astype(np.uint8), mask.astype(np.uint8)


def by_hand(guess: np.ndarray, mask: np.ndarray, k: int, d: int) -> np.ndarray:
    """`counts` by its definition, pixel by pixel."""
    void, found = mask == IGNORE, np.zeros((k, len(COUNTS)), int)
    pixels = list(product(*map(range, mask.shape)))

    def around(p: tuple[int, int], far: int) -> list[tuple[int, int]]:
        return [q for q in pixels if max(abs(p[0] - q[0]), abs(p[1] - q[1])) <= far]

    def edge(known: np.ndarray, c: int, far: int) -> set[tuple[int, int]]:
        return {
            p
            for p in pixels
            if known[p] == c
            and not void[p]
            and any(known[q] != c and not void[q] for q in around(p, far))
        }

    for c in range(k):
        bands, lines = ([edge(m, c, far) for m in (guess, mask)] for far in (d, 1))
        matched = [
            sum(any(q in other for q in around(p, d)) for p in one)
            for one, other in (lines, lines[::-1])
        ]
        found[c] = [
            len(bands[0] & bands[1]), len(bands[0]), len(bands[1]),
            matched[0], len(lines[0]), matched[1], len(lines[1]),
        ]  # fmt: skip
    return found


def test_a_boundary_that_is_one_pixel_off_by_hand():
    found = counts(split_at(49), split_at(50), 2)  # d = 2: bands 47 48 | 49 50 and 48 49 | 50 51
    assert found.tolist() == [[1, 2, 2, 1, 1, 1, 1]] * 2
    s = scores(found)
    assert s.iou.tolist() == pytest.approx([1 / 3, 1 / 3])
    assert (s.mean_iou, s.mean_f1) == (pytest.approx(1 / 3), 1)


@pytest.mark.parametrize(("off", "f1"), [(0, 1), (2, 1), (3, 0)])
def test_a_contour_is_matched_within_the_tolerance_and_not_beyond(off: int, f1: int):
    assert scores(counts(split_at(50 + off), split_at(50), 2)).mean_f1 == f1


def test_f1_weighs_precision_and_recall_by_hand():
    mask, guess = split_at(50), split_at(50)
    guess[0, 10:12] = 1  # an island: contours 9 | 10 11 | 12, all of them false
    found = counts(guess, mask, 2)
    assert found[:, 3:].tolist() == [[1, 3, 1, 1], [1, 3, 1, 1]]
    assert scores(found).f1.tolist() == pytest.approx([2 * (1 / 3) * 1 / (1 / 3 + 1)] * 2)


def test_scores_follow_from_the_counts_by_hand():
    s = scores(np.array([[3, 6, 5, 2, 8, 3, 4]]))
    assert s.mean_iou == pytest.approx(3 / (6 + 5 - 3))
    assert s.mean_f1 == pytest.approx(2 * (2 / 8) * (3 / 4) / (2 / 8 + 3 / 4))


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 4))
def test_counts_agree_with_their_definition(seed: int, k: int, d: int):
    guess, mask = drawn(seed, k)
    with mock.patch.object(boundaries, "REACH", d / np.hypot(*mask.shape)):
        assert (counts(guess, mask, k) == by_hand(guess, mask, k, d)).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_a_band_is_what_eroding_takes_away_as_in_the_published_code(seed: int, d: int):
    known = drawn(seed, 3, (13, 17))[0]
    band = near_another(known, d)
    for c in range(3):
        inside = binary_erosion(known == c, np.ones((3, 3)), iterations=d, border_value=1)
        assert (band[known == c] == ~inside[known == c]).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 20), st.integers(1, 20))
def test_a_window_is_the_square_around_each_pixel(seed: int, d: int, h: int, w: int):
    values = np.random.default_rng(seed).integers(0, 200, (h, w)).astype(np.uint8)
    found = over_window(values, d, np.maximum, 0)
    assert (found == maximum_filter(values, 2 * d + 1, mode="constant", cval=0)).all()


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_a_perfect_prediction_scores_one_and_what_is_predicted_on_void_does_not_matter(
    seed: int, k: int
):
    guess, mask = drawn(seed, k)
    found = counts(np.where(mask == IGNORE, guess, mask), mask, k)
    s = scores(found)
    assert (s.mean_iou, s.mean_f1) == (1, 1)
    assert set(s.iou[~np.isnan(s.iou)]) == {1}
    elsewhere = np.where(mask == IGNORE, (guess + 1) % k, guess).astype(np.uint8)
    assert (counts(elsewhere, mask, k) == counts(guess, mask, k)).all()


def test_classes_that_meet_across_void_alone_have_a_band_and_no_contour():
    mask = split_at(50)
    mask[:, 50] = IGNORE  # reach is 2: each class sees the other beyond it
    s = scores(counts(mask, mask, 2))
    assert s.iou.tolist() == [1, 1]
    assert np.isnan(s.f1).all()
    assert (s.mean_iou, np.isnan(s.mean_f1)) == (1, True)
    found = np.array([[4, 4, 4, 2, 2, 2, 2], [4, 4, 4, 0, 0, 0, 0]])
    assert (scores(found).mean_iou, scores(found).mean_f1) == (1, 1)


def test_neither_void_nor_the_edge_of_the_image_is_a_boundary():
    mask = np.array([[0, 0, IGNORE, IGNORE, 1, 1]], np.uint8)  # d = 1
    assert not counts(mask, mask, 2).any()
    assert not near_another(np.zeros((5, 5), np.uint8), 2).any()


def test_a_boundary_hidden_by_a_strip_of_void_is_known_to_those_within_reach_of_both_sides():
    row = np.array([[0, 0, 0, IGNORE, 1, 1, 1]], np.uint8)
    assert near_another(row, 2).tolist() == [[False, False, True, False, True, False, False]]


@pytest.mark.parametrize("mask", [np.zeros((8, 8), np.uint8), np.full((8, 8), IGNORE, np.uint8)])
def test_where_the_mask_has_no_boundary_no_score_is_defined(mask: np.ndarray):
    guess = drawn(0, 3, (8, 8))[0]
    s = scores(counts(guess, mask, 3))
    assert np.isnan([*s.iou, *s.f1, s.mean_iou, s.mean_f1]).all()


def test_a_class_absent_from_the_mask_is_left_out_of_the_mean_and_costs_the_others():
    mask, guess = split_at(50), split_at(50)
    guess[0, 40:50] = 2
    s = scores(counts(guess, mask, 3))
    assert np.isnan([s.iou[2], s.f1[2]]).all()
    assert s.iou.tolist()[:2] == [0, 1]  # 0 now ends at 40
    assert (s.mean_iou, s.mean_f1) == (0.5, 0.5)


def test_counts_are_added_up_before_they_are_divided():
    one, two = counts(split_at(50), split_at(50), 2), counts(split_at(53), split_at(50), 2)
    s = scores(np.stack([one, two]))
    assert s.iou.tolist() == pytest.approx([2 / (4 + 4 - 2)] * 2)
    assert s.f1.tolist() == pytest.approx([1 / 2] * 2)


def test_an_ignored_class_is_not_in_the_means():
    mask, guess = split_at(50), split_at(50)
    guess[0, 40:50] = 2
    s = scores(counts(guess, mask, 3), ignored=(0,))
    assert np.isnan(s.iou[0])
    assert (s.mean_iou, s.mean_f1) == (1, 1)


@pytest.mark.parametrize(("shape", "d"), [((1, 1), 1), ((565, 700), 18), ((1, 100), 2)])
def test_the_reach_is_two_per_cent_of_the_diagonal(shape: tuple[int, int], d: int):
    assert reach(shape) == d
