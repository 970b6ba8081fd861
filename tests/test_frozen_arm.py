"""The frozen arm: what its head is trained on, and that it is the regression it says it is."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fewlabels import studies
from fewlabels.learners import heads
from fewlabels.studies import frozen_arm
from fewlabels.training import losses


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
    runs = frozen_arm.runs("cz_ortho")
    for of, names in frozen_arm.TESTED.items():
        for name in names:
            assert set(studies.study(of).claims[name].conditions) <= set(runs)
    assert len(frozen_arm.claims()) == 11


def test_conditions_that_differ_only_in_what_a_network_reads_are_trained_once():
    runs = frozen_arm.runs("dubai")
    assert runs["random, 100 px"] == runs["100 px"]  # of two studies
    assert runs["dense"] == runs["dense, PCE"]
    texts = {frozen_arm.described(run) for run in runs.values()}
    assert len(texts) == len(set(runs.values())) == 16
