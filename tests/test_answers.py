"""What follows for a practitioner, from tables of runs made by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from fewlabels import studies
from fewlabels.experiments import recommendations


def table(gain: float, folds: int = 5) -> pd.DataFrame:
    """Labels even over the classes gain so much at 10 px, and nothing elsewhere."""
    rng = np.random.default_rng(0)
    conditions = studies.study("balance").conditions()
    rows = [
        {
            "condition": condition,
            "fold": fold,
            "replicate": replicate,
            "miou": 0.4 + rng.normal(0, 1e-3),
        }
        for fold in range(folds)
        for replicate in range(3)
        for condition in conditions
    ]
    found = pd.DataFrame(rows)
    found.loc[found["condition"] == "stratified, 10 px", "miou"] += gain
    return found


@pytest.mark.parametrize(
    ("gain", "taken"), [(0.1, recommendations.EVEN), (-0.1, recommendations.RANDOM)]
)
def test_the_verdict_says_which_to_take(gain: float, taken: str):
    found = recommendations.table({"balance": table(gain)}).set_index("labels")
    first = found.iloc[0]
    assert (first.name, first["take"], first["n"]) == ("10 labelled pixels an image", taken, 15)
    assert float(first["gain of the first"].split()[0]) == pytest.approx(100 * gain, abs=0.2)
    assert (
        found.loc["100 labelled pixels an image", "verdict"] == "does not hold"
    )  # shown to be no different
    assert found.loc["10 % of the pixels labelled", ["verdict", "take"]].tolist() == [
        recommendations.OPEN,
        "the smaller U-Net (default)",
    ]


def test_few_units_say_nothing():
    found = recommendations.table({"balance": table(0.1, folds=2)})
    assert found["verdict"][0] == "cannot tell (6 of 15 units)"
    assert found["take"][0] == f"{recommendations.RANDOM} (default)"  # which are plainer


def test_what_is_decided_is_said_with_its_numbers():
    rows = [("A: x.", "1.0 [0.5, 1.5] points", 15, "holds"), ("B: y.", "-", 3, "cannot tell")]
    judged = pd.DataFrame(rows, columns=["claim", "ours", "n", "verdict"])
    assert recommendations.decided(judged).splitlines() == [
        "1 of 2 claims are decided:", "", "- A: x. 1.0 [0.5, 1.5] points, n = 15: holds.",
    ]  # fmt: skip
    assert recommendations.decided(judged[1:]).startswith("0 of 1 claims are decided")


def test_every_choice_rests_on_a_declared_claim_of_its_study():
    for choice in recommendations.CHOICES:
        assert choice.otherwise in (choice.first, choice.second)
        assert choice.claim in studies.study(choice.study).claims


def test_where_we_depart_is_said_of_the_five_systems_alone():
    assert [name for name in studies.STUDIES if studies.study(name).deviations] == list("ABCDE")


def test_five_findings_come_first_each_with_its_interval_and_n():
    said = recommendations.five()
    assert len(said) == 5
    assert all(re.search(r"\[-?[\d.]+, -?[\d.]+\]", sentence) for sentence in said)
    assert sum("sites" in sentence or "runs" in sentence for sentence in said) >= 4


def test_shares_of_the_dense_score_are_said_of_the_budgets_that_ran():
    conditions = {"10 px": (0.3, 10), "1,000 px": (0.4, 1000), studies.ours.DENSE: (0.5, 100_000)}
    curve = pd.DataFrame(
        [
            {"condition": c, "fold": f, "replicate": p, "miou": miou, "pixels_a_tile": pixels}
            for c, (miou, pixels) in conditions.items()
            for f in range(2)
            for p in range(3)
        ]
    )
    said = recommendations.findings({"budget": curve})
    assert said[0].startswith(
        "With 1,000 labelled pixels an image a network reaches 80 % [80, 80] of the score"
    )
    assert recommendations.findings({}) == []


def scored(scores: dict[str, float], folds: int = 5) -> pd.DataFrame:
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
    table = scored({"100 px": 0.4, "1,000 px": 0.48, studies.ours.DENSE: 0.5})
    said = recommendations.findings({"budget": table})
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
    (said,) = recommendations.findings(
        {"pretraining": scored(conditions | {claim.plus[0]: 0.4 + gain}, folds)}
    )
    assert said.startswith("With 1 % of the pixels labelled, ")
    assert words in said


def test_without_records_nothing_is_said():
    assert recommendations.findings({}) == []
