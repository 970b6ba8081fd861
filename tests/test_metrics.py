import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from fewlabels.scoring.metrics import confusion, scores, without
from fewlabels.types import IGNORE, NoLabelsError

HAND = np.array([[3, 1, 0], [0, 4, 0], [2, 0, 0]])  # 10 pixels


def test_scores_by_hand():
    s = scores(HAND)
    assert s.iou.tolist() == pytest.approx([3 / 6, 4 / 5, 0])
    assert s.miou == pytest.approx((3 / 6 + 4 / 5) / 3)
    assert s.accuracy == pytest.approx(7 / 10)
    assert s.precision.tolist()[:2] == pytest.approx([3 / 5, 4 / 5])
    assert np.isnan(s.precision[2])  # never predicted
    assert s.recall.tolist() == pytest.approx([3 / 4, 1, 0])
    assert s.f1.tolist() == pytest.approx([6 / 9, 8 / 9, 0])


def test_a_class_absent_from_the_truth_is_left_out_of_the_mean_also_where_predicted():
    matrix = np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]])
    s = scores(matrix)
    assert np.isnan([s.iou[2], s.f1[2], s.recall[2]]).all()
    assert s.miou == pytest.approx((8 / 10 + 1) / 2)


def test_constant_prediction_scores_its_frequency_over_k():
    truth = np.repeat([0, 1, 2], [61, 30, 9]).astype(np.uint8).reshape(10, 10)
    s = scores(confusion(np.zeros_like(truth), truth, 3))
    assert s.miou == pytest.approx(0.61 / 3)


def test_pooling_is_the_sum_not_the_mean_of_tiles():
    small, large = np.array([[1, 0], [0, 1]]), np.array([[0, 98], [0, 0]])
    assert scores(np.stack([small, large])).accuracy == pytest.approx(2 / 100)


def test_an_ignored_class_takes_its_pixels_along_and_its_name_is_an_error_elsewhere():
    matrix = np.array([[6, 2, 1], [0, 4, 3], [5, 5, 5]])
    s = scores(matrix, ignored=(2,))
    assert s.iou.tolist()[:2] == pytest.approx([6 / 9, 4 / (7 + 6 - 4)])
    assert np.isnan([s.iou[2], s.precision[2], s.recall[2], s.f1[2]]).all()
    assert s.precision.tolist()[:2] == pytest.approx([6 / 6, 4 / 6])
    assert s.miou == pytest.approx((6 / 9 + 4 / 9) / 2)
    assert s.accuracy == pytest.approx(10 / 16)
    assert matrix.sum() == 31  # the matrix given is not changed
    with pytest.raises(NoLabelsError):
        scores(matrix, ignored=(0, 1, 2))


def test_what_is_predicted_on_an_ignored_class_does_not_matter():
    matrix = np.array([[6, 2, 1], [0, 4, 3], [5, 5, 5]])
    other = np.array([[6, 2, 1], [0, 4, 3], [0, 15, 0]])
    assert scores(matrix, (2,)).iou[:2].tolist() == scores(other, (2,)).iou[:2].tolist()
    assert without(np.array([[0, 1, 2, IGNORE]], np.uint8), (2,)).tolist() == [[0, 1, 255, 255]]


def test_sparse_labels_score_the_labelled_pixels_alone():
    labels = np.full((3, 4), IGNORE, np.uint8)
    labels[0, 0], labels[1, 1], labels[2, 3] = 0, 1, 1
    prediction = np.zeros((3, 4), np.uint8)
    prediction[2, 3] = 1
    matrix = confusion(prediction, labels, 2)
    assert matrix.tolist() == [[1, 0], [1, 1]]
    assert scores(matrix).miou == pytest.approx((1 / 2 + 1 / 2) / 2)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_everything_agrees_with_sklearn(seed: int, k: int):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, (9, 11)).astype(np.uint8)
    guess = rng.integers(0, k, (9, 11)).astype(np.uint8)
    truth[0] = IGNORE
    t, g = truth[1:].ravel(), guess[1:].ravel()
    matrix, present = confusion(guess, truth, k), np.unique(t)
    assert (matrix == confusion_matrix(t, g, labels=range(k))).all()
    s = scores(matrix)
    assert s.miou == pytest.approx(jaccard_score(t, g, labels=present, average="macro"))
    assert np.nanmean(s.f1) == pytest.approx(f1_score(t, g, labels=present, average="macro"))
    assert s.iou[present] == pytest.approx((s.f1 / (2 - s.f1))[present])


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_scored_is_refused():
    with pytest.raises(NoLabelsError, match="no pixel"):
        scores(np.zeros((3, 3), int))
    truth = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="must agree"):
        confusion(truth[:1], truth, 2)
    with pytest.raises(ValueError, match="below 2; found truth up to 0, prediction up to 5"):
        confusion(truth + np.uint8(5), truth, 2)
