"""Each measure of a claim: its value by hand, its verdicts, and how often the rule errs."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from fewlabels.results import statistics
from fewlabels.results.statistics import intervals
from fewlabels.results.statistics.verdicts import evidence, paired, verdict
from fewlabels.studies import Claim
from fewlabels.types import UnknownName

FOLDS, REPLICATES = 5, 3


def table(
    conditions: dict[str, float], *, noise: float = 1e-4, metric: str = "miou"
) -> pd.DataFrame:
    """15 units: each condition's value plus what the site and chance add."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "condition": condition,
            "fold": fold,
            "replicate": replicate,
            metric: mean + 0.02 * fold + noise * rng.normal(),
        }
        for fold, replicate in product(range(FOLDS), range(REPLICATES))
        for condition, mean in conditions.items()
    ]
    return pd.DataFrame(rows)


def judged(conditions: dict[str, float], claim: Claim, **options: object) -> pd.Series:
    return statistics.verdicts(table(conditions, **options), {"X": claim}).iloc[0]


GAINS = {"a": 0.5, "b": 0.4, "c": 0.5, "d": 0.45}
INTERACTION = Claim("", "", ("a", "b"), ("c", "d"), measure="interaction")
NOTHING = Claim("", "", ("a",), ("b",), measure="equivalence")
LARGEST = Claim("", "", ("a",), ("b",), measure="largest", rivals=(("c", "d"), ("c", "b")))


def test_an_interaction_is_a_gain_less_a_gain():
    assert judged(GAINS, INTERACTION).effect.mean == pytest.approx(0.05, abs=1e-3)
    assert judged(GAINS, INTERACTION).verdict == "holds"
    assert judged(GAINS | {"d": 0.35}, INTERACTION).verdict == "does not hold"
    assert judged(GAINS | {"d": 0.4}, INTERACTION).verdict == "does not hold"  # no interaction
    assert judged(GAINS, INTERACTION, noise=0.2).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("a", "noise", "expected"),
    [
        (0.402, 1e-4, "holds"),
        (0.45, 1e-4, "does not hold"),
        (0.35, 1e-4, "does not hold"),
        (0.41, 1e-3, "cannot tell"),
        (0.402, 0.05, "cannot tell"),
    ],
)
def test_a_claim_of_no_difference_needs_the_margin(a: float, noise: float, expected: str):
    assert judged({"a": a, "b": 0.4}, NOTHING, noise=noise).verdict == expected


@pytest.mark.parametrize(
    ("a", "noise", "expected"),
    [
        (0.402, 1e-4, "holds"),
        (0.35, 1e-4, "holds"),  # worse is no gain either
        (0.45, 1e-4, "does not hold"),
        (0.41, 1e-3, "cannot tell"),
        (0.402, 0.05, "cannot tell"),
    ],
)
def test_a_claim_of_no_gain_needs_less_than_the_margin(a: float, noise: float, expected: str):
    claim = Claim("", "", ("a",), ("b",), measure="no_gain", sign=-1)
    found = judged({"a": a, "b": 0.4}, claim, noise=noise)
    assert found.verdict == expected
    assert claim.rule == "miou: [a] - [b] < 0.01"
    shown = statistics.claims_table(table({"a": a, "b": 0.4}), {"X": claim})["ours"][0]
    assert shown.startswith(f"{100 * (a - 0.4):.1f} [")  # the difference itself, in points


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_difference_needs_both_ends_of_the_interval_within_the_margin(sign: int):
    claim = Claim("", "", ("a",), ("b",), measure="equivalence", margin=0.02)
    for beyond, expected in ((0.019, "holds"), (0.021, "cannot tell")):
        effect = statistics.Interval(0.01, -0.001, beyond, 15, 5).turned(sign)
        assert verdict(claim, effect, 0.04, 0.04) == expected


def test_a_wider_margin_is_a_weaker_claim():
    wide = Claim("", "", ("a",), ("b",), measure="equivalence", margin=0.1)
    assert judged({"a": 0.45, "b": 0.4}, wide).verdict == "holds"


def test_the_largest_gain_has_to_beat_every_rival():
    conditions = {"a": 0.5, "b": 0.4, "c": 0.45, "d": 0.42}  # gain 10 points; rivals 3 and 5
    found = judged(conditions, LARGEST)
    assert found.effect.mean == pytest.approx(0.05, abs=1e-3)
    assert found.verdict == "holds"
    assert judged(conditions | {"c": 0.55}, LARGEST).verdict == "does not hold"  # a rival gains 15
    assert judged(conditions | {"c": 0.5}, LARGEST).verdict == "does not hold"  # a tie is no lead


def test_what_a_claim_of_several_contrasts_was_held_against_is_said():
    conditions = {"a": 0.5, "b": 0.4, "c": 0.45, "d": 0.42}
    each = Claim("", "", ("a", "c"), ("b", "d"), measure="each")
    claims = {"L": LARGEST, "E": each, "D": Claim("", "", ("a",), ("b",))}
    said = statistics.claims_table(table(conditions), claims)["claim"]
    assert said[0].endswith("(Closest: the gain of c over b.)")  # 5 of c over b, 3 of c over d
    assert said[1].endswith("(Closest: d.)")
    assert said[2] == "D: "


def test_largest_covers_all_rivals_at_once():
    one = Claim("", "", ("a",), ("b",), measure="largest", rivals=(("c", "b"),))
    two = Claim("", "", ("a",), ("b",), measure="largest", rivals=(("c", "b"), ("c", "b")))
    narrow, wide = (judged(GAINS, c, noise=0.01).effect for c in (one, two))
    assert narrow.mean == wide.mean
    assert wide.high - wide.low > narrow.high - narrow.low


def test_each_of_several_differences_has_to_hold():
    """The mean of the two would hold; the second is as large as the noise."""
    runs = {"a": 0.5, "b": 0.4, "c": 0.45, "d": 0.45}
    both = Claim("", "", ("a", "c"), ("b", "d"), measure="each")
    assert both.rule == "miou: each of [a] - [b]; [c] - [d] > 0"
    mean = Claim("", "", ("a", "c"), ("b", "d"))
    found = table(runs, noise=0.002)
    assert statistics.verdicts(found, {"X": mean})["verdict"].item() == "holds"
    judged = statistics.verdicts(found, {"X": both}).iloc[0]
    assert judged["verdict"] == "does not hold"  # within a point
    assert judged["effect"].mean == pytest.approx(0.0, abs=0.003)
    assert judged["p_holm"] > 0.05
    with pytest.raises(ValueError, match="each condition of plus"):
        Claim("", "", ("a", "c"), ("b",), measure="each")


def test_a_ratio_of_costs_is_held_against_its_threshold():
    claim = Claim("", "", ("a",), ("b",), metric="seconds", measure="ratio", threshold=1.5)
    found = table({"a": 200.0, "b": 100.0}, metric="seconds")
    shown = statistics.claims_table(found, {"B4": claim}).iloc[0]
    assert (shown["ours"], shown["verdict"]) == ("2.00 [2.00, 2.00] times", "holds")
    slower = Claim("", "", ("a",), ("b",), metric="seconds", measure="ratio", threshold=2.5)
    assert statistics.verdicts(found, {"B4": slower})["verdict"].item() == "does not hold"


@pytest.mark.parametrize(
    ("ones", "expected"), [(15, "holds"), (13, "holds"), (9, "cannot tell"), (1, "does not hold")]
)
def test_a_property_is_the_share_of_runs_that_have_it(ones: int, expected: str):
    found = table({"a": 0.0}, metric="miou")
    spread = np.argsort(np.arange(15) * 7 % 15)  # over the sites
    found["elsewhere"] = np.isin(np.arange(15), spread[:ones])
    claim = Claim("", "", ("a",), metric="elsewhere", measure="property", threshold=0.5)
    got = statistics.verdicts(found, {"B5": claim}).iloc[0]
    assert got["effect"].mean == pytest.approx(ones / 15 - 0.5)
    assert got["verdict"] == expected
    shown = statistics.claims_table(found, {"B5": claim})["ours"].item()
    assert shown.startswith(f"{100 * ones / 15:.0f} [")


def test_units_without_the_metric_are_left_out():
    found = table({"a": 0.5, "b": 0.4})
    found.loc[found["fold"] == 2, "miou"] = np.nan
    got = statistics.verdicts(found, {"X": Claim("", "", ("a",), ("b",))}).iloc[0]
    assert (got["units"], got["verdict"]) == (12, "cannot tell (12 of 15 units)")


def test_a_mean_over_cells_needs_all_of_them():
    rows = table({"a": 0.5, "b": 0.4, "c": 0.3})
    rows = rows[(rows["condition"] != "b") | (rows["fold"] != 0)]
    claim = Claim("", "", ("a", "b"), ("c",))
    assert len(paired(rows, claim)) == 12
    assert paired(rows, claim)["value"].mean() == pytest.approx(0.15, abs=1e-3)


@pytest.mark.parametrize("claim", [
    Claim("", "", ("a",), ("new",)),
    Claim("", "", ("a",), ("b",), metric="gap"),
    Claim("", "", ("new",), measure="property"),
    Claim("", "", ("a", "new"), ("b", "a"), measure="interaction"),
    replace(LARGEST, rivals=(("new", "b"),)),
])  # fmt: skip
def test_a_claim_without_runs_is_not_decided_and_disturbs_no_other(claim: Claim):
    family = {"X": claim, "Y": Claim("", "", ("a",), ("b",))}
    rows = table({"a": 0.5, "b": 0.4})
    undecided, decided = statistics.verdicts(rows, family).to_dict("records")
    assert undecided["verdict"] == "cannot tell (0 of 15 units)"
    assert (decided["verdict"], decided["units"]) == ("holds", 15)
    assert decided["p_holm"] == pytest.approx(2 * 2 / 2**15)  # of two claims, as declared
    shown = statistics.claims_table(rows, family).drop(columns="p (Holm)").iloc[0]
    assert "nan" not in " ".join(shown.astype(str))


def test_no_verdict_without_an_interval():
    claim, point = Claim("", "", ("a",), ("b",)), statistics.Interval(0.1, np.nan, np.nan, 15, 1)
    assert verdict(claim, point, 1e-5).startswith("cannot tell")


def test_the_declaration_is_one_line():
    assert INTERACTION.rule == "miou: ([a] - [b]) - ([c] - [d]) > 0"
    assert NOTHING.rule == "miou: |[a] - [b]| < 0.01"
    assert LARGEST.rule == "miou: [a] - [b] > each of [c] - [d]; [c] - [b]"
    two = Claim("", "", ("a", "c"), ("b",), sign=-1, measure="share", threshold=2 / 3)
    assert two.rule == "miou: mean([a], [c]) / [b] < 0.667"


def test_claims_that_say_nothing_are_refused():
    with pytest.raises(UnknownName, match="unknown measure 'quotient'"):
        Claim("", "", ("a",), ("b",), measure="quotient")
    with pytest.raises(ValueError, match="two conditions on either side"):
        Claim("gains", "", ("a",), ("b",), measure="interaction")
    with pytest.raises(ValueError, match="rivals"):
        Claim("best", "", ("a",), ("b",), measure="largest")


def test_what_is_declared_before_the_runs():
    claims = {"A": INTERACTION, "B": NOTHING}
    plan = statistics.declared(claims, 5, 3).set_index("claim")
    assert plan.loc["A", "units"] == 15
    assert plan.loc["A", "smallest p"] == 2 * 2 / 2**15
    assert np.isnan(plan.loc["B", "smallest p"])


def test_the_table_of_claims_says_what_could_have_been_seen():
    shown = statistics.claims_table(table(GAINS, noise=0.01), {"A4": INTERACTION}).iloc[0]
    assert shown["ours"].endswith("] points")
    assert shown["detectable"].endswith(" points")
    assert (shown["p (Holm)"], shown["n"], shown["verdict"]) == ("< 0.001", 15, "holds")


def test_the_rule_seldom_decides_what_is_not_so():
    """Sites that differ as much as seeds: no effect is called one in 5 % of studies at most, and
    an effect of the margin is called none in 5 % at most.
    """
    rng, blocks = np.random.default_rng(7), np.repeat(np.arange(FOLDS), REPLICATES)
    claim, said = Claim("", "", ("a",), ("b",)), {0.0: [], 0.01: []}
    for mean, verdicts in said.items():
        for _ in range(300):
            noise = 0.008 * rng.normal(size=FOLDS)[blocks] + 0.008 * rng.normal(size=15)
            effect = statistics.interval(mean + noise, blocks)
            p = (
                intervals.sign_flip(mean + noise),
                intervals.equivalence(mean + noise, blocks, claim.margin),
            )
            verdicts.append(verdict(claim, effect, *p))
    assert said[0.0].count("holds") / 300 <= 0.05
    assert said[0.01].count("does not hold") / 300 <= 0.07
    assert said[0.01].count("holds") > 30


def test_a_family_of_false_claims_is_believed_more_often_than_its_p_says():
    """Where sites differ, replicates on one site are no units of their own: p after Holm is too
    small, and the interval, which holds each claim to 5 %, is all that guards the family of five.
    """
    rng, blocks = np.random.default_rng(7), np.repeat(np.arange(FOLDS), REPLICATES)
    claim, alone, believed = Claim("", "", ("a",), ("b",)), [], []
    for _ in range(100):
        every = 0.008 * rng.normal(size=(5, FOLDS))[:, blocks] + 0.008 * rng.normal(size=(5, 15))
        p = [intervals.sign_flip(values) for values in every]
        holm = multipletests(p, method="holm")[1]
        said = [
            verdict(claim, statistics.interval(values, blocks), mine)
            for values, mine in zip(every, holm, strict=True)
        ]
        alone.append(p[0] < 0.05)
        believed.append("holds" in said)
    assert np.mean(alone) > 0.1
    assert np.mean(believed) <= 0.15


def test_the_smallest_effect_is_that_of_the_interval_that_decides():
    """An interval over several contrasts is wider, so it sees less; no difference has none."""
    found = table({"a": 0.5, "b": 0.4, "c": 0.5, "d": 0.4}, noise=0.01)
    one = Claim("", "", ("a",), ("b",), measure="each")
    two = Claim("", "", ("a", "a"), ("b", "b"), measure="each")
    none = Claim("", "", ("a",), ("b",), measure="equivalence")
    seen = [evidence(found, claim).detectable for claim in (one, two, none)]
    assert seen[0] < seen[1]
    assert np.isnan(seen[2])
