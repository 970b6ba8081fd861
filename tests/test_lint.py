import re
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewlabels import cli
from fewlabels.experiments import sweep
from fewlabels.results import consistency, records, reproductions
from fewlabels.results.consistency import rules
from fewlabels.scoring import metrics
from fewlabels.types import LintError

RESULTS = Path(__file__).parents[1] / "report" / "results"


def lint(table: pd.DataFrame) -> list[consistency.Finding]:
    return consistency.rules.findings("E", consistency.tables._of_table(table))


def test_every_rule_by_hand():
    assert rules.f1_iou(0.8, 0.8 / 1.2) is None
    assert rules.f1_iou(0.8, 0.8) == ("80.00", "66.67")
    assert rules.macro_mean(0.5, [0.4, 0.6, np.nan]) is None
    assert rules.macro_mean(0.6, [0.4, 0.6]) == ("60.00", "50.00")
    assert rules.precision_recall([0.5, 0.9], [0.9, 0.5]) is None
    assert rules.precision_recall([0.5, 0.6], [0.9, 0.7]) == ("2/2", "<2/2")
    assert rules.constant_predictor(0.15, 5, [0.7, 0.3]) == ("15.00", "!=14.00")
    assert rules.constant_predictor(0.16, 5, [0.7, 0.3]) is None
    assert rules.constant_predictor(0.2, 5) == ("20.00", ">20.00")
    assert rules.constant_predictor(0.21, 5) is None
    assert rules.majority(0.6, 0.6) == ("60.00", ">60.00")
    assert rules.majority(0.61, 0.6) is None
    assert rules.ce_bound(0.069, 0.9) == ("0.069", ">=0.069")  # 0.1 ln 2 = 0.0693
    assert rules.ce_bound(0.07, 0.9) is None
    assert rules.ce_bound(0.036, 0.9, smallest_weight=0.5) is None
    assert rules.above_validation(0.75, 0.7) == ("+5.00", "<=1.00")
    assert rules.above_validation(0.7, 0.75) is None
    assert rules.label_share(0.55, 0.5, 2500) is None  # a standard error is 1 %
    assert rules.label_share(0.56, 0.5, 2500) == ("56.00", "45.00..55.00")
    assert rules.labels_seen(5, 5) is None
    assert rules.labels_seen(6, 5) == ("6", "<=5")
    assert rules.same_condition(0.4, 0.41) is None
    assert rules.same_condition(0.4, 0.1) == ("40.00", "10.00")
    assert rules.collapsed_baseline(0.4, 0.1, 0.5, 6) == ("+300%", "-20%")
    assert rules.collapsed_baseline(0.4, 0.3, 0.5, 6) is None
    assert rules.robustness([0.1, 0.3], [0.1, 0.2]) == ("0.200", "<0.100")
    assert rules.robustness([0.1, 0.2], [0.1, 0.3]) is None
    assert rules.in_general([2, 1], [1, 2]) == ("1/2", ">1/2")
    assert rules.in_general([2, 2, 1], [1, 1, 2]) is None


def test_what_a_constant_prediction_scores_is_what_the_rule_knows():
    truth = np.array([0.6, 0.3, 0.1])
    always_second = np.zeros((3, 3))
    always_second[:, 1] = 1000 * truth
    scores = metrics.scores(always_second.astype(int))
    assert rules.constant_predictor(scores.miou, 3, truth.tolist())
    assert rules.majority(scores.accuracy, truth.max())


def test_no_prediction_beats_the_bound_on_cross_entropy():
    rng = np.random.default_rng(0)
    for _ in range(100):
        chance = rng.dirichlet(np.full(4, rng.uniform(0.1, 2)), 200)
        truth = rng.integers(0, 4, 200)
        loss = -np.log(chance[np.arange(200), truth]).mean()
        assert rules.ce_bound(loss, (chance.argmax(axis=1) == truth).mean()) is None


def test_a_uniform_draw_is_within_what_sampling_explains():
    rng = np.random.default_rng(1)
    drawn = rng.binomial(500, 0.03, 2000) / 500
    flagged = sum(rules.label_share(share, 0.03, 500) is not None for share in drawn)
    assert flagged <= 2


def test_the_five_systems_own_numbers():
    found = {(f.of, f.rule, f.found, f.expected) for f in consistency.reported()}
    assert found == {
        ("A", "robustness", "0.009", "<0.008"),
        ("A", "in-general", "1/2", ">1/2"),
        ("B", "ce-bound", "0.036", ">=0.097"),
        ("B", "ce-bound", "0.036", ">=0.064"),
        ("C", "macro-mean", "76.16", "70.20"),
        ("C", "precision-recall", "4/4", "<4/4"),
        ("D", "test-above-validation", "+4.54", "<=1.00"),
        ("E", "same-condition", "39.80", "10.20"),
        ("E", "same-condition", "37.30", "0.60"),
        ("E", "constant-predictor", "10.20", ">16.67"),
        ("E", "constant-predictor", "0.60", ">16.67"),
        ("E", "collapsed-baseline", "+293%", "+1%"),
        ("E", "label-share", "0.10", "12.81..13.79"),
        ("E", "label-share", "44.00", "8.98..9.82"),
    }
    assert {f.rule for f in consistency.reported()} <= set(consistency.RULES)


def test_only_the_linked_run_of_d_is_above_its_validation():
    (finding,) = [f for f in consistency.reported() if f.of == "D"]
    assert finding.where == "500 a class, linked"


def test_a_printed_number_stands_once_and_says_where():
    rows = consistency.printed()
    assert not rows.duplicated(["system", "condition", "metric"]).any()
    assert (rows[["value", "where"]] != "").all(axis=None)
    assert set(rows.query("final == 'yes'")["system"]) == set("ABCDE")


def table(**changed: float) -> pd.DataFrame:
    """Six healthy runs of two classes; `changed` columns are set in the first."""
    rows = []
    for fold, replicate in product(range(3), range(2)):
        row = {"condition": "a", "fold": fold, "replicate": replicate, "miou": 0.5, "accuracy": 0.8}
        row |= {"iou_x": 0.4, "iou_y": 0.6, "f1_x": 0.8 / 1.4, "f1_y": 1.2 / 1.6}
        row |= {"truth_x": 0.3, "truth_y": 0.7, "pixels": 10, "seen": 10}
        rows.append(row)
    rows[0] |= changed
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"miou": 0.55}, "macro-mean"),
        ({"f1_x": 0.6}, "f1-iou"),
        ({"miou": 0.35, "iou_x": 0.0, "iou_y": 0.7}, "constant-predictor"),
        ({"accuracy": 0.69}, "majority"),
        ({"seen": 11}, "labels-seen"),
    ],
)
def test_a_table_with_one_wrong_number(changed: dict[str, float], rule: str):
    assert lint(table()) == []
    found = lint(table(**changed))
    assert rule in {f.rule for f in found}
    assert all(f.id.startswith(f"E/{f.rule}/a, fold 0, replicate 0") for f in found)


def test_test_above_validation_is_judged_on_the_mean_over_folds():
    found = table()
    found["val_dense_miou"] = found["miou"] - np.repeat([0.2, -0.1, -0.05], 2)
    assert lint(found) == []  # one fold far above, the mean within its interval
    found["val_dense_miou"] = found["miou"] - np.repeat([0.05, 0.06, 0.04], 2)
    (finding,) = lint(found)
    assert (finding.rule, finding.found) == ("test-above-validation", "+5.00")
    assert lint(found[:1]) == []  # a single run says nothing


def test_a_finding_fails_unless_a_sentence_explains_it():
    found = lint(table(seen=11, accuracy=0.69))
    with pytest.raises(LintError, match=r"1 finding\(s\) without explanation:\nE labels-seen 11"):
        consistency.settled(found, {"E/majority/*": "land is everywhere"})
    shown = consistency.settled(
        found, {"E/majority/*": "land", "E/labels-seen/a, fold 0, replicate 0": "no"}
    )
    assert shown["explained"].tolist() == ["land", "no"]
    assert list(consistency.settled([])["rule"]) == []


@pytest.fixture(scope="module")
def published() -> dict[str, dict]:
    return {"E": sweep.recorded("E", "published", "dubai")}


def test_the_committed_records_add_up_or_are_explained(published: dict[str, dict]):
    (runs,) = published.values()
    found = consistency.ours(published)
    consistency.settled(found, consistency.explained())
    for finding in found:  # the explanation is true: the largest class is predicted too seldom
        condition, fold, replicate = (
            finding.where.replace("fold ", "").replace("replicate ", "").rsplit(", ", 2)
        )
        confusion = runs[condition, int(fold), int(replicate)].confusion.sum(axis=0)
        largest = confusion.sum(axis=1).argmax()
        assert confusion[:, largest].sum() < confusion[largest].sum()


def test_label_shares_are_held_against_the_masks_of_the_other_folds(published: dict[str, dict]):
    (runs,) = published.values()
    cases = list(consistency.tables._label_shares(runs))
    assert len(cases) == 2 * 5 * 3 * 5  # two random conditions, folds, replicates, classes
    unit = ("random, PCE", 0, 0)
    labels = runs[unit].facts["labels"]
    swapped = dict(zip(labels["per_class"], reversed(labels["per_class"].values()), strict=True))
    facts = runs[unit].facts | {"labels": labels | {"per_class": swapped}}
    wrong = runs | {unit: replace(runs[unit], facts=facts)}
    assert any(outcome for _, _, outcome in consistency.tables._label_shares(wrong))


def test_scores_that_do_not_follow_from_the_confusion_matrix(published: dict[str, dict]):
    (runs,) = published.values()
    unit = ("random, PCE", 0, 0)
    scores = runs[unit].facts["scores"] | {"miou": 0.9}
    wrong = replace(runs[unit], facts=runs[unit].facts | {"scores": scores})
    found = consistency.ours({"E": {unit: wrong}})
    assert {f.rule for f in found} == {"as-stored", "macro-mean"}


def test_every_run_is_held_against_every_rule_that_its_record_allows(published: dict[str, dict]):
    held = consistency.checked(published)
    each = ("constant-predictor", "majority", "labels-seen", "as-stored")
    assert {held[rule] for rule in each} == {75}
    assert held["f1-iou"] == 75 * 5
    assert held["macro-mean"] == 2 * 75
    assert held["same-condition"] == 0
    assert set(held) <= set(consistency.RULES)


def test_equal_configurations_have_to_agree(published: dict[str, dict]):
    (runs,) = published.values()
    assert not [f for f in consistency.ours({"E": runs, "F": runs}) if f.rule == "same-condition"]
    again = {u: replace(r, key=f"{r.key} again") for u, r in runs.items()}
    assert not [f for f in consistency.ours({"E": runs, "F": again}) if f.rule == "same-condition"]
    assert (
        consistency.checked({"E": runs, "F": runs})["same-condition"] == 0
    )  # the same runs in two studies
    assert consistency.checked({"E": runs, "F": again})["same-condition"] == 5
    worse = {u: collapsed(r) if u[0] == "random, PCE" else r for u, r in again.items()}
    (finding,) = [
        f for f in consistency.ours({"E": runs, "F": worse}) if f.rule == "same-condition"
    ]
    assert finding.where == "E: random, PCE; F: random, PCE"


def test_versions_of_the_code_are_apart_until_a_run_came_out_the_same(published: dict[str, dict]):
    """Of three versions b makes a's run again and c b's; with another thread, or where two of them
    are known to differ, nothing is shown.
    """
    (runs,) = published.values()
    mixed = {
        unit: replace(r, facts=r.facts | {"environment": r.facts["environment"] | {"code": code}})
        for (unit, r), code in zip(runs.items(), cycle("abc"), strict=False)
    }

    def versions(*rows: tuple[str, str, str, str]) -> list[str]:
        columns = ["before", "after", "differ", "device_after"]
        alike = pd.DataFrame(rows, columns=columns).assign(device_before="cpu, 1 threads")
        return [f.found for f in consistency.ours({"E": mixed}, alike) if f.rule == "one-code"]

    one, two = "cpu, 1 threads", "cpu, 2 threads"
    assert not [f for f in consistency.ours(published) if f.rule == "one-code"]
    told = reproductions.versions(mixed.values(), reproductions.NONE)
    assert told["runs"].to_dict() == {"a": 25, "b": 25, "c": 25}
    assert set(told["trained again"]) == {"-"}
    assert versions() == ["3"]
    assert versions(("a", "b", "", one)) == ["2"]
    chain = ("a", "b", "", one), ("b", "c", "", one)
    assert versions(*chain) == []
    assert versions(("a", "d", "", one), ("c", "d", "", one), ("b", "d", "", one)) == []
    assert versions(("a", "b", "", one), ("b", "c", "", two)) == ["2"]
    assert versions(*chain, ("c", "b", "confusion", one)) == ["3"]
    assert versions(*chain, ("a", "c", "calibration", one)) == ["3"]


def collapsed(record: records.Record) -> records.Record:
    """The record of a network that predicts the first class everywhere."""
    always = np.zeros_like(record.confusion)
    always[:, :, 0] = record.confusion.sum(axis=2)
    return replace(record, statistics=replace(record.statistics, confusion=always))


def test_the_command_line_prints_one_line_a_finding(capsys: pytest.CaptureFixture):
    assert cli.main(["lint"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(consistency.reported())
    assert any(line.startswith("C macro-mean 76.16 70.20") for line in lines)
    assert cli.main(["lint", "--results"]) == 0
    assert "all explained" in capsys.readouterr().out


def test_a_finding_of_our_own_is_an_error(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(consistency, "explained", dict)
    assert cli.main(["lint", "--results"]) == 1
    said = capsys.readouterr().err
    assert re.match(r"LintError: \d+ finding\(s\) without explanation", said)
    assert "E majority" in said
