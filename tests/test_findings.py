"""Findings are sentences whose numbers come from tables of runs."""

import numpy as np
import pandas as pd
import pytest

from fewlabels import studies
from fewlabels.experiments.findings import findings


def runs(scores: dict[str, float], folds: int = 5) -> pd.DataFrame:
    """Three replicates on each fold; what differs between units cancels in pairs but for a hair."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "condition": c,
                "fold": fold,
                "replicate": replicate,
                "miou": miou + rng.normal(0, 1e-4),
            }
            for fold in range(folds)
            for replicate in range(3)
            for c, miou in scores.items()
        ]
    )


def test_share_of_the_dense_score_is_said_with_interval_and_n():
    table = runs({"100 px": 0.4, "1,000 px": 0.48, studies.budget.DENSE: 0.5})
    said = findings({"budget": table})
    assert said == [
        "With 100 labelled pixels an image a network reaches 80 % [80, 80] of the score of one "
        "trained on every pixel (15 runs, 5 groups of sites).",
        "With 1,000 labelled pixels an image a network reaches 96 % [96, 96] of the score of one "
        "trained on every pixel (15 runs, 5 groups of sites).",
    ]


@pytest.mark.parametrize(
    ("gain", "folds", "words"),
    [
        (0.1, 5, "pretrained weights are better than random weights (10.0 [10.0, 10.0] points"),
        (-0.1, 5, "pretrained weights are no better than random weights (-10.0 [-10.0, -10.0]"),
        (0.1, 1, "these runs do not tell whether pretrained weights or random weights are better"),
    ],
)
def test_a_comparison_says_what_its_verdict_says(gain: float, folds: int, words: str):
    conditions = dict.fromkeys(studies.study("pretraining").conditions(), 0.4)
    claim = studies.study("pretraining").claims["P2"]
    (said,) = findings({"pretraining": runs(conditions | {claim.plus[0]: 0.4 + gain}, folds)})
    assert said.startswith("With 1 % of the pixels labelled, ")
    assert words in said


def test_without_records_nothing_is_said():
    assert findings({}) == []
