"""What follows for a practitioner, from tables of runs made by hand."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewlabels import studies
from fewlabels.experiments import recommendations
from fewlabels.results.records import Record
from fewlabels.scoring.metrics import Statistics
from fewlabels.studies.run import Run


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
    assert (first.name, first["take"], first["n"]) == ("10 px an image", taken, 15)
    assert float(first["gain of the first"].split()[0]) == pytest.approx(100 * gain, abs=0.2)
    assert found.loc["100 px an image", "verdict"] == "does not hold"  # shown to be no different
    assert found.loc["10 %", ["verdict", "take"]].tolist() == [
        recommendations.OPEN,
        "U-Net (default)",
    ]


def test_few_units_say_nothing():
    found = recommendations.table({"balance": table(0.1, folds=2)})
    assert found["verdict"][0] == "cannot tell (6 of 15 units)"
    assert found["take"][0] == f"{recommendations.RANDOM} (default)"  # which are plainer


def test_what_is_decided_is_said_with_its_numbers():
    rows = [("A: x.", "1.0 [0.5, 1.5] points; more", 15, "holds"), ("B: y.", "-", 3, "cannot tell")]
    judged = pd.DataFrame(rows, columns=["claim", "ours", "n", "verdict"])
    assert recommendations.decided(judged).splitlines() == [
        "1 of 2 claims are decided:", "", "- A: x. 1.0 [0.5, 1.5] points, n = 15: holds.",
    ]  # fmt: skip
    assert recommendations.decided(judged[1:]).startswith("0 of 1 claims are decided")


def test_every_choice_rests_on_a_declared_claim_of_its_study():
    for choice in recommendations.CHOICES:
        assert choice.otherwise in (choice.first, choice.second)
        assert choice.claim in studies.study(choice.study).claims


def test_departures_are_those_of_the_five_systems():
    said = recommendations.departures(studies.STUDIES).splitlines()
    assert [line[2] for line in said] == list("ABCDE")


def test_clicks_on_two_data_sets_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    bare = Statistics(np.zeros((0, 2, 2), int))

    def record(data: str, arm: str, replicate: int) -> Record:
        facts = {"clicks": {"arm": arm, "rounds": 5, "pixels": 10}}
        return Record("", Run(data=data, draw=replicate), facts, pd.DataFrame(), (), bare)

    every = [record(*of) for of in product(("dubai", "synthetic"), ("margin", "random"), (0, 1))]
    monkeypatch.setattr(
        recommendations.records, "read_all", lambda _: [*every, record("b", "random", 0)]
    )
    gains = {("dubai", "margin"): 0.1}
    monkeypatch.setattr(recommendations.records, "table", lambda found: pd.DataFrame(
        {"condition": arm, "fold": fold, "replicate": replicate,
         "miou": gains.get((r.run.data, arm), 0.0)}
        for (arm, fold, replicate), r in found.items()
    ))  # fmt: skip
    said = recommendations.clicks_said(Path())
    assert "on dubai, 5 rounds of 10 pixels an image, those of small margin gained 10.0 [" in said
    assert "on synthetic, 5 rounds" in said
    assert "gained 0.0 [" in said
    assert " on b," not in said
    monkeypatch.setattr(recommendations.records, "read_all", lambda _: [])
    assert "has not been measured" in recommendations.clicks_said(Path())


def test_a_report_opens_with_shares_of_the_dense_score_and_what_is_decided():
    conditions = {"10 px": (0.3, 10), "1,000 px": (0.4, 1000), studies.budget.DENSE: (0.5, 100_000)}
    curve = pd.DataFrame(
        [
            {"condition": c, "fold": f, "replicate": p, "miou": miou, "pixels_a_tile": pixels}
            for c, (miou, pixels) in conditions.items()
            for f in range(2)
            for p in range(3)
        ]
    )
    judged = pd.DataFrame([("A: x.", "1", 15, "holds")], columns=["claim", "ours", "n", "verdict"])
    said = recommendations.opening({"budget": curve}, judged)
    reach = "With 1,000 labelled pixels an image a network reaches 80 [80, 80] % of the mIoU"
    assert said.index(reach) < said.index("1 of 1 claims are decided")
    assert "reaches" not in recommendations.opening({}, judged)
    notebook = (Path(__file__).parents[1] / "notebooks" / "90_analysis.py").read_text()
    for label in re.findall(r"@(tbl-\w+)", said):
        assert f"#| label: {label}\n" in notebook
